"""A study whose population is of strings: who estimates them, what the numbers are called, what chance gives."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_studies import Notes, run_tiny, tiny

from splitbench.harness.running.study import Study
from splitbench.harness.runs.dry_run import Rehearser
from splitbench.harness.runs.record import protocol
from splitbench.harness.study.config import parse_study
from splitbench.results.boards.compare import compare
from splitbench.results.boards.compare import comparison_json as pair_json
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.measures.metrics import ranking_metrics
from splitbench.results.plots.source import Options, open_folder
from splitbench.results.records.record import Record
from splitbench.results.words import render
from splitbench.results.words.table import to_csv
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro

SPACE = Micro()
STRINGS = [a for a in itertools.product(range(5), repeat=6) if SPACE.connected(a)]
SAMPLE = 400
ARMS = ["none", {"criterion": "given", "edge": 2, "groups": [[0, 1], [2, 3, 4]], "name": "two"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strings")


@pytest.fixture(scope="module")
def notes(folder: Path) -> Notes:
    return run_tiny(folder, arms=ARMS, population={"sample": SAMPLE, "of": "strings"})


@pytest.fixture
def record(notes: Notes) -> Record:
    return next(record for record in notes.records if record.arm == "two")


@pytest.fixture
def estimates(folder: Path, record: Record) -> pd.DataFrame:
    (path,) = (folder / "records").glob("two*.parquet")
    return pd.read_parquet(path)


def test_every_string_is_estimated_by_the_leaf_that_contains_it(record: Record, estimates: pd.DataFrame) -> None:
    strings = [SPACE.decode(text) for text in estimates["architecture"]]
    assert len(set(strings)) == SAMPLE
    assert set(strings) <= set(STRINGS)
    leaves = [SubSpace(tuple(map(tuple, leaf.allowed))) for leaf in record.selection.leaves]
    for string, leaf in zip(strings, estimates["leaf"], strict=True):
        assert leaves[leaf].contains(string)
    assert [leaf.population for leaf in record.selection.leaves] == [
        int((estimates["leaf"] == number).sum()) for number in range(2)
    ]


def test_spellings_of_a_function_share_an_estimate_within_a_leaf_alone(estimates: pd.DataFrame) -> None:
    functions = [SPACE.encode(SPACE.function(SPACE.decode(text))) for text in estimates["architecture"]]
    inside = estimates.assign(function=functions).groupby(["function", "leaf"])[["accuracy", "loss"]].nunique()
    assert (inside == 1).all(axis=None)
    spellings = estimates.assign(function=functions).groupby("function")
    assert (spellings.size() > 1).any()
    across = spellings["loss"].nunique()[spellings["leaf"].nunique() > 1]
    assert len(across)
    assert (across == 2).all()


def test_the_metrics_are_those_of_the_strings(record: Record, estimates: pd.DataFrame) -> None:
    strings = [SPACE.decode(text) for text in estimates["architecture"]]
    truth = SPACE.ground_truth("digits")
    np.testing.assert_array_equal(estimates["truth_test"], truth.test(strings))
    flops = [SPACE.sizes(string)["flops"] for string in strings]
    best = truth.best()
    expected = ranking_metrics(
        estimates["accuracy"], estimates["loss"], estimates["truth_test"], flops, estimates["leaf"], best
    )
    assert record.metrics == pytest.approx(expected)


def test_leaf_floor_and_best_of_k_are_over_all_strings(record: Record) -> None:
    """By brute force: every pair of a string of one leaf and one of the other, counted value by value."""
    strings = np.array(STRINGS)
    truth = SPACE.ground_truth("digits").test(strings)
    first, second = (truth[SubSpace(tuple(map(tuple, leaf.allowed))).mask(strings)] for leaf in record.selection.leaves)
    assert len(first) + len(second) == len(strings)
    best = np.mean([np.maximum(value, second).mean() for value in first])
    assert record.selection.leaf_floor == pytest.approx(best, abs=1e-9)
    of_two = np.mean([np.maximum(value, truth).mean() for value in truth])
    assert record.selection.best_of_k == pytest.approx(of_two, abs=1e-9)


def test_files_and_tables_name_the_population(folder: Path, record: Record) -> None:
    (path,) = (p for p in (folder / "records").glob("two*.json") if "measured" not in p.name)
    written = json.loads(path.read_text())
    assert written["population"].startswith("a uniform sample of 400 connected strings")
    assert {"tau[all strings]", "tau[top50% strings]", "partial_tau[all strings|flops]"} < set(written["metrics"])
    assert not any(name.endswith("[all]") for name in written["metrics"] | written["ceiling"])
    read = Record.model_validate_json(path.read_bytes())
    assert (read.metrics, read.ceiling, read.trivial) == (record.metrics, record.ceiling, record.trivial)
    assert "tau[all]" in read.metrics
    boards = leaderboards(folder)
    text = render.markdown(boards)
    assert "tau[all strings]" in text
    assert "tau[all]" not in text
    rows = json.loads(render.boards_json(boards))["rows"]
    assert "tau[all strings]" in rows[0]["metrics"]
    assert {row["verdict"]["metric"] for row in rows if row["verdict"]} == {"tau[all strings]"}
    assert "tau[all strings] mean" in to_csv(boards)
    (table,) = open_folder(folder).tables
    assert Options().axis(table).startswith("tau[all strings] of the supernet's ranking")
    (pair,) = pair_json(compare(folder, "two", "none"))["pairs"]
    assert "tau[all strings]" in {difference["metric"] for difference in pair["differences"]}
    assert "strings" in pair["without_functions"]


def test_functions_keep_the_protocol_that_they_had_and_strings_get_another() -> None:
    plain, named, strings = (
        Study.build(parse_study(tiny(population={"sample": 20} | of)), "cpu")
        for of in ({}, {"of": "functions"}, {"of": "strings"})
    )
    assert protocol(plain.config, plain.settings) == protocol(named.config, named.settings)
    assert protocol(plain.config, plain.settings) != protocol(strings.config, strings.settings)


def test_the_rehearsal_counts_the_estimates_that_are_made() -> None:
    """All strings are ranked by at most as many estimates as there are functions in a leaf's strings."""
    of_strings, of_functions = (
        Study.build(parse_study(tiny(population={"of": of})), "cpu") for of in ("strings", "functions")
    )
    found = [
        Rehearser(study.settings).rehearse(study.arms[0], study.seeds(0)).measurement.examples
        for study in (of_strings, of_functions)
    ]
    assert found == [9_444 * 100, 9_444 * 100]
