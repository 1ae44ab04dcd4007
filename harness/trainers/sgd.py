"""What trainers share whose weights follow SGD: hyper-parameters, learning-rate schedule, the steps of a session."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from splitbench.harness.budget import Cost, training_pass
from splitbench.harness.errors import ConfigError
from splitbench.harness.trainers.base import Batch, Job, Session, Trainer, load_optimizer, optimizer_tensors
from splitbench.spaces.base import Choice


@dataclass(frozen=True)
class SgdTrainer(Trainer):
    """SGD with Nesterov momentum, cosine learning rate over the arm's whole budget, clipped gradients.

    Attributes:
        batch_size: images a training step.
        learning_rate, final_learning_rate: where the cosine starts, and where it ends with the arm's budget.
        momentum: Nesterov's; 0 for none.
        weight_decay: times the weights, added to their gradients.
        clip: the largest norm that a step's gradient keeps, over all weights together.
    """

    batch_size: int = 64
    learning_rate: float = 0.025
    final_learning_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float = 5.0

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ConfigError(f"trainer.batch_size: batch statistics need at least 2 images, not {self.batch_size}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"trainer.learning_rate: a positive number is expected, not {self.learning_rate}")
        for name in ("final_learning_rate", "momentum", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"trainer.{name}: a number of at least 0 is expected, not {getattr(self, name)}")
        if not 0 < self.clip < math.inf:
            raise ConfigError(f"trainer.clip: a positive gradient norm is expected, not {self.clip}")

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.SGD:
        return torch.optim.SGD(
            parameters,
            self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )

    def anneal(self, optimizer: torch.optim.Optimizer, position: float) -> None:
        """Set the learning rate: a half cosine over the schedule."""
        last = self.final_learning_rate
        for group in optimizer.param_groups:
            group["lr"] = last + (self.learning_rate - last) * (1 + math.cos(math.pi * position)) / 2


class SgdSession(Session):
    """One descent a step, on the gradients of a pass of each of its choices. A subclass says what the choices are."""

    def __init__(self, trainer: SgdTrainer, job: Job) -> None:
        super().__init__(job)
        self.trainer = trainer
        self.weights = dict(job.supernet.named_parameters())
        self.optimizer = trainer.optimizer(self.weights.values())

    def next_cost(self, step: int) -> Cost:
        passes = (training_pass(self.job.space, c, self.trainer.batch_size) for c in self.seam.choices(step))
        return sum(passes, Cost())

    def step(self, step: int, position: float) -> float:
        self.trainer.anneal(self.optimizer, position)
        self.optimizer.zero_grad(set_to_none=True)
        batch = self.job.data.batch("train", self.job.seed, step, self.trainer.batch_size)
        choices = self.seam.choices(step)
        losses = [self.backward(batch, choice) for choice in choices]
        self.seam.update(step, choices)
        return sum(losses) / len(losses)

    def backward(self, batch: Batch, choice: Choice) -> float:
        """A pass forward and backward, charged; its gradients are added to those that are there. Gives the loss."""
        with self.job.autocast():
            loss = self.seam.loss(batch, choice, self.job.supernet(batch[0], choice))
        loss.backward()  # type: ignore[no-untyped-call]
        self.job.meter.charge(training_pass(self.job.space, choice, len(batch[1])))
        return loss.item()

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        """One step down. Gradients started as None: what did not run is left alone, weight decay included."""
        nn.utils.clip_grad_norm_([p for p in self.weights.values() if p.grad is not None], self.trainer.clip)
        self.optimizer.step()

    def tensors(self) -> dict[str, Tensor]:
        return optimizer_tensors(self.optimizer, self.weights, "optimizer")

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        load_optimizer(self.optimizer, self.weights, "optimizer", tensors)
