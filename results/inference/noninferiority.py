"""One-sided tests of a drop against a margin that is taken from measured noise.

Numbers before and after are compared by repetition: paired where both were measured at the same seeds (Student's t of
the differences), as two samples elsewhere (Welch, Biometrika 1947). Values that are equal one by one never fail. Holm's
adjustment is made over all tests of one family.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from splitbench.results.inference.stats import holm

ALPHA = 0.01
"""The largest chance that a family of tests (metrics, invariants, ledger) fails on unchanged code. A gate runs on every
pull request: at the usual 0.05 every twentieth would be a false alarm."""
CONFIDENCE = 0.95
"""Of each one-sided bound: between the two lies the 90% interval that is shown."""
MARGIN = 1.0
"""A drop is large from this many standard deviations between the baseline's seeds on."""
FLOOR = 1e-3
"""The smallest margin, in units of the baseline's mean or of 1, whichever is larger."""

REGRESSION, NON_INFERIOR, INCONCLUSIVE = "regression", "non-inferior", "inconclusive"
CHANGED, EQUAL, UNTESTED = "changed", "equal", "untested"


@dataclass(frozen=True)
class Test:
    """A number before and after.

    Attributes:
        before, after: means over repetitions.
        n_before, n_after: how many repetitions there are; equal where paired.
        paired: whether they are compared seed by seed.
        difference, low, high: after less before, and its 90% interval (None where one repetition gives none).
        margin: how large a change counts.
        p: of a drop (or of any change, if two-sided), once judged Holm's over the family; None where values are equal
            one by one, or too few.
        fails_beyond: the smallest change that would have failed, given the noise and the family.
        verdict: one of the words above.
    """

    __test__ = False  # it is no test of pytest's

    before: float
    after: float
    n_before: int
    n_after: int
    paired: bool
    difference: float
    low: float | None
    high: float | None
    margin: float
    p: float | None
    less_is_better: bool
    two_sided: bool
    spread: float
    freedom: float
    identical: bool
    fails_beyond: float | None = None
    verdict: str = UNTESTED

    @property
    def failed(self) -> bool:
        return self.verdict in (REGRESSION, CHANGED)

    @property
    def drop(self) -> float:
        """The size of the change in the wrong direction (in either direction if two-sided)."""
        if self.two_sided:
            return abs(self.difference)
        return self.difference if self.less_is_better else -self.difference


def compare_repetitions(
    before: Mapping[int, float],
    after: Mapping[int, float],
    paired: bool,
    less_is_better: bool = False,
    two_sided: bool = False,
    floor: float = FLOOR,
) -> Test:
    """Compare repetitions before with repetitions after; :func:`judge_family` gives the verdict later.

    The margin is ``MARGIN`` standard deviations of the baseline between its seeds, at least ``floor`` times its mean
    (or times 1, whichever is larger).

    Args:
        before, after: value by repetition, neither empty.
        paired: compare the shared repetitions one by one.
        less_is_better: for regrets.
        two_sided: any change counts.
        floor: the smallest margin.

    Raises:
        ValueError: if paired and no repetition is shared, or a side is empty.
    """
    old, new = [before[r] for r in sorted(before)], [after[r] for r in sorted(after)]
    # The baseline's own noise, paired or not: what counts as large must not hang on who shares its seeds.
    margin = max(MARGIN * sample_deviation(old), floor * max(1.0, abs(exact_mean(old))))
    sample = _paired(before, after) if paired else _two_samples(old, new)
    low = high = p = None
    if sample.freedom > 0:
        reach = inverse_t(CONFIDENCE, sample.freedom) * sample.spread
        low, high = sample.difference - reach, sample.difference + reach
        # Equal values one by one are no evidence of anything by chance: they have no p, and join no family.
        if not sample.identical:
            gain = sample.difference if less_is_better else -sample.difference
            tail = upper_tail(abs(gain) if two_sided else gain, sample.spread, sample.freedom)
            p = min(1.0, 2 * tail) if two_sided else tail
    return Test(
        before=exact_mean(sample.old),
        after=exact_mean(sample.new),
        n_before=len(sample.old),
        n_after=len(sample.new),
        paired=paired,
        difference=sample.difference,
        low=low,
        high=high,
        margin=margin,
        p=p,
        less_is_better=less_is_better,
        two_sided=two_sided,
        spread=sample.spread,
        freedom=sample.freedom,
        identical=sample.identical,
    )


@dataclass(frozen=True)
class _Change:
    """An estimated change between two sets of values: its size, standard error and degrees of freedom."""

    old: Sequence[float]
    new: Sequence[float]
    difference: float
    spread: float
    freedom: float
    identical: bool


def _paired(before: Mapping[int, float], after: Mapping[int, float]) -> _Change:
    shared = sorted(before.keys() & after.keys())
    old, new = [before[r] for r in shared], [after[r] for r in shared]
    differences = [b - a for a, b in zip(old, new, strict=True)]
    n = len(differences)
    difference = exact_mean(differences)
    return _Change(
        old, new, difference, sample_deviation(differences) / math.sqrt(n), float(n - 1), not any(differences)
    )


def _two_samples(old: Sequence[float], new: Sequence[float]) -> _Change:
    # Welch's, since a change of code may change the spread between seeds too.
    parts = (sample_deviation(old) ** 2 / len(old), sample_deviation(new) ** 2 / len(new))
    freedom = welch_freedom(parts, (len(old), len(new)))
    return _Change(old, new, exact_mean(new) - exact_mean(old), math.sqrt(sum(parts)), freedom, len({*old, *new}) == 1)


def judge_family(tests: Sequence[Test]) -> list[Test]:
    """Adjust one family after Holm and say what each test found, in the order given.

    A failure needs both: the adjusted p below ``ALPHA``, and a change beyond the margin. Non-inferior (or, two-sided,
    equal) needs the whole side of the 90% interval that matters within the margin. The rest is inconclusive; what has
    too few repetitions for any test is untested. Values that are equal one by one cannot fail whatever the level, so
    they are no member of the family and take no power from the others.
    """
    adjusted = iter(holm([test.p for test in tests if test.p is not None]))
    family = sum(test.p is not None for test in tests)
    return [_judged(test, None if test.p is None else next(adjusted), family) for test in tests]


def _judged(test: Test, p: float | None, family: int) -> Test:
    fine, bad = (EQUAL, CHANGED) if test.two_sided else (NON_INFERIOR, REGRESSION)
    if test.identical:
        return replace(test, verdict=fine)
    if p is None or test.low is None or test.high is None:
        return test
    level = ALPHA / family / (2 if test.two_sided else 1)
    beyond = max(test.margin, inverse_t(1 - level, test.freedom) * test.spread)
    drops = {"low": -test.low, "high": test.high}
    worst = max(drops.values()) if test.two_sided else drops["high" if test.less_is_better else "low"]
    verdict = fine if worst < test.margin else INCONCLUSIVE
    failed = p < ALPHA and test.drop > test.margin
    return replace(test, p=p, fails_beyond=beyond, verdict=bad if failed else verdict)


def exact_mean(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("a mean needs at least one value")
    return math.fsum(values) / len(values)


def sample_deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    if len(set(values)) < 2:
        return 0.0
    middle = exact_mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def welch_freedom(parts: tuple[float, float], sizes: tuple[int, int]) -> float:
    """Welch's degrees of freedom of two variances of a mean; 0 where a sample of one has none."""
    if min(sizes) < 2:
        return 0.0
    if not sum(parts):
        return float(sum(sizes) - 2)
    return sum(parts) ** 2 / sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))


def upper_tail(difference: float, spread: float, freedom: float) -> float:
    """P(T > difference / spread) under Student's distribution; without any spread a difference is certain."""
    from scipy.special import stdtr

    if not spread:
        return 0.5 if not difference else float(difference < 0)
    return float(stdtr(freedom, -difference / spread))


def inverse_t(probability: float, freedom: float) -> float:
    """The t with P(T < t) = ``probability``, for any degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
