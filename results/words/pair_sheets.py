"""Sheets of a comparison of two arms, and of ranks over several tables."""

from __future__ import annotations

from splitbench.results.arms.arms import JUDGED
from splitbench.results.arms.friedman import RankGroups
from splitbench.results.boards.compare import Pair
from splitbench.results.inference import stats
from splitbench.results.inference.paired import EQUAL
from splitbench.results.inference.verdicts import decimals, p_words, probability_words
from splitbench.results.measures.families import CORRELATION, POINTS
from splitbench.results.words.sheet import (
    GIVEN,
    NOTHING,
    ORACLE,
    Sheet,
    WordTable,
    count,
    interval_words,
    limits_words,
    marked,
    seeds_words,
)


def rank_sheet(ranks: RankGroups) -> Sheet:
    friedman = ranks.result
    letters = [chr(ord("a") + index) if index < 26 else str(index + 1) for index in range(len(friedman.groups))]
    rows = tuple(
        (
            arm,
            f"{rank:.2f}",
            " ".join(n for n, group in zip(letters, friedman.groups, strict=True) if arm in group) or NOTHING,
        )
        for arm, rank in zip(friedman.arms, friedman.mean_ranks, strict=True)
    )
    legend = [
        f"1 is the best rank. Arms whose mean ranks differ by more than {friedman.cd:.2f} are told apart (Nemenyi's "
        f"critical difference at {friedman.alpha:g}, all pairs together); arms that share a letter are not.",
        f"Friedman's chi-square is {friedman.statistic:.2f} with {friedman.freedom} degrees of freedom, p = "
        f"{p_words(friedman.p)}: of the hypothesis that all arms rank alike.",
        f"The blocks: {', '.join(ranks.blocks)}.",
    ]
    if ranks.left_out:
        legend.append(f"Not complete in every block, so not ranked: {', '.join(ranks.left_out)}.")
    return Sheet(
        heading=f"Mean ranks by {ranks.metric} over {count(friedman.blocks, 'block')}",
        facts=(ranks.sentence,),
        tables=(WordTable("Mean ranks", ("arm", "mean rank", "group"), rows, left=("group",)),),
        legend=tuple(legend),
    )


def pair_sheet(pair: Pair) -> Sheet:
    kind, limit = pair.budget
    first, second = (marked(arm, arm in pair.reads_truth, arm in pair.given) for arm in (pair.arm_a, pair.arm_b))
    primary = tuple(f"{d.sentence}." for d in pair.differences if d.metric in JUDGED)
    return Sheet(
        heading=f"{pair.study}: {first} against {second}, {pair.space} on {pair.dataset}",
        facts=(
            *primary,
            f"Budget {limit:.4g} {kind} an arm; {count(pair.seeds, 'seed')}; population: {pair.population}.",
        ),
        tables=(_difference_table(pair, first, second), _evidence_table(pair)),
        legend=tuple(_pair_legend(pair)),
        warnings=pair.warnings,
    )


def _difference_table(pair: Pair, first: str, second: str) -> WordTable:
    rows = tuple(
        (
            d.metric,
            interval_words(d.first, decimals(d.metric)),
            interval_words(d.second, decimals(d.metric)),
            interval_words(d.difference, decimals(d.metric), sign=True),
            probability_words(d.probability),
            p_words(d.equal_p if d.word == EQUAL else d.p_adjusted),
            f"{d.word}: {d.reason}" if d.reason else d.word,
        )
        for d in pair.differences
    )
    header = ("metric", first, second, "difference", "P(better)", "p", "verdict")
    return WordTable("Paired differences", header, rows, left=("verdict",))


def _evidence_table(pair: Pair) -> WordTable:
    """The columns that no arm of the pair has a value in are left out."""
    columns = {
        "sign flip p": [p_words(d.p) for d in pair.differences],
        "Wilcoxon p": [p_words(d.wilcoxon_p) for d in pair.differences],
        "over seeds and functions": [limits_words(d.seeds_and_functions, d.metric) for d in pair.differences],
        "seeds for this": [NOTHING if d.seeds_needed is None else f"{d.seeds_needed:,}" for d in pair.differences],
        "smallest told": [
            NOTHING if d.detectable is None else f"{d.detectable:.{decimals(d.metric)}f}" for d in pair.differences
        ],
    }
    shown = {name: cells for name, cells in columns.items() if set(cells) != {NOTHING}}
    rows = tuple(zip((d.metric for d in pair.differences), *shown.values(), strict=True))
    return WordTable("Other evidence on the same differences", ("metric", *shown), rows)


def _pair_legend(pair: Pair) -> list[str]:
    others = sum(d.metric not in JUDGED and d.same_as is None for d in pair.differences)
    shared = "".join(
        f" {d.metric[:1].upper()}{d.metric[1:]} is a constant less {d.same_as}: they are one hypothesis, which counts "
        "once and has one p."
        for d in pair.differences
        if d.same_as
    )
    legend = [
        f"Differences are {pair.arm_a} less {pair.arm_b}, paired by seed; brackets are {stats.CONFIDENCE:.0%} "
        f"Student-t intervals over seeds. The verdict is on {pair.arm_a}: sign-flip permutation test, "
        f"p < {stats.ALPHA:g}, {' and '.join(JUDGED)} each for itself, the {others} others adjusted after Holm for "
        f"their number. In regret and br@10 less is better.{shared}",
        "Practically equal rests on two one-sided tests, adjusted alike, whose p is shown then: the difference lies "
        f"within {CORRELATION.region:g} either way ({POINTS.region:g} points for accuracies and regrets). P(better) is "
        f"the chance that the mean over seeds of {pair.arm_a} is on the better side of that of {pair.arm_b}: Student's "
        "posterior of the paired difference, adjusted for nothing.",
        seeds_words(pair.seeds, stats.repetitions_needed(), 1),
        "Sign flip and Wilcoxon p are each metric's own, not adjusted. Seeds for this: how many tell a difference as "
        f"large as this one in four studies of five, at the level that Holm may ask ({stats.ALPHA:g} over the number "
        "of metrics adjusted together); smallest told: the true difference that this many seeds tell as often.",
    ]
    if any(d.seeds_and_functions for d in pair.differences):
        legend.append(
            "Over seeds and functions: where each seed has functions of its own, Student's interval holds them "
            "already; where all rank the same, what they add is bootstrapped."
        )
    if pair.without_functions:
        legend.append(f"No interval over functions: {pair.without_functions}.")
    if pair.undefined:
        legend.append(f"Undefined in some run, so not compared: {', '.join(pair.undefined)}.")
    if pair.reads_truth:
        legend.append(ORACLE)
    if pair.given:
        legend.append(GIVEN)
    return legend
