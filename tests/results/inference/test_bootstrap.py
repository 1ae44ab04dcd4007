"""Bootstrap intervals against scipy on the same resamples, against loops over rows, and against known variances."""

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats as scipy_stats
from synthetic_records import Writer, arm_records, make_measured, make_record

from splitbench.harness.errors import StoreError
from splitbench.results.arms import populations
from splitbench.results.arms.arms import ArmRuns, tables
from splitbench.results.boards.compare import compare
from splitbench.results.inference import bootstrap, stats
from splitbench.results.measures import ranking
from splitbench.results.measures.metrics import lexicographic_score
from splitbench.results.records.files import digest, encode_estimates
from splitbench.results.records.loading import load_runs, read_estimates
from splitbench.results.records.store import write_run


def tied(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 12, n).astype(float)
    return np.round(truth + rng.normal(0, 4, n)), truth


def half(estimate: stats.Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return (estimate.high - estimate.low) / 2


@pytest.mark.parametrize("seed", range(5))
def test_tau_under_counts_is_tau_of_the_resampled_rows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "BLOCK", 7)
    score, truth = tied(seed, 30)
    rows = np.random.default_rng(seed).integers(30, size=(20, 30))
    counts = np.stack([np.bincount(row, minlength=30) for row in rows])
    found = bootstrap.tau_statistic(score, truth)(counts)
    assert found.tolist() == pytest.approx([ranking.tau_b(score[row], truth[row]) for row in rows], abs=1e-12)


def test_a_resample_of_one_row_alone_ranks_nothing() -> None:
    counts = np.array([[3.0, 0, 0], [1, 1, 1]])
    found = bootstrap.tau_statistic([1.0, 2, 3], [1.0, 2, 3])(counts)
    assert np.isnan(found[0])
    assert found[1] == 1


@pytest.mark.parametrize("n", [5, 12, 40])
def test_bca_equals_scipy_on_the_same_resamples(n: int) -> None:
    """scipy is given what was drawn, and computes bias, acceleration and limits by itself."""
    values = np.random.default_rng(n).gamma(2, size=n)
    drawn = bootstrap.mean_statistic(values)(bootstrap._counts(n, 999, 3))
    given = SimpleNamespace(bootstrap_distribution=drawn)
    limits = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=0, bootstrap_result=given, method="BCa"
    ).confidence_interval
    found = bootstrap.bca_clustered(bootstrap.mean_statistic(values), n, resamples=999, seed=3)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((values.mean(), *limits, n), rel=1e-9)


def test_bca_over_seeds_is_scipy_and_seeded() -> None:
    values = np.random.default_rng(0).gamma(2, size=15).tolist()
    found = bootstrap.bca(values, resamples=999)
    expected = scipy_stats.bootstrap((values,), np.mean, n_resamples=999, method="BCa", rng=0).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert found == bootstrap.bca(values, resamples=999) != bootstrap.bca(values, resamples=999, seed=1)
    median = bootstrap.bca(values, np.median)
    assert median.mean == np.median(values)


def test_degenerate_samples() -> None:
    assert bootstrap.bca([0.5]) == stats.Estimate(0.5, None, None, 1)
    assert bootstrap.bca([0.5] * 4) == stats.Estimate(0.5, 0.5, 0.5, 4)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap.bca([])
    with pytest.raises(ValueError, match="at least two"):
        bootstrap.bca_clustered(bootstrap.mean_statistic([1.0, 2.0]), ["f", "f"])
    assert bootstrap.bca_limits(np.array([2.0, 3.0]), 1.0, np.array([1.0, 2.0]), 0.95) != (1.0, 1.0)
    assert np.isnan(bootstrap.bca_limits(np.array([2.0, 3.0]), 1.0, np.array([1.0, 2.0]), 0.95)).all()


def test_copies_of_a_function_add_nothing() -> None:
    score, truth = tied(0, 50)
    once = bootstrap.bca_clustered(bootstrap.tau_statistic(score, truth), 50, resamples=499)
    four = [np.repeat(column, 4) for column in (score, truth)]
    clusters = [f"f{i}" for i in range(50) for _ in range(4)]
    together = bootstrap.bca_clustered(bootstrap.tau_statistic(*four), clusters, resamples=499)
    apart = bootstrap.bca_clustered(bootstrap.tau_statistic(*four), 200, resamples=499)
    assert together == once
    assert half(apart) < 0.6 * half(together), "the width shrinks by half, wrongly"


def test_uneven_clusters_are_drawn_and_left_out_whole() -> None:
    clusters = ["a", "b", "a", "c", "c", "c", "d", "b", "e", "e"]
    values = np.random.default_rng(1).normal(size=10)
    rows = [np.array([i for i, own in enumerate(clusters) if own == name]) for name in "abcde"]
    drawn = np.random.default_rng(4).integers(5, size=(299, 5))
    distribution = np.array([values[np.concatenate([rows[i] for i in one])].mean() for one in drawn])
    distribution[np.isclose(distribution, values.mean(), rtol=0, atol=1e-12)] = values.mean()  # ties, but for rounding
    left_out = np.array([np.delete(values, rows[i]).mean() for i in range(5)])
    expected = bootstrap.bca_limits(distribution, values.mean(), left_out, 0.95)
    found = bootstrap.bca_clustered(bootstrap.mean_statistic(values), clusters, resamples=299, seed=4)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.n == 5


@pytest.mark.parametrize("shared", [True, False])
def test_equal_functions_leave_students_interval_over_seeds(shared: bool) -> None:
    seeds = [0.4, 0.5, 0.55, 0.7]
    statistics = [bootstrap.mean_statistic([v] * 9) for v in seeds]
    found = bootstrap.over_seeds_and_functions(statistics, [9] * 4, shared)
    expected = stats.interval(seeds)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_functions_that_are_drawn_anew_are_in_the_spread_between_seeds_already() -> None:
    values = np.random.default_rng(2).normal(size=(4, 80))
    found = bootstrap.over_seeds_and_functions([bootstrap.mean_statistic(own) for own in values], [80] * 4, False)
    expected = stats.interval(values.mean(axis=1).tolist())
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_equal_seeds_leave_the_spread_over_functions() -> None:
    """All seeds move together, so six are as good as one: t with 79 degrees of freedom."""
    values = np.random.default_rng(2).normal(size=80)
    found = bootstrap.over_seeds_and_functions([bootstrap.mean_statistic(values)] * 6, [80] * 6, True)
    expected = values.std() / np.sqrt(80) * scipy_stats.t.ppf(0.975, 79)
    assert half(found) == pytest.approx(expected, rel=0.06), "1,999 resamples: 1.6% standard error"


def test_shared_functions_add_what_all_seeds_have_in_common() -> None:
    """Covariance of two means of the same functions is the covariance of their values over their number."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3, 1)) * 0.1 + rng.normal(size=60) + 0.5 * rng.normal(size=(3, 60))
    found = bootstrap.over_seeds_and_functions([bootstrap.mean_statistic(own) for own in values], [60] * 3, True)
    covariance = np.cov(values, ddof=0) / 60
    common = (covariance.sum() - np.trace(covariance)) / 6
    between = values.mean(axis=1).var(ddof=1) / 3
    freedom = (common + between) ** 2 / (common**2 / 59 + between**2 / 2)
    expected = scipy_stats.t.ppf(0.975, freedom) * np.sqrt(common + between)
    assert half(found) == pytest.approx(expected, rel=0.06)


def test_one_seed_has_the_interval_over_its_functions() -> None:
    statistic = bootstrap.tau_statistic(*tied(0, 40))
    alone = bootstrap.bca_clustered(statistic, 40)
    assert bootstrap.over_seeds_and_functions([statistic], [40], True) == stats.Estimate(
        alone.mean, alone.low, alone.high, 1
    )
    for statistics, sizes, shared in (
        ([], [], False),
        ([statistic], [40, 40], False),
        ([statistic] * 2, [40, 30], True),
    ):
        with pytest.raises(ValueError, match="each seed needs"):
            bootstrap.over_seeds_and_functions(statistics, sizes, shared)


def write_ranked(
    folder: Path, arm: str, noise: float, shared: bool, seeds: int = 4, n: int = 60, flat: bool = False
) -> None:
    """Runs whose records hold the tau of their estimates; a flat one gives all functions but one the same score."""
    for repetition in range(seeds):
        truth = np.random.default_rng(0 if shared else repetition).normal(70, 5, n)
        accuracy = np.round(truth + np.random.default_rng(repetition + 10).normal(0, noise, n))
        loss = -truth / 100
        if flat:
            accuracy, loss = np.r_[60.0, np.full(n - 1, 50.0)], np.ones(n)
        estimates = encode_estimates(
            {
                "architecture": [f"{0 if shared else repetition}-{i}" for i in range(n)],
                "leaf": [0] * n,
                "accuracy": accuracy.tolist(),
                "loss": loss.tolist(),
                "truth_test": truth.tolist(),
            }
        )
        tau = ranking.tau_b(lexicographic_score(accuracy, loss), truth)
        changes = {"expected_runs": seeds, "population_size": n, "estimates_sha256": digest(estimates)}
        record = make_record(arm, repetition, tau, **changes)
        write_run(folder, record, make_measured(), estimates)


def arms_of(folder: Path) -> dict[str, ArmRuns]:
    (found,) = tables(load_runs(folder).runs)
    return {arm.name: arm for arm in found}


@pytest.mark.parametrize("shared", [True, False])
def test_tau_of_runs_and_arms(tmp_path: Path, shared: bool) -> None:
    write_ranked(tmp_path, "gm", 3, shared)
    write_ranked(tmp_path, "none", 6, shared)
    arms = arms_of(tmp_path)
    run = arms["gm"].runs[0]
    found = populations.tau_of_run(run)
    assert (found.mean, found.n) == (pytest.approx(run.record.metrics["tau[all]"], abs=1e-12), 60)
    assert half(found) > 0.02
    arm = populations.tau_of_arm(arms["gm"])
    taus = [run.record.metrics["tau[all]"] or 0 for run in arms["gm"].runs]
    assert (arm.mean, arm.n) == (pytest.approx(np.mean(taus)), 4)
    (pair,) = compare(tmp_path, "gm", "none").pairs
    (tau,) = [d for d in pair.differences if d.metric == "tau[all]"]
    assert tau.seeds_and_functions is not None
    assert tau.seeds_and_functions.mean == pytest.approx(tau.difference.mean)
    student, both = half(tau.difference), half(tau.seeds_and_functions)
    assert (abs(both - student) > 1e-3) if shared else both == pytest.approx(student)
    assert pair.without_functions == ""


def test_arms_share_the_functions_of_a_resample(tmp_path: Path) -> None:
    """Two arms with equal estimates differ by nothing in every resample; drawn apart they would not."""
    for arm in ("gm", "none"):
        write_ranked(tmp_path, arm, 3, False)
    arms = arms_of(tmp_path)
    assert populations.difference_over_functions(arms["gm"], arms["none"]) == stats.Estimate(0.0, 0.0, 0.0, 4)


def test_estimates_that_are_not_the_records_are_refused(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5] * 3), *arm_records("gm", [0.6] * 3))
    (pair,) = compare(folder, "gm", "none").pairs
    assert pair.without_functions == "gm ranks 2 functions, and a bootstrap takes 20 to 3,000"
    write_ranked(folder, "gm", 3, True, seeds=3)
    write_ranked(folder, "none", 3, True, seeds=3)
    path = folder / "records" / "gm--r0-d0.json"
    tau = arms_of(folder)["gm"].runs[0].record.metrics["tau[all]"]
    path.write_text(path.read_text().replace(str(tau), "0.25", 1))
    assert compare(folder, "gm", "none").pairs[0].without_functions.startswith("gm: the record's tau[all] is 0.25, ")
    (folder / "records" / "gm--r0-d0.parquet").unlink()
    assert "the estimates of gm cannot be read" in compare(folder, "gm", "none").pairs[0].without_functions


NO_LIMITS = "the resampled values of tau[all] give none"


def test_resamples_without_tau_give_no_limits() -> None:
    """29 equal scores and one other: a resample without that one orders nothing."""
    tau = bootstrap.tau_statistic([1.0] * 29 + [2.0], np.arange(30.0))
    alone = bootstrap.bca_clustered(tau, 30)
    assert (alone.low, alone.high) == (None, None)
    assert math.isfinite(alone.mean)
    several = bootstrap.over_seeds_and_functions([tau, bootstrap.tau_statistic(*tied(0, 30))], [30] * 2, True)
    assert (several.low, several.high, several.n) == (None, None, 2)
    equal = bootstrap.bca_limits(np.array([1.0, 2.0, 3.0]), 2.0, np.array([2.0, 2.0]), 0.95)
    assert np.isnan(equal).all(), "no acceleration is known"


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_comparison_says_why_there_is_no_interval(tmp_path: Path, seeds: int) -> None:
    write_ranked(tmp_path, "gm", 3, True, seeds=seeds)
    write_ranked(tmp_path, "none", 3, True, seeds=seeds, flat=True)
    (pair,) = compare(tmp_path, "gm", "none").pairs
    assert pair.without_functions.startswith(NO_LIMITS)
    assert {difference.seeds_and_functions for difference in pair.differences} == {None}
    with pytest.raises(populations.UnusableError, match=re.escape(NO_LIMITS)):
        populations.tau_of_run(arms_of(tmp_path)["none"].runs[0])


def test_scores_and_truth_are_those_of_the_record(tmp_path: Path) -> None:
    write_ranked(tmp_path, "gm", 3, True, seeds=1)
    (run,) = arms_of(tmp_path)["gm"].runs
    found = populations.score_and_truth(run)
    assert found.functions[:2] == ("0-0", "0-1")
    assert ranking.tau_b(found.score, found.truth) == pytest.approx(run.record.metrics["tau[all]"], abs=1e-12)
    np.testing.assert_array_equal(found.truth, read_estimates(run)["truth_test"])

    def problem(**changes: object) -> str:
        with pytest.raises(populations.UnusableError) as caught:
            populations.score_and_truth(replace(run, record=run.record.model_copy(update=changes)))
        return str(caught.value)

    assert problem(population_size=61) == "60 architectures have estimates, and the population is 61"
    assert problem(metrics={"tau[all]": 0.25}).startswith("the record's tau[all] is 0.25, and its 60 estimates give 0.")
    assert problem(metrics={}).startswith("the record's tau[all] is None, and its 60 estimates give 0.")
    run.path.with_suffix(".parquet").unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        populations.score_and_truth(run)


def test_draws_that_ranked_other_functions_are_refused(tmp_path: Path) -> None:
    write_ranked(tmp_path / "a", "gm", 3, True)
    write_ranked(tmp_path / "b", "none", 3, False)
    first, second = arms_of(tmp_path / "a")["gm"], arms_of(tmp_path / "b")["none"]
    with pytest.raises(populations.UnusableError, match="ranked different functions"):
        populations.difference_over_functions(first, second)
