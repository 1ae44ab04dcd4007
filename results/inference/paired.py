"""Two arms compared seed by seed: tests of a difference and of practical equality, and a verdict in a word.

A difference is tested by sign flips. That there is none that matters is tested by two one-sided tests (Schuirmann,
Journal of Pharmacokinetics and Biopharmaceutics 1987), sign flips as well: of the hypothesis that the mean difference
is at or below minus the region, and of the one that it is at or above it. Both have to be rejected.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.measures.families import family

BETTER, WORSE, EQUAL, CANNOT_TELL, NO_VERDICT = "better", "worse", "practically equal", "can't tell", "no verdict"
WORDS = (BETTER, EQUAL, CANNOT_TELL, WORSE, NO_VERDICT)


@dataclass(frozen=True)
class Comparison:
    """Paired differences (first less second, by repetition) of one metric; nothing is adjusted.

    Attributes:
        difference: their mean, with an interval that stays inside what the metric allows.
        p: two-sided, of the sign-flip test.
        equal_p: of the two one-sided tests, the larger.
        probability: that the first is better, see :func:`probability_better`.
    """

    difference: Estimate
    p: float
    equal_p: float
    probability: float | None


@dataclass(frozen=True)
class Verdict:
    """The verdict of a paired comparison with the baseline.

    Attributes:
        against: the baseline.
        metric: what is compared.
        word: one of ``WORDS``.
        reason: why there is no verdict; empty where there is one.
        p: Holm-adjusted over the findings of the table; oracle controls are no hypotheses, and adjusted among
            themselves. None where the arm is not tested, because its runs give no grounds for a verdict.
        equal_p: of the two one-sided tests, adjusted alike.
        region: half the width of the region of practical equality, in the metric's unit.
        probability: P(arm > baseline): see :func:`probability_better`; None with ``p``, and where seeds are too few.
        difference: arm less baseline, over seeds.
    """

    against: str
    metric: str
    word: str
    reason: str
    p: float | None
    equal_p: float | None
    region: float
    probability: float | None
    difference: Estimate


def compare_pairs(first: Mapping[int, float], second: Mapping[int, float], metric: str) -> Comparison | None:
    """Compare over the repetitions that both have; None if they share none."""
    shared = sorted(first.keys() & second.keys())
    return compared([first[repetition] - second[repetition] for repetition in shared], metric) if shared else None


def compared(differences: Sequence[float], metric: str) -> Comparison:
    """Compare by paired differences.

    Raises:
        ValueError: if there are none.
    """
    own = family(metric)
    return Comparison(
        difference=stats.interval(differences, within=own.differences),
        p=stats.sign_flip_p(differences),
        equal_p=equivalence_p(differences, own.region),
        probability=probability_better(differences, metric),
    )


def equivalence_p(differences: Sequence[float], region: float) -> float:
    """The larger p of two one-sided sign-flip tests: that the mean difference is -region or less, region or more.

    The flips of a sum are symmetric about 0, so a one-sided p is half of the two-sided one. 1 where the mean itself
    lies outside.

    Raises:
        ValueError: if there are no differences.
    """
    if abs(math.fsum(differences)) >= region * len(differences):
        return 1.0
    # Adding the region makes the edge of equality the 0 about which signs are flipped.
    sides = ([region + d for d in differences], [region - d for d in differences])
    return max(stats.sign_flip_p(side) for side in sides) / 2


def probability_better(differences: Sequence[float], metric: str) -> float | None:
    """P(arm > baseline): the share of the posterior of the mean paired difference on the side that is better.

    Above 0, or below it where less is better. The posterior is that of normal differences under the reference prior
    (1 / sigma): Student's t about their mean, with n - 1 degrees of freedom and their standard error as its scale.
    None for fewer seeds than an interval needs. Differences without any spread are certain; none at all gives 1/2.
    """
    n = len(differences)
    if n < stats.FEWEST:
        return None
    mean = math.fsum(differences) / n
    error = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    if abs(mean) <= stats.ROUNDING:
        above = 0.5
    elif error <= stats.ROUNDING:
        above = float(mean > 0)
    else:
        above = stats.t_cumulative(mean / error, n - 1)
    return 1 - above if stats.lower_is_better(metric) else above


def word(metric: str, difference: float, p: float, equal_p: float) -> str:
    """The word for the first arm compared with the second, by adjusted p. A significant difference that is also
    significantly inside the region of practical equality counts as practically none."""
    # Equality first: many seeds make a difference sure that is too small to matter.
    if equal_p < stats.ALPHA:
        return EQUAL
    if p >= stats.ALPHA or difference == 0:
        return CANNOT_TELL
    return BETTER if (difference < 0) == stats.lower_is_better(metric) else WORSE


def few_seeds(seeds: int, comparisons: int) -> str:
    """Why this number of seeds cannot give a verdict on one of so many comparisons; empty if it can."""
    if stats.least_p(seeds, comparisons) < stats.ALPHA:
        return ""
    needed = stats.repetitions_needed(comparisons)
    if seeds >= needed:
        return f"{comparisons:,} comparisons, more than drawn sign flips can tell"
    return f"{seeds} seed{'' if seeds == 1 else 's'}, and it takes {needed}"


def judge(
    against: str,
    metric: str,
    comparisons: Mapping[str, Comparison],
    reasons: Mapping[str, str],
    families: Mapping[str, Hashable],
    findings: Mapping[str, Hashable],
) -> dict[str, Verdict]:
    """A verdict for each arm, by its name.

    Args:
        comparisons: the comparisons.
        reasons: arm -> why it gives no grounds for a verdict; such arms are not tested.
        families: arm -> the family that it is adjusted within.
        findings: arm -> its finding (splitbench.results.arms.findings); arms of one finding are one hypothesis.
    """
    tested = [name for name in comparisons if not reasons.get(name)]
    own, marks = [families[name] for name in tested], [findings[name] for name in tested]
    # Arms of one finding are one hypothesis, so a family is as large as its findings.
    sizes = Counter(family for family, _ in set(zip(own, marks, strict=True)))
    raw, equal = [comparisons[name].p for name in tested], [comparisons[name].equal_p for name in tested]
    adjusted = [dict(zip(tested, stats.holm_within(ps, own, marks), strict=True)) for ps in (raw, equal)]
    verdicts = {}
    for name, comparison in comparisons.items():
        p, equal_p = (ps.get(name) for ps in adjusted)
        said, reason = NO_VERDICT, reasons.get(name, "")
        if p is not None and equal_p is not None:
            said = word(metric, comparison.difference.mean, p, equal_p)
            reason = few_seeds(comparison.difference.n, sizes[families[name]]) if said == CANNOT_TELL else ""
            said = NO_VERDICT if reason else said  # too few seeds cannot tell anything: that is no finding
        probability = None if p is None else comparison.probability
        region = family(metric).region
        verdicts[name] = Verdict(against, metric, said, reason, p, equal_p, region, probability, comparison.difference)
    return verdicts
