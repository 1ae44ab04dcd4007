"""Whether a supernet is normal: the values that published runs of a setting lead to expect of further runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splitbench.results.expectation.unsplit import Length, PublishedSupernet, SupernetSetting
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.measures.families import Range, family

SAME = 0.05
"""Lengths this near in ln steps count as one: where tau grows by .16 for ln steps, as it does on micro below 900 steps,
they differ by .008."""
LOWEST, HIGHEST = "below the lowest tested", "above the highest tested"


@dataclass(frozen=True)
class LengthPlace:
    """The place of a training length among the tested ones.

    Attributes:
        between: the tested length that it is, or its two neighbours; the nearest one where it lies outside.
        weight: of the second neighbour, 0 to 1.
        outside: ``LOWEST`` or ``HIGHEST``; empty where it lies among them.
    """

    between: tuple[Length, ...]
    weight: float = 0.0
    outside: str = ""

    @property
    def budget(self) -> str:
        """In words."""
        words = [length.budget for length in self.between]
        if self.outside:
            return f"{self.outside}, {words[0]}"
        return words[0] if len(words) == 1 else f"between {words[0]} and {words[1]}"


def further(values: Sequence[float], runs: int, within: Range | None = None) -> Estimate:
    """The mean of ``values``, and a prediction interval for the mean of ``runs`` further runs.

    mean +- t(n - 1) s sqrt(1 / runs + 1 / n), cut at the ends of ``within``; none for fewer than ``stats.FEWEST``
    values.

    Raises:
        ValueError: if there are no values, or no runs.
    """
    n = len(values)
    if not n or runs < 1:
        raise ValueError("a prediction needs at least one value, and at least one run that it is for")
    mean = math.fsum(values) / n
    if n < stats.FEWEST:
        return Estimate(mean, None, None, n)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = stats.t_quantile(stats.CONFIDENCE, n - 1) * deviation * math.sqrt(1 / runs + 1 / n)
    return stats.bounded(Estimate(mean, mean - half, mean + half, n), within)


def place_among(lengths: Sequence[Length], amount: float, of: Callable[[Length], float]) -> LengthPlace:
    """Where ``amount`` lies among the lengths, by what ``of`` reads from each. Of equal lengths most seeds are taken.

    Raises:
        ValueError: if there are no lengths.
    """
    same = [length for length in lengths if abs(math.log(of(length) / amount)) <= SAME]
    if same:
        return LengthPlace((max(same, key=lambda length: (len(length.seeds), -abs(math.log(of(length) / amount)))),))
    below = [length for length in lengths if of(length) < amount]
    above = [length for length in lengths if of(length) > amount]
    first = max(below, key=lambda length: (of(length), len(length.seeds)), default=None)
    last = min(above, key=lambda length: (of(length), -len(length.seeds)), default=None)
    if first is None or last is None:
        nearest = last or first
        if nearest is None:
            raise ValueError("there are no lengths")
        return LengthPlace((nearest,), 0.0, LOWEST if first is None else HIGHEST)
    weight = math.log(amount / of(first)) / math.log(of(last) / of(first))
    return LengthPlace((first, last), weight)


def expected(at: LengthPlace, metric: str, runs: int = 1) -> Estimate | None:
    """The expected mean of a metric over ``runs`` further runs, with its interval; None where published runs lack the
    metric, or the length lies outside of the tested ones.

    Between two tested lengths the mean is linear in ln steps, and the interval as wide as the wider of theirs.
    """
    ends = [length.values.get(metric) for length in at.between]
    if at.outside or not all(ends):
        return None
    own = [further(values, runs) for values in ends if values]
    mean = own[0].mean if len(own) == 1 else (1 - at.weight) * own[0].mean + at.weight * own[1].mean
    n = min(estimate.n for estimate in own)
    halves = [estimate.high - estimate.mean for estimate in own if estimate.high is not None]
    if len(halves) < len(own):
        return Estimate(mean, None, None, n)
    half = max(halves)
    return stats.bounded(Estimate(mean, mean - half, mean + half, n), family(metric).range)


def same_setting(known: Sequence[PublishedSupernet], setting: SupernetSetting) -> PublishedSupernet | None:
    """The published supernet of this setting; of several, the one that knows most of its parameters."""
    alike = [supernet for supernet in known if not supernet.setting.differences(setting)]
    return min(alike, key=lambda supernet: len(supernet.setting.unknown(setting)), default=None)
