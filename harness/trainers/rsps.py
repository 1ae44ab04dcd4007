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

from splitbench.harness.budget import Cost, training_pass
from splitbench.harness.seeds import at_step
from splitbench.harness.trainers.base import Job, Session, load_optimizer, optimizer_tensors
from splitbench.harness.trainers.sgd import SgdTrainer
from splitbench.spaces.base import Architecture, Choice, SearchSpace, SubSpace


@dataclass(frozen=True)
class Rsps(SgdTrainer):
    """Single-path uniform training: each step trains one random connected architecture, shared by all cells.

    SGD with Nesterov momentum, cosine learning rate over the arm's whole budget, clipped gradients.

    Attributes:
        batch_size: images a training step.
        learning_rate, final_learning_rate: where the cosine starts, and where it ends with the arm's budget.
        momentum: Nesterov's; 0 for none.
        weight_decay: times the weights, added to their gradients.
        clip: the largest norm that a step's gradient keeps, over all weights together.
    """

    version: ClassVar[int] = 1

    @property
    def momentum_groups(self) -> bool:
        return self.momentum > 0

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
    """Rsps at work: one optimizer, or one for each momentum group, over the same weights."""

    def __init__(self, trainer: Rsps, job: Job) -> None:
        self.trainer, self.job = trainer, job
        self.weights = dict(job.supernet.named_parameters())
        self.groups = job.momentum_groups or (job.subspace,)
        self.optimizers = [trainer.optimizer(self.weights.values()) for _ in self.groups]

    def step(self, step: int, progress: float) -> float:
        trainer, job = self.trainer, self.job
        images, labels = job.data.batch("train", job.seed, step, trainer.batch_size)
        architecture = trainer.sample(job.space, job.subspace, job.seed, step)
        optimizer = self.optimizers[next(i for i, group in enumerate(self.groups) if group.contains(architecture))]
        trainer.anneal(optimizer, progress)
        with job.autocast():
            loss = functional.cross_entropy(job.supernet(images, architecture), labels)
        trainer.descend(optimizer, loss)
        job.meter.charge(training_pass(job.space, architecture, trainer.batch_size))
        return loss.item()

    def tensors(self) -> dict[str, Tensor]:
        return {
            name: tensor
            for group, optimizer in zip(self.groups, self.optimizers, strict=True)
            for name, tensor in optimizer_tensors(optimizer, self.weights, self.prefix(group)).items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """A group goes on from its own momentum, or from that of the group which it was split from."""
        for group, optimizer in zip(self.groups, self.optimizers, strict=True):
            prefix = self.prefix(group)
            if not any(name.startswith(f"{prefix}.") for name in tensors):
                prefix = parent_prefix(group, tensors)
            load_optimizer(optimizer, self.weights, prefix, tensors)

    def prefix(self, group: SubSpace) -> str:
        """What a group's tensors are called by: its subspace, if there are groups."""
        return f"optimizer@{named(group)}" if self.job.momentum_groups else "optimizer"


def named(group: SubSpace) -> str:
    return "-".join("+".join(map(str, operations)) for operations in group.allowed)


def parent_prefix(group: SubSpace, tensors: Mapping[str, Tensor]) -> str:
    """The prefix of the momentum that a new group inherits."""
    for prefix in {name.partition(".")[0] for name in tensors if name.startswith("optimizer@")}:
        allowed = [tuple(map(int, ops.split("+"))) for ops in prefix.removeprefix("optimizer@").split("-")]
        if all(set(mine) <= set(theirs) for mine, theirs in zip(group.allowed, allowed, strict=True)):
            return prefix
    return "optimizer"
