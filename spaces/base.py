"""The search-space interface: a topology, its functions, sizes, supernet and ground truth.

This is the module that spaces, criteria and trainers import from: the words of ``choices``, the supernet, and what a
space can be asked are all here by name.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from splitbench.harness.errors import ConfigError
from splitbench.spaces.choices import (
    Architecture,
    Choice,
    Mixture,
    Rows,
    SubSpace,
)
from splitbench.spaces.doors import guarded, require_open
from splitbench.spaces.functions import FunctionSet
from splitbench.spaces.supernet import ActiveWeight, Supernet

if TYPE_CHECKING:
    from splitbench.spaces.truth import GroundTruth

__all__ = [
    "CAPABILITIES",
    "ActiveWeight",
    "Architecture",
    "Choice",
    "Flops",
    "Mixture",
    "Rows",
    "SearchSpace",
    "SubSpace",
    "Supernet",
    "UncountedError",
    "reaches",
    "unmet",
]


@dataclass(frozen=True)
class Flops:
    """Analytic FLOPs for one image: 2 x multiply-adds of convolutions and linear layers.

    Attributes:
        forward: of one forward pass.
        backward: of the backward pass as autograd runs it: twice the forward, less gradients of inputs that need none.
    """

    forward: int
    backward: int


CAPABILITIES = {
    "separate_operations": "the operations of an edge have modules of their own",
    "whole_weights": "every layer that runs uses all of its weight",
}
"""Attributes of a space that components may need, and what they say where they are True."""


def unmet(needs: Iterable[str], space: SearchSpace) -> str | None:
    """A sentence about the first capability that is needed and that the space lacks; None if it has them all.

    Raises:
        ConfigError: for a capability that there is none of.
    """
    for need in needs:
        if need not in CAPABILITIES:
            raise ConfigError(f"needs: there is no capability {need!r}; choose from {', '.join(CAPABILITIES)}")
        if not getattr(space, need):
            return f"it needs a space where {CAPABILITIES[need]}, and in {space.name} that is not so"
    return None


class UncountedError(ConfigError):
    """A size that a space does not have: :meth:`SearchSpace.sizes` leaves it out."""


class SearchSpace(FunctionSet):
    """A search space: edges with candidate operations, a supernet, and (by dataset) a ground truth.

    A space must be hashable and equal to what it is built from twice: a frozen dataclass is.
    """

    separate_operations: ClassVar[bool] = True
    """Whether operations of an edge have modules of their own (``Supernet.operation_modules``)."""
    whole_weights: ClassVar[bool] = True
    """Whether a layer that runs uses all of its weight, and not a slice (``Supernet.active_weights``)."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """A space written before ``load_truth`` was there overrides ``ground_truth``: its door is guarded as well."""
        super().__init_subclass__(**keywords)
        if "ground_truth" in vars(cls):
            cls.ground_truth = guarded(vars(cls)["ground_truth"])  # type: ignore[method-assign]

    # -- how large architectures are ----------------------------------------------------------------------------------

    def sizes(self, architecture: Architecture) -> Mapping[str, float]:
        """Sizes of the stand-alone network by name, the same names for every architecture.

        At least ``flops`` (2 x multiply-adds, as the ground-truth table counts them) and ``parameters``;
        ``convolutions`` and ``depth`` where the space has them.
        """
        named_sizes = {"flops": 2.0 * self.macs(architecture), "parameters": float(self.parameters(architecture))}
        for name, counted in (("convolutions", self.convolutions), ("depth", self.nonlinear_depth)):
            with contextlib.suppress(UncountedError):
                named_sizes[name] = float(counted(architecture))
        return named_sizes

    @property
    def size_names(self) -> tuple[str, ...]:
        """The names of :meth:`sizes`."""
        return tuple(self.sizes(self.sample(np.random.default_rng(0))))

    @abstractmethod
    def macs(self, architecture: Architecture) -> int:
        """Multiply-adds of the stand-alone network as the ground-truth table counts them (dead operations included)."""

    @abstractmethod
    def parameters(self, architecture: Architecture) -> int:
        """Weights of the stand-alone network's convolutions, as written (dead operations included)."""

    def convolutions(self, architecture: Architecture) -> int:
        """Number of convolution choices in the architecture: the trivial size baseline.

        Raises:
            UncountedError: if the space has no such count.
        """
        raise UncountedError(f"space {self.name} does not count convolutions; its sizes are those that sizes() names")

    def nonlinear_depth(self, architecture: Architecture) -> int:
        """Most nonlinear operations (those with an activation) on a path from input to output of a cell, or chain.

        Raises:
            UncountedError: if the space has no such count.
        """
        raise UncountedError(f"space {self.name} has no depth; its sizes are those that sizes() names")

    @abstractmethod
    def flops(self, choice: Choice) -> Flops:
        """FLOPs an image of running ``choice`` in the supernet, forward and backward."""

    # -- weights of operations ----------------------------------------------------------------------------------------

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Of a mixture's weights and of architecture parameters: edges, most operations on an edge."""
        return len(self.edges), max(len(self.operations(edge)) for edge in range(len(self.edges)))

    def mixture(self, weights: Tensor, subspace: SubSpace) -> Mixture:
        """The softmax of ``weights`` [edges, operations] over the allowed operations of each edge, as DARTS has it."""
        allowed = torch.zeros(weights.shape, dtype=torch.bool)
        for edge, operations in enumerate(subspace.allowed):
            allowed[edge, list(operations)] = True
        masked = weights.masked_fill(~allowed.to(weights.device), float("-inf"))
        return Mixture(subspace, masked.softmax(dim=1))

    def discretise(self, weights: Tensor, subspace: SubSpace) -> Architecture:
        """The architecture that architecture parameters [edges, operations] speak for: the allowed operation with the
        largest on every edge (the first among equals), unless the topology asks for more."""
        return tuple(
            max(operations, key=lambda op: float(weights[edge, op])) for edge, operations in enumerate(subspace.allowed)
        )

    # -- networks -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def bind(self, shape: tuple[int, int, int], classes: int) -> SearchSpace:
        """This space for images of ``shape`` (channels, height, width) and this many classes.

        Supernet, FLOPs, multiply-adds and parameters are then those of this input; topology, functions and the
        ground truth stay the same.

        Raises:
            ConfigError: if the space cannot take such images.
        """

    @abstractmethod
    def supernet(self, seed: int) -> Supernet:
        """A freshly initialised supernet; the same seed gives the same weights on every device."""

    def stand_alone(self, architecture: Architecture, seed: int) -> Supernet:
        """The network that the ground truth trained, freshly initialised: run it with ``architecture``.

        Operations that are dead in the architecture are there and run, as in the benchmark's own networks, so that
        scores of initial weights count what others count.
        """
        return self.supernet(seed)

    # -- ground truth -------------------------------------------------------------------------------------------------

    def ground_truth(self, dataset: str) -> GroundTruth:
        """Stand-alone accuracies on ``dataset``; a space says how they are read in :meth:`load_truth`.

        Raises:
            DataError: if the table is missing or damaged; ConfigError: if there is none for this dataset, or if
                whoever asks is training, scoring or selecting.
        """
        require_open()
        return self.load_truth(dataset)

    def load_truth(self, dataset: str) -> GroundTruth:
        """Reads the ground truth; called by :meth:`ground_truth` alone, where it may be read.

        Raises:
            DataError: if the table is missing or damaged; ConfigError: if there is none for this dataset.
        """
        raise ConfigError(f"space {self.name} has no ground truth on dataset {dataset!r}; choose another space")


def reaches(space: SearchSpace, choice: Choice) -> bool:
    """Whether the input reaches the output in a path or a mixture."""
    return space.connected(choice.active if isinstance(choice, Mixture) else choice)
