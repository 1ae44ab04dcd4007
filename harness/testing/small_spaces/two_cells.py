"""A search space for tests in the shape of DARTS: two inputs a node, two kinds of cells, an operation that stays.

A cell has two input nodes and two nodes of its own. Each of those takes exactly two of the nodes before it; the edges
it does not take hold ``none``, which is not the first operation. ``none`` stays in every child of a split, so that
leaves overlap. The last node is the cell's output: if it does not take the node before it, that one is dead. Everything
can be listed, and a switch pretends that it cannot, so that both ways of asking are tested against each other.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import (
    Architecture,
    Choice,
    Flops,
    Mixture,
    Rows,
    SearchSpace,
    SubSpace,
    Supernet,
    as_rows,
    memory_format,
    named_operations,
)
from splitbench.spaces.operations import conv, norm, relu_conv_norm
from splitbench.spaces.truth import GroundTruth, SurrogateTruth, TableTruth, require_open

OPERATIONS = ("skip_connect", "none", "nor_conv_1x1", "nor_conv_3x3", "nor_conv_5x5")
NONE = OPERATIONS.index("none")
KERNELS = {2: 1, 3: 3, 4: 5}
EDGES = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # of one cell: source, target
INTO = {2: (0, 1), 3: (2, 3, 4)}  # node: the edges that lead into it
KINDS = ("normal", "reduction")
LAYOUT = (0, 1, 0)  # the kind of each cell of the network
CHANNELS = 3
Active = tuple[tuple[int, ...], ...]
T = TypeVar("T")


def live_in_cell(active: Sequence[Sequence[int]]) -> tuple[bool, ...]:
    """For each edge of a cell, whether some operation on it carries signal from the inputs to the output."""
    carries = [any(op != NONE for op in operations) for operations in active]
    middle = carries[4] and (carries[0] or carries[1])
    return carries[0] and middle, carries[1] and middle, carries[2], carries[3], middle


def running(choice: Choice) -> Active:
    """Edge by edge, the live operations, never ``none``; nothing at all if any cell is cut off."""
    active = named_operations(choice)
    live = [live_in_cell(active[start : start + len(EDGES)]) for start in (0, len(EDGES))]
    if not all(map(any, live)):
        return ((),) * len(active)
    return tuple(
        tuple(op for op in operations if op != NONE) if alive else ()
        for operations, alive in zip(active, itertools.chain(*live), strict=True)
    )


def valid_cell(cell: Sequence[int]) -> bool:
    """Whether each node takes exactly two inputs."""
    return all(sum(cell[edge] != NONE for edge in edges) == 2 for edges in INTO.values())


def canonical_cell(cell: Architecture) -> Architecture:
    """A dead node's operations are replaced by the first one."""
    return cell if cell[4] != NONE else (0, 0, *cell[2:])


class TwoCell(nn.Module):
    """One cell with all operations on its edges; every node sums its inputs.

    In a reduction cell, what an input node sends is halved in height and width.
    """

    def __init__(self, operations: int, reduction: bool) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(nn.Sequential(conv(CHANNELS, CHANNELS, 1), norm(CHANNELS)) for _ in range(2))
        self.halve = nn.AvgPool2d(2) if reduction else nn.Identity()
        self.edges = nn.ModuleList(
            nn.ModuleDict(
                {
                    str(op): relu_conv_norm(CHANNELS, KERNELS[op]) if op in KERNELS else nn.Identity()
                    for op in range(operations)
                    if op != NONE
                }
            )
            for _ in EDGES
        )

    def forward(self, x: Tensor, active: Active, weights: Tensor | None) -> Tensor:
        """x [N, C, H, W] -> [N, C, H, W], or half of H and W; ``active`` and ``weights`` of this cell's edges."""
        used = {source for (source, _), operations in zip(EDGES, active, strict=True) if operations}
        nodes: dict[int, Tensor] = {source: self.halve(self.inputs[source](x)) for source in sorted(used & {0, 1})}
        for edge, (source, target) in enumerate(EDGES):
            operations: nn.ModuleDict = self.edges[edge]  # type: ignore[assignment]
            for op in active[edge]:
                y = operations[str(op)](nodes[source])
                y = y if weights is None else y * weights[edge, op]
                nodes[target] = nodes[target] + y if target in nodes else y
        return nodes[3]


class TwoCellsSupernet(Supernet):
    """Stem, three cells of two kinds, classifier. Cells of a kind run the same choice with weights of their own."""

    def __init__(self, space: TwoCells) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(space.shape[0], CHANNELS, 1), norm(CHANNELS))
        self.body = nn.ModuleList(TwoCell(space.choices, kind == 1) for kind in LAYOUT)
        self.tail = nn.Sequential(norm(CHANNELS), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(CHANNELS, space.classes)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        active, size = running(choice), len(EDGES)
        weights = choice.weights if isinstance(choice, Mixture) else None
        if not any(active):  # cut off: the classifier sees nothing
            logits: Tensor = self.classifier(images.new_zeros(len(images), CHANNELS))
            return logits
        x = self.stem(images)
        for kind, cell in zip(LAYOUT, self.body, strict=True):
            own = slice(kind * size, (kind + 1) * size)
            x = cell(x, active[own], None if weights is None else weights[own])
        logits = self.classifier(self.tail(x).flatten(1))
        return logits

    def cells_of(self, edge: int) -> Iterator[tuple[int, TwoCell, int]]:
        """The cells that an edge occurs in: their number, they themselves, and the edge's number in them."""
        kind, inside = divmod(edge, len(EDGES))
        for number, cell in enumerate(self.body):
            if LAYOUT[number] == kind and isinstance(cell, TwoCell):
                yield number, cell, inside

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        for number, cell, inside in self.cells_of(edge):
            yield from cell.edges[inside].named_parameters(f"body.{number}.edges.{inside}")

    def operation_modules(self, edge: int) -> dict[int, list[nn.Module]]:
        modules: dict[int, list[nn.Module]] = {}
        for _, cell, inside in self.cells_of(edge):
            for op, module in cell.edges[inside].named_children():
                modules.setdefault(int(op), []).append(module)
        return modules

    def running(self, choice: Choice) -> Active:
        return running(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.body) if any(running(choice)) else []

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "tail", "classifier"):
            yield from getattr(self, name).named_parameters(name)


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
        found = [NONE] * len(self.edges)
        for pairs in self._inputs(subspace):
            if not pairs:
                raise ValueError(f"{subspace} holds no connected architecture")
            edges = {edge for pair, _ in pairs for edge in pair}
            best = {edge: strongest(strength[edge], self.comparable(subspace, edge)) for edge in edges}
            pair = max((p for p, _ in pairs), key=lambda p: sum(float(strength[edge, best[edge]]) for edge in p))
            for edge in pair:
                found[edge] = best[edge]
        return tuple(found)

    def _inputs(self, subspace: SubSpace) -> list[list[tuple[tuple[int, int], int]]]:
        """For each node, the pairs of edges that it may take, and in how many ways."""
        found = []
        for edges in self.hierarchies():
            pairs = []
            for pair in itertools.combinations(edges, 2):
                rest = [edge for edge in edges if edge not in pair]
                ways = len(self.comparable(subspace, pair[0])) * len(self.comparable(subspace, pair[1]))
                if ways and all(NONE in subspace.allowed[edge] for edge in rest):
                    pairs.append((pair, ways))
            found.append(pairs)
        return found

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
        active, classifier = running(choice), CHANNELS * self.classes
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
