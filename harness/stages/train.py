"""The train stage: trains one supernet, or several side by side, each until its allowance is spent."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from splitbench.harness.budget import Allowance, Cost, Meter, TooDearError
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.hashing import HASHED_IF_SET
from splitbench.harness.modifiers.base import Modifier
from splitbench.harness.part import Part
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import (
    StageContext,
    WeightsPlace,
    kept_statistics,
    pack_tensors,
    unpack,
    write_note,
)
from splitbench.harness.stores.base import CHECKPOINT, PROGRESS
from splitbench.harness.stores.folder import load_tensors, save_tensors
from splitbench.harness.supernets.normalisation import RunningStatistics
from splitbench.harness.trainers.base import Job, Session, Trainer, open_session
from splitbench.spaces.architectures.sampling import STRINGS
from splitbench.spaces.base import SubSpace

CURVE_POINTS = 50


def checkpoint_seconds() -> float:
    """Seconds between two checkpoints of a running stage; an environment variable shortens them for tests."""
    return float(os.environ.get("SPLITBENCH_CHECKPOINT_SECONDS", "20"))


@dataclass(frozen=True)
class Member:
    """One supernet of a train stage.

    Attributes:
        subspace: the architectures that are trained.
        parent: the training whose weights it goes on from; None for initial ones.
        allowance: what its steps may cost in all.
        parts: subspaces of the leaves that share it, where a modifier has leaves share weights.
        earlier: the leaves before it that overlap it: architectures in both are trained there, not here.
    """

    subspace: SubSpace
    parent: WeightsPlace | None
    allowance: Allowance
    parts: tuple[SubSpace, ...] = ()
    earlier: tuple[SubSpace, ...] = ()


@dataclass(frozen=True)
class Trained:
    """The result of training one supernet; weights and the trainer's tensors are in the stage's files.

    Attributes:
        steps: number of steps trained.
        curve: (last step from the root, mean loss) of up to 50 equal stretches.
    """

    steps: int
    curve: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Train(Stage[tuple[Trained, ...]]):
    """Trains one supernet, or several side by side, and leaves a state file for each in the stage's folder.

    It continues from the stage's own checkpoint if there is one. Several members take their steps in turn. The position
    on the learning-rate schedule is the beginning of the window plus its length times the spent share of the allowance,
    so the number of steps need not be known beforehand, and is not hashed.

    Attributes:
        trainer, modifiers: the parts that define a step.
        members: the supernets.
        window: begin and end on the learning-rate schedule, in [0, 1].
        initial_seed, seed: of the initial weights, and of everything random in the steps.
        sampling: whether strings or functions are equally likely to be drawn.
        statistics: whether normalisations keep running statistics, which change nothing else.
    """

    kind: ClassVar[str] = "train"
    version: ClassVar[int] = 4
    gives: ClassVar[Any] = tuple[Trained, ...]

    trainer: Part
    modifiers: tuple[Part, ...] = ()
    members: tuple[Member, ...]
    window: tuple[float, float]
    initial_seed: int
    seed: int
    sampling: str = STRINGS
    statistics: bool = field(default=False, metadata=HASHED_IF_SET)

    def work(self, context: StageContext, folder: Path) -> tuple[tuple[Trained, ...], Cost]:
        trainings = self.opened(context)
        checkpoint = Checkpoint(folder, trainings)
        while going := [training for training in trainings if training.goes_on()]:
            for training in going:
                training.step(*self.window)
            checkpoint.save_if_due()
        for index, training in enumerate(trainings):
            save_tensors(
                folder / WeightsPlace.file(index), training.tensors(), {"steps": training.first + training.done}
            )
        return tuple(training.result() for training in trainings), sum((t.meter.cost for t in trainings), Cost())

    def opened(self, context: StageContext) -> list[Training]:
        """A session of the trainer for each member, at the member's beginning."""
        trainer: Trainer = self.trainer.build()
        modifiers: list[Modifier] = [part.build() for part in self.modifiers]
        jobs: list[Job] = []
        inherited = []
        for member in self.members:
            weights = context.weights(self.initial_seed, member.parent)
            inherited.append(weights)
            jobs.append(
                Job(
                    context.space,
                    member.subspace,
                    weights.supernet,
                    context.data,
                    self.seed,
                    Meter(),
                    context.precision,
                    member.parts,
                    jobs,
                    member.earlier,
                    self.sampling,
                )
            )
        trainings = []
        for member, job, weights in zip(self.members, jobs, inherited, strict=True):
            session = open_session(trainer, modifiers, job)
            if member.parent is not None:
                session.restore(weights.tensors)
            together = len(self.members)
            running = RunningStatistics(job.supernet, weights.statistics) if self.statistics else None
            trainings.append(Training(session, member.allowance, weights.steps, self.trainer.name, together, running))
        return trainings


class Training:
    """One supernet while it is trained: spends its allowance step by step, and keeps the loss curve.

    Attributes:
        session: the trainer's, with its modifiers.
        allowance: what it may spend.
        first: steps between the root of the split tree and the begin of this training.
        done: steps of this training so far.
        together: number of supernets that are trained side by side; the measured seconds are divided by it.
        running: running statistics of its normalisations; None if none are kept.
    """

    def __init__(
        self,
        session: Session,
        allowance: Allowance,
        first: int,
        trainer: str,
        together: int = 1,
        running: RunningStatistics | None = None,
    ) -> None:
        self.session, self.allowance, self.first, self.trainer = session, allowance, first, trainer
        self.together, self.running = together, running
        self.meter = session.job.meter
        self.done = 0
        self.losses: list[float] = []
        self.used = 0.0  # seconds of earlier, interrupted attempts
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of this training so far, with those of interrupted attempts."""
        return self.used + (time.monotonic() - self.began) / self.together

    @property
    def share(self) -> float:
        """The spent share of the allowance, in [0, 1]."""
        if self.allowance.amount == 0:
            return 1.0
        return min(self.allowance.of(self.meter.cost, self.seconds) / self.allowance.amount, 1.0)

    def goes_on(self) -> bool:
        """Whether the allowance pays for the next step. Called before each step.

        Raises:
            TooDearError: if not even the first one does.
            SplitbenchError: if a step costs nothing, as it would then never end.
        """
        if self.allowance.unit == "seconds":
            return self.share < 1
        cost = self.session.seam.next_cost(self.first + self.done)
        price = self.allowance.of(cost)
        if price <= 0:
            raise SplitbenchError(f"a step of the trainer {self.trainer} costs nothing: its next_cost() is wrong")
        fits = self.allowance.of(self.meter.cost + cost) <= self.allowance.amount
        if not fits and self.done == 0:
            unit = self.allowance.unit
            raise TooDearError(
                f"{self.allowance.amount:g} {unit} are left for a supernet, and one step takes {price:g}"
            )
        return fits

    def step(self, start: float, stop: float) -> None:
        """Take one step, at its position on the learning-rate schedule.

        Raises:
            SplitbenchError: if the loss is not finite.
        """
        number = self.first + self.done
        loss = self.session.step(number, start + (stop - start) * self.share)
        if not math.isfinite(loss):
            raise SplitbenchError(
                f"the training loss is {loss} at step {number + 1}: the supernet has diverged; lower the learning rate "
                f"of the trainer {self.trainer}"
            )
        self.done += 1
        self.losses.append(loss)

    def tensors(self) -> dict[str, Any]:
        return pack_tensors(self.session.job.supernet, self.session.state(), self.running)

    def notes(self) -> dict[str, Any]:
        """The part of a checkpoint that is not a tensor."""
        cost = self.meter.cost.as_dict()
        return {"done": self.done, "used": self.seconds, "cost": cost, "losses": self.losses}

    def restore(self, tensors: dict[str, Any], notes: dict[str, Any]) -> None:
        """Restore this training from a checkpoint."""
        self.session.restore(unpack(self.session.job.supernet, tensors))
        if self.running is not None:
            self.running.load(kept_statistics(tensors))
        self.meter.cost = Cost(**notes["cost"])
        self.done, self.used, self.losses = notes["done"], notes["used"], notes["losses"]

    def result(self) -> Trained:
        """The result of this training."""
        size = max(1, -(-len(self.losses) // CURVE_POINTS))
        chunks = [self.losses[i : i + size] for i in range(0, len(self.losses), size)]
        ends = [self.first + min((i + 1) * size, len(self.losses)) for i in range(len(chunks))]
        curve = tuple((end, sum(chunk) / len(chunk)) for end, chunk in zip(ends, chunks, strict=True))
        return Trained(self.done, curve)


class Checkpoint:
    """Saves all trainings of a stage from time to time, and restores them after an interruption."""

    def __init__(self, folder: Path, trainings: Sequence[Training]) -> None:
        self.path, self.note = folder / CHECKPOINT, folder / PROGRESS
        self.trainings = trainings
        self.saved = time.monotonic()
        if self.path.exists():
            tensors, notes = load_tensors(self.path)
            for index, (training, note) in enumerate(zip(trainings, notes["members"], strict=True)):
                prefix = f"{index}."
                training.restore(
                    {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}, note
                )

    def save_if_due(self) -> None:
        """Save a checkpoint and report progress, if the last one is long enough ago."""
        if time.monotonic() - self.saved < checkpoint_seconds():
            return
        self.saved = time.monotonic()
        write_note(self.note, min(training.share for training in self.trainings))
        tensors = {
            f"{index}.{name}": tensor
            for index, training in enumerate(self.trainings)
            for name, tensor in training.tensors().items()
        }
        save_tensors(self.path, tensors, {"members": [training.notes() for training in self.trainings]})
