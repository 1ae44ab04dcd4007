"""Break-even: the budget from which on an arm is better than the baseline, and the set of budgets where it may be.

A seed's gain D_s(B), its paired difference to the baseline, is measured at the tested budgets and taken to be linear in
ln B between neighbours. The break-even is the last upward zero of the mean over seeds. Its confidence set are all B at
which the Student-t interval of D_s(B) holds 0: between neighbours a ratio of two means, whose set is exact (Fieller,
JRSS B 1954) and may be an interval, two rays, everything or nothing.

No law of training is assumed between the tested budgets, so that the set rests on what was measured alone (law.py
assumes one, and is checked against this). The last zero counts, not the first: the question is from which budget on a
split pays, and a lead that is lost again at a higher budget is no answer to it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from splitbench.results.inference import stats
from splitbench.results.inference.stats import CONFIDENCE, Estimate

Gains = Mapping[float, Mapping[int, float]]
"""Tested budget -> seed -> how much better the arm is than the baseline."""
Part = tuple[float, float]

BELOW, ABOVE = 0.0, math.inf
"""Budgets that stand for a break-even below the lowest tested one, and above the highest."""
ROUNDING = 1e-9  # of a step between two tested budgets


@dataclass(frozen=True)
class BreakEven:
    """One arm against the baseline over budgets.

    Attributes:
        budgets: those tested, ascending.
        gains: at each of them, mean over the seeds that it has, and interval.
        at: the last upward zero of the mean; None where it has none.
        parts: the confidence set within the tested budgets, closed intervals in order.
        below: whether the break-even may lie below the lowest tested budget: the interval there holds 0, or the arm is
            better there and nowhere worse.
        above: whether it may lie above the highest: the arm is not better there.
        ahead: whether the mean is positive at the highest tested budget.
    """

    budgets: tuple[float, ...]
    gains: tuple[Estimate, ...]
    at: float | None
    parts: tuple[Part, ...]
    below: bool
    above: bool
    ahead: bool

    def holds(self, budget: float) -> bool:
        """Whether a break-even at ``budget`` is in the set; below the lowest tested one all are alike, as above the
        highest."""
        if budget < self.budgets[0]:
            return self.below
        if budget > self.budgets[-1]:
            return self.above
        return any(low <= budget <= high for low, high in self.parts)


def find_break_even(gains: Gains, confidence: float = CONFIDENCE) -> BreakEven:
    """The break-even and its set from the gains of each seed.

    Between two neighbours count the seeds that both have; if they are fewer than an interval takes, all budgets between
    them are in the set.

    Raises:
        ValueError: if there are fewer than two budgets, one is not positive, or two neighbours share no seed.
    """
    budgets = _checked(gains)
    segments = [_Segment.between(gains, low, high) for low, high in itertools.pairwise(budgets)]
    pieces = [segment.set(confidence) for segment in segments]
    parts = _joined([part for own in pieces for part in own])
    worse = any(segment.worse(own) for segment, own in zip(segments, pieces, strict=True))
    first, last = (
        segment.at(end, confidence) for segment, end in ((segments[0], budgets[0]), (segments[-1], budgets[-1]))
    )
    return BreakEven(
        budgets=budgets,
        gains=tuple(stats.interval([gains[budget][seed] for seed in sorted(gains[budget])]) for budget in budgets),
        at=_last_upward(segments),
        parts=parts,
        below=_holds_zero(first) or (first.mean > 0 and not worse),
        above=_holds_zero(last) or last.mean <= 0,
        ahead=last.mean > 0,
    )


def along(gains: Gains, steps: int = 24, confidence: float = CONFIDENCE) -> list[tuple[float, Estimate]]:
    """(budget, mean and interval) from each tested budget to the next in ``steps`` equal steps of ln B, for a picture.

    A tested budget between others comes twice, from either side, since the seeds may be others.

    Raises:
        ValueError: as :func:`find_break_even`.
    """
    budgets = _checked(gains)
    values = []
    for low, high in itertools.pairwise(budgets):
        segment = _Segment.between(gains, low, high)
        places = [segment.budget(step / steps) for step in range(steps + 1)]
        values += [(budget, segment.at(budget, confidence)) for budget in places]
    return values


def _checked(gains: Gains) -> tuple[float, ...]:
    budgets = tuple(sorted(gains))
    if len(budgets) < 2 or budgets[0] <= 0:
        raise ValueError("a break-even needs two tested budgets, all of them positive")
    for low, high in itertools.pairwise(budgets):
        if not gains[low].keys() & gains[high].keys():
            raise ValueError(f"the neighbouring budgets {low:.4g} and {high:.4g} share no seed")
    return budgets


@dataclass(frozen=True)
class _Segment:
    """Two neighbouring budgets and the gains of the seeds that both have; u goes from 0 to 1 along ln B."""

    low: float
    high: float
    first: tuple[float, ...]
    second: tuple[float, ...]

    @classmethod
    def between(cls, gains: Gains, low: float, high: float) -> _Segment:
        seeds = sorted(gains[low].keys() & gains[high].keys())
        return cls(low, high, tuple(gains[low][s] for s in seeds), tuple(gains[high][s] for s in seeds))

    def budget(self, u: float) -> float:
        """The ends are met exactly."""
        if u in (0, 1):
            return self.high if u else self.low
        return self.low * math.pow(self.high / self.low, u)

    @property
    def means(self) -> tuple[float, float]:
        return _mean(self.first), _mean(self.second)

    def at(self, budget: float, confidence: float) -> Estimate:
        u = math.log(budget / self.low) / math.log(self.high / self.low)
        return stats.interval([(1 - u) * a + u * b for a, b in zip(self.first, self.second, strict=True)], confidence)

    def set(self, confidence: float) -> list[Part]:
        return [(self.budget(low), self.budget(high)) for low, high in zero_set(self.first, self.second, confidence)]

    def worse(self, parts: Sequence[Part]) -> bool:
        """Whether the arm is worse somewhere outside ``parts``: there the interval is on one side of 0."""
        ends = [self.low, *(end for part in parts for end in part), self.high]
        start, end = self.means
        for low, high in zip(ends[::2], ends[1::2], strict=True):
            # The middle of a gap tells its sign: 0 lies in no interval there, so the mean cannot change sides.
            u = math.log(low * high / self.low**2) / 2 / math.log(self.high / self.low)
            if high > low and (1 - u) * start + u * end < 0:
                return True
        return False


def zero_set(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> list[Part]:
    """All u in [0, 1] at which the t interval of (1 - u) first + u second, over seeds, holds 0: closed intervals.

    Fewer seeds than an interval takes rule nothing out. With mean m(u), variance v(u) over n seeds and Student's t, 0
    is held where m^2 - t^2 v / n <= 0: a quadratic in u.
    """
    n = len(first)
    if n < stats.FEWEST:
        return [(0.0, 1.0)]
    start, rise = _mean(first), _mean(second) - _mean(first)
    a = [value - start for value in first]
    e = [y - x - rise for x, y in zip(first, second, strict=True)]
    # The variance is quadratic in u as the mean is linear in it, so the set is exact: no budget is left out by a grid.
    share = stats.t_quantile(confidence, n - 1) ** 2 / (n * (n - 1))
    square = rise**2 - share * math.fsum(x * x for x in e)
    linear = 2 * (start * rise - share * math.fsum(x * y for x, y in zip(a, e, strict=True)))
    constant = start**2 - share * math.fsum(x * x for x in a)
    return [
        (max(0.0, low), min(1.0, high))
        for low, high in _not_positive(square, linear, constant)
        if low <= 1 and high >= 0
    ]


def _not_positive(square: float, linear: float, constant: float) -> list[Part]:
    """Where square u^2 + linear u + constant <= 0 on the whole line."""
    # Gains may be of any size: only coefficients that are scaled to 1 can be told from rounding.
    size = max(abs(square), abs(linear), abs(constant))
    everything = [(-math.inf, math.inf)]
    if size == 0:
        return everything
    a, b, c = square / size, linear / size, constant / size
    if abs(a) < 1e-14:
        if abs(b) < 1e-14:
            return everything if c <= 0 else []
        return [(-math.inf, -c / b)] if b > 0 else [(-c / b, math.inf)]
    discriminant = b * b - 4 * a * c
    if abs(discriminant) < 1e-14:  # rounding: all seeds pass through 0 at one budget
        discriminant = 0.0
    if discriminant < 0:
        return everything if a < 0 else []
    q = -(b + math.copysign(math.sqrt(discriminant), b)) / 2  # the sum of equal signs loses no digits
    low, high = sorted((q / a, c / q) if q else (0.0, 0.0))
    return [(low, high)] if a > 0 else [(-math.inf, low), (high, math.inf)]


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts in order; those that meet, but for rounding, are one."""
    joined: list[Part] = []
    for low, high in parts:
        if joined and low <= joined[-1][1] * (1 + ROUNDING):
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return tuple(joined)


def _last_upward(segments: Sequence[_Segment]) -> float | None:
    """Where the mean last becomes positive. With other seeds on its other side the mean may jump at a tested budget."""
    crossing, before = None, math.inf
    for segment in segments:
        start, end = segment.means
        if before <= 0 < start:
            crossing = segment.low
        if start <= 0 < end:
            crossing = segment.budget(start / (start - end))
        before = end
    return crossing


def _holds_zero(estimate: Estimate) -> bool:
    """Fewer seeds than an interval takes rule nothing out."""
    return estimate.low is None or estimate.high is None or estimate.low <= 0 <= estimate.high


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
