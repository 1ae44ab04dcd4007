"""Sheets: the words and tables that are shown for one leaderboard or comparison, and the format of their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.inference.verdicts import number, p_words

NOTHING = "-"
ORACLE = "† An oracle control: its split reads the ground truth. A bound, not a method."
GIVEN = "‡ Its partition was given in the study file: no finding of a criterion."
ORACLE_LABEL = "† oracle control, reads the ground truth"
GIVEN_LABEL = "‡ partition given in the study file"


@dataclass(frozen=True)
class WordTable:
    """Rows of words under a header; the first column is left-aligned, as are those named in ``left``."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """The words and tables of one leaderboard or comparison, in order."""

    heading: str
    facts: tuple[str, ...]
    tables: tuple[WordTable, ...]
    legend: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def marked(arm: str, reads_truth: bool, given: bool = False) -> str:
    """An arm's name, with the mark of an oracle control or of a partition that was given."""
    return f"{arm} †" if reads_truth else f"{arm} ‡" if given else arm


def marks_words(oracles: bool, given: bool) -> str:
    """What the marks of a picture's arms mean, for those that it has."""
    return " ".join(words for words, there in ((ORACLE_LABEL, oracles), (GIVEN_LABEL, given)) if there)


def interval_words(estimate: Estimate | None, digits: int, sign: bool = False, short: bool = False) -> str:
    if estimate is None:
        return NOTHING
    style = f"{'+' if sign else ''}z.{digits}f"
    mean = format(estimate.mean, style)
    if short or estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{format(estimate.low, style)}, {format(estimate.high, style)}]"


def limits_words(estimate: Estimate | None, name: str) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return NOTHING
    return f"[{number(name, estimate.low, '+')}, {number(name, estimate.high, '+')}]"


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def seeds_words(seeds: int, needed: int, comparisons: int) -> str:
    least = stats.least_p(seeds, comparisons)
    if seeds >= needed and least >= stats.ALPHA:
        return (
            f"With {count(seeds, 'seed')} no verdict is possible (the least p is {p_words(least)}): beyond "
            f"{stats.EXACT_UP_TO} seeds sign flips are drawn, and {stats.RANDOM_FLIPS:,} of them cannot tell so many "
            "comparisons."
        )
    if seeds < needed:
        return (
            f"With {count(seeds, 'seed')} no verdict is possible (the least p is {p_words(least)}): {needed - seeds} "
            f"more would make it {count(needed, 'seed')}, the fewest that can give one, if all of them agree in sign."
        )
    return (
        f"With {count(seeds, 'seed')} the least p is {p_words(least)}; the fewest that can give a verdict are {needed}."
    )
