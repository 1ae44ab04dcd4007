"""The train stage: one supernet on one subspace, for a number of steps that the budget has paid for."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from splitbench.harness.budget import Cost, Meter
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.parts import Part
from splitbench.harness.stages.base import Stage
from splitbench.harness.store import load_tensors, save_tensors
from splitbench.harness.trainers.base import Job, Session, Trainer
from splitbench.harness.workbench import STATE, Workbench, pack, unpack, write_note
from splitbench.spaces.base import SubSpace, Supernet

CURVE_POINTS = 50


def checkpoint_seconds() -> float:
    """How often a running stage saves itself; the environment may shorten it for tests."""
    return float(os.environ.get("SPLITBENCH_CHECKPOINT_SECONDS", "20"))


@dataclass(frozen=True)
class Trained:
    """What a training came to; weights and tensors are in the stage's file.

    Attributes:
        steps: that were trained.
        curve: (last step, mean loss) of up to 50 equal stretches.
    """

    steps: int
    curve: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Train(Stage[Trained]):
    """A training, resumed from the stage's own checkpoint if there is one; ``state.safetensors`` is left in the folder.

    Attributes:
        trainer: how.
        subspace: what is trained.
        parent: key of the train stage whose weights it goes on from; None for initial ones.
        initial_seed, seed: of the initial weights, and of everything random in the steps.
        first: steps from the root of the split tree to this training.
        steps, seconds: how long; one of them.
        progress: where on the learning-rate schedule it begins and ends.
        momentum_groups: parts of the subspace, each with a momentum of its own.
    """

    kind: ClassVar[str] = "train"
    version: ClassVar[int] = 1
    gives: ClassVar[type] = Trained

    trainer: Part
    subspace: SubSpace
    parent: str | None
    initial_seed: int
    seed: int
    first: int
    steps: int | None
    seconds: float | None
    progress: tuple[float, float]
    momentum_groups: tuple[SubSpace, ...] = ()

    def work(self, bench: Workbench, folder: Path) -> tuple[Trained, Cost]:
        trainer: Trainer = self.trainer.build()
        supernet, inherited = bench.supernet(self.initial_seed, self.parent)
        meter = Meter()
        job = Job(
            bench.space, self.subspace, supernet, bench.data, self.seed, meter, bench.precision, self.momentum_groups
        )
        session = trainer.open(job)
        if inherited:
            session.load(inherited)
        progress = Progress(self, folder / "progress.json")
        checkpoint = folder / "checkpoint.safetensors"
        if checkpoint.exists():
            progress.restore(checkpoint, supernet, session, meter)

        for step, position in progress:
            loss = session.step(self.first + step, position)
            if not math.isfinite(loss):
                raise SplitbenchError(
                    f"the training loss is {loss} at step {self.first + step + 1}: the supernet has diverged; "
                    f"lower the learning rate of the trainer {self.trainer.name}"
                )
            progress.log(loss)
            if progress.due():
                save_tensors(checkpoint, pack(supernet, session.tensors()), progress.notes(meter))

        save_tensors(folder / STATE, pack(supernet, session.tensors()), {})
        return Trained(progress.done, progress.curve()), meter.cost


class Progress:
    """Counts steps (or seconds), places each on the learning-rate schedule, and keeps the loss curve."""

    def __init__(self, stage: Train, note: Path) -> None:
        self.steps, self.seconds = stage.steps, stage.seconds
        self.start, self.stop = stage.progress
        self.first = stage.first
        self.note = note
        self.done = 0
        self.used = 0.0  # seconds of earlier, interrupted attempts
        self.losses: list[float] = []
        self.began = self.saved = time.monotonic()

    def __iter__(self) -> Iterator[tuple[int, float]]:
        while (share := self.share()) < 1:
            yield self.done, self.start + (self.stop - self.start) * share
            self.done += 1

    def share(self) -> float:
        """How much of this stage is done, in [0, 1]."""
        if self.steps is not None:
            return self.done / self.steps if self.steps else 1.0
        assert self.seconds is not None
        return min((self.used + time.monotonic() - self.began) / self.seconds, 1.0)

    def log(self, loss: float) -> None:
        self.losses.append(loss)

    def due(self) -> bool:
        """Whether it is time for a checkpoint; also tells watchers how far the stage is."""
        if time.monotonic() - self.saved < checkpoint_seconds():
            return False
        self.saved = time.monotonic()
        write_note(self.note, self.share())
        return True

    def notes(self, meter: Meter) -> dict[str, Any]:
        return {
            "done": self.done + 1,
            "used": self.used + time.monotonic() - self.began,
            "cost": meter.cost.as_dict(),
            "losses": self.losses,
        }

    def restore(self, checkpoint: Path, supernet: Supernet, session: Session, meter: Meter) -> None:
        """Put everything back to where the checkpoint was taken."""
        tensors, notes = load_tensors(checkpoint)
        session.load(unpack(supernet, tensors))
        meter.cost = Cost(**notes["cost"])
        self.done, self.used, self.losses = notes["done"], notes["used"], notes["losses"]

    def curve(self) -> tuple[tuple[int, float], ...]:
        """(last step, mean loss) of up to ``CURVE_POINTS`` equal stretches."""
        size = max(1, -(-len(self.losses) // CURVE_POINTS))
        chunks = [self.losses[i : i + size] for i in range(0, len(self.losses), size)]
        return tuple(
            (self.first + min((i + 1) * size, len(self.losses)), sum(chunk) / len(chunk))
            for i, chunk in enumerate(chunks)
        )
