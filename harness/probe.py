"""The probe that a criterion gets: batches, contexts, gradients and outputs of a supernet, every pass charged."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.budget import Meter, forward_pass, training_pass
from harness.errors import SplitbenchError
from harness.seeds import at_step
from harness.trainers.base import Trainer
from spaces.base import Choice, Mixture, SearchSpace, SubSpace, Supernet
from spaces.datasets.base import ImageData

_TRIES = 1000


class SupernetProbe:
    """Implements ``criteria.base.Probe`` on a trained supernet.

    Args:
        space, subspace, supernet, data: what is probed; training images only.
        trainer: whose kind of context is drawn, and whose batch size.
        state: the trainer's tensors at the end of its training.
        seed: of this node of the split tree; leaves the arm out.
        draw: which draw of an arm with several; it changes :meth:`rng` alone.
        meter: charged for every pass.
    """

    def __init__(
        self,
        space: SearchSpace,
        subspace: SubSpace,
        supernet: Supernet,
        data: ImageData,
        trainer: Trainer,
        state: dict[str, Tensor],
        seed: int,
        draw: int,
        meter: Meter,
    ) -> None:
        self.space, self.subspace = space, subspace
        self._supernet, self._data, self._trainer, self._state = supernet, data, trainer, state
        self._seed, self._draw, self._meter = seed, draw, meter

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng((self._seed, self._draw, *purpose.encode()))

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        return self._data.batch("train", self._seed, repetition, self._trainer.batch_size)

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        rng = at_step(self._seed + 1, repetition)
        operations = [o for o in self.subspace.allowed[edge] if self.space.operations(edge)[o] != "none"]
        for _ in range(_TRIES):
            context = self._trainer.context(self.space, self.subspace, self._state, rng)
            if not connected or isinstance(context, Mixture):
                return context
            if all(self.space.connected((*context[:edge], o, *context[edge + 1 :])) for o in operations):
                return context
        raise SplitbenchError(f"edge {edge}: no context in {self.subspace} is connected for all of its operations")

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        choice = with_operation(context, edge, operation)
        if not self.space.connected(choice.active if isinstance(choice, Mixture) else choice):
            return None  # the images do not reach the loss: only the classifier's bias would get a gradient
        images, labels = self.batch(repetition)
        self._supernet.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self._supernet(images, choice), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self._meter.charge(training_pass(self.space, choice, len(labels)))
        shared = [parameter for _, parameter in self._supernet.shared_parameters(edge, outer)]
        if not any(p.grad is not None and bool(p.grad.any()) for p in shared):
            return None
        flat = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in shared]
        return torch.cat(flat)

    def lengths(self, edge: int, outer: bool = True) -> list[int]:
        return [parameter.numel() for _, parameter in self._supernet.shared_parameters(edge, outer)]

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        images, labels = self.batch(repetition)
        choice = with_operation(context, edge, operation)
        with torch.no_grad():
            logits: Tensor = self._supernet(images, choice)
        self._meter.charge(forward_pass(self.space, choice, len(labels), self._trainer.batch_size))
        return logits


def with_operation(context: Choice, edge: int, operation: int) -> Choice:
    """The context with ``operation`` alone on ``edge``, at weight 1."""
    if not isinstance(context, Mixture):
        return (*context[:edge], operation, *context[edge + 1 :])
    weights = context.weights.clone()
    weights[edge] = 0
    weights[edge, operation] = 1
    return Mixture(context.active.only(edge, [operation]), weights)
