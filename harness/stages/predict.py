"""The predict stage: estimates of all architectures of the population that one leaf owns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from splitbench.harness.budget import Cost
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext, WeightsPlace, write_note
from splitbench.harness.stages.train import checkpoint_seconds
from splitbench.harness.stores.base import CHECKPOINT, PROGRESS
from splitbench.harness.stores.folder import load_tensors, save_tensors
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.harness.supernets.normalisation import RunningStatistics
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.base import Architecture, SubSpace

ESTIMATES = "estimates.safetensors"


@dataclass(frozen=True)
class Predicted:
    """How many architectures have an estimate; the estimates are in the stage's file."""

    count: int


@dataclass(frozen=True, kw_only=True)
class Predict(Stage[Predicted]):
    """Estimates the architectures that one leaf owns: validation accuracy in percent, and cross-entropy.

    ``estimates.safetensors`` is left in the stage's folder: rows [A, edges], accuracy [A], loss [A].

    Attributes:
        subspace: what the leaf allows.
        state: the leaf's weights; None for the initial ones.
        evaluation: on which images, and what normalises them.
        population: the architectures that are ranked; those of this leaf are estimated.
        earlier: leaves before it that share architectures with it, and own these.
    """

    kind: ClassVar[str] = "predict"
    version: ClassVar[int] = 3
    gives: ClassVar[type] = Predicted

    subspace: SubSpace
    state: WeightsPlace | None
    evaluation: Evaluation
    population: RankedFunctions
    earlier: tuple[SubSpace, ...] = ()

    def work(self, context: StageContext, folder: Path) -> tuple[Predicted, Cost]:
        rows = self.population.rows(context.space, self.subspace, self.earlier)
        weights = context.weights(0, self.state)
        supernet = weights.supernet
        running = RunningStatistics(supernet, weights.statistics) if self.evaluation.keeps_statistics else None
        accuracy, loss = torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.float64)
        checkpoint, start = folder / CHECKPOINT, 0
        if checkpoint.exists():
            tensors, notes = load_tensors(checkpoint)
            accuracy, loss, start = tensors["accuracy"], tensors["loss"], notes["done"]
        saved, known = time.monotonic(), dict[Architecture, tuple[float, float]]()
        for index in range(start, len(rows)):
            path = self.population.estimated(context.space, tuple(rows[index].tolist()))
            if path not in known:
                known[path] = estimate(supernet, path, context.data, self.evaluation, running)
            accuracy[index], loss[index] = known[path]
            if time.monotonic() - saved > checkpoint_seconds():
                saved = time.monotonic()
                save_tensors(checkpoint, {"accuracy": accuracy, "loss": loss}, {"done": index + 1})
                write_note(folder / PROGRESS, (index + 1) / len(rows))
        columns = {"rows": torch.from_numpy(rows.copy()), "accuracy": accuracy, "loss": loss}
        save_tensors(folder / ESTIMATES, columns, {})
        return Predicted(len(rows)), Cost()
