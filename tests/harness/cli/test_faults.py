"""One bad arm costs one arm; one folder, one owner; one meaning, one protocol. Each input once went wrong."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from tiny_studies import tiny

import splitbench
from splitbench.harness.engines import pool
from splitbench.harness.errors import ComponentError, ConfigError, DataError, StoreError
from splitbench.harness.running.failing import is_the_runs
from splitbench.harness.running.folder_lock import LOCK
from splitbench.harness.running.set_aside import set_aside
from splitbench.harness.running.study import Study
from splitbench.harness.runs.record import arm_mark, protocol
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study import config
from splitbench.results.records import store
from splitbench.results.records.loading import load_runs

Command = Callable[..., tuple[int, str, str]]
SMALL = {"budget": {"steps": 24}, "population": {"sample": 12}, "evaluation": {"images": 40}}
PLUGIN = '''
import sys
from pathlib import Path
import numpy as np
from splitbench.criteria.base import Affinity
from splitbench.harness.registry import register

@register("criteria", "faulty")
def faulty(probe, edge, *, how: str):
    """Fails as it is told to, as long as a file named broken lies beside it."""
    if (Path(__file__).parent / "broken").exists():
        if how == "exits":
            sys.exit(0)
        if how == "nothing":
            return None
        raise RuntimeError("first line\\nsecond line " + "x" * 100_000)
    n = len(probe.subspace.allowed[edge])
    return Affinity.of(probe.subspace.allowed[edge], np.ones((1, n, n)))

@register("proxies", "allnan")
def allnan(network):
    """No answer, ever."""
    return float("nan")
'''
BAD = {
    "raises": "the criterion faulty (faulty.py) raised RuntimeError: first line",
    "exits": "the criterion faulty (faulty.py) ended the program, as by sys.exit(0)",
    "nothing": "the criterion faulty (faulty.py) raised ",
}
HOT = {"criterion": "random", "name": "hot", "trainer": {"name": "rsps", "batch_size": 32, "learning_rate": 1.0e30}}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "faulty.py"
    path.write_text(PLUGIN)
    return path


def study_file(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny(**SMALL | changes)))
    return path


def test_a_bad_arm_costs_itself_alone_and_is_tried_again(splitbench: Command, plugin: Path, tmp_path: Path) -> None:
    ways = list(BAD)
    arms = [{"criterion": "faulty", "how": how, "name": how} for how in ways]
    path = study_file(tmp_path, arms=["none", *arms, HOT, {"criterion": "gm", "repetitions": 1, "name": "dear"}])
    command = ["run", path, "--out", tmp_path / "out", "--workers", 1, "--plugin", plugin, "--json"]
    (plugin.parent / "broken").touch()
    status, out, err = splitbench(*command)
    rows = {row["arm"]: row for row in json.loads(out)["rows"]}
    assert status == 1
    assert rows["none"]["complete"]
    reasons = {arm: row["failed"][0]["reason"] for arm, row in rows.items() if "failed" in row}
    assert reasons.keys() == {*ways, "hot", "dear"}
    assert all(reasons[how].startswith(BAD[how]) and len(reasons[how]) < 350 for how in ways)
    assert "the supernet has diverged; lower the learning rate of the trainer rsps" in reasons["hot"]
    assert "the budget of 24 steps is too small for its schedule" in reasons["dear"]
    for arm in reasons:
        assert f"splitbench: arm {arm}: 1 of 1 runs failed: seed 1" in err
    (kept,) = (tmp_path / "out" / "records").glob("raises--*.failed.json")
    failure = json.loads(kept.read_text())
    assert failure["component"] == "criterion faulty from faulty.py"
    assert failure["stage"].startswith("score edge ")
    assert 'faulty.py", line' in failure["traceback"]

    (plugin.parent / "broken").unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "stages").glob("*/*/state.safetensors")}
    status, out, _ = splitbench(*command)
    rows = {row["arm"]: row for row in json.loads(out)["rows"]}
    assert status == 1, "hot and dear fail as they did"
    assert {arm for arm, row in rows.items() if "failed" in row} == {"hot", "dear"}
    assert all(rows[how]["complete"] for how in ways)
    assert not list((tmp_path / "out" / "records").glob("raises--*.failed.json"))
    assert all(path.stat().st_mtime_ns == written for path, written in before.items()), "stages that ended are reused"


def test_one_bad_seed_leaves_the_other(splitbench: Command, plugin: Path, tmp_path: Path) -> None:
    arms = ["none", {"criterion": "faulty", "how": "raises", "name": "mine"}]
    command = ["--out", tmp_path / "out", "--workers", 1, "--plugin", plugin]
    assert splitbench("run", study_file(tmp_path, arms=arms), *command)[0] == 0
    (plugin.parent / "broken").touch()
    try:
        status, out, _ = splitbench("run", study_file(tmp_path, arms=arms, seeds=2), *command)
    finally:
        (plugin.parent / "broken").unlink()
    assert status == 1
    assert "failed: 1 of 2" in out
    loaded = load_runs(tmp_path / "out")
    assert [(run.record.arm, run.record.repetition) for run in loaded.runs] == [("mine", 0), ("none", 0), ("none", 1)]
    assert [(one.arm, one.repetition) for one in loaded.failed] == [("mine", 1)]


def test_a_proxy_without_an_answer_fails_its_arm(plugin: Path, tmp_path: Path) -> None:
    arms = ["none", {"criterion": "zero_cost", "proxy": "allnan", "repetitions": 1, "name": "mine"}]
    found = splitbench.run(tiny(**SMALL, arms=arms), tmp_path, device="cpu", plugins=[plugin])
    (failure,) = found.failed
    assert (failure.arm, found.arms) == ("mine", ("none",))
    assert "the proxy allnan gives no finite score for any of the" in failure.reason


QUITS = """
from splitbench.harness.registry import register

@register("criteria", "q")
class Q:
    def __init__(self):
        raise SystemExit(0)
"""


@pytest.mark.parametrize("text", ["import sys; sys.exit(0)", QUITS])
def test_a_plugin_that_ends_the_program_is_named_before_anything_is_trained(
    splitbench: Command, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "quits.py"
    path.write_text(text)
    command = ["run", study_file(tmp_path, arms=["none", "q"]), "--plugin", path, "--out", tmp_path / "out"]
    status, out, err = splitbench(*command)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "quits.py" in err
    assert "sys.exit(0)" in err


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (RuntimeError("x"), True),
        (SystemExit(0), True),
        (MemoryError(), True),
        (FileNotFoundError(2, "x"), True),
        (ConfigError("x"), True),
        (OSError(28, "No space left on device"), False),
        (StoreError("x"), False),
        (DataError("x"), False),
    ],
)
def test_which_errors_are_a_runs_own(error: BaseException, own: bool) -> None:
    assert is_the_runs(error) is own


@pytest.mark.parametrize(
    "error", [SystemExit(0), ValueError("oh"), type("Odd", (Exception,), {"__module__": "gone"})()]
)
def test_what_a_component_raises_survives_the_way_from_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("splitbench.harness.stages.base.run_stage", broken)
    with pytest.raises(ComponentError) as raised:
        pool.run_in_worker(cast(Any, SimpleNamespace(kind="score")), StageStore(tmp_path))
    there = pickle.loads(pickle.dumps(raised.value))
    assert (there.stage, there.kind, there.said) == ("score", type(error).__name__, str(error))
    assert "in broken" in there.traceback
    assert is_the_runs(there)


def test_a_full_disk_ends_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(store, "write_run", full)
    with pytest.raises(StoreError, match="no room"):
        splitbench.run(tiny(**SMALL), tmp_path, device="cpu")
    assert not (tmp_path / LOCK).exists()


# -- one meaning, one protocol -------------------------------------------------------------------------------------

GM = {"criterion": "gm", "repetitions": 1, "name": "mine"}
RSPS = {"name": "rsps", "batch_size": 32}
SPELLED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a number": ({"trainer": {**RSPS, "learning_rate": 0.1}}, {"trainer": {**RSPS, "learning_rate": "1e-1"}}),
    "a whole number": ({"trainer": {**RSPS, "learning_rate": 1}}, {"trainer": {**RSPS, "learning_rate": 1.0}}),
    "a name": ({"dataset": "digits"}, {"dataset": {"name": "digits"}}),
    "a default": ({"trainer": "rsps"}, {"trainer": {"name": "rsps", "momentum": 0.9}}),
    "a selector's default": ({"selector": "random_best"}, {"selector": {"name": "random_best"}}),
    "a budget": ({"budget": {"steps": 5000}}, {"budget": {"steps": "5e3"}}),
    "a schedule": ({"schedule": {"warmup": 0.3}}, {"schedule": {"warmup": [0.3], "levels": 1}}),
    "two levels": ({"schedule": {"levels": 2, "warmup": 0.5}}, {"schedule": {"levels": 2, "warmup": [0.25, 0.25]}}),
    "an arm's trainer": (
        {"arms": ["none", {**GM, "trainer": {"name": "rsps", "batch_size": 64}}]},
        {"arms": ["none", {**GM, "trainer": {"batch_size": 64.0, "name": "rsps"}, "variant": "corrected"}]},
    ),
}


def told(changes: dict[str, Any]) -> tuple[str, list[str]]:
    study = Study.build(config.parse_study(tiny(**{"budget": {"steps": 5000}, "arms": ["none", GM]} | changes)), "cpu")
    return protocol(study.config, study.settings), [arm_mark(arm.config()) for arm in study.arms]


@pytest.mark.parametrize("case", list(SPELLED))
def test_two_spellings_are_one_protocol(case: str) -> None:
    first, second = SPELLED[case]
    assert told(first) == told(second)


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer": {"name": "rsps", "momentum": 0.8}},
        {"budget": {"steps": 5001}},
        {"schedule": {"levels": 2, "warmup": [0.3, 0.2]}},
        {"seed": 1},
        {"selector": {"name": "random_best", "samples": 5}},
        {"leaf_choice": "random_leaf"},
        {"precision": "bfloat16"},
        {"population": {"sample": 21}},
    ],
)
def test_two_meanings_are_two_protocols(changes: dict[str, Any]) -> None:
    assert told(changes)[0] != told({})[0]


def test_two_halves_in_two_spellings_are_one_study(splitbench: Command, tmp_path: Path) -> None:
    plain = {"trainer": {"name": "rsps", "batch_size": 32, "learning_rate": 0.1}, "dataset": "digits"}
    other = {"trainer": {"name": "rsps", "batch_size": 32.0, "learning_rate": "1e-1"}, "dataset": {"name": "digits"}}
    command = ["--out", tmp_path / "out", "--workers", 1, "--json"]
    assert splitbench("run", study_file(tmp_path, **plain), *command)[0] == 0
    status, out, err = splitbench("run", study_file(tmp_path, **other, seeds=2), *command)
    assert status == 0
    assert json.loads(out)["rows"][0]["runs"] == 2
    assert "set aside" not in err
    assert not (tmp_path / "out" / "earlier").exists()


@pytest.mark.parametrize("damage", ["../../outside", "a\x00b", "x" * 5000, ["a"], 7])
def test_a_damaged_protocol_moves_nothing(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "in" / "records" / "none--r0-d0.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema_version": 3, "arm": "none", "protocol": damage, "config": {}}))
    os.mkfifo(path.with_name("fifo.json"))  # opening it would wait for ever
    assert set_aside(tmp_path / "in", set()) == []
    assert path.exists()
    assert [one.name for one in tmp_path.iterdir()] == ["in"]


# -- one folder, one owner -----------------------------------------------------------------------------------------


def test_a_folder_in_use_is_a_sentence_and_untouched(splitbench: Command, tmp_path: Path) -> None:
    from splitbench.harness.running.folder_lock import FolderLock

    (tmp_path / "out").mkdir()
    with FolderLock(tmp_path / "out").held():
        status, out, err = splitbench("run", study_file(tmp_path), "--out", tmp_path / "out", "--workers", 1)
    assert (status, out) == (2, "")
    assert "is in use by another splitbench (process " in err.splitlines()[-1]
    assert not list((tmp_path / "out" / "records").iterdir())


def test_an_owner_that_was_stopped_overwrites_nothing(
    splitbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start T, stop it after its first record, run T with another budget into its folder, let the first go on."""
    monkeypatch.setenv("SPLITBENCH_LOCK_SECONDS", "2")
    folder = tmp_path / "out"
    arms = ["none", "random", {"criterion": "random", "name": "more", "draws": 6}]
    words = ["run", str(study_file(tmp_path, arms=arms)), "--out", str(folder), "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "splitbench", *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as first:
        try:
            while not list(folder.glob("records/*--r0-d0.json")) and first.poll() is None:
                time.sleep(0.05)
            first.send_signal(signal.SIGSTOP)
            changed = study_file(tmp_path, arms=["none"], budget={"steps": 30}, seeds=2)
            status, _, err = splitbench("run", changed, "--out", folder, "--workers", 1)
            assert status == 0, err
            assert "waiting up to 2 s to see whether that is alive" in err
            (folder / LOCK).write_text(json.dumps({"counter": 1, "host": "h", "pid": 1, "place": "", "token": "new"}))
            before = {path: path.read_bytes() for path in (folder / "records").iterdir()}
        finally:
            first.send_signal(signal.SIGCONT)
        said = first.communicate(timeout=120)[1]
    assert first.returncode == 2, said
    assert "process 1 on h has taken this results folder over, because this process stood still" in said
    assert {path: path.read_bytes() for path in (folder / "records").iterdir()} == before
    assert len(load_runs(folder).runs) == 2
    (earlier,) = (folder / "earlier").iterdir()
    assert {run.record.arm for run in load_runs(earlier).runs} >= {"none"}
