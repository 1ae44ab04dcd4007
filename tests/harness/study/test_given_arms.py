"""Arms whose partition the study file gives: trained as if it had been found, charged nothing, marked everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_studies import Notes, run_tiny, tiny

from splitbench.harness.errors import ConfigError
from splitbench.harness.running.geometry import compare_partitions
from splitbench.harness.running.study import Study
from splitbench.harness.runs.dry_run import Rehearser
from splitbench.harness.study.config import parse_study
from splitbench.results.boards.compare import compare
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.plots import source
from splitbench.results.records.record import NodeRecord, Record
from splitbench.results.words.sheets import sheets

ALL = [0, 1, 2, 3, 4]
ARMS: list[dict[str, Any]] = [
    {"criterion": "none"},
    {"criterion": "exhaustive", "edges": [1]},
    {"criterion": "given", "edge": 1, "groups": [[0], ["skip_connect"], [2], [3], [4]], "name": "groups"},
    {"criterion": "given", "leaves": [[ALL, [op], *[ALL] * 4] for op in ALL], "name": "leaves"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def notes(folder: Path) -> Notes:
    return run_tiny(folder, arms=ARMS, schedule={"warmup": 0.3, "levels": 2}, budget={"steps": 120})


@pytest.fixture
def records(notes: Notes) -> dict[str, Record]:
    return {record.arm: record for record in notes.records}


def shape(node: NodeRecord) -> tuple[Any, ...]:
    return node.allowed, node.stage, node.steps, [shape(child) for child in node.children]


def test_the_leaves_are_those_of_an_arm_that_finds_the_same_partition(records: dict[str, Record]) -> None:
    found = records["exhaustive(edges=1)"]
    for arm in ("groups", "leaves"):
        assert shape(records[arm].tree) == shape(found.tree)
        assert records[arm].metrics == found.metrics
        assert records[arm].selection == found.selection
        assert records[arm].budget == found.budget
    assert len(found.tree.children) == 5


def test_nothing_is_scored_and_nothing_charged(records: dict[str, Record]) -> None:
    assert records["groups"].cost["scoring"].flops == 0
    assert "scoring" not in records["leaves"].cost
    assert records["leaves"].tree.edges == []
    assert records["leaves"].tree.scores == {}
    assert records["groups"].tree.edges == [1]
    assert records["groups"].tree.scores["1"].repetitions == 0


def test_tables_mark_it(folder: Path, records: dict[str, Record]) -> None:
    assert len(records) == 4
    shown = leaderboards(folder)
    (board,) = shown.boards
    assert {row.arm: row.given for row in board.rows if not row.trivial} == {
        "none": False,
        "exhaustive(edges=1)": False,
        "groups": True,
        "leaves": True,
    }
    (sheet,) = sheets(shown)
    names = {row[0].removeprefix("= ") for row in sheet.tables[0].rows}
    assert {"groups ‡", "leaves ‡"} < names
    assert any(sentence.startswith("‡") for sentence in sheet.legend)
    (pair,) = sheets(compare(folder, "groups", "exhaustive(edges=1)"))
    assert "groups ‡ against exhaustive(edges=1)" in pair.heading
    assert any(sentence.startswith("‡") for sentence in pair.legend)
    (table,) = source.open_folder(folder).tables
    assert table.labels()["leaves"] == "leaves ‡"
    assert table.marks() == "‡ partition given in the study file"


def test_geometry_works_on_it(tmp_path: Path) -> None:
    shuffled = {"name": "shuffled", "of": "best_worth"}
    control = {"criterion": "given", "edge": 3, "groups": [[0], [1, 2, 3, 4]], "partitioner": shuffled, "draws": 8}
    arms = [*ARMS, {**control, "name": "control"}]
    study = Study.build(
        parse_study(tiny(name="shapes", arms=arms, schedule={"warmup": 0.1}, budget={"steps": 200})), "cpu"
    )
    found = compare_partitions(study, tmp_path, probes=2)
    assert found["same_partition"] == [["exhaustive(edges=1)", "groups", "leaves"]]
    assert found["given"] == ["groups", "leaves", "control"]
    drawn = [one["splits"][0] for arm in found["arms"] if arm["arm"] == "control" for one in arm["partitions"]]
    assert {(split["edge"], *sorted(map(len, split["groups"]))) for split in drawn} == {("0-3", 1, 4)}
    assert len({str(split["groups"]) for split in drawn}) > 1
    partitions = {arm["arm"]: arm["partitions"][0] for arm in found["arms"]}
    assert partitions["leaves"]["splits"] == []
    assert partitions["leaves"]["leaves"] == partitions["groups"]["leaves"]
    text = (tmp_path / "geometry.md").read_text()
    assert "| leaves ‡" in text
    assert "leaves as given" in text
    assert json.loads((tmp_path / "geometry.json").read_text()) == found


def test_the_rehearsal_knows_the_groups() -> None:
    study = Study.build(parse_study(tiny(arms=ARMS[1:], baseline="groups", budget={"steps": 300})), "cpu")
    rehearser = Rehearser(study.settings)
    assert [rehearser.rehearse(arm, study.seeds(0)).leaves for arm in study.arms] == [5, 5, 5]


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [
        ({"edge": 0, "groups": [[0], [1, 2, 3]]}, r"arms\[1\] \(mine\): .* not a partition"),
        ({"leaves": [[[0], *[ALL] * 5], [[1, 2, 3], *[ALL] * 5]]}, r"arms\[1\] \(mine\): no leaf holds"),
        ({"leaves": ARMS[3]["leaves"], "partitioner": "balanced"}, "leave out partitioner"),
        ({"leaves": ARMS[3]["leaves"], "edge_rule": "random_edge"}, "leave out edge_rule"),
        ({"leaves": ARMS[3]["leaves"], "schedule": {"levels": 2}}, "leave out schedule.levels"),
        (
            {"edge": 0, "groups": [[0], [1, 2, 3, 4]], "edge_rule": {"name": "fixed", "edges": [2]}},
            "judges no partition",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_trained(arm: dict[str, Any], sentence: str) -> None:
    arms = [{"criterion": "none"}, {"criterion": "given", "name": "mine", **arm}]
    with pytest.raises(ConfigError, match=sentence):
        Study.build(parse_study(tiny(arms=arms)), "cpu")


def test_names_without_a_name_are_short() -> None:
    study = parse_study(tiny(arms=["none", *({k: v for k, v in arm.items() if k != "name"} for arm in ARMS[2:])]))
    assert [arm.label for arm in study.arms[1:]] == [
        "given(edge=1, groups=0|skip_connect|2|3|4)",
        "given(leaves=5 lists)",
    ]
