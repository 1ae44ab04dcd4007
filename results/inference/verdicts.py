"""A comparison as one plain sentence."""

from __future__ import annotations

from splitbench.results.inference import paired, stats
from splitbench.results.inference.paired import Comparison, Verdict
from splitbench.results.inference.stats import Estimate
from splitbench.results.measures.families import family


def verdict_sentence(
    arm: str, other: str, metric: str, word: str, reason: str, comparison: Comparison, p: float, needed: int | None
) -> str:
    """The result of a paired comparison as a sentence: its word, its size and its p.

    Args:
        word: one of :data:`splitbench.results.inference.paired.WORDS`.
        reason: why there is no verdict, if there is none.
        comparison: ``arm`` less ``other``, over seeds.
        p: the adjusted p that decided the word.
        needed: the number of seeds that a difference of this size would need; None if not known.
    """
    difference = comparison.difference
    name = f"{metric} %" if metric == "selected regret" else metric
    less = f"{arm} less {other} is {number(metric, difference.mean, '+')} in {name}"
    if word == paired.CANNOT_TELL:
        words = f"{word}: {less} ({_details(metric, difference, comparison, p, '+')})"
        return f"{words}; {_needed_words(difference, needed)}"
    if word == paired.NO_VERDICT:
        return f"{word} ({reason}): {less} ({_details(metric, difference, comparison, p, '+')})"
    if word == paired.EQUAL:
        region = f"within {number(metric, -family(metric).region)} to {number(metric, family(metric).region, '+')}"
        return f"{arm} and {other} are {word} ({region}): {less} ({_details(metric, difference, comparison, p, '+')})"
    sign = -1 if difference.mean < 0 else 1
    low, high = difference.low, difference.high
    if low is not None and high is not None:
        low, high = sorted((sign * low, sign * high))
    size = Estimate(abs(difference.mean), low, high, difference.n)
    direction = f" ({'less' if sign < 0 else 'more'} of it)" if stats.lower_is_better(metric) else ""
    words = f"{arm} is {word} than {other} by {number(metric, size.mean)} in {name}{direction}"
    return f"{words} ({_details(metric, size, comparison, p)})"


def verdict_words(verdict: Verdict) -> str:
    """A verdict in the cell of a table: its word, with the p that decided it or the reason why there is none."""
    if verdict.reason:
        return f"{verdict.word}: {verdict.reason}"
    p = verdict.equal_p if verdict.word == paired.EQUAL else verdict.p
    return verdict.word if p is None else f"{verdict.word} (p = {p_words(p)})"


def number(metric: str, value: float, sign: str = "") -> str:
    """A value of a metric, with as many decimals as it has meaning. What rounds to zero is +0.000 or 0.000."""
    return format(value, f"{sign}z.{decimals(metric)}f")


def decimals(metric: str) -> int:
    """Points of accuracy have two decimals, everything else three."""
    return 2 if metric.startswith(("regret", "selected")) else 3


def p_words(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def probability_words(probability: float | None) -> str:
    """P with three decimals; what would round to certainty is above or below it."""
    if probability is None:
        return "-"
    if probability > 0.9995:
        return "> 0.999"
    return "< 0.001" if probability < 0.0005 else f"{probability:.3f}"


def _details(metric: str, size: Estimate, comparison: Comparison, p: float, sign: str = "") -> str:
    seeds = f"{size.n} seed{'' if size.n == 1 else 's'}, p = {p_words(p)}"
    if comparison.probability is not None:
        bare = probability_words(comparison.probability)
        seeds += f", P(better) {bare if bare[0] in '<>' else f'= {bare}'}"
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
