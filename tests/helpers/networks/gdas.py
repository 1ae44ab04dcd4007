"""GDAS' case, as a plugin trainer: what a step runs is drawn by what has been learnt, so its cost is known when drawn.

Dong and Yang, CVPR 2019: on each edge one operation, by Gumbel-softmax with the straight-through gradient; the weights
step on a training batch, the architecture parameters on a validation batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.harness.budget import Cost
from splitbench.harness.registry import register
from splitbench.harness.seeds import at_step
from splitbench.harness.trainers.base import Job, load_optimizer, optimizer_tensors
from splitbench.harness.trainers.sgd import SgdSession, SgdTrainer
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace


@register("trainers", "gdas")
@dataclass(frozen=True)
class Gdas(SgdTrainer):
    """Gumbel-softmax samples of one operation an edge, straight through.

    Attributes:
        temperature: of the softmax.
        architecture_learning_rate: Adam's, for the architecture parameters.
    """

    version: ClassVar[int] = 1
    temperature: float = 1.0
    architecture_learning_rate: float = 0.3

    def open(self, job: Job) -> GdasSession:
        return GdasSession(self, job)

    def context(
        self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Choice:
        return drawn(subspace, state["alpha"], rng, self.temperature)

    @property
    def learns_architecture(self) -> bool:
        return True

    def architecture_weights(self, state: Mapping[str, Tensor]) -> Tensor | None:
        return state["alpha"]


class GdasSession(SgdSession):
    """Gdas at work. Both batches of a step run one draw: alpha moves last."""

    trainer: Gdas

    def __init__(self, trainer: Gdas, job: Job) -> None:
        super().__init__(trainer, job)
        edges = range(len(job.space.edges))
        shape = len(edges), max(len(job.space.operations(edge)) for edge in edges)
        alpha = 1e-3 * torch.randn(shape, generator=torch.Generator().manual_seed(job.seed))
        self.alpha = nn.Parameter(alpha.to(job.device))
        self.adam = torch.optim.Adam([self.alpha], trainer.architecture_learning_rate, betas=(0.5, 0.999))

    def choices(self, step: int) -> Sequence[Choice]:
        rng = at_step(self.job.seed, step)
        return [drawn(self.job.subspace, self.alpha, rng, self.trainer.temperature)]

    def next_cost(self, step: int) -> Cost:
        cost = super().next_cost(step)
        return cost + cost

    def step(self, step: int, position: float) -> float:
        loss = super().step(step, position)
        held_out = self.job.data.batch("validation", self.job.seed ^ 1, step, self.trainer.batch_size)
        self.adam.zero_grad(set_to_none=True)
        for choice in self.seam.choices(step):
            self.backward(held_out, choice)
        self.adam.step()
        return loss

    def tensors(self) -> dict[str, Tensor]:
        return {"alpha": self.alpha.detach(), **super().tensors(), **optimizer_tensors(self.adam, self.named, "adam")}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            self.alpha.copy_(tensors["alpha"])
        super().load(tensors)
        load_optimizer(self.adam, self.named, "adam", tensors)

    @property
    def named(self) -> dict[str, Tensor]:
        return {"alpha": self.alpha}


def drawn(subspace: SubSpace, alpha: Tensor, rng: np.random.Generator, temperature: float) -> Mixture:
    """One operation an edge, by Gumbel noise: weight 1 forward, the gradient of the softmax backward."""
    noise = torch.from_numpy(rng.gumbel(size=tuple(alpha.shape))).to(alpha)
    allowed = torch.zeros(alpha.shape, dtype=torch.bool)
    for edge, operations in enumerate(subspace.allowed):
        allowed[edge, list(operations)] = True
    soft = ((alpha + noise) / temperature).masked_fill(~allowed.to(alpha.device), float("-inf")).softmax(1)
    picked = soft.argmax(1)
    hard = torch.zeros_like(soft).scatter_(1, picked[:, None], 1.0)
    return Mixture(SubSpace(tuple((int(op),) for op in picked)), hard - soft.detach() + soft)
