"""Estimates from outside: statistics under counts against repeated rows, intervals, and what ranks a population."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from splitbench.results.estimates.outside import ESTIMATES, RANK_SUM, GivenPopulation, measure_population
from splitbench.results.inference import function_bootstrap
from splitbench.results.inference.bootstrap import tau_statistic
from splitbench.results.inference.count_statistics import (
    linear_spearman,
    linear_tau,
    precision_statistic,
    spearman_statistic,
)
from splitbench.results.inference.function_bootstrap import over_functions
from splitbench.results.measures import metrics, ranking
from splitbench.results.measures.concordance import concordance, smaller_before

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]


def data(n: int, seed: int = 0) -> tuple[Doubles, Doubles]:
    """Score and truth with ties in both."""
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=n), 1)
    return np.round(truth + rng.normal(size=n), 1), truth


def counts_of(n: int, resamples: int, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    return np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples)]).astype(np.float32)


def test_concordance_is_that_of_all_pairs() -> None:
    score, truth = data(97)
    pairs = np.sign(score[:, None] - score[None]) * np.sign(truth[:, None] - truth[None])
    assert concordance(score, truth).tolist() == pairs.sum(axis=1).tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 8, 9, 33])
def test_smaller_before_counts_them(n: int) -> None:
    order = np.random.default_rng(n).permutation(n)
    assert smaller_before(order).tolist() == [int((order[:i] < order[i]).sum()) for i in range(n)]


@pytest.mark.parametrize("n", [40, 1_500])
def test_statistics_under_counts_are_those_of_repeated_rows(n: int) -> None:
    score, truth = data(n)
    counts = counts_of(n, 4)
    rho, precision = spearman_statistic(score, truth)(counts), precision_statistic(score, truth, 5)(counts)
    for drawn, found, top in zip(counts, rho, precision, strict=True):
        rows = np.repeat(np.arange(n), drawn.astype(int))
        s, t = score[rows], truth[rows]
        assert found == pytest.approx(ranking.spearman(s, t), abs=1e-12)
        assert top == pytest.approx(ranking.precision_at(s, t, ranking.share(len(rows), 5)), abs=1e-12)


def test_precision_that_needs_rows_it_does_not_hold_is_unknown() -> None:
    score, truth = data(30_000)
    counts = np.ones((1, len(score)), np.float32)
    assert np.isfinite(precision_statistic(score, truth, 5)(counts)).all()
    counts[:, score > np.sort(score)[-9_000]] = 0
    assert np.isnan(precision_statistic(score, truth, 5)(counts)).all()


def test_first_order_tau_and_rho_spread_as_the_exact_ones() -> None:
    n, functions = 1_200, 800
    score, truth = data(n)
    function = np.random.default_rng(2).integers(functions, size=n)
    counts = counts_of(functions, 300)[:, function]
    once = np.ones((1, n), np.float32)
    for exact, linear in (
        (tau_statistic(score, truth), linear_tau(score, truth)),
        (spearman_statistic(score, truth), linear_spearman(score, truth)),
    ):
        assert linear(once) == pytest.approx(exact(once), abs=1e-6)
        expected, found = exact(counts), linear(counts)
        assert np.corrcoef(expected, found)[0, 1] > 0.99
        assert found.std() == pytest.approx(expected.std(), rel=0.03)
        assert found.mean() == pytest.approx(expected.mean(), abs=expected.std() / 10)


def test_intervals_of_many_functions_are_those_of_the_bca_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    score, truth = data(600)
    tau = ranking.tau_b(score, truth)
    assert tau is not None
    exact = over_functions({"tau": tau_statistic(score, truth)}, np.arange(600), {"tau": tau})["tau"]
    monkeypatch.setattr(function_bootstrap, "WHOLE", 599)
    found = over_functions({"tau": linear_tau(score, truth)}, np.arange(600), {"tau": tau})["tau"]
    assert exact.low is not None
    assert exact.high is not None
    width = exact.high - exact.low
    assert (found.mean, found.n) == (tau, 600)
    assert found.low == pytest.approx(exact.low, abs=width / 10)
    assert found.high == pytest.approx(exact.high, abs=width / 10)


def test_few_functions_have_no_interval() -> None:
    score, truth = data(40)
    found = over_functions({"tau": tau_statistic(score, truth)}, np.arange(40) % 19, {"tau": 0.5})["tau"]
    assert (found.mean, found.low, found.high, found.n) == (0.5, None, None, 19)


def test_rank_sum_adds_places_and_shares_those_of_ties() -> None:
    assert ranking.rank_sum([5, 5, 1], [0.1, 0.3, 0.2]).tolist() == [2.5 + 1, 2.5 + 3, 1 + 2]


def given(n: int = 60) -> GivenPopulation:
    rng = np.random.default_rng(5)
    truth = rng.uniform(80, 94, n)
    sizes = {"flops": truth + rng.normal(0, 4, n), "convolutions": np.round(truth)}
    per_seed = truth[:, None] + rng.normal(0, 0.5, (n, 3))
    return GivenPopulation(truth + rng.normal(0, 3, n), truth, per_seed, sizes, np.arange(n) // 2, 95.0)


def test_a_population_holds_every_metric_of_every_ranker() -> None:
    data = given()
    found = measure_population("strings", data)
    assert (found.name, found.size, found.functions, found.best_test) == ("strings", 60, 30, 95.0)
    rankers = {ranker.name: ranker for ranker in found.rankers}
    assert set(rankers) == {ESTIMATES, RANK_SUM, "flops", "convolutions"}
    flops = np.asarray(data.sizes["flops"])
    scores = {ESTIMATES: data.score, RANK_SUM: ranking.rank_sum(data.score, flops), "flops": flops}
    for name, score in scores.items():
        expected = metrics.score_metrics(score, data.truth, 95.0, flops)
        values = {metric: None if e is None else e.mean for metric, e in rankers[name].metrics.items()}
        assert values == pytest.approx(expected)
        assert rankers[name].chosen_test == data.truth[score.argmax()]
    own, size = rankers[ESTIMATES], rankers["flops"]
    for metric in ("tau[all]", "rho[all]", "tau[top50%]", "p@5%[all]"):
        estimate = own.metrics[metric]
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < estimate.mean < estimate.high
    tau, other = own.metrics["tau[all]"], size.metrics["tau[all]"]
    assert tau is not None
    assert other is not None
    assert other.low is None
    assert found.over_flops is not None
    assert found.over_flops.mean == tau.mean - other.mean
    limit = found.ceiling["tau[all]"]
    assert limit == metrics.ceiling(data.per_seed)["tau[all]"]
    assert limit is not None
    assert own.of_ceiling == tau.mean / limit
    assert found.best_of[1] == pytest.approx(data.truth.mean())
    assert list(found.best_of) == [1, 10]


def test_infinite_estimates_are_the_best_and_the_worst() -> None:
    data = given()
    extreme = data.score.copy()
    extreme[3], extreme[9] = np.inf, -np.inf
    finite = data.score.copy()
    finite[3], finite[9] = 1e9, -1e9
    found, expected = (
        measure_population("functions", GivenPopulation(s, data.truth, data.per_seed, data.sizes, data.function, 95.0))
        for s in (extreme, finite)
    )
    assert found == expected
