"""A search space for tests whose operations are slices of one weight: Once-for-All's shape, very small.

Two stages of two slots. A stage has an edge for its depth: how many of its slots run. A slot is an inverted residual
block with an edge for the kernel of its depthwise convolution (the centre of the largest kernel) and one for its width
(the first hidden channels). Kernel and width of a slot that does not run are dead: index 0 in the canonical
architecture. No operation has a module of its own.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from splitbench.harness.testing.small_spaces.elastic_alone import StandAlone
from splitbench.harness.testing.small_spaces.elastic_supernet import (
    CHANNELS,
    KERNELS,
    SLOTS,
    SPAN,
    WIDTHS,
    ElasticSupernet,
    running_in_elastic,
)
from splitbench.spaces.base import Architecture, Choice, Flops, Rows, SearchSpace, SubSpace, Supernet
from splitbench.spaces.choices import as_rows
from splitbench.spaces.functions import listed
from splitbench.spaces.supernet import memory_format
from splitbench.spaces.truth import GroundTruth, SurrogateTruth, TableTruth

NOISE = 0.4
"""Standard deviation of one made-up training, in percent."""


@dataclass(frozen=True)
class Elastic(SearchSpace):
    """Ten edges, 5,184 strings, 1,764 functions, with a ground truth that a formula gives (:func:`accuracy`).

    Weight decay and momentum act on the whole of a tensor of which a slice ran, as in Once-for-All's released code: its
    other entries have the gradient zero. A slot that did not run is left alone.

    Attributes:
        shape, classes: of the images.
        listable: whether it says that it can be listed; if not, its ground truth is a surrogate of the same numbers.
    """

    shape: tuple[int, int, int] = (1, 8, 8)
    classes: int = 10
    listable: bool = True

    name: ClassVar[str] = "elastic"
    edges = tuple(
        edge
        for stage in range(1, len(CHANNELS) + 1)
        for edge in (
            f"{stage} depth",
            *(f"{stage}.{slot} {what}" for slot in range(1, SLOTS + 1) for what in ("kernel", "width")),
        )
    )
    separate_operations: ClassVar[bool] = False
    whole_weights: ClassVar[bool] = False

    def operations(self, edge: int) -> tuple[str, ...]:
        kind = self.edges[edge].split()[1]
        sizes = {"depth": range(1, SLOTS + 1), "kernel": KERNELS, "width": WIDTHS}[kind]
        return tuple(f"{kind}_{size}" for size in sizes)

    def function(self, architecture: Architecture) -> Architecture:
        return tuple(ops[0] if ops else 0 for ops in running_in_elastic(architecture))

    @property
    def can_list(self) -> bool:
        return self.listable

    def functions(self, subspace: SubSpace) -> Rows:
        if not self.listable:
            return super().functions(subspace)
        return as_rows([a for a in itertools.product(*subspace.allowed) if self.function(a) == a], len(self.edges))

    @functools.cached_property
    def pixels(self) -> tuple[int, int]:
        """Of each stage."""
        _, height, width = self.shape
        return height * width, (height // 2) * (width // 2)

    @property
    def _stem(self) -> int:
        """Multiply-adds of the first layer, whose input needs no gradient."""
        return self.pixels[0] * self.shape[0] * CHANNELS[0]

    def _macs(self, choice: Choice) -> int:
        """Multiply-adds an image of what runs."""
        active = running_in_elastic(choice)
        total = self._stem + self.pixels[1] * math.prod(CHANNELS) + CHANNELS[-1] * self.classes
        for start in (edge for edge in range(len(active)) if edge % SPAN % 2 == 1):
            channels, pixels = CHANNELS[start // SPAN], self.pixels[start // SPAN]
            kernels = [KERNELS[op] for op in active[start]]
            for width in (WIDTHS[op] for op in active[start + 1]):
                total += pixels * width * (channels + sum(kernel**2 + channels for kernel in kernels))
        return total

    def macs(self, architecture: Architecture) -> int:
        return self._macs(architecture)

    def parameters(self, architecture: Architecture) -> int:
        """Weights of the stand-alone network: convolutions, scale and shift of normalisations, classifier."""
        active = running_in_elastic(architecture)
        total = (self.shape[0] + 2) * CHANNELS[0]
        total += math.prod(CHANNELS) + 4 * CHANNELS[-1] + (CHANNELS[-1] + 1) * self.classes
        for start in (edge for edge in range(len(active)) if edge % SPAN % 2 == 1 and active[edge]):
            channels, width = CHANNELS[start // SPAN], WIDTHS[active[start + 1][0]]
            total += width * (2 * channels + KERNELS[active[start][0]] ** 2 + 4) + 2 * channels
        return total

    def convolutions(self, architecture: Architecture) -> int:
        """Slots that run."""
        return sum(architecture[edge] + 1 for edge in range(0, len(architecture), SPAN))

    def nonlinear_depth(self, architecture: Architecture) -> int:
        """Slots that run: each has two ReLUs."""
        return self.convolutions(architecture)

    def flops(self, choice: Choice) -> Flops:
        forward = 2 * self._macs(choice)
        return Flops(forward, 2 * forward - 2 * self._stem)

    def bind(self, shape: tuple[int, int, int], classes: int) -> Elastic:
        return replace(self, shape=shape, classes=classes)

    def supernet(self, seed: int) -> Supernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ElasticSupernet(self.shape[0], self.classes)
        memory_format(network)
        return network

    def stand_alone(self, architecture: Architecture, seed: int) -> Supernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = StandAlone(architecture, self.shape[0], self.classes)
        memory_format(network)
        return network

    def load_truth(self, dataset: str) -> GroundTruth:
        everything = Elastic()
        rows, rng = listed(everything, everything.root()), np.random.default_rng(11)
        mean = np.array([[accuracy(tuple(row))] for row in rows.tolist()])
        validation, test = (mean + NOISE * rng.normal(size=(len(rows), 2)) for _ in range(2))
        table = TableTruth(rows, validation, test, self.function, "a formula with noise, for a test")
        if self.listable:
            return table
        return SurrogateTruth(table.per_seed, NOISE, self.function, "a formula with noise, for a test", table.identity)


def accuracy(architecture: Architecture) -> float:
    """The made-up accuracy of a canonical architecture, in percent.

    50, and for each slot that runs 3 + index of its kernel + 1.5 x index of its width, less half a percent where both
    are the largest; what a stage's second slot brings counts half. The trainings of the ground truth scatter around it
    by 0.4.
    """
    total = 50.0
    active = running_in_elastic(architecture)
    for edge in range(1, len(active)):
        if edge % SPAN % 2 == 1 and active[edge]:
            (kernel,), (width,) = active[edge], active[edge + 1]
            both = kernel == len(KERNELS) - 1 and width == len(WIDTHS) - 1
            total += (3 + kernel + 1.5 * width - 0.5 * both) * (1 if edge % SPAN == 1 else 0.5)
    return total
