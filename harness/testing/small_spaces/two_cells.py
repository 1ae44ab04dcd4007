"""A search space for tests in the shape of DARTS: two inputs a node, two kinds of cells, an operation that stays.

A cell has two input nodes and two nodes of its own. Each of those takes exactly two of the nodes before it; the edges
it does not take hold ``none``, which is not the first operation. ``none`` stays in every child of a split, so that
leaves overlap. The last node is the cell's output: if it does not take the node before it, that one is dead. Everything
can be listed, and a switch pretends that it cannot, so that both ways of asking are tested against each other.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from splitbench.harness.errors import ConfigError
from splitbench.harness.testing.small_spaces.two_cells_supernet import (
    CHANNELS,
    EDGES,
    INTO,
    KERNELS,
    KINDS,
    LAYOUT,
    NONE,
    OPERATIONS,
    TwoCellsSupernet,
    live_in_cell,
    running_in_two_cells,
)
from splitbench.spaces.base import Architecture, Choice, Flops, Rows, SearchSpace, SubSpace
from splitbench.spaces.choices import as_rows
from splitbench.spaces.supernet import memory_format
from splitbench.spaces.truth import GroundTruth, SurrogateTruth, TableTruth, require_open

T = TypeVar("T")


def valid_cell(cell: Sequence[int]) -> bool:
    """Whether each node takes exactly two inputs."""
    return all(sum(cell[edge] != NONE for edge in edges) == 2 for edges in INTO.values())


def canonical_cell(cell: Architecture) -> Architecture:
    """A dead node's operations are replaced by the first one."""
    return cell if cell[4] != NONE else (0, 0, *cell[2:])


@dataclass(frozen=True)
class TwoCells(SearchSpace):
    """Ten edges, five a kind of cell; its ground truth is random numbers.

    With the default of four operations it has 59,049 architectures, which are 29,241 functions.

    Attributes:
        choices: operations an edge, the first of ``OPERATIONS``.
        listable: whether it says that it can be listed; if not, its ground truth is a surrogate of the same numbers.
        shape, classes: of the images.
    """

    choices: int = 4
    listable: bool = True
    shape: tuple[int, int, int] = (1, 8, 8)
    classes: int = 10

    name: ClassVar[str] = "two_cells"
    edges = tuple(f"{kind} {source}-{target}" for kind in KINDS for source, target in EDGES)

    def __post_init__(self) -> None:
        if not 3 <= self.choices <= len(OPERATIONS):
            raise ConfigError(f"space two_cells: choices must be 3 to {len(OPERATIONS)}, not {self.choices}")
        if self.shape[1] % 2 or self.shape[2] % 2:
            raise ConfigError(f"space two_cells: images must have even sides, not {self.shape[1]}x{self.shape[2]}")

    @property
    def can_list(self) -> bool:
        return self.listable

    @property
    def every_string(self) -> bool:
        return False

    def operations(self, edge: int) -> tuple[str, ...]:
        return OPERATIONS[: self.choices]

    def absent(self, edge: int) -> frozenset[int]:
        return frozenset({NONE})

    def comparable(self, subspace: SubSpace, edge: int) -> tuple[int, ...]:
        """All allowed operations but ``none``, which stays: it says that the node takes two others."""
        return tuple(op for op in subspace.allowed[edge] if op != NONE)

    def hierarchies(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(start + e for e in edges) for start in (0, len(EDGES)) for edges in INTO.values())

    def connected(self, choice: Architecture | SubSpace) -> bool:
        if isinstance(choice, SubSpace):
            return all(any(live_in_cell(cell)) for cell in cells_of(choice.allowed))
        return all(map(valid_cell, cells_of(choice)))

    def function(self, architecture: Architecture) -> Architecture:
        first, second = cells_of(architecture)
        return (*canonical_cell(first), *canonical_cell(second))

    def functions(self, subspace: SubSpace) -> Rows:
        if not self.listable:
            return super().functions(subspace)
        first, second = (
            as_rows([c for c in itertools.product(*allowed) if valid_cell(c) and canonical_cell(c) == c], len(EDGES))
            for allowed in cells_of(subspace.allowed)
        )
        return np.hstack([np.repeat(first, len(second), axis=0), np.tile(second, (len(first), 1))])

    def count(self, subspace: SubSpace) -> int:
        """Distinct functions; if it says that it cannot be listed, the number of architectures."""
        if self.listable:
            return super().count(subspace)
        return int(np.prod([sum(ways for _, ways in pairs) for pairs in self._inputs(subspace)]))

    def sample(self, rng: np.random.Generator, subspace: SubSpace | None = None) -> Architecture:
        subspace = subspace or self.root()
        drawn = [NONE] * len(self.edges)
        for pairs in self._inputs(subspace):
            if not pairs:
                raise ValueError(f"{subspace} holds no connected architecture")
            bounds = np.cumsum([ways for _, ways in pairs])
            pair = pairs[int(np.searchsorted(bounds, rng.integers(bounds[-1]), side="right"))][0]
            for edge in pair:
                operations = self.comparable(subspace, edge)
                drawn[edge] = operations[int(rng.integers(len(operations)))]
        return tuple(drawn)

    def discretise(self, weights: Tensor, subspace: SubSpace) -> Architecture:
        """For each node, the two edges whose best operation other than ``none`` weighs most in the mixture.

        Raises:
            ValueError: if the subspace holds no architecture.
        """
        strength = self.mixture(weights, subspace).weights
        chosen = [NONE] * len(self.edges)
        for pairs in self._inputs(subspace):
            if not pairs:
                raise ValueError(f"{subspace} holds no connected architecture")
            edges = {edge for pair, _ in pairs for edge in pair}
            best = {edge: strongest(strength[edge], self.comparable(subspace, edge)) for edge in edges}
            pair = max((p for p, _ in pairs), key=lambda p: sum(float(strength[edge, best[edge]]) for edge in p))
            for edge in pair:
                chosen[edge] = best[edge]
        return tuple(chosen)

    def _inputs(self, subspace: SubSpace) -> list[list[tuple[tuple[int, int], int]]]:
        """For each node, the pairs of edges that it may take, and in how many ways."""
        inputs = []
        for edges in self.hierarchies():
            pairs = []
            for pair in itertools.combinations(edges, 2):
                rest = [edge for edge in edges if edge not in pair]
                ways = len(self.comparable(subspace, pair[0])) * len(self.comparable(subspace, pair[1]))
                if ways and all(NONE in subspace.allowed[edge] for edge in rest):
                    pairs.append((pair, ways))
            inputs.append(pairs)
        return inputs

    # -- sizes --------------------------------------------------------------------------------------------------

    def _macs(self, active: Sequence[Sequence[int]]) -> int:
        """Multiply-adds of the cells with these operations; input nodes that nothing takes are left out."""
        pixels, total = self.shape[1] * self.shape[2], 0
        for kind in LAYOUT:
            cell = active[kind * len(EDGES) : (kind + 1) * len(EDGES)]
            used = {source for (source, _), operations in zip(EDGES, cell, strict=True) if operations}
            total += len(used & {0, 1}) * pixels * CHANNELS**2
            pixels //= 4 if kind else 1
            total += pixels * sum(KERNELS.get(op, 0) ** 2 * CHANNELS**2 for operations in cell for op in operations)
        return total

    @property
    def _stem(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2] * CHANNELS

    def macs(self, architecture: Architecture) -> int:
        written = [() if op == NONE else (op,) for op in architecture]
        return self._stem + self._macs(written) + CHANNELS * self.classes

    def parameters(self, architecture: Architecture) -> int:
        cells = cells_of(architecture)
        kernels = sum(KERNELS.get(op, 0) ** 2 for kind in LAYOUT for op in cells[kind])
        outer = self.shape[0] * CHANNELS + (CHANNELS + 1) * self.classes
        return outer + (2 * len(LAYOUT) + kernels) * CHANNELS**2

    def convolutions(self, architecture: Architecture) -> int:
        return sum(op in KERNELS for op in architecture)

    def flops(self, choice: Choice) -> Flops:
        active, classifier = running_in_two_cells(choice), CHANNELS * self.classes
        if not any(active):
            return Flops(2 * classifier, 2 * classifier)
        forward = 2 * (self._stem + self._macs(active) + classifier)
        return Flops(forward, 2 * forward - 2 * self._stem)

    # -- networks and truth -------------------------------------------------------------------------------------

    def bind(self, shape: tuple[int, int, int], classes: int) -> TwoCells:
        return replace(self, shape=shape, classes=classes)

    def supernet(self, seed: int) -> TwoCellsSupernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = TwoCellsSupernet(self)
        memory_format(network)
        return network

    def load_truth(self, dataset: str) -> GroundTruth:
        table = enumerated_truth(self.choices)
        if self.listable:
            return table
        return SurrogateTruth(table.per_seed, 1.0, self.function, "predictions made up for a test", table.identity)


def cells_of(edges: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """What belongs to the normal and to the reduction cell."""
    return edges[: len(EDGES)], edges[len(EDGES) :]


def strongest(weights: Tensor, operations: Sequence[int]) -> int:
    """The operation with the largest of one edge's weights, the first among equals."""
    return max(operations, key=lambda op: float(weights[op]))


def enumerated_truth(choices: int) -> TableTruth:
    """Random accuracies of every function, always the same: two trainings each."""
    require_open()
    return _table(choices)


@functools.lru_cache(maxsize=4)
def _table(choices: int) -> TableTruth:
    space = TwoCells(choices)
    rows, rng = space.functions(space.root()), np.random.default_rng(7)
    mean = rng.uniform(50, 90, (len(rows), 1))
    validation, test = (mean + rng.normal(size=(len(rows), 2)) for _ in range(2))
    return TableTruth(rows, validation, test, space.function, "random numbers for a test")
