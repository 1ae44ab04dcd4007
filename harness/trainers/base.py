"""The trainer interface: how one supernet's weights (and architecture parameters) are trained.

A trainer says beforehand what each step will cost, so that a budget is cut into whole steps without training anything,
and opens a session that does the steps. Everything random in a step is a function of (seed, step).
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.harness.budget import Cost, Meter
from splitbench.spaces.base import Choice, SearchSpace, SubSpace, Supernet
from splitbench.spaces.datasets.base import ImageData


@dataclass
class Job:
    """One supernet to train on one subspace.

    Attributes:
        space, subspace, supernet, data: what is trained on what; the supernet lies on the data's device.
        seed: of everything random in the steps, paired between arms.
        meter: to be charged for every pass.
        precision: float32, or bfloat16 for autocast of the forward pass.
        momentum_groups: parts of the subspace, each with a momentum of its own; none: one momentum for all.
    """

    space: SearchSpace
    subspace: SubSpace
    supernet: Supernet
    data: ImageData
    seed: int
    meter: Meter
    precision: str = "float32"
    momentum_groups: tuple[SubSpace, ...] = ()

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.data.device.type, torch.bfloat16)


class Session(ABC):
    """A training in progress."""

    @abstractmethod
    def step(self, step: int, progress: float) -> float:
        """One step.

        Args:
            step: counts from the root of the split tree, so data and samples go on where the parent stopped.
            progress: position in [0, 1) on the learning-rate schedule.

        Returns:
            The training loss.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything besides the supernet's weights that the next step depends on."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`tensors`; entries of operations that are no longer allowed are ignored."""


class Trainer(ABC):
    """A trainer component: a frozen dataclass of hyper-parameters.

    Attributes:
        momentum_groups: whether its sessions keep a momentum for each of the job's ``momentum_groups``.
    """

    @property
    def momentum_groups(self) -> bool:
        return False

    batch_size: int

    @abstractmethod
    def costs(self, space: SearchSpace, subspace: SubSpace, seed: int, first: int) -> Iterator[Cost]:
        """What step ``first`` and each later one will cost, without end."""

    @abstractmethod
    def open(self, job: Job) -> Session:
        """A session at its beginning."""

    @abstractmethod
    def context(
        self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Choice:
        """What a criterion's probe runs on the edges it does not probe: this trainer's own kind of choice.

        Args:
            state: the session's tensors at the end of the training before the split.
            rng: the context's random numbers.
        """

    def architecture_weights(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """Learnt preference for each operation, [edges, operations], or None if this trainer learns none."""
        return None


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter | Tensor], prefix: str
) -> dict[str, Tensor]:
    """The optimizer's state (momentum, moments) by parameter name."""
    return {
        f"{prefix}.{name}.{key}": value
        for name, parameter in named.items()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    named: Mapping[str, nn.Parameter | Tensor],
    prefix: str,
    tensors: Mapping[str, Tensor],
) -> None:
    """The inverse of :func:`optimizer_tensors`, in each parameter's own memory format."""
    for full, value in tensors.items():
        name, _, key = full.removeprefix(f"{prefix}.").rpartition(".")
        if not full.startswith(f"{prefix}.") or name not in named:
            continue
        parameter = named[name]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][key] = value
