"""DARTS, first order (Liu et al., ICLR 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.harness.budget import Cost
from splitbench.harness.trainers.base import Job, load_optimizer, optimizer_tensors
from splitbench.harness.trainers.sgd import SgdSession, SgdTrainer
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace

_VALIDATION = 0x5EED  # keeps the validation stream apart from the training stream of the same seed


@dataclass(frozen=True)
class Darts(SgdTrainer):
    """A softmax mixture of all allowed operations; architecture parameters descend on the validation half.

    First order: one architecture step (Adam) and one weight step (SGD) on their own batches. Every operation of both
    mixtures runs, forward and backward, and is charged.

    Attributes:
        batch_size: images a training step.
        learning_rate, final_learning_rate: where the cosine starts, and where it ends with the arm's budget.
        momentum: Nesterov's; 0 for none.
        weight_decay: times the weights, added to their gradients.
        clip: the largest norm that a step's gradient keeps, over all weights together.
        architecture_learning_rate: Adam's, for the architecture parameters.
        architecture_weight_decay: of the architecture parameters.
    """

    learning_rate: float = 0.025
    final_learning_rate: float = 0.001
    architecture_learning_rate: float = 3e-4
    architecture_weight_decay: float = 1e-3

    version: ClassVar[int] = 2

    def open(self, job: Job) -> DartsSession:
        return DartsSession(self, job)

    def context(
        self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Mixture:
        return space.mixture(state["alpha"], subspace)

    @property
    def learns_architecture(self) -> bool:
        return True

    def architecture_weights(self, state: Mapping[str, Tensor]) -> Tensor | None:
        return state["alpha"]


class DartsSession(SgdSession):
    """Darts at work."""

    def __init__(self, trainer: Darts, job: Job) -> None:
        super().__init__(trainer, job)
        generator = torch.Generator().manual_seed(job.seed)
        alpha = 1e-3 * torch.randn(job.space.weights_shape, generator=generator)
        self.alpha = nn.Parameter(alpha.to(job.device))
        self.architecture_optimizer = torch.optim.Adam(
            [self.alpha],
            trainer.architecture_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=trainer.architecture_weight_decay,
        )

    def choices(self, step: int) -> Sequence[Choice]:
        return [self.job.space.mixture(self.alpha, self.job.subspace)]

    def next_cost(self, step: int) -> Cost:
        """Of the weights' passes, and as much again for those of the architecture parameters."""
        cost = super().next_cost(step)
        return cost + cost

    def step(self, step: int, position: float) -> float:
        job = self.job
        held_out = job.data.batch("validation", job.seed ^ _VALIDATION, step, self.trainer.batch_size)
        self.architecture_optimizer.zero_grad(set_to_none=True)
        for choice in self.seam.choices(step):
            self.backward(held_out, choice)
        self.architecture_optimizer.step()
        return super().step(step, position)

    def tensors(self) -> dict[str, Tensor]:
        moments = optimizer_tensors(self.architecture_optimizer, {"alpha": self.alpha}, "architecture_optimizer")
        return {"alpha": self.alpha.detach(), **super().tensors(), **moments}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            self.alpha.copy_(tensors["alpha"])
        super().load(tensors)
        load_optimizer(self.architecture_optimizer, {"alpha": self.alpha}, "architecture_optimizer", tensors)
