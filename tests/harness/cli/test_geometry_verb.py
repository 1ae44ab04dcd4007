"""splitbench geometry: the splits of a study without its leaves, in the folder that run uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
import yaml
from sklearn.metrics import adjusted_rand_score
from tiny_studies import Executed, record_bytes, tiny

from splitbench.harness import registry
from splitbench.harness.running.study import Study
from splitbench.harness.study.config import parse_study
from splitbench.results.partitions.geometry import share_of_rank_variance
from splitbench.results.publishing.publish import stale
from splitbench.results.records.loading import load_runs
from splitbench.results.records.record import config_fingerprint
from splitbench.spaces.micro.space import Micro

GM = "gm(repetitions=2)"
STUDY = tiny(
    name="shapes",
    trainer={"name": "rsps", "batch_size": 16},
    schedule={"warmup": 0.1},
    budget={"steps": 100},
    evaluation={"images": 16},
    selector={"name": "random_best", "samples": 2},
    seeds=2,
    arms=[
        "none",
        {"criterion": "random", "draws": 2},
        {"criterion": "exhaustive", "edges": [3]},
        {"criterion": "gm", "repetitions": 2},
        {"criterion": "gm", "repetitions": 2, "name": "twin"},
    ],
)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executed:
    return Executed(monkeypatch)


def written(folder: Path, study: dict[str, Any] = STUDY) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def shapes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("geometry.*"))}


def test_geometry_then_run_then_geometry(splitbench: Command, executed: Executed, tmp_path: Path) -> None:
    """The whole path once, because it trains: what is computed when, and what the files then say."""
    study, out = written(tmp_path), tmp_path / "out"
    words = ("geometry", study, "--out", out, "--device", "cpu", "--workers", 1, "--probes", 2)
    status, text, progress = splitbench(*words, "--json")
    assert status == 0, progress
    found = json.loads(text)
    # A warm-up a seed. gm: 6 edges by two probings and once at initial weights; twin shares them. exhaustive: one edge.
    # random: one edge a draw.
    assert executed == {"train": 2, "score": 2 * (6 * 3 + 1 + 2)}
    assert "[1/10] random r0 d0: " in progress
    first = shapes(out)
    assert sorted(first) == ["geometry.json", "geometry.md", "geometry.parquet", "geometry.svg"]
    assert json.loads(first["geometry.json"]) == found
    check_content(found, out)

    executed.clear()
    status, _, told = splitbench("run", study, "--out", out, "--device", "cpu", "--workers", 1)
    assert status == 0, told
    assert executed["score"] == 0
    assert executed["train"] > 0
    check_leaves(found, out)
    check_belongs(found, out)
    records = record_bytes(out)
    assert len(records) == 2 * 2 * (1 + 2 + 1 + 1 + 1)
    executed.clear()
    status, text, _ = splitbench(*words)
    assert status == 0
    assert not executed, "what is there is not computed again"
    assert text.encode() == first["geometry.md"]
    assert shapes(out) == first
    assert record_bytes(out) == records


def check_content(found: dict[str, Any], out: Path) -> None:
    """The report against the labels beside it."""
    table = parquet.read_table(out / "geometry.parquet")
    rows = Micro().functions(Micro().root())
    truth = Micro().ground_truth("digits").test(rows)
    assert table["architecture"].to_pylist() == [Micro().encode(tuple(row)) for row in rows.tolist()]
    np.testing.assert_array_equal(table["truth_test"].to_numpy(), truth)

    def labels(arm: str, repetition: int, draw: int = 0) -> np.ndarray:
        return np.asarray(table[f"{arm} r{repetition} d{draw}"].to_numpy())

    assert found["population_size"] == len(rows) == 9_444
    assert found["not_splitting"] == ["none"]
    assert found["same_partition"] == [[GM, "twin"]]
    arms = {arm["arm"]: arm for arm in found["arms"]}
    assert list(arms) == found["ari[all]"]["arms"] == ["random", "exhaustive(edges=3)", GM, "twin"]
    mean = found["ari[all]"]["mean"]
    each = [[adjusted_rand_score(labels("random", r, d), labels(GM, r)) for d in (0, 1)] for r in (0, 1)]
    assert mean[0][2] == mean[2][0] == pytest.approx(np.mean(each))
    assert mean[2][3] == pytest.approx(1.0)
    np.testing.assert_array_equal(labels("exhaustive(edges=3)", 1), rows[:, 3])
    for label, arm in arms.items():
        etas = [share_of_rank_variance(truth, labels(label, p["repetition"], p["draw"])) for p in arm["partitions"]]
        assert arm["metrics"]["rank_eta2[all]"]["mean"] == pytest.approx(np.mean(etas))
        for partition in arm["partitions"]:
            assert partition["sizes"] == np.bincount(labels(label, partition["repetition"], partition["draw"])).tolist()
    assert arms["random"]["draws"] == 2
    assert len(arms["random"]["partitions"]) == 4
    assert arms["exhaustive(edges=3)"]["partitions"][0]["splits"] == [
        {"path": "root", "edge": "0-3", "groups": [[name] for name in Micro().operations(3)]}
    ]
    for control in ("random", "exhaustive(edges=3)"):
        assert arms[control]["separation"]["mean"] is None
        assert set(arms[control]["stability"].values()) == {None}
    gm = arms[GM]
    assert sorted(gm["separation"]["by_edge"]) == sorted(Micro().edges)
    assert gm["separation"]["mean"] > 0
    assert list(gm["stability"]["batches"]["same_edge"]["by_repetition"]) == ["0", "1"]
    assert list(gm["stability"]["seeds"]["same_edge"]["by_repetition"]) == ["0-1"]
    for kind in ("batches", "seeds", "initial"):
        assert abs(gm["stability"][kind]["affinity_rho"]["mean"]) < 1, f"{kind} are other scorings"
    assert {k: v for k, v in gm.items() if k != "arm"} == {k: v for k, v in arms["twin"].items() if k != "arm"}


def check_leaves(found: dict[str, Any], out: Path) -> None:
    """The runs' leaves are the ones that geometry foretold."""
    trees = {(run.record.arm, run.record.repetition, run.record.draw): run.record.tree for run in load_runs(out).runs}
    space = Micro()
    for arm in found["arms"]:
        for partition in arm["partitions"]:
            tree = trees[arm["arm"], partition["repetition"], partition["draw"]]
            (split,) = partition["splits"]
            edge = space.edges.index(split["edge"])
            assert [edge] == list(tree.edges)
            grown = [[space.operations(edge)[op] for op in child.allowed[edge]] for child in tree.children]
            assert grown == split["groups"]
            assert [leaf[split["edge"]] for leaf in partition["leaves"]] == split["groups"]


def check_belongs(found: dict[str, Any], out: Path) -> None:
    """What was written before there was a record names the records that came of it, and those of no other study."""
    records = [run.record for run in load_runs(out).runs]
    assert {found["protocol"]} == {record.protocol for record in records}
    assert found["fingerprints"] == {record.arm: config_fingerprint(record.config["arm"]) for record in records}
    assert len(set(found["fingerprints"].values())) == 4, "twin is gm under another name"
    assert stale(out) == ""


@pytest.fixture
def peeping() -> Iterator[str]:
    """A control that orders operations by the truth, and one more that only counts how often that is looked at."""
    from splitbench.criteria.base import Affinity, Probe

    class Peep:
        reads_truth = True

        def __call__(self, probe: Probe, edge: int) -> Affinity:
            operations = probe.operations(edge)
            rows = probe.space.functions(probe.subspace)
            test = probe.truth().test(rows)
            means = np.array([test[rows[:, edge] == op].mean() for op in operations])
            return Affinity.assumed(operations, np.abs(means[:, None] - means))

    registry.register("criteria", "peeping")(Peep)
    yield "peeping"
    registry._registered.pop(("criteria", "peeping"))


def test_levels_and_oracles(peeping: str, tmp_path: Path) -> None:
    """From Python: a deeper tree has leaves in words, and what reads the truth is marked."""
    from splitbench.harness.running.geometry import compare_partitions

    arms = [
        {"criterion": "random", "schedule": {"levels": 2}},
        {"criterion": peeping, "partitioner": "max_cut"},
    ]
    config = parse_study({**STUDY, "seeds": 1, "arms": arms, "baseline": peeping + "(partitioner=max_cut)"})
    found = compare_partitions(Study.build(config, "cpu"), tmp_path, probes=3)
    random, oracle = found["arms"]
    assert found["reads_truth"] == [oracle["arm"]]
    assert "max_cut) † " in (tmp_path / "geometry.md").read_text()
    (tree,) = random["partitions"]
    assert [split["path"] for split in tree["splits"]] == ["root", "root.0", "root.1"]
    assert len(tree["leaves"]) == len(tree["sizes"]) > 2
    assert sum(tree["sizes"]) == 9_444
    assert oracle["stability"] == {"batches": None, "seeds": None, "initial": None}
    best = oracle["metrics"]["rank_eta2[all]"]["mean"]
    assert 0 < best < 1


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        ({"arms": ["none"]}, [], "so there are no partitions to compare"),
        ({"arm": ["none"]}, [], "unknown key 'arm'"),
        ({}, ["--probes", "0"], "--probes 0: at least 1 is needed"),
        ({}, ["--workers", "0"], "--workers 0: at least 1 is needed"),
        ({}, ["--device", "abacus"], "--device abacus"),
    ],
)
def test_errors_are_one_sentence(
    changes: dict[str, Any], options: list[str], sentence: str, splitbench: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, text, told = splitbench("geometry", written(tmp_path, STUDY | changes), "--out", out, *options)
    assert (status, text) == (2, "")
    assert sentence in told
    assert not (out / "stages").exists()


def test_another_studys_folder_is_refused(splitbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.yaml").write_text("name: other\n")
    status, _, told = splitbench("geometry", written(tmp_path), "--out", out, "--workers", 1)
    assert status == 2
    assert "holds the study 'other', not 'shapes'" in told
    assert [path.name for path in out.iterdir()] == ["study.yaml"]
