"""When a split pays, predicted: relief against what the shorter training of a leaf costs.

A split arm trains each leaf for fewer steps than the same budget trains the unsplit supernet for. It pays where the
relief, what separate weights gain at equal length, exceeds what the length is worth:

    relief > (d tau / d ln steps) x ln(steps of none / steps of a leaf)

Relief and the unsplit supernet's curve are fitted at budgets up to a stated one, on half of the seeds; the break-even
that they predict is compared with that of the other half.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from splitbench.results.inference.stats import Estimate
from splitbench.results.payoff.breakeven import ABOVE, BELOW, BreakEven, find_break_even

FURTHEST = math.log(1000)
"""How far above the highest tested budget a break-even is still named: a thousand times."""


@dataclass(frozen=True)
class SeedPoint:
    """One seed at one budget.

    Attributes:
        steps: training steps of the unsplit supernet.
        leaf_steps: training steps that a leaf has behind it, as a geometric mean over what is ranked.
        none, arm: the metric of the unsplit supernet and of the split arm.
    """

    steps: float
    leaf_steps: float
    none: float
    arm: float


Points = Mapping[float, Mapping[int, SeedPoint]]
"""Budget -> seed -> point."""
Relief = Callable[[Points], Mapping[float, Mapping[int, float]]]
"""Measures relief: budget -> seed -> tau. What is not known is absent; seeds and budgets that it was not given are
ignored, so a decomposition's table can be looked up."""


@dataclass(frozen=True)
class Curve:
    """The unsplit supernet's tau against x = ln steps: limit - gap exp(-decay (x - start))."""

    limit: float
    gap: float
    decay: float
    start: float

    def __call__(self, steps: float) -> float:
        return self.limit - self.gap * math.exp(-self.decay * (math.log(steps) - self.start))

    def slope(self, steps: float) -> float:
        """d tau / d ln steps."""
        return self.decay * (self.limit - self(steps))


@dataclass(frozen=True)
class Law:
    """A fitted law; relief is taken to be the same at every budget."""

    relief: float
    curve: Curve

    def gain(self, steps: float, leaf_steps: float) -> float:
        """The predicted tau of the arm less that of the unsplit supernet, at these lengths."""
        return self.relief - (self.curve(steps) - self.curve(leaf_steps))


@dataclass(frozen=True)
class Prediction:
    """One half of the seeds predicted from the other.

    Attributes:
        fitted, checked: the seeds of either half.
        gains: budget above the fitted ones -> predicted gain, and that of the checked half.
        at: the predicted break-even; ``BELOW`` or ``ABOVE`` where the law has the arm ahead or behind at every budget.
        observed: the checked half's break-even and its set, over all budgets.
    """

    fitted: tuple[int, ...]
    checked: tuple[int, ...]
    law: Law
    gains: Mapping[float, tuple[float, Estimate]]
    at: float
    observed: BreakEven


def at_equal_length(points: Points) -> dict[float, dict[int, float]]:
    """Relief as the arm's tau less that of the unsplit supernet at a leaf's length, which its own curve over budgets
    gives: a straight line in ln steps between neighbours, seed by seed. A leaf shorter than the curve has none. Where
    the curve levels off the line lies below it, and relief comes out too large."""
    gains: dict[float, dict[int, float]] = {}
    for budget, own in points.items():
        for seed, point in own.items():
            curve = sorted((other[seed].steps, other[seed].none) for other in points.values() if seed in other)
            for (low, start), (high, end) in itertools.pairwise(curve):
                if low <= point.leaf_steps <= high and low < high:
                    u = math.log(point.leaf_steps / low) / math.log(high / low)
                    gains.setdefault(budget, {})[seed] = point.arm - ((1 - u) * start + u * end)
                    break
    return gains


def predict(points: Points, up_to: float, ceiling: float, relief: Relief = at_equal_length) -> tuple[Prediction, ...]:
    """Fit at budgets up to ``up_to`` on half of the seeds and predict the other half, then the other way round.

    Args:
        ceiling: where the unsplit supernet's curve ends if two budgets are all that is fitted: the noise ceiling. From
            three budgets on the curve's end is fitted, too.

    Raises:
        ValueError: if nothing can be fitted or checked; the sentence says why.
    """
    budgets = sorted(points)
    lower = [budget for budget in budgets if budget <= up_to]
    if len(lower) < 2 or len(lower) == len(budgets):
        raise ValueError(
            f"{len(lower)} of {len(budgets)} budgets are not above {up_to:g}; a fit takes two, and a check one above it"
        )
    seeds = sorted(set.intersection(*(set(points[budget]) for budget in lower)))
    if len(seeds) < 4:
        raise ValueError(f"{len(seeds)} seeds are present at every fitted budget; two halves of two seeds take four")
    # Every other seed, so that no half is chosen by what it shows; both ways round, since halves are small.
    halves = tuple(seeds[::2]), tuple(seeds[1::2])
    return tuple(
        _predicted(points, lower, fitted, checked, ceiling, relief) for fitted, checked in (halves, halves[::-1])
    )


def fit(points: Points, ceiling: float, relief: Relief = at_equal_length) -> Law:
    """The law from all points given.

    Raises:
        ValueError: if relief is known at no budget, or the curve cannot be fitted.
    """
    known = relief(points)  # what it says of other seeds and budgets is not to be seen here
    measured = [value for budget, own in points.items() for seed, value in known.get(budget, {}).items() if seed in own]
    if not measured:
        raise ValueError(
            "relief is known at no fitted budget, because every leaf is shorter than the shortest unsplit training"
        )
    lengths = [_mean(math.log(point.steps) for point in own.values()) for _, own in sorted(points.items())]
    taus = [_mean(point.none for point in own.values()) for _, own in sorted(points.items())]
    return Law(_mean(measured), fit_curve(lengths, taus, ceiling))


def fit_curve(lengths: Sequence[float], taus: Sequence[float], ceiling: float) -> Curve:
    """A saturating curve through tau at x = ln steps; with two points it ends at ``ceiling``, else where it fits best.

    Least squares; for each decay limit and gap are a regression on exp(-decay (x - start)).

    Raises:
        ValueError: if there are fewer than two lengths, or with two a tau reaches the ceiling.
    """
    start = min(lengths)
    if max(lengths) <= start:
        raise ValueError("a curve takes two lengths of training")
    if len(lengths) == 2:
        if max(taus) >= ceiling:
            raise ValueError("the unsplit supernet reaches the noise ceiling, so two budgets give no curve below it")
        (x0, gap), (x1, later) = sorted((x, ceiling - tau) for x, tau in zip(lengths, taus, strict=True))
        return Curve(ceiling, gap, math.log(gap / later) / (x1 - x0), start)
    # Only the decay is searched: limit and gap are linear, and a search for all three ends where it starts.
    from scipy import optimize

    def regression(decay: float) -> tuple[Curve, float]:
        shape = [math.exp(-decay * (x - start)) for x in lengths]
        centre, level = _mean(shape), _mean(taus)
        spread = math.fsum((s - centre) ** 2 for s in shape)
        gap = -math.fsum((s - centre) * (tau - level) for s, tau in zip(shape, taus, strict=True)) / spread
        curve = Curve(level + gap * centre, gap, decay, start)
        return curve, math.fsum((curve(math.exp(x)) - tau) ** 2 for x, tau in zip(lengths, taus, strict=True))

    # A grid before the search: the squares may have several valleys.
    decays = [0.01 * 1.1**k for k in range(65)]  # 0.01 is a straight line in ln steps, 4 a step
    best = min(range(len(decays)), key=lambda k: regression(decays[k])[1])
    around = decays[max(0, best - 1)], decays[min(len(decays) - 1, best + 1)]
    decay = optimize.minimize_scalar(lambda d: regression(d)[1], bounds=around, method="bounded").x
    return regression(float(decay))[0]


def _predicted(
    points: Points,
    lower: Sequence[float],
    fitted: tuple[int, ...],
    checked: tuple[int, ...],
    ceiling: float,
    relief: Relief,
) -> Prediction:
    law = fit({budget: {seed: points[budget][seed] for seed in fitted} for budget in lower}, ceiling, relief)
    gains = {
        b: {seed: own[seed].arm - own[seed].none for seed in checked if seed in own}
        for b, own in sorted(points.items())
    }
    # lengths follow from budgets and prices alone: they are known without training
    lengths = {
        budget: tuple(
            _mean(math.log(getattr(point, name)) for point in own.values()) for name in ("steps", "leaf_steps")
        )
        for budget, own in sorted(points.items())
    }
    observed = find_break_even(gains)
    return Prediction(
        fitted,
        checked,
        law,
        {
            budget: (law.gain(*map(math.exp, lengths[budget])), own)
            for budget, own in zip(observed.budgets, observed.gains, strict=True)
            if budget > lower[-1]
        },
        _zero(law, lengths),
        observed,
    )


def _zero(law: Law, lengths: Mapping[float, Sequence[float]]) -> float:
    """The last upward zero of the predicted gain, with lengths linear in ln B; above the tested budgets steps grow with
    the budget, and their ratio stays."""
    budgets = list(lengths)

    def gain(budget: float, low: float, high: float) -> float:
        u = math.log(budget / low) / math.log(high / low)
        return law.gain(*(math.exp((1 - u) * a + u * b) for a, b in zip(lengths[low], lengths[high], strict=True)))

    top = budgets[-1]
    steps, leaf = lengths[top]
    if gain(top, budgets[-2], top) <= 0:
        curve, ratio = law.curve, steps - leaf
        worth = curve.gap * math.expm1(curve.decay * ratio)  # at x = start
        if law.relief <= 0 or worth <= 0 or curve.decay <= 0:
            return ABOVE
        further = curve.start + math.log(worth / law.relief) / curve.decay - steps
        return top * math.exp(further) if further < FURTHEST else ABOVE
    for low, high in reversed(list(itertools.pairwise(budgets))):
        if gain(low, low, high) <= 0 < gain(high, low, high):
            behind, ahead = low, high
            for _ in range(60):  # halves of a double: further ones change nothing
                middle = math.sqrt(behind * ahead)
                behind, ahead = (middle, ahead) if gain(middle, low, high) <= 0 else (behind, middle)
            return ahead
    return BELOW


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
