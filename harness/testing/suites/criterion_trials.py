"""Calls of a criterion through the harness's own probe, and what each call did."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from splitbench.criteria.base import Affinity, Criterion, reads_truth
from splitbench.harness.budget import Cost, Meter
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.testing.affinities import require_affinity
from splitbench.harness.testing.small_spaces.chain import made_up_truth
from splitbench.harness.testing.watching import (
    LayerFlops,
    NotingProbe,
    Snapshot,
    hooks,
    images_changed,
    noted,
    random_state,
    scrambled,
    strange_parts,
)
from splitbench.harness.trainers.base import Job, Trainer
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.truth import closed

TRAINERS: tuple[Trainer, ...] = (Rsps(batch_size=8), Darts(batch_size=8))
"""One whose contexts are paths, and one whose contexts are mixtures."""


@dataclass(frozen=True)
class CriterionSetting:
    """Where a criterion is called, and in which draw of an arm."""

    space: SearchSpace
    data: ImageData
    subspace: SubSpace
    trainer: Trainer
    edge: int
    seed: int = 3
    device: str = "cpu"
    draw: int = 0

    def __str__(self) -> str:
        narrowed = "" if self.subspace == self.space.root() else f" of {self.subspace.allowed}"
        return f"{self.space.name}, edge {self.edge}{narrowed} with {type(self.trainer).__name__}"


@dataclass(frozen=True)
class CriterionTrial:
    """One call, and what it did.

    Attributes:
        where: for messages.
        affinity: what it gave; None if it raised ``error``.
        cost: what it was charged.
        flops: what torch counted in layers, if it was to.
        truth: whether it asked for the ground truth.
        parts: parts of the images that are none of its business.
        left: what it left behind: changed weights, hooks, images, random numbers.
    """

    where: str
    affinity: Affinity | None
    error: Exception | None
    cost: Cost
    flops: int
    truth: bool
    parts: list[str]
    left: list[str]


def trial(criterion: Criterion, setting: CriterionSetting, number: int = 0, counting: bool = False) -> CriterionTrial:
    """Call a criterion through the harness's own probe; each ``number`` has its own global random numbers."""
    space, subspace = setting.space, setting.subspace
    data, asked = noted(setting.data, setting.device)
    supernet, meter = space.supernet(0).to(setting.device), Meter()
    state = setting.trainer.open(Job(space, subspace, supernet, data, 0, Meter())).tensors()
    oracle = reads_truth(criterion)
    truth = (lambda: made_up_truth(space)) if oracle else None
    probe = NotingProbe(
        space, subspace, supernet, data, setting.trainer, state, setting.seed, setting.draw, meter,
        lambda: space.supernet(1).to(setting.device), truth,
    )  # fmt: skip
    before, hooked = Snapshot.of(supernet), hooks(supernet)
    affinity, error, counter = None, None, LayerFlops()
    with scrambled(number) as start:
        with contextlib.nullcontext() if oracle else closed(), counter if counting else contextlib.nullcontext():
            try:
                affinity = criterion(probe, setting.edge)
            except Exception as raised:
                error = raised
        moved = random_state() != start
    left = [f"it changes the supernet's {name}" for name in before.differences(supernet)[:1]]
    if hooks(supernet) != hooked:
        left.append("it leaves a hook on the supernet; remove each that it registers")
    if images_changed(data, setting.data):
        left.append("it writes to the images or labels of the probe's batches")
    if moved:
        left.append("it draws or seeds global random numbers; take them from probe.rng(purpose) alone")
    leak = not oracle and (probe.asked_for_truth or "asked for the ground truth" in str(error))
    where = f"{criterion} on {setting}"
    return CriterionTrial(where, affinity, error, meter.cost, counter.total, leak, strange_parts(asked), left)


def valid(criterion: Criterion, setting: CriterionSetting, refusal: bool = False) -> None:
    """Require one call to give a valid affinity; with ``refusal`` it may end with a sentence instead."""
    call = trial(criterion, setting, 1)
    if call.error is not None:
        if refusal and (isinstance(call.error, SplitbenchError) or "no connected architecture" in str(call.error)):
            return
        remedy = "; give a valid affinity, or raise a SplitbenchError with a sentence" if refusal else ""
        raise AssertionError(f"{call.where}: {type(call.error).__name__}: {call.error}{remedy}") from call.error
    require_affinity(call.affinity, setting.subspace.allowed[setting.edge], call.where)
    for sentence in call.left:
        raise AssertionError(f"{call.where}: {sentence}")
