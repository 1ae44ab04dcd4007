"""The score stage: one criterion on one edge of one trained node of the split tree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Criterion
from splitbench.harness.budget import Cost, Meter
from splitbench.harness.part import Part
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext, WeightsPlace
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.trainers.base import Job, Trainer
from splitbench.spaces.base import SubSpace, Supernet
from splitbench.spaces.truth import GroundTruth, open_truth


@dataclass(frozen=True, kw_only=True)
class Score(Stage[Affinity]):
    """Asks a criterion how much the operations of an edge disagree; its passes are charged by the probe.

    Attributes:
        trainer: whose kind of context the probe draws.
        criterion: the part that scores.
        subspace: what the node allows.
        state: the node's weights; None for the initial ones.
        initial_seed, training_seed: of the initial weights, and of the trainer's initial state where nothing has been
            trained yet.
        edge: its index in the space.
        seed: of the probe's batches and contexts.
        draw: number of the draw, where the criterion draws; 0 elsewhere.
        truth: checksum of the ground truth, for an oracle control alone.
    """

    kind: ClassVar[str] = "score"
    version: ClassVar[int] = 3
    gives: ClassVar[type] = Affinity

    trainer: Part
    criterion: Part
    subspace: SubSpace
    state: WeightsPlace | None
    initial_seed: int
    training_seed: int
    edge: int
    seed: int
    draw: int
    truth: str | None = None

    @property
    def reads_truth(self) -> bool:
        return self.truth is not None

    def work(self, context: StageContext, folder: Path) -> tuple[Affinity, Cost]:
        trainer: Trainer = self.trainer.build()
        weights, meter = context.weights(self.initial_seed, self.state), Meter()
        supernet, state = weights.supernet, weights.tensors
        if not state:  # no training before the split: the trainer's initial state
            job = Job(context.space, self.subspace, supernet, context.data, self.training_seed, Meter())
            state = trainer.open(job).tensors()
        criterion: Criterion = self.criterion.build()

        def initial() -> Supernet:
            return context.weights(self.initial_seed).supernet

        def truth() -> GroundTruth:
            return open_truth(context.space, context.dataset.name)

        probe = SupernetProbe(
            context.space,
            self.subspace,
            supernet,
            context.data,
            trainer,
            state,
            self.seed,
            self.draw,
            meter,
            initial,
            truth if self.reads_truth else None,
        )
        return criterion(probe, self.edge), meter.cost

    @classmethod
    def encode(cls, output: Affinity) -> Any:
        errors = [[None if math.isnan(x) else x for x in row] for row in output.standard_error.tolist()]
        return {
            "operations": list(output.operations),
            "dissimilarity": output.dissimilarity.tolist(),
            "standard_error": errors,
            "repetitions": output.repetitions,
            "worth": [[[list(group) for group in groups], value] for groups, value in output.worth],
        }

    @classmethod
    def decode(cls, data: Any) -> Affinity:
        errors = [[math.nan if x is None else x for x in row] for row in data["standard_error"]]
        worth = tuple((tuple(tuple(group) for group in groups), value) for groups, value in data["worth"])
        operations = tuple(data["operations"])
        return Affinity(operations, np.array(data["dissimilarity"]), np.array(errors), data["repetitions"], worth)
