"""A comparison as one plain sentence."""

from __future__ import annotations

from splitbench.results import stats
from splitbench.results.stats import Estimate


def sentence(arm: str, other: str, metric: str, word: str, difference: Estimate, p: float, needed: int | None) -> str:
    """What a paired comparison says, its size and how sure.

    Args:
        word: better, worse or can't tell.
        difference: of ``arm`` less ``other``, over seeds.
        p: what the word was decided by.
        needed: how many seeds a difference of this size would take; None where no number is known.
    """
    name = f"{metric} %" if metric == "selected regret" else metric
    if word == stats.CANNOT_TELL:
        found = f"{stats.CANNOT_TELL}: {arm} less {other} is {number(metric, difference.mean, '+')} in {name}"
        return f"{found} ({_details(metric, difference, p, '+')}); {_needed_words(difference, needed)}"
    sign = -1 if difference.mean < 0 else 1
    low, high = difference.low, difference.high
    if low is not None and high is not None:
        low, high = sorted((sign * low, sign * high))
    size = Estimate(abs(difference.mean), low, high, difference.n)
    direction = f" ({'less' if sign < 0 else 'more'} of it)" if stats.lower_is_better(_bare(metric)) else ""
    found = f"{arm} is {word} than {other} by {number(metric, size.mean)} in {name}{direction}"
    return f"{found} ({_details(metric, size, p)})"


def number(metric: str, value: float, sign: str = "") -> str:
    """A value of a metric, with as many decimals as it has meaning. What rounds to zero is +0.000 or 0.000."""
    return format(value, f"{sign}z.{digits(metric)}f")


def digits(metric: str) -> int:
    """Points of accuracy have two decimals, everything else three."""
    return 2 if metric.startswith(("regret", "selected")) else 3


def p_words(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _bare(metric: str) -> str:
    return metric.removeprefix("selected ")


def _details(metric: str, size: Estimate, p: float, sign: str = "") -> str:
    seeds = f"{size.n} seed{'' if size.n == 1 else 's'}, p = {p_words(p)}"
    if size.low is None or size.high is None:
        return seeds
    return f"{stats.CONFIDENCE:.0%} {number(metric, size.low, sign)} to {number(metric, size.high, sign)}, {seeds}"


def _needed_words(difference: Estimate, needed: int | None) -> str:
    if difference.n < 2:
        return "one seed says nothing about how far another would land"
    if needed is None:
        return "no number of seeds is known to tell a difference this small"
    if needed <= difference.n:
        return f"{needed} seeds tell a difference this large four times in five, and these did not"
    return f"about {needed:,} seeds would be needed to tell a difference this large"
