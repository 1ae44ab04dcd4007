"""The train stage: stopped and gone on from its checkpoint, placed on the schedule, told apart when it diverges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor
from train_stages import SESSIONS, SPACE, STEPS, Steps, StoppedError, stage_of, state

from splitbench.harness.budget import Allowance, Cost, Meter, TooDearError
from splitbench.harness.errors import SplitbenchError, StoreError
from splitbench.harness.hashing import hashed
from splitbench.harness.stages.base import Result, Scene, run_stage
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.train import CURVE_POINTS, Train, Trained, Training
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.trainers.base import Job, Session
from splitbench.harness.trainers.rsps import RspsSession
from splitbench.spaces.base import Choice
from splitbench.spaces.datasets.base import ImageData

pytestmark = pytest.mark.portable


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")


def steps_from_the_root(store: StageStore, stage: Train) -> int:
    return int(load_tensors(store.folder(stage.key) / WeightsPlace.file(0))[1]["steps"])


@pytest.mark.parametrize("trainer", list(SESSIONS))
@pytest.mark.parametrize("stop", [1, 7, 11])
@pytest.mark.usefixtures("every_step")
def test_a_stopped_training_goes_on_bit_for_bit(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: str, stop: int
) -> None:
    """Weights, momentum, moments, curve and cost equal those of a training that nothing stopped."""
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    stage = stage_of(scene, trainer)
    expected = run_stage(stage, whole)

    with monkeypatch.context() as patch:
        Steps(patch, SESSIONS[trainer], stop)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    folder = part.folder(stage.key)
    assert part.get(stage.key) is None
    assert (folder / "checkpoint.safetensors").exists()
    assert part.progress(stage.key) == pytest.approx(stop / STEPS)

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
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: str
) -> None:
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    parent = stage_of(scene, trainer, steps=4, window=(0.0, 0.3))
    narrow = SPACE.root().only(0, (2, 3))
    leaf = stage_of(scene, trainer, 6, (0.3, 1.0), WeightsPlace(parent.key), narrow)
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


def test_a_training_in_two_stages_is_one_training(scene: Scene, tmp_path: Path) -> None:
    """Warm-up and leaf of a supernet that is not split: the second stage goes on exactly where the first ended."""
    store = StageStore(tmp_path)
    once = stage_of(scene)
    first = stage_of(scene, steps=5, window=(0.0, 5 / STEPS))
    second = stage_of(scene, steps=STEPS - 5, window=(5 / STEPS, 1.0), parent=WeightsPlace(first.key))
    expected = run_stage(once, store)
    early, late = run_stage(first, store), run_stage(second, store)
    assert early.cost + late.cost == expected.cost
    curve = early.output[0].curve + late.output[0].curve
    assert [step for step, _ in curve] == [step for step, _ in expected.output[0].curve]
    assert [loss for _, loss in curve] == pytest.approx([loss for _, loss in expected.output[0].curve], rel=1e-3)
    assert steps_from_the_root(store, once) == steps_from_the_root(store, second) == STEPS


@pytest.mark.usefixtures("every_step")
def test_a_damaged_checkpoint_is_a_sentence(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, stage = StageStore(tmp_path), stage_of(scene)
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 5)
        with pytest.raises(StoppedError):
            run_stage(stage, store)
    checkpoint = store.folder(stage.key) / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(StoreError, match=r"checkpoint.safetensors is damaged .*; delete its folder and run the study"):
        run_stage(stage, store)


def test_without_time_for_a_checkpoint_there_is_none(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stage = StageStore(tmp_path), stage_of(scene)
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 5)
        with pytest.raises(StoppedError):
            run_stage(stage, store)
    steps = Steps(monkeypatch, RspsSession)
    run_stage(stage, store)
    assert steps.taken == list(range(STEPS))


@pytest.mark.parametrize("trainer", list(SESSIONS))
def test_a_supernet_that_diverges_is_a_sentence(scene: Scene, tmp_path: Path, trainer: str) -> None:
    with pytest.raises(SplitbenchError, match=rf"diverged; lower the learning rate of the trainer {trainer}"):
        run_stage(stage_of(scene, trainer, rate=1e20, steps=40), StageStore(tmp_path))


# --- what a training's hash holds ---------------------------------------------------------------------------------


def test_a_leafs_hash_holds_window_and_allowance_and_no_totals(scene: Scene) -> None:
    """A parent is known by its own hash alone: neither how long it was trained nor the arm's budget is in a leaf's."""
    leaf = stage_of(scene, window=(0.3, 1.0), parent=WeightsPlace("a parent"))
    inputs = hashed(leaf)
    assert set(inputs) == {"scene", "trainer", "modifiers", "members", "window", "initial_seed", "seed", "sampling"}
    (member,) = inputs["members"]
    assert member == {
        "subspace": [[0, 1, 2, 3, 4]] * 6,
        "parent": {"stage": "a parent", "member": 0},
        "allowance": {"unit": "steps", "amount": STEPS},
        "parts": [],
        "earlier": [],
    }
    others = [
        stage_of(scene, window=(0.2, 1.0), parent=WeightsPlace("a parent")),
        stage_of(scene, window=(0.3, 1.0), parent=WeightsPlace("another")),
        stage_of(scene, window=(0.3, 1.0), parent=WeightsPlace("a parent", 1)),
        stage_of(scene, steps=STEPS + 1, window=(0.3, 1.0), parent=WeightsPlace("a parent")),
        replace(leaf, members=(replace(leaf.members[0], allowance=Allowance("examples", STEPS)),)),
    ]
    assert len({leaf.key, *(other.key for other in others)}) == 6


# --- how an allowance is spent ------------------------------------------------------------------------------------


class Priced(Session):
    """A session whose steps have given prices and do nothing but note where on the schedule they are."""

    def __init__(self, prices: Sequence[int]) -> None:
        super().__init__(Job(SPACE, SPACE.root(), SPACE.supernet(0), ImageData({}, {}, 10), 0, Meter()))
        self.prices = prices
        self.places: list[tuple[int, float]] = []

    def next_cost(self, step: int) -> Cost:
        return Cost(next(islice(cycle(self.prices), step, None)), 1, 4)

    def choices(self, step: int) -> Sequence[Choice]:
        return []

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        raise AssertionError("it has no gradients")

    def step(self, step: int, position: float) -> float:
        self.places.append((step, position))
        self.job.meter.charge(self.next_cost(step))
        return float(step)

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """It has none."""


def training_of(
    allowance: Allowance,
    window: tuple[float, float] = (0.0, 1.0),
    first: int = 0,
    prices: Sequence[int] = (1,),
    together: int = 1,
) -> tuple[Training, list[tuple[int, float]]]:
    """A training that has spent its allowance, and the steps and places of its session."""
    session = Priced(prices)
    training = Training(session, allowance, first, "priced", together)
    while training.goes_on():
        training.step(*window)
    return training, session.places


@pytest.mark.parametrize(("start", "stop"), [(0.0, 1.0), (0.3, 0.5)])
def test_steps_are_spread_evenly_over_their_part_of_the_schedule(start: float, stop: float) -> None:
    _, places = training_of(Allowance("steps", 4), (start, stop))
    assert [step for step, _ in places] == [0, 1, 2, 3]
    assert [place for _, place in places] == pytest.approx([start + (stop - start) * k / 4 for k in range(4)])


def test_a_place_on_the_schedule_is_the_share_of_the_allowance_that_is_spent() -> None:
    """Steps of 3, 4 and 1 in turn, from the step that the parent stopped at."""
    _, places = training_of(Allowance("flops", 16), (0.2, 0.7), first=1, prices=(3, 4, 1))
    assert [step for step, _ in places] == [1, 2, 3, 4, 5, 6]
    assert [place for _, place in places] == pytest.approx([0.2 + 0.5 * spent / 16 for spent in (0, 4, 5, 8, 12, 13)])


@pytest.mark.parametrize(("amount", "steps", "spent"), [(3, 1, 3), (7, 2, 7), (7.9, 2, 7), (8, 3, 8), (10, 3, 8)])
def test_an_allowance_pays_for_whole_steps_in_their_order(amount: float, steps: int, spent: int) -> None:
    """A step that does not fit ends the training, though a cheaper one after it would fit."""
    training, _ = training_of(Allowance("flops", amount), prices=(3, 4, 1))
    assert (training.done, training.meter.cost.flops) == (steps, spent)


@pytest.mark.parametrize("amount", [0, 2, 2.9])
def test_an_allowance_below_the_first_step_is_a_sentence(amount: float) -> None:
    with pytest.raises(TooDearError, match=rf"^{amount:g} flops are left for a supernet, and one step takes 3$"):
        training_of(Allowance("flops", amount), prices=(3, 4, 1))


def test_a_step_that_costs_nothing_is_a_sentence() -> None:
    with pytest.raises(SplitbenchError, match=r"a step of the trainer priced costs nothing: its next_cost\(\)"):
        training_of(Allowance("flops", 3), prices=(0,))


def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter_clock(0.0, 0.4)
    monkeypatch.setattr("splitbench.harness.stages.train.time.monotonic", lambda: next(clock))


def test_seconds_end_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read before a step and at it."""
    ticking(monkeypatch)
    _, places = training_of(Allowance("seconds", 2.0))
    assert [place for _, place in places] == pytest.approx([0.4, 0.8])


def test_supernets_side_by_side_share_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that may take a second each take two together."""
    ticking(monkeypatch)
    _, places = training_of(Allowance("seconds", 1.0), together=2)
    assert [place for _, place in places] == pytest.approx([0.4, 0.8])


def iter_clock(start: float, tick: float) -> Iterator[float]:
    while True:
        yield start
        start += tick


@pytest.mark.parametrize("count", [1, 49, 50, 51, 100, 101, 1234])
def test_the_curve_keeps_the_mean_and_the_last_step(count: int) -> None:
    training, _ = training_of(Allowance("steps", count), first=10)
    assert training.result().steps == count
    curve = training.result().curve
    assert len(curve) <= CURVE_POINTS
    assert curve[-1][0] == 10 + count
    ends = [0, *(int(step) - 10 for step, _ in curve)]
    means = [sum(range(10 + a, 10 + b)) / (b - a) for a, b in pairwise(ends)]
    assert [loss for _, loss in curve] == pytest.approx(means)


def test_an_untrained_curve_is_empty() -> None:
    assert Training(Priced((1,)), Allowance("steps", 5), 3, "priced").result() == Trained(0, ())


def test_results_say_what_they_took(scene: Scene, tmp_path: Path) -> None:
    result: Result[tuple[Trained, ...]] = run_stage(stage_of(scene), StageStore(tmp_path))
    assert result.seconds > 0
    assert result.peak_bytes > 10_000_000
    assert result.machine.device.startswith("CPU")
    (trained,) = result.output
    assert trained.steps == result.cost.steps == STEPS
    assert result.cost.examples == STEPS * 16
