"""Rank-sums of two rankers: rows of a leaderboard, by hand, by scipy, and from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats
from synthetic_records import Writer, arm_records, make_measured, make_record

from splitbench.harness.cli.app import main
from splitbench.harness.errors import ConfigError
from splitbench.results.boards.leaderboard import leaderboards, leaderboards_of
from splitbench.results.boards.rank_sums import with_rank_sum
from splitbench.results.records.files import digest, encode_estimates
from splitbench.results.records.loading import load_runs
from splitbench.results.records.store import write_run
from splitbench.results.words import render

SEEDS, FUNCTIONS = 3, 40
TRUTH = np.random.default_rng(1).uniform(40, 90, FUNCTIONS)
FLOPS = np.round(TRUTH / 10) * 1e6


def accuracy(arm: str, seed: int) -> np.ndarray:
    noise = np.random.default_rng([seed, len(arm)]).normal(0, 12, FUNCTIONS)
    return np.round(TRUTH + noise)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for arm in ("none", "gm"):
        for seed in range(SEEDS):
            # Not the order of the other arm: architectures are joined by their names.
            order = np.random.default_rng(len(arm)).permutation(FUNCTIONS)
            columns = {
                "architecture": [f"{i:02}" for i in order],
                "leaf": [0] * FUNCTIONS,
                "accuracy": accuracy(arm, seed)[order],
                "loss": np.linspace(1, 2, FUNCTIONS)[order],
                "truth_test": TRUTH[order],
                "flops": FLOPS[order],
            }
            if arm == "gm":
                del columns["flops"]
            estimates = encode_estimates(columns)
            record = make_record(arm, seed, population_size=FUNCTIONS, estimates_sha256=digest(estimates))
            write_run(tmp_path / "out", record, make_measured(), estimates)
    return tmp_path / "out"


def places(arm: str, seed: int) -> np.ndarray:
    """Accuracy, its ties broken by the loss, which grows with the number of the architecture."""
    return scipy_stats.rankdata(np.round(accuracy(arm, seed)) - np.arange(FUNCTIONS) / 1e3)


def test_two_arms_are_summed_seed_by_seed(folder: Path) -> None:
    loaded = load_runs(folder)
    found = with_rank_sum(leaderboards_of(loaded), loaded, "none", "gm")
    (row,) = [row for row in found.boards[0].rows if row.rank_sum]
    taus = [scipy_stats.kendalltau(places("none", s) + places("gm", s), TRUTH).statistic for s in range(SEEDS)]
    estimate = row.metrics["tau[all]"]
    assert row.arm == "none + gm"
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (pytest.approx(np.mean(taus), abs=1e-12), SEEDS)
    assert (estimate.low, estimate.high) == pytest.approx(
        scipy_stats.t.interval(0.95, SEEDS - 1, np.mean(taus), scipy_stats.sem(taus))
    )
    assert row.of_ceiling is not None
    assert row.of_ceiling.mean == pytest.approx(np.mean(taus) / 0.88)


def test_an_arm_and_flops_are_summed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["leaderboard", str(folder), "--rank-sum", "flops", "none", "--json"])
    (row,) = [row for row in json.loads(capsys.readouterr().out)["rows"] if row["rank_sum"]]
    flops = scipy_stats.rankdata(FLOPS)
    taus = [scipy_stats.kendalltau(places("none", s) + flops, TRUTH).statistic for s in range(SEEDS)]
    assert row["arm"] == "flops + none"
    assert row["trivial"]
    assert row["verdict"] is None
    assert row["metrics"]["tau[all]"]["mean"] == pytest.approx(np.mean(taus), abs=1e-12)


def test_draws_are_averaged_within_a_seed(folder: Path) -> None:
    """Two draws of one arm: its rank-sum with FLOPs is the mean of theirs, seed by seed."""
    for seed in range(SEEDS):
        for draw in range(2):
            columns = {
                "architecture": [f"{i:02}" for i in range(FUNCTIONS)],
                "leaf": [0] * FUNCTIONS,
                "accuracy": accuracy("none" if draw else "other", seed),
                "loss": np.linspace(1, 2, FUNCTIONS),
                "truth_test": TRUTH,
                "flops": FLOPS,
            }
            estimates = encode_estimates(columns)
            more = {"population_size": FUNCTIONS, "estimates_sha256": digest(estimates), "expected_runs": 2 * SEEDS}
            write_run(folder, make_record("drawn", seed, draw=draw, **more), make_measured(), estimates)
    loaded = load_runs(folder)
    (row,) = [r for r in with_rank_sum(leaderboards_of(loaded), loaded, "drawn", "flops").boards[0].rows if r.rank_sum]
    flops = scipy_stats.rankdata(FLOPS)
    taus = [
        np.mean([scipy_stats.kendalltau(places(arm, seed) + flops, TRUTH).statistic for arm in ("other", "none")])
        for seed in range(SEEDS)
    ]
    estimate = row.metrics["tau[all]"]
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (pytest.approx(np.mean(taus), abs=1e-12), SEEDS)


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        (("none", "nobody"), "no table has complete runs of both; there are: flops, gm, none"),
        (("none", "none"), "these are one ranker; name two"),
        (("gm", "flops"), "is of a version that did not keep FLOPs; run the study again, or name two arms"),
    ],
)
def test_what_cannot_be_summed_is_a_sentence(
    folder: Path, pair: tuple[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load_runs(folder)
    with pytest.raises(ConfigError, match="--rank-sum"):
        with_rank_sum(leaderboards_of(loaded), loaded, *pair)
    for more in ([], ["--format", "html"]):
        with pytest.raises(SystemExit) as ended:
            main(["leaderboard", str(folder), "--rank-sum", *pair, *more])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert ("a page shows the runs of a folder alone" if more else says) in " ".join(said.split())


def test_arms_that_ranked_other_architectures_are_not_summed(folder: Path) -> None:
    estimates = encode_estimates(
        {"architecture": ["a"], "leaf": [0], "accuracy": [1.0], "loss": [1.0], "truth_test": [1.0]}
    )
    for seed in range(SEEDS):
        record = make_record("other", seed, population_size=FUNCTIONS, estimates_sha256=digest(estimates))
        write_run(folder, record, make_measured(), estimates)
    loaded = load_runs(folder)
    with pytest.raises(ConfigError, match="none and other did not rank the same architectures"):
        with_rank_sum(leaderboards_of(loaded), loaded, "none", "other")


def test_the_baselines_sum_with_flops_stands_among_the_sizes(write: Writer) -> None:
    """Where its records hold it: those of before have none, and no row."""
    summed = [0.61, 0.64, 0.70]
    none = [
        one.model_copy(update={"rank_sum": {"tau[all]": tau, "regret[all]": 2.0}})
        for one, tau in zip(arm_records("none", [0.5, 0.5, 0.5]), summed, strict=True)
    ]
    found = leaderboards(write(*none, *arm_records("gm", [0.6, 0.6, 0.6])))
    alone = [row for row in found.boards[0].rows if row.trivial]
    assert [row.arm for row in alone] == ["none + flops", "flops", "convolutions"]
    assert (alone[0].rank_sum, alone[1].rank_sum) == (True, False)
    estimate = alone[0].metrics["tau[all]"]
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (pytest.approx(0.65), 3)
    text = render.markdown(found)
    assert "| (none + flops)" in text
    assert "A row with + ranks by the sum of two rankers' ranks" in text
    older = leaderboards(write(*arm_records("none", [0.5, 0.5, 0.5]))).boards[0]
    assert not any(row.rank_sum for row in older.rows)
