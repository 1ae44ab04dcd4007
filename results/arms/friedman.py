"""Many arms over many blocks: Friedman's test, and which arms Nemenyi's critical difference cannot tell apart.

J. Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006). A block is whatever ranks all
arms once: a table (space and data set), or a seed within one table. Only the order within a block counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from splitbench.results.arms.arms import ArmRuns, metric
from splitbench.results.inference.stats import ALPHA, lower_is_better

FEWEST_ARMS = 3
FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class CriticalDifference:
    """Mean ranks of the arms, best (lowest) first.

    Attributes:
        arms: names, best first; equal mean ranks by name.
        mean_ranks: over blocks, in the arms' order; 1 is best, ties within a block share their mean rank.
        cd: two arms whose mean ranks differ by more differ significantly at ``alpha`` (Nemenyi, all pairs together).
        groups: the largest sets of two or more neighbours whose mean ranks lie within ``cd``; they may overlap.
        statistic: Friedman's chi-square, corrected for ties; its degrees of freedom are arms less one.
        p: of the hypothesis that all arms rank alike.
        blocks: how many.
        alpha: the family-wise level of ``cd``.
    """

    arms: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    cd: float
    groups: tuple[tuple[str, ...], ...]
    statistic: float
    p: float
    blocks: int
    alpha: float = ALPHA

    @property
    def freedom(self) -> int:
        """Degrees of freedom of ``statistic``."""
        return len(self.arms) - 1


@dataclass(frozen=True)
class RankGroups:
    """A critical difference with its blocks, and the arms that are left out.

    Attributes:
        metric: the metric that ranks the arms within a block.
        unit: what a block is, ``table`` or ``seed``.
        blocks: their names.
        left_out: complete or incomplete arms that some block lacks.
        sentence: what the blocks are, and what the result speaks for.
    """

    metric: str
    unit: str
    blocks: tuple[str, ...]
    left_out: tuple[str, ...]
    sentence: str
    result: CriticalDifference


def across(tables: Sequence[Sequence[ArmRuns]], name: str) -> RankGroups | None:
    """Arms ranked over spaces and data sets; None for fewer than three such blocks, or three arms that all have.

    A block is a space with a data set. Tables of one block (other budgets, studies, populations) are not independent
    of one another, so an arm's means over them are averaged. Oracle controls are bounds and take no rank.

    Args:
        tables: of one results folder, as ``splitbench.results.arms.arms.tables`` gives them; an arm is known by its
        name. name: the metric.
    """
    blocks: dict[tuple[str, str], list[dict[str, float]]] = {}
    seen: set[str] = set()
    for arms in tables:
        record = arms[0].runs[0].record
        honest = [arm for arm in arms if not arm.reads_truth]
        seen |= {arm.name for arm in honest}
        means = {arm.name: _mean(own.values()) for arm in honest if arm.complete and (own := _by_seed(arm, name))}
        blocks.setdefault((record.space, record.dataset), []).append(means)
    if len(blocks) < FEWEST_BLOCKS:
        return None
    keys = sorted(blocks)
    common = set.intersection(*(set(means) for key in keys for means in blocks[key]))
    if len(common) < FEWEST_ARMS:
        return None
    values = {arm: [_mean([means[arm] for means in blocks[key]]) for key in keys] for arm in sorted(common)}
    several = sum(len(blocks[key]) > 1 for key in keys)
    sentence = (
        f"Blocks are the {len(keys)} pairs of space and data set in this folder; each ranks the arms by their mean "
        f"{name} over seeds, so this speaks for spaces and data sets like them, and seeds add no blocks."
    )
    if several:
        sentence += f" {several} of them average several tables, which are not independent of one another."
    names = tuple(f"{space} on {dataset}" for space, dataset in keys)
    left_out = tuple(sorted(seen - common))
    result = critical_difference(values, not lower_is_better(name))
    return RankGroups(name, "table", names, left_out, sentence, result)


def friedman_within(arms: Sequence[ArmRuns], name: str) -> RankGroups | None:
    """Arms of one table ranked seed by seed; None for fewer than three seeds or three arms that share them.

    Seeds are blocks because they are paired: all arms of a seed start from the same weights and rank the same
    architectures. Oracle controls take no rank.
    """
    honest = [arm for arm in arms if not arm.reads_truth]
    ranked = {arm.name: own for arm in honest if arm.complete and (own := _by_seed(arm, name))}
    if len(ranked) < FEWEST_ARMS:
        return None
    seeds = sorted(set.intersection(*(set(values) for values in ranked.values())))
    if len(seeds) < FEWEST_BLOCKS:
        return None
    record = arms[0].runs[0].record
    sentence = (
        f"Blocks are the {len(seeds)} paired seeds of {record.space} on {record.dataset}; each ranks the arms by "
        f"{name}, so this speaks for other seeds of this table, not for other spaces or data sets."
    )
    values = {arm: [own[seed] for seed in seeds] for arm, own in ranked.items()}
    left_out = tuple(sorted({arm.name for arm in honest} - set(ranked)))
    result = critical_difference(values, not lower_is_better(name))
    return RankGroups(name, "seed", tuple(f"seed {seed}" for seed in seeds), left_out, sentence, result)


def _by_seed(arm: ArmRuns, name: str) -> dict[int, float] | None:
    return arm.by_repetition(metric(name))


def _mean(values: Collection[float]) -> float:
    return math.fsum(values) / len(values)


def critical_difference(
    values: Mapping[str, Sequence[float]], larger_is_better: bool = True, alpha: float = ALPHA
) -> CriticalDifference:
    """Friedman's test and Nemenyi's critical difference of k arms over N blocks.

    CD = q sqrt(k (k + 1) / 6 N), q the (1 - alpha) quantile of the studentized range of k means with infinite degrees
    of freedom, divided by sqrt 2. The chi-square approximation is on the safe side where blocks are few.

    Args:
        values: a number for each block, by arm; the i-th numbers of all arms belong to one block.

    Raises:
        ValueError: if there are fewer than three arms or two blocks, lengths differ, or a value is not finite.
    """
    names = sorted(values)
    counts = {len(values[name]) for name in names}
    if len(names) < FEWEST_ARMS:
        raise ValueError("Friedman's test needs at least three arms; two are a paired comparison")
    if len(counts) != 1 or min(counts) < 2:
        raise ValueError("each arm needs one value a block, and there must be at least two blocks")
    if not all(math.isfinite(value) for name in names for value in values[name]):
        raise ValueError("a value is missing or not finite, so its block ranks nothing")
    import numpy as np
    from scipy import stats

    # Values that are equal on paper differ by rounding, and must still share a rank.
    table = np.round(np.array([values[name] for name in names], dtype=float), 12)
    ranks = stats.rankdata(-table if larger_is_better else table, axis=0)
    means = ranks.mean(axis=1).tolist()
    if np.all(ranks == ranks[0]):  # every block ties all arms: 0 / 0 in the statistic
        statistic, p = 0.0, 1.0
    else:
        friedman = stats.friedmanchisquare(*ranks)
        statistic, p = float(friedman.statistic), float(friedman.pvalue)
    order = sorted(range(len(names)), key=lambda index: (means[index], names[index]))
    arms, mean_ranks = tuple(names[index] for index in order), tuple(means[index] for index in order)
    k, blocks = table.shape
    cd = _range_quantile(1 - alpha, k) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * blocks))
    return CriticalDifference(arms, mean_ranks, cd, _groups(arms, mean_ranks, cd), statistic, p, blocks, alpha)


def _range_quantile(probability: float, k: int) -> float:
    from scipy import stats

    return float(stats.studentized_range.ppf(probability, k, math.inf))


def _groups(arms: Sequence[str], mean_ranks: Sequence[float], cd: float) -> tuple[tuple[str, ...], ...]:
    """Arms come in order of their ranks, so a maximal set is a stretch that neither end can lengthen."""
    groups: list[tuple[str, ...]] = []
    reached = 0
    for first, rank in enumerate(mean_ranks):
        end = first + sum(later - rank <= cd for later in mean_ranks[first:])
        if end > reached and end - first > 1:
            groups.append(tuple(arms[first:end]))
        reached = max(reached, end)
    return tuple(groups)
