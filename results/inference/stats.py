"""Intervals and tests over repetitions, in plain Python so that a leaderboard of few seeds opens at once.

A repetition (a paired seed) is the unit: draws within it are averaged first, and arms are compared repetition by
repetition. Where each repetition draws a population of its own, the spread between repetitions holds that of the
population too; where all rank the whole space, there is none. Bootstraps, Friedman's test and power have modules of
their own, which need scipy.
"""

from __future__ import annotations

import bisect
import functools
import math
import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ALPHA = 0.05
CONFIDENCE = 0.95
PLAIN_UP_TO = 16  # repetitions whose sign flips are counted sooner than numpy is imported
EXACT_UP_TO = 30
RANDOM_FLIPS = 99_999
FEWEST = 3
"""Repetitions that an interval takes. Two differ by a single number, which Student's t has to stretch 12.7 times: their
interval is 14 standard deviations wide on average, that of three 4.4, and tells hardly more than the metric's range."""
ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean over n repetitions and its Student-t interval; low and high are None for fewer than ``FEWEST``."""

    mean: float
    low: float | None
    high: float | None
    n: int


def lower_is_better(metric: str) -> bool:
    """Whether lower values of a metric are better: regrets and best ranks."""
    return metric.removeprefix("selected ").startswith(("regret", "br@"))


def interval(
    values: Sequence[float], confidence: float = CONFIDENCE, within: tuple[float, float] | None = None
) -> Estimate:
    """Mean and Student-t interval, cut at the ends of ``within``: what the values can be at all.

    Raises:
        ValueError: if there are no values.
    """
    n = len(values)
    if not n:
        raise ValueError("an interval needs at least one value")
    mean = math.fsum(values) / n
    if n < FEWEST:
        return Estimate(mean, None, None, n)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = t_quantile(confidence, n - 1) * math.sqrt(variance / n)
    return bounded(Estimate(mean, mean - half, mean + half, n), within)


def bounded(estimate: Estimate, within: tuple[float, float] | None) -> Estimate:
    """The estimate with the part of its interval that lies inside ``within``."""
    if within is None or estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(estimate.mean, max(within[0], estimate.low), min(within[1], estimate.high), estimate.n)


@functools.lru_cache(maxsize=256)
def t_quantile(confidence: float, freedom: int) -> float:
    """The t with P(|T| <= t) = ``confidence`` under Student's distribution with ``freedom`` degrees of freedom.

    Bisection of the finite series for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4): exact to
    rounding, and it spares the third of a second that importing scipy takes.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _t_probability(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def t_cumulative(t: float, freedom: int) -> float:
    """P(T <= t) under Student's distribution with ``freedom`` degrees of freedom, by the same series."""
    half = _t_probability(math.atan(abs(t) / math.sqrt(freedom)), freedom) / 2
    return 0.5 + half if t > 0 else 0.5 - half


def _t_probability(angle: float, freedom: int) -> float:
    """P(|T| <= sqrt(freedom) tan(angle))."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = 0.0
    for power in range(odd, freedom - 1, 2):
        term = (cosine if odd else 1.0) if power == odd else term * cosine**2 * (power - 1) / power
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def sign_flip_p(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of the mean difference: the share of sign flips whose sum is at least as far from zero.

    All 2^n flips up to n = 30, as pairs of the sums of two halves (Horowitz and Sahni, JACM 1974); beyond that 99,999
    seeded random flips, the same for all sets of n differences, (1 + as extreme) / (1 + flips).

    Raises:
        ValueError: if there are no differences.
    """
    if not differences:
        raise ValueError("a sign-flip test needs at least one difference")
    # Sums of one set of numbers in another order differ by rounding, and must still count as equal.
    reach = abs(math.fsum(differences)) - 1e-12 * math.fsum(map(abs, differences))
    if reach <= 0:
        return 1.0
    if len(differences) > EXACT_UP_TO:
        return _sampled_p(differences, reach, seed)
    middle = (len(differences) + 1) // 2
    # The first sign is held: the other half of the flips mirrors this one.
    halves = (differences[0], differences[1:middle]), (0.0, differences[middle:])
    if len(differences) > PLAIN_UP_TO:
        import numpy as np

        fore, back = (_signed_array(*half) for half in halves)
        back.sort()
        fore.sort()  # sorted numbers are looked up faster
        above, below = np.searchsorted(back, reach - fore, "left"), np.searchsorted(back, -reach - fore, "right")
        return int((len(back) - above + below).sum()) / (len(fore) * len(back))
    first, second = (_signed_sums(*half) for half in halves)
    second.sort()
    n = len(second)
    beyond = sum(n - bisect.bisect_left(second, reach - s) + bisect.bisect_right(second, -reach - s) for s in first)
    return beyond / (len(first) * n)


def _sampled_p(differences: Sequence[float], reach: float, seed: int) -> float:
    """Flips come eight signs a byte: a byte's sum is looked up among the 256 of its eight differences."""
    import numpy as np

    flips = _flips(-(-len(differences) // 8), seed)
    total = np.zeros(RANDOM_FLIPS)
    for index, signs in enumerate(flips):
        eight = [*differences[8 * index : 8 * index + 8], *[0.0] * 8][:8]
        total += _signed_array(0.0, eight)[signs]
    return (1 + int(np.count_nonzero(np.abs(total) >= reach))) / (1 + RANDOM_FLIPS)


@functools.lru_cache(maxsize=4)
def _flips(groups: int, seed: int) -> npt.NDArray[np.uint8]:
    """[groups, flips] random bytes. They are Python's, whose generator gives the same under every version of numpy."""
    import numpy as np

    drawn = random.Random(seed).randbytes(groups * RANDOM_FLIPS)
    return np.frombuffer(drawn, np.uint8).reshape(groups, RANDOM_FLIPS)


def _signed_array(start: float, differences: Sequence[float]) -> npt.NDArray[np.float64]:
    """``_signed_sums`` by numpy, to the last bit."""
    import numpy as np

    sums = np.array([start])
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums


def _signed_sums(start: float, differences: Sequence[float]) -> list[float]:
    sums = [start]
    for difference in differences:
        sums = [s + difference for s in sums] + [s - difference for s in sums]
    return sums


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test (Biometrics 1945), zeros left out; 1 if all are zero.

    Exact up to 50 differences without ties and up to 13 with ties, the normal approximation beyond (scipy's ``auto``).

    Raises:
        ValueError: if there are no differences.
    """
    if not differences:
        raise ValueError("a signed-rank test needs at least one difference")
    # Differences that are equal on paper differ by rounding, and must still share a rank.
    nonzero = [rounded for difference in differences if (rounded := round(difference, 12))]
    if not nonzero:
        return 1.0
    from scipy import stats

    return float(stats.wilcoxon(nonzero).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given."""
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def holm_within(
    ps: Sequence[float], families: Sequence[Hashable], findings: Sequence[Hashable] | None = None
) -> list[float]:
    """Holm's adjusted p values in the order given, each among those of its own family alone.

    What shares a finding within a family is one hypothesis: it counts once, with the largest p of its members.
    """
    marks = range(len(ps)) if findings is None else findings
    adjusted = [0.0] * len(ps)
    for family in set(families):
        members = [index for index, own in enumerate(families) if own == family]
        largest: dict[Hashable, float] = {}
        for index in members:
            largest[marks[index]] = max(ps[index], largest.get(marks[index], 0.0))
        by_finding = dict(zip(largest, holm(list(largest.values())), strict=True))
        for index in members:
            adjusted[index] = by_finding[marks[index]]
    return adjusted


def least_p(repetitions: int, comparisons: int = 1) -> float:
    """The smallest adjusted p that n repetitions can give: all differences of one sign, times the comparisons.

    It jumps up from 30 repetitions (2e-9) to 31 (1e-5), where flips are drawn: from 5,000 comparisons on, more than 30
    repetitions give no verdict.
    """
    least = 2 / 2**repetitions if repetitions <= EXACT_UP_TO else 1 / (1 + RANDOM_FLIPS)
    return min(1.0, comparisons * least)


def repetitions_needed(comparisons: int = 1) -> int:
    """The fewest repetitions at which a verdict is possible at all, if every repetition agrees in sign."""
    return next((n for n in range(1, EXACT_UP_TO + 1) if least_p(n, comparisons) < ALPHA), EXACT_UP_TO + 1)
