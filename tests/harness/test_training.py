"""The train stage: stopped and gone on from its checkpoint, placed on the schedule, told apart when it diverges."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from splitbench.harness.training import CURVE_POINTS, Progress
from splitbench.harness.work import run_stage
from tiny_studies import tiny

from splitbench.harness.config import parse
from splitbench.harness.device import machine
from splitbench.harness.errors import SplitbenchError, StoreError
from splitbench.harness.stages import Result, Stage, StageStore, load_tensors
from splitbench.harness.study import Study
from splitbench.harness.trainers.darts import DartsSession
from splitbench.harness.trainers.rsps import RspsSession
from splitbench.spaces.micro.space import Micro

pytestmark = pytest.mark.portable

SPACE = Micro()
STEPS = 12
SESSIONS: dict[str, Any] = {"rsps": RspsSession, "darts": DartsSession}


@pytest.fixture(scope="module")
def common() -> dict[str, Any]:
    return dict(Study.build(parse(tiny()), "cpu").settings.common)


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")


def stage_of(common: dict[str, Any], trainer: str = "rsps", rate: float = 0.05, **changes: Any) -> Stage:
    inputs: dict[str, Any] = {
        "trainer": {"name": trainer, "batch_size": 16, "learning_rate": rate},
        "subspace": [list(operations) for operations in SPACE.root().allowed],
        "parent": None,
        "initial_seed": 1,
        "seed": 2,
        "first": 0,
        "steps": STEPS,
        "seconds": None,
        "progress": [0.0, 1.0],
    }
    return Stage("train", {**common, **inputs, **changes})


def state(store: StageStore, stage: Stage) -> dict[str, torch.Tensor]:
    return load_tensors(store.folder(stage.key) / "state.safetensors")[0]


class StoppedError(Exception):
    """What stops a training in the middle."""


class Steps:
    """Counts the steps of sessions, notes them, and stops before the n-th."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, session: type, stop: int | None = None) -> None:
        self.taken: list[int] = []
        self.stop, step = stop, session.step  # type: ignore[attr-defined]

        def counted(session: Any, number: int, progress: float) -> float:
            if len(self.taken) == self.stop:
                raise StoppedError
            self.taken.append(number)
            loss: float = step(session, number, progress)
            return loss

        monkeypatch.setattr(session, "step", counted)


@pytest.mark.parametrize("trainer", list(SESSIONS))
@pytest.mark.parametrize("stop", [1, 7, 11])
@pytest.mark.usefixtures("every_step")
def test_a_stopped_training_goes_on_bit_for_bit(
    common: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: str, stop: int
) -> None:
    """Weights, momentum, moments, curve and cost equal those of a training that nothing stopped."""
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    stage = stage_of(common, trainer)
    expected = run_stage(stage, whole)

    with monkeypatch.context() as patch:
        Steps(patch, SESSIONS[trainer], stop)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    folder = part.folder(stage.key)
    assert part.get(stage.key) is None
    assert (folder / "checkpoint.safetensors").exists()
    assert part.progress(stage.key) == pytest.approx((stop - 1) / STEPS)

    steps = Steps(monkeypatch, SESSIONS[trainer])
    found = run_stage(stage, part)
    assert steps.taken == list(range(stop, STEPS))
    assert (found.output, found.cost) == (expected.output, expected.cost)
    first, second = state(whole, stage), state(part, stage)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not (folder / "checkpoint.safetensors").exists()
    assert run_stage(stage, part) == found
    assert steps.taken == list(range(stop, STEPS))


@pytest.mark.parametrize("trainer", list(SESSIONS))
@pytest.mark.usefixtures("every_step")
def test_a_leaf_stopped_in_the_middle_goes_on_with_its_parents_tensors(
    common: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: str
) -> None:
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    parent = stage_of(common, trainer, steps=4, progress=[0.0, 0.3])
    narrow = [list(operations) for operations in SPACE.root().only(0, (2, 3)).allowed]
    leaf = stage_of(common, trainer, parent=parent.key, subspace=narrow, first=4, steps=6, progress=[0.3, 1.0])
    for store in (whole, part):
        run_stage(parent, store)
    expected = run_stage(leaf, whole)
    with monkeypatch.context() as patch:
        Steps(patch, SESSIONS[trainer], 3)
        with pytest.raises(StoppedError):
            run_stage(leaf, part)
    steps = Steps(monkeypatch, SESSIONS[trainer])
    assert run_stage(leaf, part).output == expected.output
    assert steps.taken == [7, 8, 9]
    first, second = state(whole, leaf), state(part, leaf)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_in_two_stages_is_one_training(common: dict[str, Any], tmp_path: Path) -> None:
    """Warm-up and leaf of a supernet that is not split: the second stage goes on exactly where the first ended."""
    store = StageStore(tmp_path)
    once = stage_of(common)
    first = stage_of(common, steps=5, progress=[0.0, 5 / STEPS])
    second = stage_of(common, parent=first.key, first=5, steps=STEPS - 5, progress=[5 / STEPS, 1.0])
    expected = run_stage(once, store)
    early, late = run_stage(first, store), run_stage(second, store)
    assert early.cost + late.cost == expected.cost
    curve = early.output["curve"] + late.output["curve"]
    assert [step for step, _ in curve] == [step for step, _ in expected.output["curve"]]
    assert [loss for _, loss in curve] == pytest.approx([loss for _, loss in expected.output["curve"]], rel=1e-3)


@pytest.mark.usefixtures("every_step")
def test_a_damaged_checkpoint_is_a_sentence(
    common: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stage = StageStore(tmp_path), stage_of(common)
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 5)
        with pytest.raises(StoppedError):
            run_stage(stage, store)
    checkpoint = store.folder(stage.key) / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(StoreError, match=r"checkpoint.safetensors is damaged .*; delete its folder and run the study"):
        run_stage(stage, store)


def test_without_time_for_a_checkpoint_there_is_none(
    common: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stage = StageStore(tmp_path), stage_of(common)
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 5)
        with pytest.raises(StoppedError):
            run_stage(stage, store)
    steps = Steps(monkeypatch, RspsSession)
    run_stage(stage, store)
    assert steps.taken == list(range(STEPS))


@pytest.mark.parametrize("trainer", list(SESSIONS))
def test_a_supernet_that_diverges_is_a_sentence(common: dict[str, Any], tmp_path: Path, trainer: str) -> None:
    with pytest.raises(SplitbenchError, match=rf"diverged; lower the learning rate of the trainer {trainer}"):
        run_stage(stage_of(common, trainer, rate=1e20, steps=40), StageStore(tmp_path))


# --- progress ---------------------------------------------------------------------------------------------------------


def progress_of(steps: int | None, start: float = 0.0, stop: float = 1.0, first: int = 0, **more: Any) -> Progress:
    return Progress(
        {"steps": steps, "seconds": None, "progress": [start, stop], "first": first, **more}, Path("unused")
    )


@pytest.mark.parametrize(("start", "stop"), [(0.0, 1.0), (0.3, 0.5)])
def test_steps_are_spread_evenly_over_their_part_of_the_schedule(start: float, stop: float) -> None:
    places = list(progress_of(4, start, stop))
    assert [step for step, _ in places] == [0, 1, 2, 3]
    assert [place for _, place in places] == pytest.approx([start + (stop - start) * k / 4 for k in range(4)])


def test_no_steps_are_none() -> None:
    assert list(progress_of(0)) == []


def test_seconds_end_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter_clock(0.0, 0.4)
    monkeypatch.setattr("splitbench.harness.training.time.monotonic", lambda: next(clock))
    places = [place for _, place in progress_of(None, seconds=2.0)]
    assert places == pytest.approx([0.2, 0.4, 0.6, 0.8])


def iter_clock(start: float, tick: float) -> Iterator[float]:
    while True:
        yield start
        start += tick


@pytest.mark.parametrize("count", [1, 49, 50, 51, 100, 101, 1234])
def test_the_curve_keeps_the_mean_and_the_last_step(count: int) -> None:
    progress = progress_of(count, first=10)
    for step in range(count):
        progress.log(float(step))
    curve = progress.curve()
    assert len(curve) <= CURVE_POINTS
    assert curve[-1][0] == 10 + count
    ends = [0, *(int(step) - 10 for step, _ in curve)]
    means = [sum(range(a, b)) / (b - a) for a, b in pairwise(ends)]
    assert [loss for _, loss in curve] == pytest.approx(means)


def test_an_untrained_curve_is_empty() -> None:
    assert progress_of(0).curve() == []


def test_results_say_what_they_took(common: dict[str, Any], tmp_path: Path) -> None:
    result: Result = run_stage(stage_of(common), StageStore(tmp_path))
    assert result.seconds > 0
    assert result.peak_bytes > 10_000_000
    assert result.machine == machine(torch.device("cpu"))
    assert result.output["steps"] == result.cost.steps == STEPS
    assert result.cost.examples == STEPS * 16
