"""The command as a user meets it: what it prints, what it refuses, and that nothing is lost."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from refusals import Command, refused

from splitbench.harness.cli.app import main
from splitbench.harness.cli.training import progress
from splitbench.harness.registry import KINDS, components

STUDY: dict[str, Any] = {
    "name": "tiny",
    "space": "micro",
    "dataset": "digits",
    "trainer": {"name": "rsps", "batch_size": 16},
    "budget": {"steps": 24},
    "seeds": 2,
    "population": {"sample": 12},
    "evaluation": {"images": 20},
    "selector": {"name": "random_best", "samples": 2},
    "arms": ["none", {"criterion": "exhaustive", "edges": [0]}],
}
EXHAUSTIVE = "exhaustive(edges=0)"


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny study with some keys replaced."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the tiny study. Read it only."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    main(["run", str(folder / "study.yaml"), "--out", str(folder / "out"), "--workers", "1", "--json"])
    return folder / "out"


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished results folder, to be changed."""
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "results"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def arms(folder: Path) -> set[str]:
    return {json.loads(path.read_text())["arm"] for path in folder.glob("records/*[0-9].json")}


# -- what does not need torch ------------------------------------------------------------------------------------


def test_reading_verbs_import_no_torch(finished: Path) -> None:
    verbs = [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "criteria", "--json"],
        ["leaderboard", str(finished)],
    ]
    script = f"""
import contextlib, io, sys
from splitbench.harness.cli.app import main
from splitbench.harness.cli.training import progress
for words in {verbs!r}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        main(words)
    assert out.getvalue().strip(), words
print(*sorted({{"torch", "numpy", "scipy", "pandas", "pyarrow", "sklearn"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], done.stdout
    script = script.replace(repr(verbs), repr([["compare", str(finished), "none", EXHAUSTIVE]]))  # bootstraps: numpy
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()


def test_version(splitbench: Command) -> None:
    status, out, _ = splitbench("--version")
    assert (status, out.split()[0]) == (0, "splitbench")


def test_list_has_a_summary_of_everything(splitbench: Command) -> None:
    _, out, _ = splitbench("list", "--json")
    listed = json.loads(out)
    assert set(listed) == set(KINDS)
    for kind, rows in listed.items():
        assert [row["name"] for row in rows] == list(components(kind))
        for row in rows:
            assert row["summary"].strip(), (kind, row["name"])
            assert row["origin"]
    _, out, _ = splitbench("list")
    assert all(row["name"] in out and row["summary"] in out for rows in listed.values() for row in rows)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in components(kind)])
def test_describe_knows_every_component(splitbench: Command, kind: str, name: str) -> None:
    status, out, _ = splitbench("describe", name, "--kind", kind, "--json")
    (described,) = json.loads(out)
    assert status == 0
    assert described["documentation"]
    _, out, _ = splitbench("describe", name, "--kind", kind)
    assert out.startswith(f"{name} ({kind}, from splitbench")
    assert all(f"  {parameter['name']}: " in out for parameter in described["parameters"])


# -- what is printed -----------------------------------------------------------------------------------------------


def test_json_of_every_verb_parses(
    splitbench: Command, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path))
    monkeypatch.delenv("SPLITBENCH_DATA", raising=False)
    found = {}
    for words in (
        ["leaderboard", finished],
        ["compare", finished, EXHAUSTIVE, "none"],
        ["env"],
        ["data", "list"],
        ["data", "verify"],
    ):
        status, out, _ = splitbench(*words, "--json")
        assert status == 0, words
        found[words[0] if words[0] != "data" else words[1]] = json.loads(out)
    assert found["leaderboard"]["study"] == "tiny"
    assert {row["arm"] for row in found["leaderboard"]["rows"]} >= {"none", EXHAUSTIVE}
    assert found["compare"]["pairs"][0]["arm_b"] == "none"
    assert found["env"]["torch"]
    assert {row["state"] for row in found["list"]} == {"missing"}
    assert found["verify"] == []


def test_run_prints_json_alone_and_goes_on_from_what_is_there(
    splitbench: Command, study: Callable[..., Path], results: Path
) -> None:
    before = contents(results)
    status, out, err = splitbench("run", study(), "--out", results, "--workers", 1, "--json")
    assert status == 0
    assert json.loads(out)["study"] == "tiny"
    assert "[4/4]" in err
    assert contents(results) == before
    assert splitbench("leaderboard", results, "--json")[1] == out


def test_a_study_without_a_name_has_its_files(
    splitbench: Command, study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = yaml.safe_load(study(arms=["none"], seeds=1).read_text())
    del nameless["name"]
    path = tmp_path / "my study (2).yaml"
    path.write_text(yaml.safe_dump(nameless))
    monkeypatch.chdir(tmp_path)
    assert splitbench("run", path, "--workers", 1)[0] == 0
    assert arms(tmp_path / "runs" / "my-study-2") == {"none"}


def test_bars_name_each_run(capfd: pytest.CaptureFixture[str], finished: Path) -> None:
    """Bars are for terminals; what they leave behind is a line a run."""
    from splitbench.results.records.loading import load_runs

    (first, *_) = load_runs(finished).runs
    assert first.measured is not None
    with progress.bars("tiny") as shown:
        shown.begin(1)
        shown.note("[a note]")
        shown.run(first.record, first.measured)
    err = capfd.readouterr().err
    assert f"{first.record.arm}, seed 1: tau[all]" in err
    assert "[a note]" in err


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"arms": ["nonne"]}, ["study.yaml: arms[0]", "did you mean 'none'?"]),
        ({"trainer": "rspss"}, ["study.yaml: trainer", "did you mean 'rsps'?"]),
        ({"trainer": {"name": "rsps", "batch_sise": 3}}, ["trainer", "did you mean 'batch_size'?"]),
        ({"trainer": {"name": "rsps", "batch_size": "many"}}, ["trainer.batch_size", "'many'"]),
        ({"sedes": 2}, ["unknown key 'sedes' (did you mean 'seeds'?)", "allowed keys: "]),
        ({"budget": {"steps": -4}}, ["budget.steps", "greater than 0", "-4"]),
        ({"budget": {"steps": 4, "flops": 4}}, ["budget", "exactly one of flops, steps, examples, seconds"]),
        ({"budget": {"steps": 9}}, [f"arm {EXHAUSTIVE}", "too small", "raise budget.steps"]),
        ({"budget": {"flops": 1000}}, ["arm none", "too small", "raise budget.flops"]),
        ({"baseline": "exhaustive"}, ["baseline", f"did you mean '{EXHAUSTIVE}'?"]),
        ({"dataset": "cifar10"}, ["space micro", "digits"]),
    ],
    ids=str,
)
def test_a_wrong_study(
    splitbench: Command, study: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], fragments: list[str]
) -> None:
    refused(splitbench("run", study(**changes), "--out", tmp_path / "out"), *fragments)
    assert not (tmp_path / "out").exists()


def test_what_is_not_a_study_file(splitbench: Command, tmp_path: Path) -> None:
    refused(splitbench("run", tmp_path / "nowhere.yaml"), "nowhere.yaml: there is no such study file")
    refused(splitbench("run", tmp_path), "this is a folder")
    for name, content, fragment in (
        ("binary", b"\xfa\x00\xff", "not text"),
        ("zeros", b"a\x00b", "not YAML"),
        ("list", b"- none\n", "a mapping with the keys space, dataset, budget and arms"),
        ("empty", b"", "a mapping with the keys space, dataset, budget and arms"),
        ("broken", b"arms: [none\nbudget: 3", "not YAML in line 2"),
    ):
        (tmp_path / name).write_bytes(content)
        refused(splitbench("run", tmp_path / name), name, fragment)


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["frob"], ["no such command 'frob'", "splitbench --help"]),
        (["run"], ["missing argument 'STUDY'", "splitbench run --help"]),
        (["run", "x.yaml", "--frob"], ["no such option: --frob", "splitbench run --help"]),
        (["run", "STUDY", "--device", "tpu"], ["--device tpu", "auto, cpu, cuda"]),
        (["run", "STUDY", "--workers", "0"], ["--workers 0", "at least 1"]),
        (["run", "STUDY", "--engine", "ray"], ["--engine: unknown engines component 'ray'", "local, pool"]),
        (["run", "STUDY", "--plugin", "nowhere.py"], ["nowhere.py", "no such file"]),
        (["list", "criterium"], ["unknown kind", "did you mean"]),
        (["describe", "nonne"], ["did you mean 'none'?"]),
        (["describe", "gm", "--kind", "trainers"], ["among the trainers"]),
        (["leaderboard", "nowhere"], ["nowhere", "no such results folder"]),
        (["leaderboard", "RESULTS", "--format", "pdf"], ["--format pdf", "text, md, json"]),
        (["compare", "RESULTS", "none", "exhaustive"], ["did you mean"]),
        (["data", "import", "nb2", "--from", "."], ["nb2", "known are nb201"]),
        (["data", "import", "nb201", "--from", "nowhere"], ["nowhere does not exist"]),
        (["data", "verify", "nb2"], ["nb2", "known are nb201"]),
    ],
    ids=str,
)
def test_wrong_usage(
    splitbench: Command, study: Callable[..., Path], finished: Path, words: list[str], fragments: list[str]
) -> None:
    given = {"STUDY": str(study()), "RESULTS": str(finished)}
    refused(splitbench(*(given.get(word, word) for word in words)), *fragments)


def test_a_results_folder_that_cannot_be_written(
    splitbench: Command, study: Callable[..., Path], tmp_path: Path
) -> None:
    """As root nothing is forbidden, so a file stands in the way."""
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        status, _, err = splitbench("run", study(), "--out", out, "--workers", 1)
        assert status == 2
        assert "cannot be written (Not a directory); choose a folder with write permission" in err.splitlines()[-1]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_truncated_table(
    splitbench: Command, study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "nb201"
    folder.mkdir(parents=True)
    whole = gzip.compress(b"ops,c10_val_200\n" + b"012340,90.5\n" * 5000)
    (folder / "nb201.csv.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "nb201_seeds.npz").write_bytes(b"")
    monkeypatch.setenv("SPLITBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "home"))
    changed = study(space="nb201", dataset={"name": "cifar10", "train": 100, "validation": 100})
    refused(splitbench("run", changed, "--out", tmp_path / "out"), "nb201.csv.gz", "fetch it again")
    refused(splitbench("data", "verify"), "nb201.csv.gz", "fetch it again")
    status, out, _ = splitbench("data", "verify", "--json")
    assert (status, [(row["name"], row["ok"]) for row in json.loads(out)]) == (2, [("nb201", False)])


def test_missing_data(
    splitbench: Command, study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SPLITBENCH_DATA", raising=False)
    refused(
        splitbench("run", study(space="nb201", dataset="cifar10")),
        "nb201 is missing",
        "splitbench data import nb201",
        "SPLITBENCH_DATA",
    )


def test_another_studys_folder(splitbench: Command, study: Callable[..., Path], results: Path) -> None:
    before = contents(results)
    status, _, err = splitbench("run", study(name="other"), "--out", results, "--workers", 1)
    assert status == 2
    assert "holds the study 'tiny', not 'other'; choose another --out" in err.splitlines()[-1]
    assert contents(results) == before


def test_a_newer_versions_record_is_never_overwritten(
    splitbench: Command, study: Callable[..., Path], results: Path
) -> None:
    (path,) = results.glob("records/none--*--r1-d0.json")
    newer = json.loads(path.read_text()) | {"schema_version": 99, "splitbench": "9.1", "unheard_of": 1}
    path.write_text(json.dumps(newer))
    before = contents(results)
    status, _, err = splitbench("run", study(budget={"steps": 30}), "--out", results, "--workers", 1)
    assert status == 2
    assert f"{path.name} was written by splitbench 9.1 with schema 99" in err.splitlines()[-1]
    assert contents(results) == before
    assert "schema 99" in splitbench("leaderboard", results)[1]


# -- a study that was changed and run again ------------------------------------------------------------------------


def test_an_arm_that_left_the_study_is_set_aside(
    splitbench: Command, study: Callable[..., Path], results: Path
) -> None:
    before = contents(results / "records")
    changed = study(arms=["none", {"criterion": "exhaustive", "edges": [1]}])
    status, _, err = splitbench("run", changed, "--out", results, "--workers", 1)
    assert status == 0
    assert arms(results) == {"none", "exhaustive(edges=1)"}
    (earlier,) = (results / "earlier").iterdir()
    assert arms(earlier) == {EXHAUSTIVE}
    assert f"records of {EXHAUSTIVE}; see them with: splitbench leaderboard {earlier}" in err
    assert contents(earlier / "records") == {name: data for name, data in before.items() if "exhaustive" in name}
    assert splitbench("leaderboard", earlier)[0] == 0
    assert "exhaustive(edges=0)" not in splitbench("leaderboard", results)[1]

    splitbench("run", study(), "--out", results, "--workers", 1)  # back again: the same records, nothing trained
    assert contents(results / "records") == before


def test_records_of_two_settings_never_stand_in_one_table(
    splitbench: Command, study: Callable[..., Path], results: Path
) -> None:
    old = {json.loads(path.read_text())["protocol"] for path in results.glob("records/*[0-9].json")}
    status, out, _ = splitbench(
        "run", study(trainer={"name": "rsps", "batch_size": 17}), "--out", results, "--workers", 1, "--json"
    )
    new = {json.loads(path.read_text())["protocol"] for path in results.glob("records/*[0-9].json")}
    assert status == 0
    assert len(old) == len(new) == 1
    assert old != new
    assert json.loads(out)["rows"]  # one table, not {"boards": ...}
    assert arms(results / "earlier" / old.pop()) == {"none", EXHAUSTIVE}


def test_more_seeds_and_another_baseline_are_the_same_protocol(
    splitbench: Command, study: Callable[..., Path], results: Path
) -> None:
    status, out, _ = splitbench("run", study(seeds=3, baseline=EXHAUSTIVE), "--out", results, "--workers", 1, "--json")
    board = json.loads(out)
    assert status == 0
    assert (board["seeds"], board["baseline"]) == (3, EXHAUSTIVE)
    assert not (results / "earlier").exists()


# -- how it ends ---------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_with_a_sentence(study: Callable[..., Path], tmp_path: Path) -> None:
    path = study(budget={"steps": 1_000_000}, seeds=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "splitbench", "run", str(path), "--out", str(tmp_path / "out"), "--workers", "1"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    assert process.stderr is not None
    assert "results go to" in process.stderr.readline()  # imports are done: it trains
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "splitbench: interrupted; the same command goes on where this one stopped"


def test_a_bug_is_one_sentence_and_a_traceback_with_debug(
    splitbench: Command, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(loaded: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("splitbench.results.boards.leaderboard.leaderboards_of", broken)
    status, _, err = splitbench("leaderboard", finished)
    assert (status, err.count("\n")) == (1, 1)
    assert "this is a bug: RuntimeError: first line; " in err
    status, _, err = splitbench("leaderboard", finished, "--debug")
    assert status == 1
    assert "Traceback" in err
    assert "second line" in err
