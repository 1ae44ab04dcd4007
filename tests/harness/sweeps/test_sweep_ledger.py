"""Slots, retries and heartbeats: no trial is lost and none is run twice, whatever dies in whichever moment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.sweeps.attempts import slot_of
from splitbench.harness.sweeps.ledger import TrialLedger
from splitbench.harness.sweeps.storages.storage import open_storage, open_studies
from splitbench.harness.sweeps.worker import BEAT_SECONDS, Worker, worker_state

pytest_plugins = ["postgres_server"]

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
SPACE: dict[str, BaseDistribution] = {
    "trainer.lr": FloatDistribution(0.005, 0.1, log=True),
    "schedule.levels": IntDistribution(1, 3),
    "partitioner": CategoricalDistribution(["gap", "max_cut"]),
}
RUNNING, WAITING, COMPLETE, PRUNED, FAIL = (
    TrialState.RUNNING,
    TrialState.WAITING,
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
)


@pytest.fixture(autouse=True)
def lock_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workers' lock files of this test only."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "sweep.journal")


@pytest.fixture(params=["journal", "sqlite", POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres").fresh()
    return str(tmp_path / "sweep.journal") if request.param == "journal" else f"sqlite:///{tmp_path}/sweep.db"


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def process(place: str, wanted: int, seed: int = 0, **options: Any) -> Iterator[TrialLedger]:
    """A ledger as a process of its own would have it: its own storage, worker and sampler."""
    with Worker() as worker:
        yield ledger(place, wanted, worker, seed, **options)


def ledger(place: str, wanted: int, worker: Worker, seed: int = 0, **options: Any) -> TrialLedger:
    study = open_studies(open_storage(place), {"demo/gm": {"protocol": "p"}})["demo/gm"]
    study.sampler = optuna.samplers.RandomSampler(seed)
    return TrialLedger(study, wanted, worker, SPACE, **options)


def states(one: TrialLedger) -> list[TrialState]:
    return [trial.state for trial in one.study.get_trials()]


def claimed(one: TrialLedger) -> optuna.Trial:
    trial = one.claim()
    assert trial is not None
    return trial


def at_once(work: Callable[[], None], count: int) -> None:
    """Threads that stand for processes: what they share is the storage."""
    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work) for _ in range(count)]:
            future.result()


# -- the life of a slot ----------------------------------------------------------------------------------------------


def test_trials_are_claimed_finished_and_pruned(place: str) -> None:
    with process(place, 3) as one:
        assert (one.claimed, one.running, one.finished, one.settled) == (0, 0, 0, False)
        first, second, third = (claimed(one) for _ in range(3))
        assert one.claim() is None
        assert (one.claimed, one.running, one.finished) == (3, 3, 0)
        assert set(first.params) == set(SPACE)
        first.report(0.1, step=1)
        assert one.finish(first, 0.2)
        assert one.prune(second)
        assert one.prune(third, "the budget is too small")
        assert one.settled
        assert one.claim() is None
        assert one.revive() == []
        assert [trial.state for trial in one.slots()] == [COMPLETE, PRUNED, PRUNED]
        assert [trial.value for trial in one.slots()] == [0.2, None, None]
        assert one.slots()[2].user_attrs["reason"] == "the budget is too small"
        assert "reason" not in one.slots()[1].user_attrs


def test_a_value_that_is_no_number_is_the_callers_mistake(journal: str) -> None:
    with process(journal, 1) as one, pytest.raises(ValueError, match="nan"):
        one.finish(claimed(one), float("nan"))


def test_processes_at_once_run_each_slot_once(place: str) -> None:
    wanted, barrier, seeds = 6, threading.Barrier(4, timeout=60), iter(range(4))
    ran: list[int] = []

    def work() -> None:
        with process(place, wanted, next(seeds)) as one:
            barrier.wait()
            while (trial := one.claim()) is not None:
                ran.append(trial.number)
                assert one.finish(trial, trial.params["trainer.lr"])

    at_once(work, 4)
    with process(place, wanted) as one:
        assert sorted(ran) == sorted(trial.number for trial in one.slots())
        assert len(ran) == wanted
        assert one.settled
        others = [trial for trial in one.study.get_trials() if trial.number not in ran]
        assert all(trial.state is FAIL and trial.user_attrs["reason"] == "surplus" for trial in others)


def test_one_waiting_retry_is_taken_by_one_process(place: str) -> None:
    """Optuna's own pop reads a trial's state and writes it later; SQLite alone does not lock it in between."""
    with process(place, 1) as one:
        one.release(claimed(one), "interrupted")
    barrier, rounds = threading.Barrier(3, timeout=60), 5
    taken: list[list[int]] = [[] for _ in range(rounds)]

    def take() -> None:
        with process(place, 1) as one:
            for numbers in taken:
                barrier.wait()
                trial = one.claim()
                if trial is not None:
                    numbers.append(trial.number)
                barrier.wait()
                if trial is not None:
                    one.release(trial, "interrupted")

    at_once(take, 3)
    assert taken == [[number] for number in range(1, rounds + 1)]


def test_a_slot_too_many_is_never_run_nor_counted(place: str) -> None:
    with process(place, 2) as one, process(place, 2) as other:
        one.finish(claimed(one), 0.1)
        theirs: list[optuna.Trial] = []
        create = one.study._storage.create_new_trial

        def later(study_id: int) -> int:
            one.study._storage.create_new_trial = create  # type: ignore[method-assign]
            theirs.append(claimed(other))
            return create(study_id)

        one.study._storage.create_new_trial = later  # type: ignore[method-assign,assignment]
        assert one.claim() is None
        assert states(one) == [COMPLETE, RUNNING, FAIL]
        assert one.study.get_trials()[2].user_attrs == {"reason": "surplus"}
        assert one.study.get_trials()[2].params == {}
        assert [trial.number for trial in one.slots()] == [0, 1]
        assert other.finish(theirs[0], 0.2)
        assert one.settled
        assert one.revive() == []
        # A sweep that is asked for more later fills the slot with a fresh trial.
        more = TrialLedger(one.study, 3, one._worker, SPACE)
        assert claimed(more).number == 3
        assert slot_of(one.study.get_trials(), 3) == 2


def test_slots_of_a_sweep_that_was_asked_for_more_count(journal: str) -> None:
    with process(journal, 3) as one:
        trials = [claimed(one) for _ in range(3)]
        one.finish(trials[0], 0.1)
        one.prune(trials[1])
        one.release(trials[2], "interrupted")
    with process(journal, 1) as fewer:
        assert fewer.revive() == []
        assert fewer.claimed == 3
        assert not fewer.settled
        assert claimed(fewer).params == trials[2].params
        assert fewer.claim() is None


def test_the_slot_of_a_trial_is_the_rank_of_its_original(journal: str) -> None:
    with process(journal, 3) as one:
        trials = [claimed(one) for _ in range(3)]
        for trial in trials[:2]:
            one.release(trial, "interrupted")
        found = one.study.get_trials()
        assert [slot_of(found, number) for number in range(5)] == [0, 1, 2, 0, 1]
        with pytest.raises(KeyError):
            slot_of(found, 5)


# -- death, in each of its moments -----------------------------------------------------------------------------------

VICTIM = """
import json, sys, time
from test_sweep_ledger import process
with process(sys.argv[1], 2, seed=7) as one:
    trial = one.claim()
    print(json.dumps([trial.number, trial.params]), flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_ran_is_run_again(journal: str, lock_files: Path) -> None:
    """On a journal; test_sweep_processes kills a whole sweep's process on a database."""
    with process(journal, 2) as one:
        one.finish(claimed(one), 0.1)
        environment = {**os.environ, "TMPDIR": str(lock_files), "PYTHONPATH": os.pathsep.join(sys.path)}
        victim = subprocess.Popen([sys.executable, "-c", VICTIM, journal], stdout=subprocess.PIPE, env=environment)
        try:
            assert victim.stdout is not None
            number, params = json.loads(victim.stdout.readline())
            assert one.revive() == []
            assert one.claim() is None
        finally:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        assert one.revive() == [number]
        assert one.revive() == []
        retry = claimed(one)
        assert retry.params == params
        assert one.finish(retry, 0.3)
        assert states(one) == [COMPLETE, FAIL, COMPLETE]
        assert one.settled
        frozen = one.study.get_trials()[2]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            assert RetryHeartbeatStaleTrialCallback.retried_trial_number(frozen) == number
            assert RetryHeartbeatStaleTrialCallback.retry_history(frozen) == [number]


def test_a_slot_that_kills_every_process_is_given_up(journal: str) -> None:
    with process(journal, 1) as observer:
        numbers = []
        for _ in range(4):
            with process(journal, 1) as one:
                numbers.append(claimed(one).number)
            assert observer.revive() == numbers[-1:]
        assert numbers == [0, 1, 2, 3]
        assert states(observer) == [FAIL] * 4 + [PRUNED]
        assert observer.settled
        last = observer.slots()[0]
        assert last.user_attrs == {"reason": "the process that ran it died 4 times"}
        assert last.system_attrs == {"failed_trial": 0, "retry_history": [0, 1, 2, 3]}
        assert last.params == observer.study.get_trials()[0].params
        assert last.value is None


def test_what_is_given_up_shows_its_configuration_and_what_it_cost(journal: str) -> None:
    told: list[dict[str, Any]] = [
        {"values": {"x": 1}, "record": "a"},
        {"values": {"x": 1}, "record": "a", "spent": 2.0, "validation": [0.5], "differences": [0.1]},
        {"values": {"x": 1}, "record": "b", "spent": 3.0, "validation": [0.5], "differences": [0.1]},
        {"values": {"x": 1}, "record": "a", "spent": 1.0, "other": 1},
    ]
    with process(journal, 1) as one:
        for attributes in told:
            trial = claimed(one)
            for key, value in attributes.items():
                trial.set_user_attr(key, value)
            trial.report(0.1, step=1)
            one.release(trial, None)
        assert states(one) == [FAIL] * 4 + [PRUNED]
        assert one.slots()[0].user_attrs == {**told[2], "reason": "the process that ran it died 4 times"}
        assert one.slots()[0].intermediate_values == {}
        assert one.slots()[0].value is None


def test_a_retry_after_a_second_death_waits_for_all_fresh_slots(place: str) -> None:
    """After the first it comes at once: it may have been the machine, and a sweep is to go on as it would have."""
    with process(place, 4) as one:
        killer, other = claimed(one), claimed(one)
        one.release(killer, None)
        assert "reason" not in one.study.get_trials()[0].user_attrs
        again = claimed(one)
        assert (again.number, again.params) == (2, killer.params)
        one.release(again, None)
        one.release(other, "interrupted")
        assert [claimed(one).number for _ in range(4)] == [4, 5, 6, 3]
        assert one.claim() is None
        trials = one.study.get_trials()
        assert [slot_of(trials, trial.number) for trial in trials] == [0, 1, 0, 0, 1, 2, 3]
        assert trials[3].params == killer.params
        assert trials[4].params == other.params


def test_of_retries_after_deaths_the_one_with_fewest_is_first(journal: str) -> None:
    with process(journal, 2) as one:
        first, second = claimed(one), claimed(one)
        for _ in range(2):
            one.release(first, None)
            first = claimed(one)
        one.release(first, None)  # its third death
        one.release(second, None)
        second = claimed(one)
        one.release(second, None)  # its second
        assert claimed(one).params == second.params
        again = claimed(one)
        assert again.params == first.params
        # An interruption says that the last attempt was not the one that killed: it is taken up at once.
        one.release(again, "interrupted")
        more = TrialLedger(one.study, 3, one._worker, SPACE)
        assert claimed(more).params == first.params
        assert len(claimed(more).params) == len(SPACE)
        assert more.claimed == 3


def test_a_configuration_that_kills_every_process_keeps_no_slot_from_running(journal: str) -> None:
    ran = []
    with process(journal, 3) as observer:
        for _ in range(9):
            with process(journal, 3) as one:
                while (trial := one.claim()) is not None:
                    ran.append(slot_of(one.study.get_trials(), trial.number))
                    if not ran[-1]:
                        break
                    one.finish(trial, 0.1)
            observer.revive()
        assert ran == [0, 0, 1, 2, 0, 0]
        assert observer.settled
        assert [trial.state for trial in observer.slots()] == [PRUNED, COMPLETE, COMPLETE]


def test_interruptions_are_no_deaths(journal: str) -> None:
    with process(journal, 1) as one:
        params = []
        for _ in range(6):
            trial = claimed(one)
            params.append(trial.params)
            one.release(trial, "interrupted")
        assert params == params[:1] * 6
        assert one.study.get_trials()[0].user_attrs["reason"] == "interrupted"
        assert one.finish(claimed(one), 0.5)
        assert states(one) == [FAIL] * 6 + [COMPLETE]


def test_a_trial_that_was_taken_over_cannot_be_ended(place: str) -> None:
    with process(place, 3) as observer:
        with process(place, 3) as one:
            trials = [claimed(one) for _ in range(3)]
        # Its lock file is free, as if it had died, and yet it goes on.
        assert observer.revive() == [0, 1, 2]
        assert not one.finish(trials[0], 1.0)
        assert not one.prune(trials[1], "too late")
        one.release(trials[2], "too late")
        assert states(observer) == [FAIL] * 3 + [WAITING] * 3
        assert all("reason" not in trial.user_attrs for trial in observer.study.get_trials())


def test_two_processes_that_take_over_at_once_queue_one_retry(journal: str) -> None:
    with process(journal, 1) as dead:
        claimed(dead)
    with process(journal, 1) as one, process(journal, 1) as other:
        add = one.study.add_trial

        def later(trial: FrozenTrial) -> None:
            one.study.add_trial = add  # type: ignore[method-assign]
            assert other.revive() == [0]
            add(trial)

        one.study.add_trial = later  # type: ignore[method-assign]
        one.revive()
        assert states(one) == [FAIL, WAITING, WAITING]
        assert claimed(one).number == 1
        assert one.claim() is None
        one.revive()
        assert states(one) == [FAIL, RUNNING, FAIL]
        assert one.study.get_trials()[2].user_attrs["reason"] == "surplus"
        assert [trial.number for trial in one.slots()] == [1]


def test_a_retry_that_another_process_takes_first_opens_no_slot(journal: str) -> None:
    with process(journal, 1) as one, process(journal, 1) as other:
        one.release(claimed(one), "interrupted")
        set_state = one.study._storage.set_trial_state_values

        def later(*arguments: Any) -> bool:
            one.study._storage.set_trial_state_values = set_state  # type: ignore[method-assign]
            assert claimed(other).number == 1
            return set_state(*arguments)

        one.study._storage.set_trial_state_values = later  # type: ignore[method-assign]
        assert one.claim() is None
        assert states(one) == [FAIL, RUNNING]


def test_a_surplus_retry_is_never_taken_out_of_the_queue(journal: str) -> None:
    with process(journal, 2) as one:
        one.release(claimed(one), "interrupted")
        assert claimed(one).number == 1
        history = {"failed_trial": 0, "retry_history": [0]}
        one.study.add_trial(optuna.create_trial(state=WAITING, system_attrs=history))
        assert claimed(one).number == 3
        assert one.claim() is None
        assert one.revive() == []
        assert states(one) == [FAIL, RUNNING, FAIL, RUNNING]


def test_a_retry_that_was_due_and_is_missing_is_queued(journal: str) -> None:
    with process(journal, 1) as one:
        trial = claimed(one)
        one.study._storage.set_trial_state_values(trial._trial_id, FAIL)
        assert one.revive() == [0]
        assert one.revive() == []
        assert claimed(one).params == trial.params


def test_a_trial_left_before_it_had_a_name_or_parameters_is_filled(journal: str) -> None:
    clock = Clock()
    with process(journal, 1, clock=clock) as one:
        one.study.ask()
        assert look(one, clock, 45) == []
        assert look(one, clock, 15) == [0]
        assert set(claimed(one).params) == set(SPACE)


def test_a_slot_too_many_left_without_a_name_is_put_down(journal: str) -> None:
    with process(journal, 1) as one:
        one.finish(claimed(one), 0.1)
        one.study.ask()
        assert one.settled
        assert one.revive() == []
        assert states(one) == [COMPLETE, FAIL]
        assert one.settled


def test_a_claim_that_is_interrupted_gives_the_trial_back(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with process(journal, 1) as one:

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(one.study.sampler, "sample_independent", interrupt)
            with pytest.raises(KeyboardInterrupt):
                one.claim()
        assert states(one) == [FAIL, WAITING]
        assert set(claimed(one).params) == set(SPACE)


def test_a_trial_whose_end_could_not_be_told_is_run_again(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with process(journal, 1) as one:
        trial = claimed(one)

        def away(*_: Any, **__: Any) -> None:
            raise OSError("no such server")

        with monkeypatch.context() as patched:
            patched.setattr(one.study._storage, "set_trial_state_values", away)
            with pytest.raises(OSError, match="no such server"):
                one.finish(trial, 0.1)
        assert states(one) == [RUNNING]
        assert one.revive() == [0]
        assert claimed(one).params == trial.params


# -- heartbeats ------------------------------------------------------------------------------------------------------


def look(one: TrialLedger, clock: Clock, seconds: int) -> list[int]:
    """What is revived in some seconds of the observer's time, with a look every fifteen."""
    found = one.revive()
    for _ in range(0, seconds, 15):
        clock.now += 15
        found += one.revive()
    return found


def forget(folder: Path) -> None:
    """As on another machine: no worker's lock file is here."""
    for file in folder.glob("*/*"):
        file.unlink()


def test_another_machines_trial_is_taken_over_when_its_beat_stands_still(journal: str, lock_files: Path) -> None:
    clock = Clock()
    with process(journal, 1, clock=clock) as observer, Worker() as worker:
        remote = ledger(journal, 1, worker)
        trial = claimed(remote)
        forget(lock_files)
        for beat in range(1, 4):
            assert look(observer, clock, 45) == []
            worker.beat()
            assert observer.study.get_trials()[0].user_attrs["beat"] == beat
        assert look(observer, clock, 45) == []
        assert look(observer, clock, 15) == [0]
        assert not remote.finish(trial, 0.1)
        assert observer.finish(claimed(observer), 0.2)


def test_a_pause_of_the_observer_is_no_silence_of_the_observed(journal: str, lock_files: Path) -> None:
    clock = Clock()
    with process(journal, 1, clock=clock) as observer, process(journal, 1) as remote:
        claimed(remote)
        forget(lock_files)
        assert observer.revive() == []
        clock.now += 3600
        assert observer.revive() == []
        assert look(observer, clock, 30) == []
        assert look(observer, clock, 15) == [0]


def test_a_worker_of_this_machine_is_alive_while_it_holds_its_file(lock_files: Path) -> None:
    with Worker() as worker:
        assert worker_state(worker.name) == "alive"
        assert worker_state(worker.name) == "alive"  # a look lets nothing go
        files = list(lock_files.glob("*/*"))
        assert [file.name for file in files] == [worker.name]
        assert files[0].parent.stat().st_mode & 0o077 == 0
    assert worker_state(worker.name) == "unknown"
    assert list(lock_files.glob("*/*")) == []
    for name in ("", "no-such-worker-1-00", "../locks", "/etc/passwd", ".", "a/b"):
        assert worker_state(name) == "unknown"


def test_two_workers_of_a_process_have_names_of_their_own() -> None:
    with Worker() as one, Worker() as other:
        assert one.name != other.name
    assert BEAT_SECONDS == 15


def test_a_worker_that_leaves_trials_behind_is_dead(journal: str) -> None:
    with process(journal, 1) as one:
        claimed(one)
        name = one.study.get_trials()[0].user_attrs["worker"]
        assert worker_state(name) == "alive"
    assert worker_state(name) == "dead"


def test_a_forked_child_does_not_keep_its_parent_alive(journal: str) -> None:
    with process(journal, 1) as one:
        claimed(one)
        name = one.study.get_trials()[0].user_attrs["worker"]
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    try:
        deaths = (worker_state(name) for _ in range(1000))
        assert "dead" in deaths  # the child lets go as soon as it runs
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_without_a_place_for_lock_files_beats_remain(journal: str, lock_files: Path) -> None:
    lock_files.rmdir()
    lock_files.write_text("a file, where a folder should be")
    with process(journal, 1) as one:
        trial = claimed(one)
        one._worker.beat()
        assert one.study.get_trials()[0].user_attrs["beat"] == 1
        assert worker_state(one._worker.name) == "unknown"
        assert one.revive() == []
        assert one.finish(trial, 0.1)


def test_the_thread_beats_until_the_trial_ends(journal: str) -> None:
    beaten = threading.Event()
    with Worker(seconds=0.001) as worker:
        one = ledger(journal, 1, worker)
        set_attr = one.study._storage.set_trial_user_attr

        def noticed(trial_id: int, key: str, value: Any) -> None:
            set_attr(trial_id, key, value)
            if key == "beat" and value >= 3:
                beaten.set()

        one.study._storage.set_trial_user_attr = noticed  # type: ignore[method-assign]
        trial = claimed(one)
        assert beaten.wait(30)
        assert one.finish(trial, 0.1)
        assert not worker.owns(trial)


@pytest.mark.parametrize("error", [OSError("away"), optuna.exceptions.StorageInternalError("away"), RuntimeError()])
def test_beats_outlive_an_outage(error: Exception, journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with process(journal, 1) as one:
        trial = claimed(one)

        def away(*_: Any) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(one.study._storage, "set_trial_user_attr", away)
            one._worker.beat()
        assert one._worker.owns(trial)
        one._worker.beat()
        assert one.study.get_trials()[0].user_attrs["beat"] == 1


def test_a_trial_that_another_ended_is_owned_no_longer(journal: str) -> None:
    with process(journal, 1) as one:
        trial = claimed(one)
        one.study._storage.set_trial_state_values(trial._trial_id, FAIL)
        one._worker.beat()
        assert not one._worker.owns(trial)


def test_a_retry_keeps_what_the_sampler_wrote_and_nothing_of_the_pruners(journal: str) -> None:
    with process(journal, 1) as one:
        trial = claimed(one)
        for key in ("splitbench:sampler", "completed_rung_0", "fixed_params"):
            one.study._storage.set_trial_system_attr(trial._trial_id, key, {"x": 5})
        one.release(trial, "interrupted")
        retry = one.study.get_trials()[1]
        assert retry.system_attrs == {"failed_trial": 0, "retry_history": [0], "splitbench:sampler": {"x": 5}}
        assert retry.user_attrs == {}
        assert retry.state is WAITING


def test_every_kind_of_parameter_is_drawn_within_its_limits(journal: str) -> None:
    space = {"float": FloatDistribution(0.0, 1.0, step=0.25), "int": IntDistribution(2, 8, log=True), **SPACE}
    check: dict[str, Callable[[Any], bool]] = {
        "float": lambda value: value in (0.0, 0.25, 0.5, 0.75, 1.0),
        "int": lambda value: isinstance(value, int) and 2 <= value <= 8,
        "trainer.lr": lambda value: 0.005 <= value <= 0.1,
        "schedule.levels": lambda value: value in (1, 2, 3),
        "partitioner": lambda value: value in ("gap", "max_cut"),
    }
    with Worker() as worker:
        one = ledger(journal, 10, worker)
        one = TrialLedger(one.study, 10, worker, space)
        for _ in range(10):
            params = claimed(one).params
            assert params.keys() == space.keys()
            assert all(check[name](value) for name, value in params.items())
        assert one.study.get_trials()[0].distributions == space
