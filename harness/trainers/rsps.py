"""Random search with parameter sharing: single-path uniform training.

Li and Talwalkar, UAI 2019; Guo et al., ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional

from harness.budget import Cost, training_pass
from harness.seeds import at_step
from harness.trainers.base import Job, Session, load_optimizer, optimizer_tensors
from harness.trainers.sgd import SgdTrainer
from spaces.base import Architecture, Choice, SearchSpace, SubSpace


@dataclass(frozen=True)
class Rsps(SgdTrainer):
    """Single-path uniform training: each step trains one random connected architecture, shared by all cells.

    SGD with Nesterov momentum, cosine learning rate over the arm's whole budget, clipped gradients.
    """

    version: ClassVar[int] = 1

    def sample(self, space: SearchSpace, subspace: SubSpace, seed: int, step: int) -> Architecture:
        """The architecture that step trains."""
        return space.sample(at_step(seed, step), subspace)

    def costs(self, space: SearchSpace, subspace: SubSpace, seed: int, first: int) -> Iterator[Cost]:
        step = first
        while True:
            yield training_pass(space, self.sample(space, subspace, seed, step), self.batch_size)
            step += 1

    def open(self, job: Job) -> RspsSession:
        return RspsSession(self, job)

    def context(
        self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Choice:
        return space.sample(rng, subspace)


class RspsSession(Session):
    """Rsps at work."""

    def __init__(self, trainer: Rsps, job: Job) -> None:
        self.trainer, self.job = trainer, job
        self.weights = dict(job.supernet.named_parameters())
        self.optimizer = trainer.optimizer(self.weights.values())

    def step(self, step: int, progress: float) -> float:
        trainer, job = self.trainer, self.job
        trainer.anneal(self.optimizer, progress)
        images, labels = job.data.batch("train", job.seed, step, trainer.batch_size)
        architecture = trainer.sample(job.space, job.subspace, job.seed, step)
        with job.autocast():
            loss = functional.cross_entropy(job.supernet(images, architecture), labels)
        trainer.descend(self.optimizer, loss)
        job.meter.charge(training_pass(job.space, architecture, trainer.batch_size))
        return loss.item()

    def tensors(self) -> dict[str, Tensor]:
        return optimizer_tensors(self.optimizer, self.weights, "optimizer")

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        load_optimizer(self.optimizer, self.weights, "optimizer", tensors)
