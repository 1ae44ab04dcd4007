"""Measures how well given estimates rank: those of any supernet, predictor or proxy, of which only numbers are known.

Every metric of ``splitbench.results.measures.metrics``, on populations that have a name: ``strings`` as they were
given, and
``functions``, each distinct connected function once. Beside the estimates stand what sizes alone give, the rank-sum of
estimates and FLOPs, and the noise ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from splitbench.results.arms.arms import PRIMARY
from splitbench.results.inference.count_statistics import precision_statistic
from splitbench.results.inference.function_bootstrap import over_functions, rho, tau
from splitbench.results.inference.stats import Estimate
from splitbench.results.measures import metrics, ranking

if TYPE_CHECKING:
    from splitbench.results.inference.bootstrap import CountStatistic

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ESTIMATES, RANK_SUM = "estimates", "rank-sum of estimates and flops"
BEST_OF = (1, 10, 100, 1_000)
OVER_FLOPS = "tau[all] less that of FLOPs"
Key = tuple[str, str]
"""A ranker and a metric."""


@dataclass(frozen=True)
class Ranker:
    """What orders a population: the estimates, a size (``trivial``), or the rank-sum of both.

    Attributes:
        metrics: by name; those with limits have them over functions, and ``n`` is the number of functions.
        of_ceiling: tau[all] over its noise ceiling; None where that is not known.
        chosen_test: mean stand-alone test accuracy % of the architecture that it puts first (of those, if several).
    """

    name: str
    trivial: bool
    metrics: Mapping[str, Estimate | None]
    of_ceiling: float | None
    chosen_test: float


@dataclass(frozen=True)
class RankedPopulation:
    """One population with everything that ranks it.

    Attributes:
        name: ``strings`` or ``functions``.
        size, functions: architectures, and distinct functions among them (those that are cut off count as one).
        ceiling: noise ceiling by metric.
        best_test: best test accuracy %, of the whole truth where it is known.
        best_of: expected best test accuracy % of so many random architectures of the population.
        over_flops: tau[all] of the estimates less that of FLOPs, function by function in every resample.
    """

    name: str
    size: int
    functions: int
    ceiling: metrics.Metrics
    best_test: float
    best_of: Mapping[int, float]
    rankers: tuple[Ranker, ...]
    over_flops: Estimate | None


@dataclass(frozen=True)
class GivenPopulation:
    """The data that a population is measured from.

    Attributes:
        score: [A], higher is better; infinite ones are the best or the worst.
        truth: [A] stand-alone test accuracy, percent.
        per_seed: [A, seeds] of each training, NaN where missing.
        sizes: by name, [A]; ``flops`` among them.
        function: [A] number of each architecture's function.
        best_truth: what regret is measured from.
    """

    score: Floats
    truth: Floats
    per_seed: Floats
    sizes: Mapping[str, npt.ArrayLike]
    function: Integers
    best_truth: float


def measure_population(name: str, given: GivenPopulation) -> RankedPopulation:
    """Every metric of everything that ranks a population."""
    flops = np.asarray(given.sizes["flops"], np.float64)
    scores = {ESTIMATES: _dense(given.score), RANK_SUM: ranking.rank_sum(given.score, flops)}
    scores |= {size: np.asarray(values, np.float64) for size, values in given.sizes.items()}
    metrics_found = {
        ranker: metrics.score_metrics(score, given.truth, given.best_truth, flops) for ranker, score in scores.items()
    }
    ceiling = metrics.ceiling(given.per_seed, flops)
    limits = _limits(scores, metrics_found, given)
    functions = len(np.unique(given.function))
    return RankedPopulation(
        name=name,
        size=len(given.truth),
        functions=functions,
        ceiling=ceiling,
        best_test=given.best_truth,
        best_of={k: metrics.expected_best_of(given.truth, k) for k in BEST_OF if k <= len(given.truth)},
        rankers=tuple(
            Ranker(
                name=ranker,
                trivial=ranker not in (ESTIMATES, RANK_SUM),
                metrics={
                    metric: None
                    if value is None
                    else limits.get((ranker, metric), Estimate(value, None, None, functions))
                    for metric, value in metrics_found[ranker].items()
                },
                of_ceiling=_of_ceiling(metrics_found[ranker], ceiling),
                chosen_test=float(given.truth[score == score.max()].mean()),
            )
            for ranker, score in scores.items()
        ),
        over_flops=limits.get((ESTIMATES, OVER_FLOPS)),
    )


def _of_ceiling(values: metrics.Metrics, ceiling: metrics.Metrics) -> float | None:
    limit, tau_all = ceiling.get(PRIMARY), values[PRIMARY]
    return tau_all / limit if tau_all is not None and limit is not None and limit > 0 else None


def _limits(
    scores: Mapping[str, Floats], values: Mapping[str, metrics.Metrics], given: GivenPopulation
) -> dict[Key, Estimate]:
    """Intervals over functions, by ranker and metric. A top part keeps to the architectures that it holds."""
    truth, n = given.truth, len(np.unique(given.function))
    whole: dict[Key, CountStatistic] = {}
    for ranker in (ESTIMATES, RANK_SUM):
        score = scores[ranker]
        whole[ranker, PRIMARY] = tau(score, truth, n)
        whole[ranker, "rho[all]"] = rho(score, truth, n)
        whole[ranker, "p@5%[all]"] = precision_statistic(score, truth, 5)
    observed = {(ranker, metric): value for ranker, of in values.items() for metric, value in of.items()}
    own, size = observed[ESTIMATES, PRIMARY], observed["flops", PRIMARY]
    if own is not None and size is not None:
        whole[ESTIMATES, OVER_FLOPS] = _less(whole[ESTIMATES, PRIMARY], tau(scores["flops"], truth, n))
        observed[ESTIMATES, OVER_FLOPS] = own - size
    parts = [(whole, given.function)]
    for percent in (50, 10):
        top = truth >= np.sort(truth)[-ranking.share(len(truth), percent)]  # as ranking.top_tau has it
        inside = given.function[top]
        m = len(np.unique(inside))
        part = {(r, f"tau[top{percent}%]"): tau(scores[r][top], truth[top], m) for r in (ESTIMATES, RANK_SUM)}
        parts.append((part, inside))
    known = {key: value for key, value in observed.items() if value is not None}
    estimates: dict[Key, Estimate] = {}
    for statistics, function in parts:
        estimates |= over_functions({key: s for key, s in statistics.items() if key in known}, function, known)
    return estimates


def _less(first: CountStatistic, second: CountStatistic) -> CountStatistic:
    return lambda counts: first(counts) - second(counts)


def _dense(score: Floats) -> Floats:
    return np.unique(score, return_inverse=True)[1].astype(np.float64)
