"""Estimates that were made elsewhere: which files are read, what is measured, and a leaderboard's row of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from splitbench.harness.errors import ConfigError, DataError, SplitbenchError
from splitbench.harness.estimates.estimates_file import read_estimates_file
from splitbench.harness.estimates.outside import functions_in
from splitbench.results.measures import metrics, ranking
from splitbench.spaces.functions import listed
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201

MICRO = Micro().bind((1, 8, 8), 10)
Command = Callable[..., tuple[int, str, str]]
STRING = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"


def file(folder: Path, text: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# -- which columns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "columns", "options"),
    [
        ("architecture,estimate", ("architecture", "estimate"), {}),
        ("Arch,acc", ("Arch", "acc"), {}),
        ("what,value", ("what", "value"), {}),
        ("what,loss", ("what", "loss"), {"lower_is_better": True}),
        ("what,loss", ("what", "loss"), {"estimate": "loss"}),
        ("value,arch", ("value", "arch"), {"architecture": "value", "estimate": "arch"}),
    ],
)
def test_columns_are_found_by_name_by_content_or_as_told(
    header: str, columns: tuple[str, str], options: dict[str, Any], tmp_path: Path
) -> None:
    found = read_estimates_file(file(tmp_path, f"{header}\n000321,0.5\n333333, 0.25\n"), MICRO, **options)
    assert (found.architecture, found.estimate) == columns
    assert found.architectures == ((0, 0, 0, 3, 2, 1), (3, 3, 3, 3, 3, 3))
    sign = -1 if options.get("lower_is_better") else 1
    assert found.values.tolist() == [sign * 0.5, sign * 0.25]


def test_an_index_column_and_other_words_are_no_estimates(tmp_path: Path) -> None:
    found = read_estimates_file(file(tmp_path, ",architecture,host,top\n0,000321,a,1\n1,333333,b,2\n"), MICRO)
    assert found.estimate == "top"


def test_parquet_and_tabs_are_read_alike(tmp_path: Path) -> None:
    frame = pd.DataFrame({"arch": ["000321", "333333"], "score": [0.5, -np.inf]})
    frame.to_parquet(tmp_path / "mine.parquet")
    frame.to_csv(tmp_path / "mine.tsv", sep="\t", index=False)
    frame.to_csv(tmp_path / "mine.csv.gz", index=False)
    for name in ("mine.parquet", "mine.tsv", "mine.csv.gz"):
        found = read_estimates_file(tmp_path / name, MICRO)
        assert found.architectures == ((0, 0, 0, 3, 2, 1), (3, 3, 3, 3, 3, 3))
        assert found.values.tolist() == [0.5, -np.inf]


def test_the_notation_of_a_spaces_users_is_read(tmp_path: Path) -> None:
    found = read_estimates_file(file(tmp_path, f"arch_str,score\n{STRING},1\n310423,1\n000001,2\n"), NB201())
    assert found.architectures == ((3, 1, 0, 4, 2, 3), (0, 0, 0, 0, 0, 1))
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("", {}, "is empty"),
        ("architecture,estimate\n", {}, "no row below it"),
        ("architecture,estimate\n000321,1\n000921,2\n", {}, "row 2: '000921' is not an architecture of micro"),
        ("architecture,estimate\n000321,1\n321,2\n", {}, "were leading zeros lost"),
        ("architecture,estimate\n000321,1\n333333,\n111111,nan\n", {}, r"row 2: the estimate is missing \(NaN\)"),
        ("architecture,estimate\n000321,1\n333333,high\n", {}, "row 2: the estimate is 'high', which is no number"),
        ("architecture,estimate\n000321,1\n333333,2\n000321,3\n", {}, "row 3: 000321 has the estimate 3, and an ear"),
        ("architecture,estimate\n000321,1\n000321,1\n", {}, "a single architecture"),
        ("000321,1\n333333,2\n", {}, "has no header"),
        ("what,estimate\nx,1\ny,2\n", {}, "say which with --architecture"),
        ("architecture,a,b\n000321,1,2\n333333,1,3\n", {}, "could be any of a, b; say which with --estimate"),
        ("architecture,note\n000321,x\n333333,y\n", {}, "is none of architecture, note"),
        ("architecture,val_loss\n000321,1\n333333,2\n", {}, "add --lower-is-better"),
        ("architecture,estimate\n000321,1\n", {"architecture": "net"}, "--architecture net: .* has no such column"),
        ("architecture,estimate\n000321,1\n", {"estimate": "acc"}, "--estimate acc: .* has no such column"),
        ("architecture,estimate\n000321,1\n", {"estimate": "architecture"}, "needs another one"),
    ],
)
def test_wrong_files_are_told_in_a_sentence(text: str, options: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match=says) as error:
        read_estimates_file(file(tmp_path, text), MICRO, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet"])
def test_a_missing_file_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(SplitbenchError, match="cannot be read as a table"):
        read_estimates_file(tmp_path / name, MICRO)


# -- functions ---------------------------------------------------------------------------------------------------------


def test_a_function_has_the_estimate_of_its_own_string_or_the_mean(tmp_path: Path) -> None:
    # Edge 0-3 alone: 000300, which the dead edges 0-1 and 0-2 leave as it is; 000200 is not in the file.
    text = "architecture,estimate\n300300,1\n000300,5\n300200,1\n110200,2\n000000,9\n100000,8\n200000,7\n"
    found = functions_in(read_estimates_file(file(tmp_path, text), MICRO), MICRO)
    assert found.architectures == ((0, 0, 0, 3, 0, 0), (0, 0, 0, 2, 0, 0))
    assert found.values.tolist() == [5, 1.5]
    assert found.averaged == 1
    assert found.number.tolist() == [0, 0, 1, 1, 2, 2, 2]


# -- the verb ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 strings of micro, and the truth of each with noise."""
    rng = np.random.default_rng(0)
    strings = [tuple(map(int, row)) for row in rng.integers(5, size=(150, 6))]
    truth = MICRO.ground_truth("digits").test(strings)
    path = tmp_path_factory.mktemp("noisy") / "mine.csv"
    frame = pd.DataFrame({"architecture": map(MICRO.encode, strings), "loss": 100 - truth + rng.normal(0, 5, 150)})
    frame.drop_duplicates("architecture").to_csv(path, index=False)
    return path


def test_the_verb_measures_strings_and_functions(noisy: Path, splitbench: Command, tmp_path: Path) -> None:
    words = ["measure", "micro", "digits", "--estimates", noisy, "--lower-is-better"]
    status, out, err = splitbench(*words, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    frame = pd.read_csv(noisy, dtype={"architecture": str})
    strings = [MICRO.decode(text) for text in frame["architecture"]]
    score, truth = -frame["loss"].to_numpy(np.float64), MICRO.ground_truth("digits").test(strings)
    given, functions = found["populations"]
    assert (given["name"], given["size"]) == ("strings", len(strings))
    assert given["functions"] == len({MICRO.function(a) if MICRO.connected(a) else None for a in strings})
    rankers = {ranker["name"]: ranker for ranker in given["rankers"]}
    assert set(rankers) == {"estimates", "rank-sum of estimates and flops", "flops", "parameters", "convolutions"}
    assert rankers["estimates"]["metrics"]["tau[all]"]["mean"] == pytest.approx(ranking.tau_b(score, truth))
    sizes = np.array([MICRO.sizes(a)["flops"] for a in strings])
    assert rankers["flops"]["metrics"]["tau[all]"]["mean"] == pytest.approx(ranking.tau_b(sizes, truth))
    assert rankers["estimates"]["metrics"]["regret[all]"]["mean"] == pytest.approx(
        float(MICRO.ground_truth("digits").best() or 0) - truth[score.argmax()]
    )
    assert given["ceiling"]["tau[all]"] == pytest.approx(
        metrics.ceiling(MICRO.ground_truth("digits").per_seed(strings))["tau[all]"]
    )
    assert (functions["name"], functions["size"]) == ("functions", functions["functions"])
    assert functions["size"] == len({MICRO.function(a) for a in strings if MICRO.connected(a)})
    assert found["estimates"]["lower_is_better"] is True

    status, out, err = splitbench(*words)
    assert status == 0
    assert "**Population functions:" in out
    assert "ranks them, lower is better.\n" in out
    assert "| noise ceiling " in out
    status, shown, err = splitbench(*words, "--out", tmp_path / "found.md")
    assert (status, shown) == (0, "")
    assert (tmp_path / "found.md").read_text() == out
    splitbench(*words, "--out", tmp_path / "found.json")
    assert json.loads((tmp_path / "found.json").read_text()) == found


def test_functions_alone_are_one_population(splitbench: Command, tmp_path: Path) -> None:
    rows = listed(MICRO, MICRO.root())[::200]
    frame = pd.DataFrame({"architecture": [MICRO.encode(tuple(r)) for r in rows.tolist()], "score": range(len(rows))})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    status, out, _ = splitbench("measure", "micro", "digits", "--estimates", tmp_path / "mine.csv", "--json")
    assert status == 0
    assert [each["name"] for each in json.loads(out)["populations"]] == ["functions"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mikro", "digits"], "did you mean 'micro'?"),
        (["micro", "digitz"], "did you mean 'digits'?"),
        (["micro", "cifar10"], "choose the dataset digits"),
        (["micro", "digits", "--estimate", "acc"], "--estimate acc"),
        (["micro", "digits"], "add --lower-is-better"),
    ],
)
def test_wrong_words_end_with_status_2(words: list[str], says: str, noisy: Path, splitbench: Command) -> None:
    status, out, err = splitbench("measure", *words, "--estimates", noisy)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


# -- a row of a leaderboard ------------------------------------------------------------------------------------------


PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "quickstart"


def populations() -> dict[int, pd.DataFrame]:
    """The estimates of the arm none in the published quickstart, by repetition."""
    from splitbench.results.records.loading import load_runs, read_estimates

    return {run.record.repetition: read_estimates(run) for run in load_runs(PUBLISHED).runs if run.record.arm == "none"}


def test_a_file_becomes_a_row_beside_the_arms(splitbench: Command, tmp_path: Path) -> None:
    frames = populations()
    every = pd.concat(frames.values()).drop_duplicates("architecture")
    noise = np.random.default_rng(0).normal(0, 3, len(every))
    path = tmp_path / "mine.csv"
    pd.DataFrame({"arch": every["architecture"], "score": every["truth_test"] + noise}).to_csv(path, index=False)
    score = dict(zip(every["architecture"], every["truth_test"] + noise, strict=True))
    status, out, err = splitbench("leaderboard", PUBLISHED, "--estimates", f"mine={path}", "--json")
    assert (status, err) == (0, "")
    board = json.loads(out)
    (row,) = [row for row in board["rows"] if row.get("outside")]
    taus = [
        ranking.tau_b(np.array([score[a] for a in frame["architecture"]]), frame["truth_test"].to_numpy(np.float64))
        for frame in frames.values()
    ]
    assert row["metrics"]["tau[all]"]["mean"] == pytest.approx(np.mean([tau for tau in taus if tau is not None]))
    assert (row["metrics"]["tau[all]"]["low"], row["verdict"], row["cost"], row["seeds"]) == (None, None, None, 0)
    before = json.loads(splitbench("leaderboard", PUBLISHED, "--json")[1])
    assert [r for r in board["rows"] if not r.get("outside")] == before["rows"]
    assert board["rows"][0] == row  # it ranks better than any arm here
    status, out, _ = splitbench("leaderboard", PUBLISHED, "--estimates", f"mine={path}", "--format", "md")
    assert "| mine § " in out
    assert "§ Measured from outside" in out
    selection = out.partition("**Selection")[2]
    assert "mine" not in selection.partition("Read it so")[0]
    status, out, _ = splitbench("leaderboard", PUBLISHED, "--estimates", f"mine={path}", "--format", "csv")
    assert status == 0
    (line,) = [line for line in csv.DictReader(out.splitlines()) if line["arm"] == "mine"]
    assert (line["outside"], line["budget limit"], line["seeds"]) == ("yes", "", "0")


def test_a_row_that_cannot_be_is_refused(splitbench: Command, tmp_path: Path) -> None:
    path = file(tmp_path, "arch,score\n000300,1\n000200,2\n")
    for words, says in (
        (["--estimates", f"mine={path}"], "the file lacks "),
        (["--estimates", str(path)], "it is not NAME=FILE"),
        (["--estimates", f"a={path}", "--estimates", f"a={path}"], "there is a row a already"),
        (["--estimates", f"none={path}"], "has a row of that name already"),
        (["--estimates", f"mine={path}", "--format", "html"], "--estimates belongs to text, md, json and csv"),
    ):
        status, out, err = splitbench("leaderboard", PUBLISHED, *words)
        assert (status, out) == (2, ""), words
        assert says in err
        assert err.count("\n") == 1


# -- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_size_alone_ranks_nas_bench_201_as_published(
    real_data: Path, splitbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tau of FLOPs over all 15,625 strings on CIFAR-10 test is .578 (Spearman .753)."""
    monkeypatch.setenv("SPLITBENCH_DATA", str(real_data))
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path))
    frame = pd.read_csv(real_data / "nb201" / "nb201.csv.gz", dtype={"ops": str}, usecols=["ops", "c10_macs_M"])
    path = tmp_path / "macs.csv"
    frame.to_csv(path, index=False)
    status, out, err = splitbench("measure", "nb201", "cifar10", "--estimates", path, "--json")
    assert (status, err) == (0, "")
    strings, functions = json.loads(out)["populations"]
    assert (strings["size"], strings["functions"], functions["size"]) == (15_625, 9_445, 9_444)
    rankers = {ranker["name"]: ranker["metrics"] for ranker in strings["rankers"]}
    assert rankers["estimates"]["tau[all]"]["mean"] == pytest.approx(0.578, abs=5e-4)
    assert rankers["estimates"]["tau[all]"]["mean"] == pytest.approx(rankers["flops"]["tau[all]"]["mean"], abs=1e-12)
    assert strings["over_flops"]["low"] == pytest.approx(0, abs=1e-12)
