"""Selection within an allowance: a search that spends what it has, one that trains, and one that asks for too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tiny_studies import run_tiny, tiny
from train_stages import SPACE, Steps, StoppedError, stage_of

import splitbench
from splitbench.harness import registry
from splitbench.harness.budget import Allowance, Cost, TooDearError, forward_pass
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.part import Part
from splitbench.harness.running.study import Study
from splitbench.harness.selectors.base import Search, Selected, Selector
from splitbench.harness.stages.base import Scene, run_stage
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.select import Select
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.study.config import parse_study
from splitbench.harness.supernets.estimate import Evaluation
from splitbench.harness.supernets.normalisation import RECALIBRATED, RUNNING
from splitbench.harness.trainers.rsps import RspsSession
from splitbench.results.records.record import Record
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.base import Architecture


def of_seed(search: Search) -> Iterator[Architecture]:
    """Random architectures without end."""
    rng = np.random.default_rng(search.leaf.seed)
    while True:
        yield SPACE.sample(rng, search.leaf.subspace)


@dataclass(frozen=True)
class Spender(Selector):
    """Evaluates until nothing is left."""

    version: ClassVar[int] = 1

    def select(self, search: Search) -> Selected:
        found = []
        for path in of_seed(search):
            if search.price(path) > search.left:
                break
            found.append(Selected(path, *search.evaluate(path)))
        return max(found, key=lambda one: one.rank_key)


@dataclass(frozen=True)
class Tuner(Selector):
    """Looks, trains on, looks again, trains for the rest, and looks a last time."""

    version: ClassVar[int] = 1
    rounds: tuple[int, ...] = (3, 4)

    def select(self, search: Search) -> Selected:
        path = next(of_seed(search))
        for steps in self.rounds:
            search.evaluate(path)
            assert search.train(steps, 0.9) == steps
        return Selected(path, *search.evaluate(path))


@dataclass(frozen=True)
class Greedy(Selector):
    """Asks for one more estimate than it can pay."""

    version: ClassVar[int] = 1

    def select(self, search: Search) -> Selected:
        for path in of_seed(search):
            search.evaluate(path)
        raise AssertionError("the paths do not end")


@pytest.fixture(autouse=True)
def components() -> Iterator[None]:
    mine = {"spender": Spender, "tuner": Tuner, "greedy": Greedy}
    for name, component in mine.items():
        registry.register("selectors", name)(component)
    yield
    for name in mine:
        registry._registered.pop(("selectors", name))


# --- in a study -------------------------------------------------------------------------------------------------------

BATCH, IMAGES = 16, 50
STUDY: dict[str, Any] = {
    "trainer": {"name": "rsps", "batch_size": BATCH},
    "budget": {"flops": 1.5e9},
    "evaluation": {"images": IMAGES},
    "population": {"sample": 10},
    "schedule": {"warmup": 0.3, "selection": 0.2},
    "selector": "spender",
    "arms": ["none", {"criterion": "random", "name": "random"}],
}


@pytest.mark.parametrize("kind", ["flops", "steps", "examples"])
def test_a_search_spends_its_share_and_training_the_rest(tmp_path: Path, kind: str) -> None:
    limit = {"flops": 1.5e9, "steps": 161, "examples": 2503}[kind]
    notes = run_tiny(tmp_path, **STUDY | {"budget": {kind: limit}})
    dearest = forward_pass(SPACE, (3,) * 6, IMAGES, BATCH)
    for record in notes.records:
        share = int(0.2 * limit)
        spent = getattr(record.cost["selection"], kind)
        leaves = len(record.selection.leaves)
        assert 0 <= share - spent < leaves * (getattr(dearest, kind) + 1)
        stages = [stage for stage, _ in notes.of("select") if f"{record.arm} r0" in stage.title]
        assert [stage.allowance for stage in stages] == [Allowance(kind, share // leaves)] * leaves
        trained = getattr(record.cost["training"], kind) + getattr(record.cost["warm_up"], kind)
        step = {"flops": 3 * getattr(dearest, kind) * BATCH / IMAGES, "steps": 1, "examples": BATCH}[kind]
        assert 0 <= limit - share - trained < (leaves + 1) * step + leaves


def test_a_planned_selection_has_its_plan_kept_back_within_the_share(tmp_path: Path) -> None:
    """What is not planned goes to training; a plan that is dearer than the share is refused."""
    first, second = (
        run_tiny(tmp_path / name, **STUDY | {"selector": {"name": "random_best", "samples": 2}, "schedule": schedule})
        for name, schedule in (("share", STUDY["schedule"]), ("plan", {"warmup": 0.3}))
    )
    for one, other in zip(first.records, second.records, strict=True):
        assert one.cost["selection"] == other.cost["selection"]
        assert one.cost["training"] == other.cost["training"]
    with pytest.raises(ConfigError, match=r"plans to spend .*; raise that, or lower the selector's samples"):
        run_tiny(tmp_path / "dear", **STUDY | {"selector": {"name": "random_best", "samples": 200}})


def test_keeping_the_best_child_halves_the_share_of_each_selection(tmp_path: Path) -> None:
    schedule = {"levels": 2, "warmup": [0.2, 0.2], "keep": "best", "selection": 0.2}
    arms = ["none", {"criterion": "random", "schedule": schedule, "name": "random"}]
    notes = run_tiny(tmp_path, **STUDY | {"arms": arms, "budget": {"steps": 402}, "schedule": {"selection": 0.2}})
    allowances = [stage.allowance for stage, _ in notes.of("select") if "random r0" in stage.title]
    assert allowances == [Allowance("steps", 20)] * 4  # two children after the first level, two leaves at the end
    record: Record = notes.records[1]
    assert record.cost["selection"].steps == 80
    assert record.budget.spent <= 402


def test_seconds_give_a_search_its_share_of_the_clock(tmp_path: Path) -> None:
    """Not reproducible, so the weakest promise: it ends, and has looked."""
    (record,) = run_tiny(tmp_path, **STUDY | {"budget": {"seconds": 1.0}, "arms": ["none"]}).records
    assert record.cost["selection"].examples >= IMAGES


def test_a_selector_that_asks_for_too_much_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SplitbenchError, match=r"the selector greedy asks for an estimate at 4, and \d are left"):
        run_tiny(tmp_path, **STUDY | {"budget": {"steps": 113}, "selector": "greedy", "arms": ["none"]})


def test_a_selector_without_a_plan_needs_a_share() -> None:
    with pytest.raises(ConfigError, match=r"arms\[0\] \(none\): .* budget, as with schedule.selection: 0.1"):
        Study.build(parse_study(tiny(selector="spender")), "cpu")
    study = tiny(arms=["none", {"criterion": "random", "selector": "spender", "schedule": {"selection": 0.1}}])
    assert [arm.schedule.selection for arm in Study.build(parse_study(study), "cpu").arms] == [None, 0.1]


def test_a_share_too_small_for_the_first_look_is_said_before_or_at_it(tmp_path: Path) -> None:
    study = tiny(**STUDY | {"budget": {"steps": 100}, "selector": "greedy", "schedule": {"selection": 0.03}})
    with pytest.raises(SplitbenchError, match="the selector greedy asks for an estimate at 4, and 3 are left"):
        splitbench.run(study, tmp_path, device="cpu")


# --- the stage --------------------------------------------------------------------------------------------------------


def select_of(scene: Scene, parent: str, selector: Any, amount: float = 10_000, **changes: Any) -> Select:
    stage = Select(
        scene=scene,
        trainer=Part.of("trainers", {"name": "rsps", "batch_size": 16, "learning_rate": 0.05}),
        selector=Part.of("selectors", selector),
        subspace=SPACE.root(),
        state=WeightsPlace(parent),
        evaluation=Evaluation(20, 20),
        population=RankedFunctions(20, 1),
        index=0,
        count=1,
        seed=3,
        allowance=Allowance("steps", amount),
    )
    return replace(stage, **changes)


@pytest.fixture
def trained_leaf(scene: Scene, tmp_path: Path) -> Callable[[str], tuple[StageStore, str]]:
    """A store that holds a leaf of five steps, and the leaf's key."""

    def make(name: str) -> tuple[StageStore, str]:
        store, stage = StageStore(tmp_path / name), stage_of(scene, steps=5)
        run_stage(stage, store)
        return store, stage.key

    return make


Leaf = Callable[[str], tuple[StageStore, str]]


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 6])
def test_a_search_that_trains_goes_on_bit_for_bit(
    scene: Scene, trained_leaf: Leaf, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped in its first or second training: what was answered is not computed again, and the answer is the same."""
    (whole, leaf), (part, _) = trained_leaf("whole"), trained_leaf("part")
    stage = select_of(scene, leaf, "tuner")
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        steps = Steps(patch, RspsSession)
        expected = run_stage(stage, whole)
    assert steps.taken == list(range(5, 12))  # from where the leaf's training ended
    assert expected.cost.steps == 3 * 2 + 7  # three looks at 20 images are two steps of 16 each
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, stop)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    assert (part.folder(stage.key) / "checkpoint.safetensors").exists()
    steps = Steps(monkeypatch, RspsSession)
    found = run_stage(stage, part)
    assert steps.taken == list(range(5 if stop < 3 else 8, 12))
    assert (found.output, found.cost) == (expected.output, expected.cost)
    assert not (part.folder(stage.key) / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("mode", [{"batch_norm": RUNNING}, {"batch_norm": RECALIBRATED, "calibration": 30}])
def test_a_search_that_trains_goes_on_with_its_statistics(
    scene: Scene, trained_leaf: Leaf, monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]
) -> None:
    """Running statistics move while the search trains, and are part of its checkpoint."""
    (whole, leaf), (part, _) = trained_leaf("whole"), trained_leaf("part")
    stage = select_of(scene, leaf, "tuner", evaluation=Evaluation(20, 20, **mode))
    expected = run_stage(stage, whole)
    looked = run_stage(
        select_of(scene, leaf, {"name": "tuner", "rounds": []}, evaluation=Evaluation(20, 20, **mode)), whole
    )
    assert looked.output.loss != expected.output.loss
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 5)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    found = run_stage(stage, part)
    assert (found.output, found.cost) == (expected.output, expected.cost)


def test_training_in_a_search_leaves_the_leafs_own_weights_alone(scene: Scene, trained_leaf: Leaf) -> None:
    store, leaf = trained_leaf("store")
    path = store.folder(leaf) / WeightsPlace.file(0)
    before = path.read_bytes()
    looked = run_stage(select_of(scene, leaf, {"name": "tuner", "rounds": []}), store)
    tuned = run_stage(select_of(scene, leaf, "tuner"), store)
    assert path.read_bytes() == before
    assert looked.output.architecture == tuned.output.architecture
    assert looked.output.loss != tuned.output.loss


def test_training_in_a_search_goes_on_as_the_leafs_own_would(scene: Scene, trained_leaf: Leaf) -> None:
    """Three steps more at one place of the schedule, from the tensors that the leaf's training left."""
    store, leaf = trained_leaf("store")
    more = stage_of(scene, steps=3, window=(0.9, 0.9), parent=WeightsPlace(leaf))
    run_stage(replace(more, seed=3), store)
    other = select_of(scene, replace(more, seed=3).key, {"name": "tuner", "rounds": []})
    assert (
        run_stage(select_of(scene, leaf, {"name": "tuner", "rounds": [3]}), store).output
        == run_stage(other, store).output
    )


def test_training_in_a_search_and_a_modifier_that_needs_all_leaves_is_a_sentence(
    scene: Scene, trained_leaf: Leaf
) -> None:
    store, leaf = trained_leaf("store")
    stage = replace(select_of(scene, leaf, "tuner"), modifiers=(Part.of("modifiers", "momentum_groups"),))
    with pytest.raises(ConfigError, match="tuner trains within its search, and the modifier momentum_groups needs all"):
        run_stage(stage, store)


def test_training_in_a_search_stops_where_the_allowance_does(scene: Scene, trained_leaf: Leaf) -> None:
    store, leaf = trained_leaf("store")
    with pytest.raises(AssertionError):  # the selector expects all its steps
        run_stage(select_of(scene, leaf, {"name": "tuner", "rounds": [9]}, amount=2 + 8), store)

    trained: list[tuple[int, float]] = []

    @dataclass(frozen=True)
    class Training(Selector):
        version: ClassVar[int] = 1

        def select(self, search: Search) -> Selected:
            found = Selected((3,) * 6, *search.evaluate((3,) * 6))
            trained.append((search.train(9, 0.5), search.left))
            trained.append((search.train(9, 0.5), search.left))
            return found

    registry.register("selectors", "training")(Training)
    try:
        result = run_stage(select_of(scene, leaf, "training", amount=2 + 6), store)
    finally:
        registry._registered.pop(("selectors", "training"))
    assert trained == [(6, 0.0), (0, 0.0)]
    assert result.cost == Cost(result.cost.flops, 8, 20 + 6 * 16)


def test_a_search_without_an_allowance_in_seconds_may_look_at_its_plan(scene: Scene, trained_leaf: Leaf) -> None:
    store, leaf = trained_leaf("store")
    result = run_stage(select_of(scene, leaf, {"name": "random_best", "samples": 3}, allowance=None), store)
    assert result.cost.examples == 60


def test_what_a_search_may_spend_is_hashed(scene: Scene) -> None:
    keys = {select_of(scene, "x", "tuner", amount).key for amount in (10, 11)}
    assert len(keys) == 2


def test_too_dear_is_an_error_of_the_harness() -> None:
    assert issubclass(TooDearError, SplitbenchError)


def test_a_checkpoint_of_a_search_holds_its_answers(
    scene: Scene, trained_leaf: Leaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, leaf = trained_leaf("store")
    stage = select_of(scene, leaf, "tuner")
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    Steps(monkeypatch, RspsSession, 4)
    with pytest.raises(StoppedError):
        run_stage(stage, store)
    tensors, notes = load_tensors(store.folder(stage.key) / "checkpoint.safetensors")
    assert notes["trained"] == 3
    assert [len(answer) for answer in notes["known"]] == [2, 4, 2]  # a look, three steps with their cost, a look
    assert any(name.startswith("weights.") for name in tensors)
