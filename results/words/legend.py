"""The legend below a leaderboard's tables: how to read them, and what their numbers are based on."""

from __future__ import annotations

from collections.abc import Iterable

from splitbench.results.arms.arms import PRIMARY, TEST
from splitbench.results.boards.bills import BillCorrelation
from splitbench.results.boards.leaderboard import Leaderboard
from splitbench.results.boards.rows import BoardRow
from splitbench.results.inference import stats
from splitbench.results.inference.verdicts import number
from splitbench.results.measures.families import family
from splitbench.results.words.sheet import GIVEN, ORACLE, count, seeds_words

OUTSIDE = (
    "§ Measured from outside: estimates of a file, ranked on the architectures that the arms ranked. No budget was "
    "held, there are no seeds, and so no interval and no verdict."
)
RANK_SUM = "A row with + ranks by the sum of two rankers' ranks: what both know together."


def legend(board: Leaderboard) -> tuple[str, ...]:
    """The sentences below a leaderboard's tables, of those columns and rows that it has."""
    return (*_value_words(board), *_verdict_words(board), *_chance_words(board), *_row_words(board))


def _value_words(board: Leaderboard) -> list[str]:
    """How to read a metric, its interval, and its share of the ceiling."""
    sentences = [
        f"Read it so: {PRIMARY} is Kendall's tau-b between supernet and stand-alone accuracy, 1 for the same order and "
        "0 for none. [top50%] is within the better half by stand-alone accuracy.",
        f"Brackets are {stats.CONFIDENCE:.0%} Student-t intervals of the mean over seeds (draws are averaged within a "
        "seed first), cut at the ends of a metric's range: how far other seeds may land. They hold the draw of "
        f"architectures only if each seed has its own. Fewer than {stats.FEWEST} seeds give none: two differ by one "
        "number, which says too little of how far others spread.",
    ]
    if any(row.of_ceiling for row in board.rows):
        sentences.append(
            f"Of ceiling is {PRIMARY} over the noise ceiling of the same seed, averaged: how near the supernet "
            "comes to a second training. Where the truth is a mean of several trainings it may pass 100%."
        )
    return sentences


def _verdict_words(board: Leaderboard) -> list[str]:
    """How differences to the baseline were tested, and p adjusted."""
    sentences = []
    oracles = _findings(row for row in board.rows if row.reads_truth and row.verdict and row.verdict.p is not None)
    once = any(row.finding for row in board.rows)
    if board.baseline and (board.comparisons or oracles):
        sentences.append(
            f"Difference and verdict pair each arm with {board.baseline} seed by seed: sign-flip permutation test on "
            f"{PRIMARY}, p adjusted after Holm for {_family_words(board.comparisons, oracles, once)}; better or worse "
            f"means p < {stats.ALPHA:g}, and can't tell does not mean equal. Practically equal does: two one-sided "
            f"tests, adjusted alike, place the difference inside {_region_words(PRIMARY)}. The test accuracy of the "
            f"honest choice is judged in the same way and by itself; its region is {_region_words(TEST)} points."
        )
        sentences.append(
            f"P(> {board.baseline}) is the chance that an arm's mean over seeds is above that of {board.baseline}, as "
            "far as these seeds tell: Student's posterior of the paired difference. It is adjusted for nothing."
        )
    if once:
        sentences.append(
            "Arms after = chose the same leaves on every seed as the one above: one finding, whatever finding it cost "
            "each. It counts once in Holm's adjustment, with the largest p of its arms."
        )
    if any(verdict.p is None for row in board.rows for verdict in row.verdicts.values()):
        sentences.append(
            "No verdict, for the reason given: arms with given-up leaves, or whose criterion measured nothing, are not "
            "tested and count for no other arm's p."
        )
    if board.baseline and board.comparisons:
        sentences.append(seeds_words(board.seeds, board.seeds_needed, board.comparisons))
    return sentences


def _row_words(board: Leaderboard) -> list[str]:
    """What the choices of an architecture are, and what marks the rows that are no ordinary arms."""
    sentences = []
    sentences.append(
        "The honest choice sees validation images only. Oracle is the best of the leaves' choices by the ground truth; "
        "leaf floor is what an oracle gets from one random architecture a leaf, and best of K from K random "
        "architectures of the space: a search has to beat both."
    )
    if any(row.trivial for row in board.rows):
        sentences.append("Rows in (brackets) rank by the size of the stand-alone network, without any supernet.")
    if any(row.rank_sum for row in board.rows):
        sentences.append(RANK_SUM)
    if any(row.reads_truth for row in board.rows):
        sentences.append(ORACLE)
    if any(row.outside for row in board.rows):
        sentences.append(OUTSIDE)
    if any(row.given for row in board.rows):
        sentences.append(GIVEN)
    if any(row.failed for row in board.rows):
        sentences.append("Arms with failed runs are incomplete: `splitbench run` tries those runs again.")
    if any(not row.complete for row in board.rows):
        sentences.append("Incomplete arms have missing runs; nothing of theirs is averaged.")
    return sentences


def _region_words(metric: str) -> str:
    region = family(metric).region
    return f"{number(metric, -region)} to {number(metric, region, '+')}"


def _findings(rows: Iterable[BoardRow]) -> int:
    """How many arms these are, those of one partition counted once."""
    return len({row.finding or row.arm for row in rows})


def _family_words(arms: int, oracles: int, once: bool) -> str:
    """How many p values were adjusted together; oracle controls are a family of their own."""
    noun = "finding" if once else "arm"
    if not oracles:
        return count(arms, noun)
    apart = f"{count(oracles, 'oracle control')} (†)"
    return f"{count(arms, noun)}, and apart from them for {apart}" if arms else apart


def _chance_words(board: Leaderboard) -> list[str]:
    """How p was adjusted in the table of chance, and who is not in it; nothing where there is no such table."""
    judged = [row for row in board.rows if row.chance]
    if not judged:
        return []
    n, oracles = _findings(judged), _findings(row for row in judged if row.reads_truth)
    once = any(row.finding for row in judged)
    all_of_them = count(n, "finding" if once else "arm")
    sentences = [
        f"Against chance, p is adjusted after Holm for {_family_words(n - oracles, oracles, once)}. The brackets are "
        f"not: of {all_of_them} no better than chance, about {n * (1 - stats.CONFIDENCE):.2g} would lie beyond theirs."
    ]
    if any(row.chance.bill for row in judged if row.chance):
        sentences.append(
            "Bill is the share of the budget that scoring took; where random controls burn as much, chance is that of "
            "random groups at the same bill, and what the bill costs is that less chance that pays nothing."
        )
    if unpaid := [row.arm for row in judged if row.chance and row.chance.paid > 0 and row.chance.bill is None]:
        sentences.append(
            f"No random control burns as much as these arms pay, so their bill is part of the difference: "
            f"{', '.join(unpaid)}. Random arms with burn: 0.03, 0.15, 0.3 and 0.5 would tell it apart."
        )
    sentences += map(bill_words, board.bill_correlations)
    for reason in sorted(set(board.without_chance.values())):
        arms = ", ".join(arm for arm, own in board.without_chance.items() if own == reason)
        sentences.append(f"Split, but not held against chance ({reason}): {arms}.")
    return sentences


def bill_words(bill: BillCorrelation) -> str:
    """How the difference to chance goes with what scoring took."""
    return (
        f"Over {bill.findings} findings, {bill.chance}, the difference to chance and the share spent on scoring have "
        f"a Spearman correlation of {bill.rho:+.2f} [{bill.low:+.2f}, {bill.high:+.2f}] (over criteria; shares that "
        f"say nothing stay within {bill.null:.2f} of 0 in 95 of 100 tables), {bill.slope / 10:+.3f} for each tenth "
        "of the budget."
    )
