"""DARTS, first order (Liu et al., ICLR 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from splitbench.harness.budget import Cost, training_pass
from splitbench.harness.trainers.base import Job, Session, load_optimizer, optimizer_tensors
from splitbench.harness.trainers.sgd import SgdTrainer
from splitbench.spaces.base import Mixture, SearchSpace, SubSpace

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

    version: ClassVar[int] = 1

    def costs(self, space: SearchSpace, subspace: SubSpace, seed: int, first: int) -> Iterator[Cost]:
        cost = self.pass_cost(space, subspace)
        while True:
            yield cost + cost

    def pass_cost(self, space: SearchSpace, subspace: SubSpace) -> Cost:
        """One pass of the whole mixture, forward and backward."""
        return training_pass(space, space.mixture(torch.zeros(space.weights_shape), subspace), self.batch_size)

    def open(self, job: Job) -> DartsSession:
        return DartsSession(self, job)

    def context(
        self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Mixture:
        return space.mixture(state["alpha"], subspace)

    def architecture_weights(self, state: Mapping[str, Tensor]) -> Tensor | None:
        return state["alpha"]


class DartsSession(Session):
    """Darts at work."""

    def __init__(self, trainer: Darts, job: Job) -> None:
        self.trainer, self.job = trainer, job
        self.weights = dict(job.supernet.named_parameters())
        self.optimizer = trainer.optimizer(self.weights.values())
        generator = torch.Generator().manual_seed(job.seed)
        alpha = 1e-3 * torch.randn(job.space.weights_shape, generator=generator)
        self.alpha = nn.Parameter(alpha.to(job.data.device))
        self.architecture_optimizer = torch.optim.Adam(
            [self.alpha],
            trainer.architecture_learning_rate,
            betas=(0.5, 0.999),
            weight_decay=trainer.architecture_weight_decay,
        )

    def step(self, step: int, progress: float) -> float:
        trainer, job = self.trainer, self.job
        trainer.anneal(self.optimizer, progress)
        price = trainer.pass_cost(job.space, job.subspace)

        held_out = self.loss("validation", job.seed ^ _VALIDATION, step)
        self.architecture_optimizer.zero_grad(set_to_none=True)
        held_out.backward()  # type: ignore[no-untyped-call]
        self.architecture_optimizer.step()
        job.meter.charge(price)

        loss = self.loss("train", job.seed, step)
        trainer.descend(self.optimizer, loss)
        job.meter.charge(price)
        return loss.item()

    def loss(self, part: str, seed: int, step: int) -> Tensor:
        """Cross-entropy of the mixture on one batch."""
        images, labels = self.job.data.batch(part, seed, step, self.trainer.batch_size)
        with self.job.autocast():
            logits = self.job.supernet(images, self.job.space.mixture(self.alpha, self.job.subspace))
            return functional.cross_entropy(logits, labels)

    def tensors(self) -> dict[str, Tensor]:
        return {
            "alpha": self.alpha.detach(),
            **optimizer_tensors(self.optimizer, self.weights, "optimizer"),
            **optimizer_tensors(self.architecture_optimizer, {"alpha": self.alpha}, "architecture_optimizer"),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            self.alpha.copy_(tensors["alpha"])
        load_optimizer(self.optimizer, self.weights, "optimizer", tensors)
        load_optimizer(self.architecture_optimizer, {"alpha": self.alpha}, "architecture_optimizer", tensors)
