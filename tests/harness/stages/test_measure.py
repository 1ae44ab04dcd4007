"""What a record says against the same computed by hand: from the weights, the images and the table."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from scipy import stats
from tiny_studies import Notes, run_tiny

from splitbench.harness.device import machine
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.results.records.files import digest
from splitbench.results.records.record import Record
from splitbench.spaces.architectures.populations import population
from splitbench.spaces.base import SubSpace
from splitbench.spaces.datasets.digits import Digits
from splitbench.spaces.micro.space import Micro

pytestmark = pytest.mark.portable

SPACE = Micro()
ARMS: list[dict[str, Any]] = [{"criterion": "none"}, {"criterion": "exhaustive", "edges": [0]}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def notes(folder: Path) -> Notes:
    return run_tiny(folder, arms=ARMS, population={"sample": 60})


@pytest.fixture(params=[0, 1], ids=["none", "exhaustive"])
def record(request: pytest.FixtureRequest, notes: Notes) -> Record:
    return notes.records[int(request.param)]


def estimates(folder: Path, record: Record) -> dict[str, np.ndarray]:
    (path,) = folder.glob(f"records/{record.arm.split('(')[0]}*.parquet")
    assert digest(path.read_bytes()) == record.estimates_sha256
    return {name: np.array(column) for name, column in parquet.read_table(path).to_pydict().items()}


def subspaces(record: Record) -> list[SubSpace]:
    return [SubSpace(tuple(tuple(ops) for ops in leaf.allowed)) for leaf in record.selection.leaves]


def test_the_population_is_a_uniform_sample_of_distinct_functions(folder: Path, record: Record) -> None:
    table = estimates(folder, record)
    architectures = [SPACE.decode(text) for text in table["architecture"]]
    assert len(set(architectures)) == len(architectures) == record.population_size == 60
    assert all(SPACE.connected(a) and SPACE.function(a) == a for a in architectures)
    assert architectures == sorted(architectures)
    assert record.population.startswith("a uniform sample of 60 distinct connected functions")


def test_each_architecture_is_estimated_in_the_one_leaf_that_holds_it(folder: Path, record: Record) -> None:
    table, leaves = estimates(folder, record), subspaces(record)
    for text, leaf in zip(table["architecture"], table["leaf"], strict=True):
        assert [sub.contains(SPACE.decode(text)) for sub in leaves] == [i == leaf for i in range(len(leaves))]
    assert np.bincount(table["leaf"], minlength=len(leaves)).tolist() == [
        leaf.population for leaf in record.selection.leaves
    ]


def test_estimates_are_those_of_the_leafs_weights(folder: Path, record: Record) -> None:
    table, data = estimates(folder, record), Digits().load(torch.device("cpu"))
    nodes = record.tree.children or [record.tree]
    for row in range(0, 60, 7):
        supernet = SPACE.supernet(0)
        tensors, _ = load_tensors(StageStore(folder).folder(nodes[table["leaf"][row]].stage) / WeightsPlace.file(0))
        weights = {n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")}
        supernet.load_state_dict(weights)
        found = estimate(supernet, SPACE.decode(table["architecture"][row]), data, Evaluation(100, 1000))
        assert found == pytest.approx((table["accuracy"][row], table["loss"][row]), rel=1e-6)


def test_truth_columns_are_the_tables(folder: Path, record: Record) -> None:
    table, truth = estimates(folder, record), SPACE.ground_truth("digits")
    architectures = [SPACE.decode(text) for text in table["architecture"]]
    assert table["truth_test"] == pytest.approx(truth.test(architectures))
    assert table["truth_validation"] == pytest.approx(truth.validation(architectures))


def test_taus_are_scipys(folder: Path, record: Record) -> None:
    """By accuracy alone, and by accuracy with loss breaking ties; against test and validation truth."""
    table = estimates(folder, record)
    for metrics, truth in ((record.metrics, "truth_test"), (record.validation_metrics, "truth_validation")):
        order = np.lexsort((-table["loss"], table["accuracy"]))
        score = np.empty(60)
        score[order] = np.arange(60)
        assert metrics["tau[all]"] == pytest.approx(stats.kendalltau(score, table[truth]).statistic, abs=1e-9)
    names = set(record.metrics)
    assert names == set(record.validation_metrics)


def test_the_rank_sum_with_flops_is_that_of_the_table(folder: Path, record: Record) -> None:
    table = estimates(folder, record)
    assert table["flops"].tolist() == [SPACE.sizes(SPACE.decode(text))["flops"] for text in table["architecture"]]
    score = stats.rankdata(table["accuracy"], "dense") + stats.rankdata(-table["loss"]) / 1e3
    summed = stats.rankdata(score) + stats.rankdata(table["flops"])
    assert record.rank_sum is not None
    assert record.rank_sum["tau[all]"] == pytest.approx(stats.kendalltau(summed, table["truth_test"]).statistic)
    assert record.rank_sum["tau[all]"] != record.metrics["tau[all]"]


def test_the_ceiling_and_size_baselines_belong_to_this_population(notes: Notes, folder: Path) -> None:
    first, second = notes.records
    assert first.ceiling == second.ceiling
    assert first.trivial == second.trivial
    table = estimates(folder, first)
    rows = np.array([SPACE.decode(text) for text in table["architecture"]])
    per_seed = SPACE.ground_truth("digits").per_seed(rows)
    taus = [stats.kendalltau(a, b).statistic for a, b in itertools.combinations(per_seed.T, 2)]
    assert first.ceiling["tau[all]"] == pytest.approx(np.mean(taus), abs=1e-9)
    macs = [SPACE.macs(tuple(row)) for row in rows.tolist()]
    trivial = next(values for name, values in first.trivial.items() if "mac" in name.lower() or "flop" in name.lower())
    assert trivial["tau[all]"] == pytest.approx(stats.kendalltau(macs, table["truth_test"]).statistic, abs=1e-9)


def test_the_choice_is_the_leaf_with_the_best_estimate(record: Record) -> None:
    selection, truth = record.selection, SPACE.ground_truth("digits")
    best = max(range(len(selection.leaves)), key=lambda i: (selection.leaves[i].estimate, -selection.leaves[i].loss))
    assert selection.leaf == best
    assert selection.architecture == selection.leaves[best].architecture
    chosen = [SPACE.decode(leaf.architecture) for leaf in selection.leaves]
    for sub, architecture, leaf in zip(subspaces(record), chosen, selection.leaves, strict=True):
        assert sub.contains(architecture)
        assert leaf.test == pytest.approx(truth.test([architecture])[0])
    assert selection.test == selection.leaves[best].test
    assert selection.oracle == max(leaf.test for leaf in selection.leaves)
    assert selection.regret == pytest.approx(truth.test(truth.architectures).max() - selection.test)


def test_leaf_floor_and_best_of_k_are_expectations(record: Record) -> None:
    """Against a simulation: the best of one random function a leaf, and of K random functions, within 5 deviations."""
    truth, functions = SPACE.ground_truth("digits"), population(SPACE, None, 0)
    values, rng, draws = truth.test(functions), np.random.default_rng(0), 20_000
    leaves = [values[sub.mask(functions)] for sub in subspaces(record)]
    for found, pools in ((record.selection.leaf_floor, leaves), (record.selection.best_of_k, [values] * len(leaves))):
        best = np.max([rng.choice(pool, draws) for pool in pools], axis=0)
        assert abs(found - best.mean()) < 5 * best.std() / np.sqrt(draws)


def test_loss_curves_reach_the_end_of_training(record: Record) -> None:
    steps = record.cost["warm_up"].steps
    for node in record.tree.children or [record.tree]:
        first = steps if record.tree.children else 0
        assert node.curve[-1][0] == first + node.steps
        assert all(np.isfinite(loss) for _, loss in node.curve)
    assert sum(n.steps for n in record.tree.children) + record.tree.steps == steps + record.cost["training"].steps


def test_measured_costs_stand_beside_the_record(folder: Path, notes: Notes) -> None:
    for path in folder.glob("records/*.measured.json"):
        measured = json.loads(path.read_text())
        assert set(measured["seconds"]) >= {"warm_up", "training", "selection", "measurement"}
        assert all(seconds >= 0 for seconds in measured["seconds"].values())
        assert measured["threads"] == 1
        assert measured["peak_bytes"] > 10_000_000
        assert measured["machines"] == [asdict(machine(torch.device("cpu")))]


def test_the_whole_population_is_every_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With made-up estimates in place of 9,444 evaluations."""
    weights = np.array([5, 1, 4, 2, 3, 6])

    def made_up(supernet: Any, choice: Any, data: Any, evaluation: Any, running: Any) -> tuple[float, float]:
        return float(np.dot(weights, choice)), 1.0

    for stage in ("predict", "select"):
        monkeypatch.setattr(f"splitbench.harness.stages.{stage}.estimate", made_up)
    (record,) = run_tiny(tmp_path, population={}, budget={"steps": 30}).records
    assert record.population_size == 9_444
    assert record.population == "all 9,444 distinct connected functions"
    functions = population(SPACE, None, 0)
    truth = SPACE.ground_truth("digits").test(functions)
    expected = stats.kendalltau(functions @ weights, truth).statistic
    assert record.metrics["tau[all]"] == pytest.approx(expected, abs=1e-9)
