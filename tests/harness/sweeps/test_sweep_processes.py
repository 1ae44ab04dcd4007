"""Several processes on one sweep: on a journal, and on a PostgreSQL server with one of them killed in mid-trial."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from postgres_server import Server
from tiny_studies import tiny

import splitbench
from splitbench.harness.sweeps.attempts import HISTORY, ORIGINAL
from splitbench.harness.sweeps.storages.storage import open_storage
from splitbench.harness.sweeps.tuner import JOURNAL
from splitbench.results.sweeps import sweep

pytest_plugins = ["postgres_server"]
ARMS = ("none", "random")
PATIENCE = 300.0

STEPWISE = """
import itertools, os, time
from dataclasses import dataclass
from pathlib import Path

from splitbench.harness.registry import register
from splitbench.harness.selectors.search import RandomBest

calls = itertools.count()


@register("selectors", "stepwise")
@dataclass(frozen=True)
class Stepwise(RandomBest):
    def select(self, search):
        if "GATE" in os.environ:
            gate, call = Path(os.environ["GATE"]), next(calls)
            (gate / f"at {call}").touch()
            while not (gate / f"go {call}").exists():
                time.sleep(0.01)
        return super().select(search)
"""
"""A selector at which a process with a GATE says where it is, and goes on only when it is let: a leaf a call."""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test, whatever becomes of it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def study_file(folder: Path) -> Path:
    (folder / "stepwise.py").write_text(STEPWISE)
    path = folder / "shared.yaml"
    study = tiny(
        arms=list(ARMS),
        seeds=2,
        budget={"steps": 20},
        evaluation={"images": 60},
        selector={"name": "stepwise", "samples": 2},
        search={"trainer.learning_rate": {"log": [0.01, 0.5]}},
        sweep={"sampler": "random", "pruner": "none"},
    )
    path.write_text(yaml.safe_dump(study))
    return path


def start(study: Path, out: Path, trials: int, **environment: str) -> subprocess.Popen[bytes]:
    words = ["sweep", study, "--out", out, "--trials", trials, "--workers", 1, "--device", "cpu"]
    words += ["--plugin", study.parent / "stepwise.py"]
    with (study.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "splitbench", *map(str, words)],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[3],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )


def wait_for(there: Callable[[], bool], processes: list[subprocess.Popen[bytes]]) -> None:
    """Until it is so; fails if a process ends before."""
    end = time.monotonic() + PATIENCE
    while not there():
        assert all(process.poll() is None for process in processes), "a process has ended too early"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@functools.cache
def opened(place: str) -> BaseStorage:
    """One storage a place: each takes connections, and a server has only so many."""
    return open_storage(place)


def trials_of(place: str | Path, process: subprocess.Popen[bytes]) -> list[tuple[str, FrozenTrial]]:
    """Arm and trial of all that a process has taken, none before it has made the studies."""
    with contextlib.suppress(KeyError):
        storage = opened(str(place))
        studies = {arm: optuna.load_study(study_name=f"tiny/{arm}", storage=storage) for arm in ARMS}
        found = [(arm, trial) for arm, study in studies.items() for trial in study.trials]
        return [(arm, trial) for arm, trial in found if f"-{process.pid}-" in trial.user_attrs.get("worker", "")]
    return []


def chains(study: optuna.Study) -> dict[int, list[FrozenTrial]]:
    """By number of the trial that opened it, the trials of each slot."""
    found: dict[int, list[FrozenTrial]] = {}
    for trial in study.trials:
        if trial.user_attrs.get("reason") != "surplus":
            found.setdefault(trial.system_attrs.get(ORIGINAL, trial.number), []).append(trial)
    return found


def check_whole(studies: list[optuna.Study], trials: int) -> None:
    """Every slot ended once, and every configuration of a slot is its own: nothing lost, nothing doubled."""
    for study in studies:
        slots = chains(study)
        assert len(slots) == trials
        for slot in slots.values():
            assert [trial.state for trial in slot[:-1]] == [TrialState.FAIL] * (len(slot) - 1)
            assert slot[-1].state is TrialState.COMPLETE
            assert len({str(trial.params) for trial in slot if trial.params}) == 1
        assert len({str(slot[-1].params) for slot in slots.values()}) == trials


def test_two_processes_share_a_journal(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """Both write into the same results folder; each does a part, and together they do what one would have done."""
    study = study_file(tmp_path)
    together, alone, gate = tmp_path / "together", tmp_path / "alone", tmp_path / "gate"
    gate.mkdir()
    started += [start(study, together, 2, GATE=str(gate)), start(study, together, 2)]
    wait_for((gate / "at 0").exists, started)  # the first has a trial, and keeps it until the other has one, too
    wait_for(lambda: bool(trials_of(together / JOURNAL, started[1])), started[:1])
    for call in range(100):
        (gate / f"go {call}").touch()
    assert [process.wait(PATIENCE) for process in started] == [0, 0], (tmp_path / "together.log").read_text()
    storage = open_storage(together / JOURNAL)
    studies = [optuna.load_study(study_name=f"tiny/{arm}", storage=storage) for arm in ARMS]
    check_whole(studies, 2)
    assert len({trial.user_attrs["worker"] for study in studies for trial in study.trials}) == 2
    splitbench.sweep(study, trials=2, out=alone, device="cpu", plugins=[tmp_path / "stepwise.py"])
    both = [sweep.read_sweep(folder) for folder in (together, alone)]
    assert [found.complete for found in both] == [True, True]
    ran = [{arm.arm: [(t.slot, t.values, t.differences) for t in arm.trials] for arm in found.arms} for found in both]
    assert ran[0] == ran[1]  # random search proposes by slot alone


@pytest.mark.postgres
def test_a_process_that_is_killed_leaves_its_trial_to_the_other(
    tmp_path: Path, postgres: Server, started: list[subprocess.Popen[bytes]]
) -> None:
    """As on two machines: a database for the trials, and a results folder for each process."""
    url, study, gate = postgres.fresh(), study_file(tmp_path), tmp_path / "gate"
    gate.mkdir()
    outs = [tmp_path / "first", tmp_path / "second"]
    started.append(start(study, outs[0], 2, SPLITBENCH_STORAGE=url, GATE=str(gate)))
    started.append(start(study, outs[1], 2, SPLITBENCH_STORAGE=url))
    wait_for(lambda: bool(trials_of(url, started[1])), started)
    arm, number = step_into_the_middle(url, started, gate)
    started[0].kill()  # SIGKILL
    started[0].wait()
    assert started[1].wait(PATIENCE) == 0, (tmp_path / "second.log").read_text()

    storage = open_storage(url)
    studies = {arm: optuna.load_study(study_name=f"tiny/{arm}", storage=storage) for arm in ARMS}
    check_whole(list(studies.values()), 2)
    assert sum(trial.state is TrialState.COMPLETE for study in studies.values() for trial in study.trials) == 4
    failed = studies[arm].trials[number]
    assert failed.state is TrialState.FAIL
    (retry,) = [trial for trial in studies[arm].trials if number in trial.system_attrs.get(HISTORY, [])]
    assert retry.state is TrialState.COMPLETE
    assert retry.params == failed.params
    assert retry.user_attrs["worker"] != failed.user_attrs["worker"]
    assert retry.user_attrs["differences"][0] == failed.user_attrs["differences"][0]
    found = sweep.read_sweep(outs[1])
    assert found.complete
    assert [len(one.trials) for one in found.arms] == [2, 2]
    assert "was left behind, and is done again" in (tmp_path / "second.log").read_text()
    password = postgres.url("x").partition(":")[2].partition("@")[0].rpartition(":")[2]
    assert password not in (tmp_path / "second.log").read_text()


def step_into_the_middle(url: str, processes: list[subprocess.Popen[bytes]], gate: Path) -> tuple[str, int]:
    """Arm and number of a trial of the first process that has one seed of two; the process stands in the second."""
    for call in itertools.count():
        wait_for((gate / f"at {call}").exists, processes)
        for arm, trial in trials_of(url, processes[0]):
            if trial.state is TrialState.RUNNING and len(trial.intermediate_values) == 1:
                return arm, trial.number
        (gate / f"go {call}").touch()
    raise AssertionError("an endless count has ended")
