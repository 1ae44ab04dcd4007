"""Tables and JSON for estimates from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from splitbench.results.arms.arms import PRIMARY
from splitbench.results.estimates.outside import ESTIMATES, RANK_SUM, RankedPopulation, Ranker
from splitbench.results.inference import stats
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count, interval_words

SHOWN = (
    *(PRIMARY, "rho[all]", "tau[top50%]", "tau[top10%]", "p@5%[all]", "weighted_tau[all]", "ndcg[all]"),
    *("br@10[all]", "partial_tau[all|flops]"),
)
POPULATIONS = {
    "strings": "the file's strings as given, dead operations and cut-off ones included",
    "functions": "their distinct connected functions, each once",
}


def estimates_sheet(heading: str, facts: Sequence[str], populations: Sequence[RankedPopulation]) -> Sheet:
    """One table a population, best tau first, and how to read it."""
    return Sheet(
        heading=heading,
        facts=(*facts, *(_sentence(each) for each in populations)),
        tables=tuple(_table(each) for each in populations),
        legend=_legend(populations),
    )


def estimates_json(populations: Sequence[RankedPopulation]) -> list[dict[str, Any]]:
    """Every number, unrounded; what is undefined is null."""
    return [_object(each) for each in populations]


def _object(population: RankedPopulation) -> dict[str, Any]:
    plain = asdict(population)
    plain["best_of"] = {str(k): value for k, value in population.best_of.items()}
    return plain


def _sentence(population: RankedPopulation) -> str:
    ceiling = population.ceiling.get(PRIMARY)
    limit = "the noise ceiling is not known" if ceiling is None else f"noise ceiling of {PRIMARY} {ceiling:z.3f}"
    best = ", ".join(f"{value:.2f} of {k:,}" for k, value in population.best_of.items())
    over = population.over_flops
    words = "" if over is None else f"; {PRIMARY} less that of FLOPs {interval_words(over, 3, sign=True)}"
    return (
        f"Population {population.name}: {POPULATIONS[population.name]} ({count(population.size, 'architecture')}, "
        f"{count(population.functions, 'function')}); {limit}{words}; best test accuracy {population.best_test:.2f}, "
        f"expected best of random architectures {best}."
    )


def _table(population: RankedPopulation) -> WordTable:
    header = ("ranker", SHOWN[0], "of ceiling", *SHOWN[1:], "test % of its first", "regret")
    ordered = sorted(population.rankers, key=_place)
    rows = [_row(ranker) for ranker in ordered] + _ceiling_row(population.ceiling)
    title = f"Population {population.name}: {count(population.size, 'architecture')}"
    return WordTable(title, header, tuple(rows))


def _row(ranker: Ranker) -> tuple[str, ...]:
    share = NOTHING if ranker.of_ceiling is None else f"{ranker.of_ceiling:z.0%}"
    first, *others = (interval_words(ranker.metrics.get(name), 3) for name in SHOWN)
    name = f"({ranker.name})" if ranker.trivial else ranker.name
    regret = interval_words(ranker.metrics.get("regret[all]"), 2)
    return (name, first, share, *others, f"{ranker.chosen_test:.2f}", regret)


def _ceiling_row(ceiling: Mapping[str, float | None]) -> list[tuple[str, ...]]:
    if ceiling.get(PRIMARY) is None:
        return []
    words = [NOTHING if (value := ceiling.get(name)) is None else f"{value:z.3f}" for name in SHOWN]
    regret = ceiling.get("regret[all]")
    return [("noise ceiling", words[0], NOTHING, *words[1:], NOTHING, NOTHING if regret is None else f"{regret:z.2f}")]


def _place(ranker: Ranker) -> tuple[bool, float, str]:
    tau = ranker.metrics.get(PRIMARY)
    return (tau is None, 0.0 if tau is None else -tau.mean, ranker.name)


def _legend(populations: Sequence[RankedPopulation]) -> tuple[str, ...]:
    return (
        f"Read it so: {PRIMARY} is Kendall's tau-b between the estimates and mean stand-alone test accuracy, rho "
        "Spearman's; [top50%] and [top10%] are within the better part by stand-alone accuracy; p@5% is the share of "
        "the predicted top 5% that is truly there; br@10 and regret are better when low.",
        f"Brackets are {stats.CONFIDENCE:.0%} bootstrap intervals over functions (all strings of a function are drawn "
        "together): what other architectures would show, with the same estimates. They know nothing of other seeds or "
        "trainings of whatever made the estimates. The top parts keep to the architectures that they hold. Beyond "
        "1,000 functions tau and rho are resampled to first order. Metrics without brackets have no interval.",
        f"Rows in (brackets) rank by the size of the stand-alone network; {RANK_SUM} adds the ranks of {ESTIMATES} and "
        "of FLOPs. The noise ceiling is how one stand-alone training ranks another.",
    )
