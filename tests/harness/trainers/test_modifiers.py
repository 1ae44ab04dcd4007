"""Modifiers: how they wrap a session, what they are charged, what they keep, and who uses them in a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny_studies import run_tiny, tiny
from torch import Tensor, nn
from torch.nn import functional
from train_stages import SPACE, Steps, StoppedError, stage_of, state

import splitbench
from splitbench.harness import registry
from splitbench.harness.budget import Allowance, Cost, Meter, forward_pass, training_pass
from splitbench.harness.errors import ConfigError
from splitbench.harness.modifiers.base import Modification, Modifier
from splitbench.harness.modifiers.momentum_groups import MomentumGroups
from splitbench.harness.part import Part
from splitbench.harness.running.study import Study
from splitbench.harness.stages.base import run_stage
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.train import Member, Train
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.study.config import parse_study
from splitbench.harness.testing import images_of, trained
from splitbench.harness.trainers.base import Batch, Job, Session, Trainer, open_session
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps, RspsSession
from splitbench.results.records.record import NodeRecord, Record
from splitbench.spaces.base import Choice, SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData

IMAGES = images_of((1, 8, 8), 10)
TRAINER = Rsps(batch_size=8, learning_rate=0.1)
NARROW = SPACE.root().only(0, (2, 3))
HALVES = SPACE.root().split(0, [(0, 1), (2, 3, 4)])


# --- modifiers of these tests -----------------------------------------------------------------------------------------

CALLS: list[str] = []


@dataclass(frozen=True)
class Noting(Modifier):
    """Notes each call before it is passed on."""

    name: str

    def open(self, session: Session) -> Modification:
        return NotingAtWork(session, self.name)


class NotingAtWork(Modification):
    def __init__(self, session: Session, name: str) -> None:
        super().__init__(session)
        self.name = name

    def next_cost(self, step: int) -> Cost:
        CALLS.append(f"{self.name}.next_cost")
        return super().next_cost(step)

    def choices(self, step: int) -> Sequence[Choice]:
        CALLS.append(f"{self.name}.choices")
        return super().choices(step)

    def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
        CALLS.append(f"{self.name}.loss")
        return super().loss(batch, choice, logits)

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        CALLS.append(f"{self.name}.update")
        super().update(step, choices)


@dataclass(frozen=True)
class Scaled(Modifier):
    """The loss times a factor, plus a summand: two of them do not commute."""

    factor: float
    summand: float

    def open(self, session: Session) -> Modification:
        scaled = self

        class AtWork(Modification):
            def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
                return scaled.factor * super().loss(batch, choice, logits) + scaled.summand

        return AtWork(session)


@dataclass(frozen=True)
class Twice(Modifier):
    """Each step runs two paths, the trainer's own and its next step's."""

    def open(self, session: Session) -> Modification:
        class AtWork(Modification):
            def choices(self, step: int) -> Sequence[Choice]:
                return [*super().choices(step), *super().choices(step + 1)]

        return AtWork(session)


@dataclass(frozen=True)
class Looking(Modifier):
    """A second look at each batch, forward only, that it pays for: ``looks`` of them."""

    version: ClassVar[int] = 1
    looks: int = 1

    def open(self, session: Session) -> Modification:
        return LookingAtWork(session, self.looks)

    def unfit(self, trainer: Trainer, space: SearchSpace) -> str | None:
        return None if trainer.single_path else "it looks at paths, and the trainer runs none"


class LookingAtWork(Modification):
    def __init__(self, session: Session, looks: int) -> None:
        super().__init__(session)
        self.looks = looks

    def price(self, choice: Choice, images: int) -> Cost:
        return sum([forward_pass(self.session.job.space, choice, images, images)] * self.looks, Cost())

    def next_cost(self, step: int) -> Cost:
        size = self.session.trainer.batch_size  # type: ignore[attr-defined]
        return super().next_cost(step) + sum((self.price(c, size) for c in self.session.seam.choices(step)), Cost())

    def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
        job = self.session.job
        with torch.no_grad():
            for _ in range(self.looks):
                job.supernet(batch[0], choice)
        job.meter.charge(self.price(choice, len(batch[1])))
        return super().loss(batch, choice, logits)


@dataclass(frozen=True)
class Ageing(Modifier):
    """Divides the n-th update's gradients by n: its next step depends on what it keeps."""

    version: ClassVar[int] = 1

    def open(self, session: Session) -> Modification:
        return AgeingAtWork(session)


class AgeingAtWork(Modification):
    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.age = 0

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        self.age += 1
        for parameter in self.session.job.supernet.parameters():
            if parameter.grad is not None:
                parameter.grad /= self.age
        super().update(step, choices)

    def tensors(self) -> dict[str, Tensor]:
        return {"age": torch.tensor(self.age)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.age = int(tensors["age"]) if tensors else 0


@dataclass(frozen=True)
class Mutual(Modifier):
    """Each of several siblings also descends on its divergence from the next one's logits (mutual distillation)."""

    version: ClassVar[int] = 1
    joint: ClassVar[bool] = True
    weight: float = 1.0

    def open(self, session: Session) -> Modification:
        return MutualAtWork(session, self.weight)


class MutualAtWork(Modification):
    def __init__(self, session: Session, weight: float) -> None:
        super().__init__(session)
        self.weight = weight

    @property
    def peer(self) -> Job | None:
        """The next of the jobs; none if there is but one."""
        jobs, own = list(self.session.job.siblings), self.session.job
        place = next(index for index, job in enumerate(jobs) if job is own)
        return jobs[(place + 1) % len(jobs)] if len(jobs) > 1 else None

    def path_of(self, peer: Job, choice: Choice) -> Choice:
        """The peer's nearest to a path."""
        assert isinstance(choice, tuple)
        return tuple(op if op in ops else ops[0] for op, ops in zip(choice, peer.subspace.allowed, strict=True))

    def price(self, choice: Choice, images: int) -> Cost:
        peer = self.peer
        return Cost() if peer is None else forward_pass(peer.space, self.path_of(peer, choice), images, images)

    def next_cost(self, step: int) -> Cost:
        size = self.session.trainer.batch_size  # type: ignore[attr-defined]
        return super().next_cost(step) + sum((self.price(c, size) for c in self.session.seam.choices(step)), Cost())

    def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
        own = super().loss(batch, choice, logits)
        if (peer := self.peer) is None:
            return own
        with torch.no_grad():
            theirs = peer.supernet(batch[0], self.path_of(peer, choice)).log_softmax(1)
        self.session.job.meter.charge(self.price(choice, len(batch[1])))
        divergence = functional.kl_div(logits.log_softmax(1), theirs, reduction="batchmean", log_target=True)
        return own + self.weight * divergence


@pytest.fixture(autouse=True)
def components() -> Iterator[None]:
    mine = {"looking": Looking, "ageing": Ageing, "mutual": Mutual}
    for name, component in mine.items():
        registry.register("modifiers", name)(component)
    yield
    for name in mine:
        registry._registered.pop(("modifiers", name))


def job_of(subspace: SubSpace | None = None, parts: tuple[SubSpace, ...] = (), data: ImageData = IMAGES) -> Job:
    return Job(SPACE, subspace or SPACE.root(), SPACE.supernet(0), data, 5, Meter(), parts=parts)


def parts_of(*names: Any) -> tuple[Part, ...]:
    return tuple(Part.of("modifiers", name) for name in names)


# --- wrapping ---------------------------------------------------------------------------------------------------------


def test_the_first_modifier_is_innermost() -> None:
    """The outermost is asked first, and each passes on to the one before it."""
    session = open_session(TRAINER, [Noting("first"), Noting("second")], job_of())
    assert [modification.name for modification in session.modifications] == ["first", "second"]  # type: ignore[attr-defined]
    assert session.seam is session.modifications[1]
    assert session.modifications[1].inner is session.modifications[0]
    assert session.modifications[0].inner is session
    CALLS.clear()
    session.step(0, 0.0)
    whole = [("second", "first")] * 3
    assert [f"{name}.{what}" for what, names in zip(("choices", "loss", "update"), whole, strict=True)
                     for name in names] == CALLS  # fmt: skip
    CALLS.clear()
    session.seam.next_cost(1)
    assert CALLS == ["second.next_cost", "first.next_cost", "second.choices", "first.choices"]


def test_the_order_of_modifiers_is_the_order_of_what_they_do() -> None:
    batch = IMAGES.batch("train", 0, 0, 8)
    values = {}
    for name, order in (("ab", [Scaled(3.0, 0.0), Scaled(1.0, 5.0)]), ("ba", [Scaled(1.0, 5.0), Scaled(3.0, 0.0)])):
        session = open_session(TRAINER, order, job_of())
        logits = torch.zeros(8, 10)
        values[name] = session.seam.loss(batch, (3,) * 6, logits).item()
    plain = float(np.log(10))
    assert values == pytest.approx({"ab": 3 * plain + 5, "ba": 3 * (plain + 5)})


def test_a_session_without_modifiers_is_its_own_seam() -> None:
    session = open_session(TRAINER, [], job_of())
    assert session.seam is session
    assert session.state().keys() == session.tensors().keys()


def test_a_modifier_of_choices_has_all_of_them_run_and_paid() -> None:
    session = open_session(TRAINER, [Twice()], job_of())
    (first,), (second,) = session.choices(3), session.choices(4)
    expected = training_pass(SPACE, first, 8) + training_pass(SPACE, second, 8)
    assert session.seam.next_cost(3) == expected
    session.step(3, 0.0)
    assert session.job.meter.cost == expected


@pytest.mark.parametrize("trainer", [TRAINER, Darts(batch_size=8)], ids=["rsps", "darts"])
@pytest.mark.parametrize("modifiers", [[], [Ageing()], [Twice(), Ageing()]], ids=["none", "ageing", "twice ageing"])
def test_steps_are_charged_what_they_say_with_any_modifiers(trainer: Trainer, modifiers: list[Modifier]) -> None:
    """Asked twice before each step, and compared with the meter after it (by ``trained`` of the conformance suite)."""
    whole, costs, losses = trained(trainer, SPACE, NARROW, IMAGES, 0, 4, modifiers=modifiers)
    half, _, first = trained(trainer, SPACE, NARROW, IMAGES, 0, 2, modifiers=modifiers)
    rest, _, second = trained(trainer, SPACE, NARROW, IMAGES, 2, 4, half, modifiers)
    assert first + second == losses
    assert all(torch.equal(rest[kind][name], whole[kind][name]) for kind in (0, 1) for name in whole[kind])
    plain = trained(trainer, SPACE, NARROW, IMAGES, 0, 4)
    assert (len(costs), plain[1][0].steps * (1 + any(isinstance(m, Twice) for m in modifiers))) == (4, costs[0].steps)
    if modifiers:
        assert plain[2][1:] != losses[1:]


# --- what a modifier charges ------------------------------------------------------------------------------------------


def with_modifiers(stage: Train, *names: Any, **member: Any) -> Train:
    from dataclasses import replace

    members = tuple(replace(one, **member) for one in stage.members)
    return replace(stage, modifiers=parts_of(*names), members=members)


def test_what_a_modifier_adds_to_next_cost_is_charged_and_respected(scene: Any, tmp_path: Path) -> None:
    """The same allowance pays for fewer steps, and is not overspent."""
    store, allowance = StageStore(tmp_path), Allowance("flops", 400_000_000)
    stages = {
        looks: with_modifiers(stage_of(scene), *([{"name": "looking", "looks": looks}] if looks else []),
                              allowance=allowance)
        for looks in (0, 3)
    }  # fmt: skip
    found = {looks: run_stage(stage, store) for looks, stage in stages.items()}
    dearest = training_pass(SPACE, (3,) * 6, 16).flops + 3 * forward_pass(SPACE, (3,) * 6, 16, 16).flops
    for result in found.values():
        assert 0 <= allowance.amount - result.cost.flops < dearest
    assert found[3].cost.steps == 4 * found[3].output[0].steps
    assert 1.5 * found[3].output[0].steps < found[0].output[0].steps == found[0].cost.steps


# --- what a modifier keeps --------------------------------------------------------------------------------------------


def test_the_tensors_of_a_modifier_survive_a_checkpoint(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    stage = with_modifiers(stage_of(scene), "looking", "ageing", allowance=Allowance("steps", 24))
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    expected = run_stage(stage, whole)
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 7)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    steps = Steps(monkeypatch, RspsSession)
    found = run_stage(stage, part)
    assert steps.taken == list(range(7, 12))
    assert (found.output, found.cost) == (expected.output, expected.cost)
    assert equal(state(whole, stage), state(part, stage))
    assert int(state(part, stage)["trainer.modifier1.age"]) == 12


def test_a_leaf_inherits_the_tensors_of_its_parents_modifiers(scene: Any, tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    parent = with_modifiers(stage_of(scene, steps=5), "ageing")
    leaf = with_modifiers(stage_of(scene, steps=3, parent=WeightsPlace(parent.key), subspace=NARROW), "ageing")
    fresh = with_modifiers(stage_of(scene, steps=3, subspace=NARROW), "ageing")
    for stage in (parent, leaf, fresh):
        run_stage(stage, store)
    assert [int(state(store, one)["trainer.modifier0.age"]) for one in (parent, leaf, fresh)] == [5, 8, 3]


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


# --- momentum groups --------------------------------------------------------------------------------------------------


def tensors_of(session: Session, part: SubSpace | None = None) -> dict[str, Tensor]:
    """The momentum of a group, or of the trainer's own optimizer, by parameter."""
    prefix = "optimizer." if part is None else f"modifier0.{'-'.join('+'.join(map(str, ops)) for ops in part.allowed)}."
    found = {name.removeprefix(prefix): t.clone() for name, t in session.state().items() if name.startswith(prefix)}
    return {name: tensor for name, tensor in found.items() if name != "known"}


def test_a_momentum_group_moves_only_by_its_own_steps() -> None:
    session = open_session(TRAINER, [MomentumGroups()], job_of(parts=HALVES))
    seen: set[int] = set()
    for step in range(6):
        before = [tensors_of(session, part) for part in HALVES]
        (path,) = session.choices(step)
        session.step(step, 0.0)
        mine = next(index for index, part in enumerate(HALVES) if part.contains(path))  # type: ignore[arg-type]
        seen.add(mine)
        for index, part in enumerate(HALVES):
            assert equal(tensors_of(session, part), before[index]) is (index != mine)
        assert not tensors_of(session)  # the trainer's own optimizer has stepped for nobody
    assert seen == {0, 1}


def test_momentum_groups_are_one_optimizer_a_group_on_one_set_of_weights() -> None:
    """Against SGD of torch, one for each group over the same weights, as DYNAS does it; bit for bit."""
    session = open_session(TRAINER, [MomentumGroups()], job_of(parts=HALVES))
    supernet = SPACE.supernet(0)
    optimizers = [TRAINER.optimizer(supernet.parameters()) for _ in HALVES]
    for step in range(8):
        position = step / 10
        loss = session.step(step, position)
        (path,) = session.choices(step)
        optimizer = next(o for o, part in zip(optimizers, HALVES, strict=True) if part.contains(path))  # type: ignore[arg-type]
        images, labels = IMAGES.batch("train", 5, step, 8)
        TRAINER.anneal(optimizer, position)
        optimizer.zero_grad(set_to_none=True)
        expected = functional.cross_entropy(supernet(images, path), labels)
        expected.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for p in supernet.parameters() if p.grad is not None], TRAINER.clip)
        optimizer.step()
        assert loss == expected.item()
    assert equal(dict(session.job.supernet.state_dict()), dict(supernet.state_dict()))
    plain = open_session(TRAINER, [], job_of())
    for step in range(8):
        plain.step(step, step / 10)
    assert not equal(dict(plain.job.supernet.state_dict()), dict(supernet.state_dict()))


def test_momentum_groups_by_hand() -> None:
    """The classifier's bias: v = m v + g of the group alone (g at its first step), then w -= lr (g + m v)."""
    trainer = Rsps(batch_size=8, learning_rate=0.1, momentum=0.9, weight_decay=0.0, clip=1e9)
    session = open_session(trainer, [MomentumGroups()], job_of(parts=HALVES))
    bias = dict(session.job.supernet.named_parameters())["classifier.bias"]
    velocity: dict[int, Tensor] = {}
    weight = bias.detach().clone().double()
    for step in range(8):
        (path,) = session.choices(step)
        group = next(index for index, part in enumerate(HALVES) if part.contains(path))  # type: ignore[arg-type]
        session.step(step, 0.0)
        assert bias.grad is not None
        gradient = bias.grad.double()
        velocity[group] = 0.9 * velocity[group] + gradient if group in velocity else gradient
        weight -= 0.1 * (gradient + 0.9 * velocity[group])
        torch.testing.assert_close(bias.detach().double(), weight, rtol=1e-5, atol=1e-7)
    assert set(velocity) == {0, 1}


def test_a_new_momentum_group_starts_from_its_parents() -> None:
    warm = open_session(TRAINER, [MomentumGroups()], job_of())
    for step in range(3):
        warm.step(step, 0.0)
    first = open_session(TRAINER, [MomentumGroups()], job_of(parts=HALVES))
    first.restore(warm.state())
    for part in HALVES:  # from a warm-up without groups
        assert tensors_of(first, part)
        assert equal(tensors_of(first, part), tensors_of(warm))
    for step in range(3, 9):
        first.step(step, 0.0)
    assert not equal(*(tensors_of(first, part) for part in HALVES))

    finer = tuple(part for half in HALVES for part in half.split(3, [(0,), (1, 2, 3, 4)]))
    second = open_session(TRAINER, [MomentumGroups()], job_of(parts=finer))
    second.restore(first.state())
    for part, parent in zip(finer, [HALVES[0], HALVES[0], HALVES[1], HALVES[1]], strict=True):
        assert equal(tensors_of(second, part), tensors_of(first, parent))
    again = open_session(TRAINER, [MomentumGroups()], job_of(parts=HALVES))
    again.restore(first.state())
    for part in HALVES:  # a group that was there goes on from its own
        assert equal(tensors_of(again, part), tensors_of(first, part))


def test_a_stopped_training_with_momentum_groups_goes_on_bit_for_bit(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    warm = with_modifiers(stage_of(scene, steps=4), "momentum_groups")
    stage = with_modifiers(stage_of(scene, parent=WeightsPlace(warm.key)), "momentum_groups", parts=HALVES)
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    for store in (whole, part):
        run_stage(warm, store)
    expected = run_stage(stage, whole)
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 7)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    assert run_stage(stage, part).output == expected.output
    first, second = state(whole, stage), state(part, stage)
    assert equal(first, second)
    assert sum(name.endswith(".known") for name in first) == 2


def leaves_of(node: NodeRecord) -> list[NodeRecord]:
    return [leaf for child in node.children for leaf in leaves_of(child)] if node.children else [node]


def test_momentum_is_split_and_the_weights_are_not(tmp_path: Path) -> None:
    split_arm = {"criterion": "random", "schedule": {"levels": 2}, "modifiers": ["momentum_groups"]}
    notes = run_tiny(tmp_path, arms=["none", split_arm])
    none, split = notes.records
    assert len(split.selection.leaves) == 1
    assert len(leaves_of(split.tree)) == 4
    groups = [len(stage.members[0].parts) for stage, _ in notes.of("train") if "random" in stage.title]
    assert groups == [0, 2, 4]  # the warm-up of the root, of its halves, and the rest
    assert split.budget.spent == none.budget.spent == 60
    assert split.metrics != none.metrics


@pytest.mark.parametrize(
    ("trainer", "selector"), [("darts", "argmax_alpha"), ({"name": "rsps", "momentum": 0.0}, "random_best")]
)
def test_momentum_groups_without_paths_or_momentum_are_a_sentence(trainer: Any, selector: str) -> None:
    arms = ["none", {"criterion": "random", "modifiers": ["momentum_groups"], "name": "mine"}]
    with pytest.raises(ConfigError, match=r"arms\[1\] \(mine\): the modifier momentum_groups does not serve: .*no "):
        Study.build(parse_study(tiny(trainer=trainer, selector=selector, arms=arms)), "cpu")


def test_momentum_groups_keep_no_best_child() -> None:
    schedule = {"keep": "best", "levels": 2, "warmup": [0.2, 0.2]}
    arms = ["none", {"criterion": "random", "schedule": schedule, "modifiers": ["momentum_groups"]}]
    with pytest.raises(ConfigError, match=r"keep: best compares supernets, and a modifier has all leaves share one"):
        Study.build(parse_study(tiny(arms=arms)), "cpu")


# --- siblings side by side --------------------------------------------------------------------------------------------


def two_members(scene: Any, modifier: str | None, amount: int = 12) -> Train:
    from dataclasses import replace

    members = tuple(Member(part, None, Allowance("steps", amount)) for part in HALVES)
    return replace(stage_of(scene), members=members, modifiers=parts_of(modifier) if modifier else ())


def test_siblings_see_each_other_are_charged_and_go_on_bit_for_bit(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    stage = two_members(scene, "mutual")
    steps = Steps(monkeypatch, RspsSession)
    expected = run_stage(stage, whole)
    assert steps.taken == [step for step in range(6) for _ in HALVES]  # in turn; each step and its peer's pass are two
    assert [one.steps for one in expected.output] == [6, 6]
    assert (expected.cost.steps, expected.cost.examples) == (24, 24 * 16)
    monkeypatch.undo()
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 7)  # in the middle of a round, which is then done again
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    rest = Steps(monkeypatch, RspsSession)
    found = run_stage(stage, part)
    assert rest.taken == [step for step in range(3, 6) for _ in HALVES]
    assert (found.output, found.cost) == (expected.output, expected.cost)
    for member in range(2):
        assert equal(state(whole, stage, member), state(part, stage, member))


def test_without_the_modifier_siblings_train_alone(scene: Any, tmp_path: Path) -> None:
    """Two members of one stage, and each in a stage of its own: the same weights; with the modifier, others."""
    from dataclasses import replace

    store, stage = StageStore(tmp_path), two_members(scene, None)
    run_stage(stage, store)
    together = run_stage(two_members(scene, "mutual", 24), store)
    for member in range(2):
        alone = replace(stage, members=(stage.members[member],))
        run_stage(alone, store)
        assert equal(state(store, alone), state(store, stage, member))
        assert not equal(state(store, alone), state(store, two_members(scene, "mutual", 24), member))
    assert [one.steps for one in together.output] == [12, 12]


def test_the_term_of_siblings_is_the_divergence_of_their_logits() -> None:
    jobs: list[Job] = []
    for seed, part in enumerate(HALVES):
        jobs.append(Job(SPACE, part, SPACE.supernet(seed), IMAGES, 5, Meter(), siblings=jobs))
    sessions = [open_session(TRAINER, [Mutual(2.0)], job) for job in jobs]
    batch = IMAGES.batch("train", 5, 0, 8)
    for index, session in enumerate(sessions):
        (path,) = session.choices(0)
        logits = jobs[index].supernet(batch[0], path)
        peer = jobs[1 - index]
        nearest = tuple(op if op in ops else ops[0] for op, ops in zip(path, peer.subspace.allowed, strict=True))  # type: ignore[arg-type]
        p, q = peer.supernet(batch[0], nearest).softmax(1), logits.softmax(1)
        divergence = (p * (p / q).log()).sum(1).mean().item()
        expected = functional.cross_entropy(logits, batch[1]).item() + 2.0 * divergence
        assert divergence > 0
        assert session.seam.loss(batch, path, logits).item() == pytest.approx(expected, rel=1e-5)


def test_an_arm_with_a_joint_modifier_trains_the_leaves_of_a_level_in_one_stage(tmp_path: Path) -> None:
    arms = ["none", {"criterion": "random", "modifiers": ["mutual"], "name": "mutual"}, "random"]
    notes = run_tiny(tmp_path, arms=arms, budget={"steps": 120}, schedule={"warmup": 0.3, "share": "steps"})
    records = {record.arm: record for record in notes.records}
    mutual, plain = records["mutual"], records["random"]
    trainings = {stage.key: stage for stage, _ in notes.of("train")}
    assert len({leaf.stage for leaf in mutual.tree.children}) == 1
    assert len({leaf.stage for leaf in plain.tree.children}) == 2
    stage = trainings[mutual.tree.children[0].stage]
    assert [len(trainings[mutual.tree.stage].members), len(stage.members)] == [1, 2]
    assert [list(map(list, member.subspace.allowed)) for member in stage.members] == [
        leaf.allowed for leaf in mutual.tree.children
    ]
    taken = [leaf.steps for leaf in mutual.tree.children]
    assert taken[0] == taken[1] == plain.tree.children[0].steps // 2  # a step and its peer's pass are two
    assert 0 <= mutual.budget.limit - mutual.budget.spent < 2 * 2
    folder = StageStore(tmp_path).folder(stage.key)
    states = [load_tensors(folder / WeightsPlace.file(member))[0] for member in range(2)]
    assert not equal(*states)
    predictions = {stage.state for stage, _ in notes.of("predict") if stage.state and stage.state.stage == folder.name}
    assert predictions == {WeightsPlace(folder.name, 0), WeightsPlace(folder.name, 1)}


# --- modifiers in a study ---------------------------------------------------------------------------------------------


def arms_of(**study: Any) -> dict[str, Any]:
    built = Study.build(parse_study(tiny(**study)), "cpu")
    return {arm.label: arm for arm in built.arms}


def test_an_arm_has_the_studys_modifiers_or_its_own() -> None:
    own = {"criterion": "random", "modifiers": [{"name": "looking", "looks": 2}, "ageing"]}
    arms = arms_of(
        arms=["none", own, {"criterion": "random", "modifiers": []}], modifiers=["ageing"], budget={"steps": 200}
    )
    assert list(arms) == ["none", "random(modifiers=looking[looks=2]+ageing)", "random(modifiers=none)"]
    assert [arm.modifiers for arm in arms.values()] == [(Ageing(),), (Looking(2), Ageing()), ()]
    described = [arm.config()["modifiers"] for arm in arms.values()]
    assert [[part["name"] for part in parts] for parts in described] == [["ageing"], ["looking", "ageing"], []]
    assert described[1][0]["looks"] == 2


def test_a_study_without_modifiers_has_none() -> None:
    assert [arm.modifiers for arm in arms_of().values()] == [()]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"modifiers": ["momentum_group"]}, r"modifiers\[0\]: .*'momentum_group'.*did you mean 'momentum_groups'\?"),
        (
            {"arms": ["none", {"criterion": "random", "name": "mine", "modifiers": ["ageing", "lookin"]}]},
            r"arms\[1\] \(mine\)\.modifiers\[1\]: .*'lookin'.*did you mean 'looking'\?",
        ),
        ({"modifiers": [{"name": "looking", "look": 3}]}, r"modifiers\[0\].*'look'.*did you mean 'looks'\?"),
        ({"modifiers": [{"looks": 3}]}, r"modifiers\[0\]: a component is a name or a mapping with the key 'name'"),
        ({"modifiers": "looking"}, r"modifiers: a list is expected, not 'looking'"),
        (
            {"modifiers": ["looking"], "trainer": "darts", "selector": "argmax_alpha"},
            r"arms\[0\] \(none\): the modifier looking does not serve: it looks at paths, and the trainer runs none",
        ),
    ],
)
def test_wrong_modifiers_are_a_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        arms_of(**changes)


def test_modifiers_that_only_this_process_knows_do_not_go_to_workers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="modifiers component 'ageing' was registered in this process only"):
        splitbench.run(tiny(modifiers=["ageing"]), tmp_path, device="cpu", workers=2)


def test_other_modifiers_share_no_training(tmp_path: Path) -> None:
    """Nor a warm-up: what is trained otherwise is something else."""
    arms = ["none", {"criterion": "none", "modifiers": ["ageing"], "name": "ageing"}]
    notes = run_tiny(tmp_path, arms=arms, budget={"steps": 40})
    records: list[Record] = notes.records
    assert len(notes.of("train")) == 4
    assert records[0].cost == records[1].cost
    assert records[0].tree.curve[0] == records[1].tree.curve[0]  # the first step's loss is the same
    assert records[0].tree.curve[2:] != records[1].tree.curve[2:]
