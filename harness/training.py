"""The train stage: one supernet on one subspace, for a number of steps that the budget has paid for."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splitbench.harness.budget import Cost, Meter
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.stages import load_tensors, save_tensors
from splitbench.harness.trainers.base import Job, Session, Trainer
from splitbench.harness.workbench import STATE, Workbench, component, pack, subspace_of, unpack, write_note
from splitbench.spaces.base import Supernet

CURVE_POINTS = 50


def checkpoint_seconds() -> float:
    """How often a running stage saves itself; the environment may shorten it for tests."""
    return float(os.environ.get("SPLITBENCH_CHECKPOINT_SECONDS", "20"))


def train(bench: Workbench, inputs: dict[str, Any], folder: Path) -> tuple[dict[str, Any], Cost]:
    """Train, resuming from the stage's own checkpoint if there is one.

    Args:
        bench: space, images and parent weights.
        inputs: ``trainer, subspace, parent, initial_seed, seed, first, steps | seconds, progress``, and
            ``momentum_groups`` where the momentum is split.
        folder: the stage's folder; ``state.safetensors`` is left in it.

    Returns:
        ``{"steps", "curve"}`` and the cost.
    """
    trainer: Trainer = component("trainers", inputs["trainer"])
    supernet, inherited = bench.supernet(inputs["initial_seed"], inputs["parent"])
    meter = Meter()
    subspace = subspace_of(inputs["subspace"])
    groups = tuple(subspace_of(lists) for lists in inputs.get("momentum_groups", ()))
    job = Job(bench.space, subspace, supernet, bench.data, inputs["seed"], meter, bench.precision, groups)
    session = trainer.open(job)
    if inherited:
        session.load(inherited)
    progress = Progress(inputs, folder / "progress.json")
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists():
        progress.restore(checkpoint, supernet, session, meter)

    for step, position in progress:
        loss = session.step(inputs["first"] + step, position)
        if not math.isfinite(loss):
            raise SplitbenchError(
                f"the training loss is {loss} at step {inputs['first'] + step + 1}: the supernet has diverged; "
                f"lower the learning rate of the trainer {inputs['trainer']['name']}"
            )
        progress.log(loss)
        if progress.due():
            save_tensors(checkpoint, pack(supernet, session.tensors()), progress.notes(meter))

    save_tensors(folder / STATE, pack(supernet, session.tensors()), {})
    return {"steps": progress.done, "curve": progress.curve()}, meter.cost


class Progress:
    """Counts steps (or seconds), places each on the learning-rate schedule, and keeps the loss curve."""

    def __init__(self, inputs: dict[str, Any], note: Path) -> None:
        self.steps: int | None = inputs["steps"]
        self.seconds: float | None = inputs["seconds"]
        self.start, self.stop = inputs["progress"]
        self.first: int = inputs["first"]
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

    def curve(self) -> list[list[float]]:
        """(last step, mean loss) of up to ``CURVE_POINTS`` equal stretches."""
        size = max(1, -(-len(self.losses) // CURVE_POINTS))
        chunks = [self.losses[i : i + size] for i in range(0, len(self.losses), size)]
        return [
            [self.first + min((i + 1) * size, len(self.losses)), sum(chunk) / len(chunk)]
            for i, chunk in enumerate(chunks)
        ]
