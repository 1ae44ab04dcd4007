"""What trainers share whose weights follow SGD: hyper-parameters, learning-rate schedule, one descent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError
from splitbench.harness.trainers.base import Trainer


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

    def anneal(self, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """Set the learning rate: a half cosine over the schedule."""
        last = self.final_learning_rate
        for group in optimizer.param_groups:
            group["lr"] = last + (self.learning_rate - last) * (1 + math.cos(math.pi * progress)) / 2

    def descend(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """One step down the loss. Gradients start as None: what did not run is left alone, weight decay included."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        nn.utils.clip_grad_norm_(parameters, self.clip)
        optimizer.step()
