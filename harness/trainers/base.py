"""The trainer interface: how one supernet's weights (and architecture parameters) are trained.

A trainer opens a session, and the session does one step after the other while the next one fits into the allowance of
its training. Everything random in a step is a function of (seed, step), so a training that was stopped goes on as if it
had not been.

A session has a seam: what runs (``choices``), what it descends on (``loss``) and what becomes of the gradients
(``update``). Modifiers (harness/modifiers) wrap it, whatever the trainer.
"""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from splitbench.harness.budget import Cost, Meter
from splitbench.spaces.architectures.sampling import STRINGS, Sampler
from splitbench.spaces.base import Architecture, Choice, SearchSpace, SubSpace, Supernet
from splitbench.spaces.datasets.base import ImageData

if TYPE_CHECKING:
    from splitbench.harness.modifiers.base import Modification, Modifier

Batch = tuple[Tensor, Tensor]
"""Images [N, C, H, W] and labels [N]."""


@dataclass
class Job:
    """One supernet to train on one subspace.

    Attributes:
        space, subspace, supernet, data: what is trained on what; the supernet lies on the data's device.
        seed: of everything random in the steps, paired between arms.
        meter: to be charged for every pass.
        precision: float32, or bfloat16 for autocast of the forward pass.
        parts: subspaces of the leaves that live in this one supernet, where a modifier has leaves share weights.
        siblings: the jobs that are trained side by side in one stage, this one included, where a modifier asks for it.
        leaves_before: those that come before this one and overlap it: what they contain as well is theirs.
        sampling: whether strings or functions are equally likely to be drawn.
    """

    space: SearchSpace
    subspace: SubSpace
    supernet: Supernet
    data: ImageData
    seed: int
    meter: Meter
    precision: str = "float32"
    parts: tuple[SubSpace, ...] = ()
    siblings: Sequence[Job] = field(default=(), repr=False)
    leaves_before: tuple[SubSpace, ...] = ()
    sampling: str = STRINGS

    @functools.cached_property
    def sampler(self) -> Sampler:
        """Draws what this supernet trains."""
        return Sampler(self.space, self.subspace, self.leaves_before, self.sampling)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One connected architecture to train, of those that this leaf ranks."""
        return self.sampler.draw(rng)

    @property
    def device(self) -> torch.device:
        return next(self.supernet.parameters()).device

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


class Seam(Protocol):
    """What a session does between its batches, and what a modifier may do otherwise."""

    def next_cost(self, step: int) -> Cost:
        """What ``step`` will cost if it is the next one. Asked before each step; nothing may change by it."""

    def choices(self, step: int) -> Sequence[Choice]:
        """What ``step`` runs, one pass each: paths or mixtures. Asked more than once a step, by ``next_cost`` and by
        the step itself, so it gives the same each time."""

    def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
        """What a pass descends on, a scalar."""

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        """Change the weights by the gradients of the step's passes."""


class Session(ABC):
    """A training in progress.

    Attributes:
        job: what is trained.
        seam: the session itself, or the outermost modifier's wrapping of it: a step asks this one.
        modifications: the modifiers at work, innermost first.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.seam: Seam = self
        self.modifications: list[Modification] = []

    @abstractmethod
    def next_cost(self, step: int) -> Cost:
        """See :class:`Seam`."""

    @abstractmethod
    def choices(self, step: int) -> Sequence[Choice]:
        """See :class:`Seam`."""

    def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(logits, batch[1])

    @abstractmethod
    def update(self, step: int, choices: Sequence[Choice]) -> None:
        """See :class:`Seam`."""

    @abstractmethod
    def step(self, step: int, position: float) -> float:
        """One step.

        Args:
            step: counts from the root of the split tree, so data and samples go on where the parent stopped.
            position: in [0, 1) on the learning-rate schedule. The train stage computes it (stages/train.py) from the
                share of its allowance that is spent and its window, which the run sets (runs/protocol.py).

        Returns:
            The training loss, a mean over the step's passes.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything besides the supernet's weights that the next step depends on."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`tensors`; entries of operations that are no longer allowed are ignored."""

    def state(self) -> dict[str, Tensor]:
        """The session's tensors and those of its modifiers."""
        tensors = self.tensors()
        for index, modification in enumerate(self.modifications):
            tensors |= {f"modifier{index}.{name}": tensor for name, tensor in modification.tensors().items()}
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        self.load({name: tensor for name, tensor in state.items() if not name.startswith("modifier")})
        for index, modification in enumerate(self.modifications):
            prefix = f"modifier{index}."
            modification.load({n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)})


class Trainer(ABC):
    """A trainer component: a frozen dataclass of hyper-parameters.

    Attributes:
        single_path: whether each of its steps trains one path.
        batch_size: images a pass.
    """

    single_path: ClassVar[bool] = False
    batch_size: int

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

    @property
    def learns_architecture(self) -> bool:
        """Whether it learns architecture parameters."""
        return False

    def architecture_weights(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """Learnt preference for each operation, [edges, operations], or None if this trainer learns none."""
        return None


def open_session(trainer: Trainer, modifiers: Sequence[Modifier], job: Job) -> Session:
    """A session of a trainer with modifiers around it, the first one innermost."""
    session = trainer.open(job)
    for modifier in modifiers:
        modification = modifier.open(session)
        session.modifications.append(modification)
        session.seam = modification
    return session


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
