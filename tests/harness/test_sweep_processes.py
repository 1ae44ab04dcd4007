"""Several processes on one sweep: on a journal, and on a PostgreSQL server with one of them killed in mid-trial."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState
from postgres_server import Server
from tiny_studies import tiny

from harness.tuning.ledger import HISTORY, ORIGINAL
from harness.tuning.storage import open_storage
from harness.tuning.tuner import JOURNAL
from results import sweep

pytest_plugins = ["postgres_server"]
ARMS = ["none", {"criterion": "gm", "repetitions": 1, "name": "gm"}]
PATIENCE = 300.0


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test, whatever becomes of it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def study_file(folder: Path, **changes: Any) -> Path:
    path = folder / "shared.yaml"
    study = {"arms": ARMS, "seeds": 2, "search": {"trainer.learning_rate": {"log": [0.01, 0.5]}}}
    small = {"selector": {"name": "random_best", "samples": 2}, "sweep": {"sampler": "random", "pruner": "none"}}
    path.write_text(yaml.safe_dump(tiny(**{**study, **small, **changes})))
    return path


def start(study: Path, out: Path, trials: int, **environment: str) -> subprocess.Popen[bytes]:
    words = ["sweep", study, "--out", out, "--trials", trials, "--workers", 1]
    with (study.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "harness.cli.app", *map(str, words)],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        )


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
    together, alone = tmp_path / "together", tmp_path / "alone"
    started += [start(study, together, 6), start(study, together, 6)]
    assert [process.wait(PATIENCE) for process in started] == [0, 0], (tmp_path / "together.log").read_text()
    storage = open_storage(together / JOURNAL)
    studies = [optuna.load_study(study_name=f"tiny/{arm}", storage=storage) for arm in ("none", "gm")]
    check_whole(studies, 6)
    assert len({trial.user_attrs["worker"] for study in studies for trial in study.trials}) == 2
    started.append(start(study, alone, 6))
    assert started[-1].wait(PATIENCE) == 0
    both = [sweep.read(folder) for folder in (together, alone)]
    assert [found.complete for found in both] == [True, True]
    ran = [{arm.arm: [(t.slot, t.values, t.differences) for t in arm.trials] for arm in found.arms} for found in both]
    assert ran[0] == ran[1]  # random search proposes by slot alone


@pytest.mark.postgres
def test_a_process_that_is_killed_leaves_its_trial_to_the_other(
    tmp_path: Path, postgres: Server, started: list[subprocess.Popen[bytes]]
) -> None:
    """As on two machines: a database for the trials, and a results folder for each process."""
    url, study = postgres.fresh(), study_file(tmp_path, budget={"steps": 100})
    outs = [tmp_path / "first", tmp_path / "second"]
    started += [start(study, out, 10, SPLITBENCH_STORAGE=url) for out in outs]
    killed = wait_for_a_trial_in_the_middle(url, started)
    started[0].kill()  # SIGKILL
    started[0].wait()
    assert started[1].wait(PATIENCE) == 0, (tmp_path / "second.log").read_text()

    storage = open_storage(url)
    studies = {arm: optuna.load_study(study_name=f"tiny/{arm}", storage=storage) for arm in ("none", "gm")}
    check_whole(list(studies.values()), 10)
    assert sum(trial.state is TrialState.COMPLETE for study in studies.values() for trial in study.trials) == 20
    arm, number = killed
    failed = studies[arm].trials[number]
    assert failed.state is TrialState.FAIL
    (retry,) = [trial for trial in studies[arm].trials if number in trial.system_attrs.get(HISTORY, [])]
    assert retry.state is TrialState.COMPLETE
    assert retry.params == failed.params
    assert retry.user_attrs["worker"] != failed.user_attrs["worker"]
    assert retry.user_attrs["differences"][0] == failed.user_attrs["differences"][0]
    found = sweep.read(outs[1])
    assert found.complete
    assert [len(one.trials) for one in found.arms] == [10, 10]
    assert "was left behind, and is done again" in (tmp_path / "second.log").read_text()
    password = postgres.url("x").partition(":")[2].partition("@")[0].rpartition(":")[2]
    assert password not in (tmp_path / "second.log").read_text()


def wait_for_a_trial_in_the_middle(url: str, processes: list[subprocess.Popen[bytes]]) -> tuple[str, int]:
    """Arm and number of a trial of the first process that has one seed of two, while both processes work."""
    mine, studies, storage = f"-{processes[0].pid}-", list[optuna.Study](), open_storage(url)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and all(process.poll() is None for process in processes):
        time.sleep(0.05)
        if len(studies) < 2:
            with contextlib.suppress(KeyError):  # the processes have not made them yet
                studies = [optuna.load_study(study_name=f"tiny/{arm}", storage=storage) for arm in ("none", "gm")]
            continue
        seen = [(study, trial) for study in studies for trial in study.get_trials(deepcopy=False)]
        both = len({trial.user_attrs.get("worker") for _, trial in seen} - {None}) > 1
        for study, trial in seen:
            middle = trial.state is TrialState.RUNNING and len(trial.intermediate_values) == 1
            if both and middle and mine in trial.user_attrs.get("worker", ""):
                return study.study_name.partition("/")[2], trial.number
    raise AssertionError("no trial of the first process was seen in the middle")
