"""The NAS-Bench-201 cell (Dong and Yang, ICLR 2020), shared by the spaces micro and nb201.

Four nodes, six edges (ordered by target node), five operations. One architecture serves all cells of a network.
A path runs only its live operations: those that input can reach and that reach the output. Dead operations add
exactly nothing here (normalisation has no bias), so leaving them out changes no logit and saves their time.
"""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.spaces.base import Architecture, Choice, Flops, Mixture, Rows, SearchSpace, SubSpace, Supernet
from splitbench.spaces.choices import named_operations
from splitbench.spaces.operations import avg_pool_3x3, relu_conv_norm
from splitbench.spaces.supernet import memory_format

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # source node, target node
NODES = 4


def live_edges(active: Sequence[Sequence[int]]) -> tuple[bool, ...]:
    """For each edge, whether some operation on it carries signal from the input node to the output node."""
    carries = [any(op != NONE for op in operations) for operations in active]
    reached = [True] + [False] * (NODES - 1)
    for edge, (source, target) in enumerate(EDGES):
        reached[target] |= reached[source] and carries[edge]
    useful = [False] * (NODES - 1) + [True]
    for edge, (source, target) in reversed(list(enumerate(EDGES))):
        useful[source] |= useful[target] and carries[edge]
    return tuple(carries[edge] and reached[source] and useful[target] for edge, (source, target) in enumerate(EDGES))


@functools.lru_cache(maxsize=20_000)
def canonical(architecture: Architecture) -> Architecture:
    """The architecture with every dead operation replaced by ``none``."""
    live = live_edges([(op,) for op in architecture])
    return tuple(op if alive else NONE for op, alive in zip(architecture, live, strict=True))


class SupernetCell(nn.Module):
    """One cell with all operations of a subspace on its edges; every node sums its inputs."""

    def __init__(self, channels: int, subspace: SubSpace, replicas: int = 1) -> None:
        super().__init__()
        factories: dict[int, Callable[[], nn.Module]] = {
            SKIP: nn.Identity,
            CONV1: lambda: relu_conv_norm(channels, 1, replicas),
            CONV3: lambda: relu_conv_norm(channels, 3, replicas),
            POOL: avg_pool_3x3,
        }
        self.edges = nn.ModuleList(
            nn.ModuleDict({str(op): factories[op]() for op in operations if op != NONE})
            for operations in subspace.allowed
        )

    def forward(self, x: Tensor, active: Sequence[Sequence[int]], weights: Tensor | None) -> Tensor:
        """x [N, C, H, W] -> [N, C, H, W]; ``active`` lists, edge by edge, the live operations that run."""
        nodes: list[Tensor | None] = [x] + [None] * (NODES - 1)
        for edge, (source, target) in enumerate(EDGES):
            operations: nn.ModuleDict = self.edges[edge]  # type: ignore[assignment]
            for op in active[edge]:
                inputs = nodes[source]
                y = operations[str(op)](torch.zeros_like(x) if inputs is None else inputs)
                if weights is not None:
                    y = y * weights[edge, op]
                node = nodes[target]
                nodes[target] = y if node is None else node + y
        output = nodes[-1]
        return torch.zeros_like(x) if output is None else output


def written_operations(choice: Choice) -> tuple[tuple[int, ...], ...]:
    """Edge by edge, the operations of ``choice`` as they are written, dead ones included; never ``none``."""
    active = named_operations(choice)
    return tuple(tuple(op for op in operations if op != NONE) for operations in active)


def running(choice: Choice) -> tuple[tuple[int, ...], ...]:
    """Edge by edge, the operations of ``choice`` that run: live ones, never ``none``."""
    active = named_operations(choice)
    live = live_edges(active)
    return tuple(
        tuple(op for op in operations if op != NONE) if alive else ()
        for operations, alive in zip(active, live, strict=True)
    )


class CellSupernet(Supernet):
    """Stem, cells with other layers between them, and a head, all cells running the same choice.

    A subclass builds ``stem``, ``body`` (cells and the layers between them, in order), ``tail`` and ``classifier``.

    Attributes:
        as_written: whether dead operations run, as in a benchmark's stand-alone networks.
    """

    as_written: bool = False
    stem: nn.Sequential
    body: nn.ModuleList
    tail: nn.Sequential
    classifier: nn.Module

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        active = self.running(choice)
        weights = choice.weights if isinstance(choice, Mixture) else None
        x = self.stem(images)
        for layer in self.body:
            x = layer(x, active, weights) if isinstance(layer, SupernetCell) else layer(x)
        logits: Tensor = self.classifier(self.tail(x).flatten(1))
        return logits

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        for index, layer in enumerate(self.body):
            if isinstance(layer, SupernetCell):
                yield from layer.edges[edge].named_parameters(f"body.{index}.edges.{edge}")

    def operation_modules(self, edge: int) -> dict[int, list[nn.Module]]:
        modules: dict[int, list[nn.Module]] = {}
        for layer in self.body:
            if isinstance(layer, SupernetCell):
                for op, module in layer.edges[edge].named_children():
                    modules.setdefault(int(op), []).append(module)
        return modules

    def running(self, choice: Choice) -> tuple[tuple[int, ...], ...]:
        return written_operations(choice) if self.as_written else running(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.body)

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "tail", "classifier"):
            yield from getattr(self, name).named_parameters(name)


@dataclass(frozen=True)
class CellMacs:
    """Multiply-adds an image, layer by layer, of a network of NAS-Bench-201 cells.

    Attributes:
        stem: of the first layer, whose input (the image) needs no gradient.
        operation: of each operation, summed over all cells.
        between: of the layers between cells.
        classifier: of the linear layer.
    """

    stem: int
    operation: tuple[int, int, int, int, int]
    between: int
    classifier: int


class CellSpace(SearchSpace):
    """What micro and nb201 have in common: topology, functions, counts."""

    edges = tuple(f"{source}-{target}" for source, target in EDGES)

    @property
    @abstractmethod
    def cell_macs(self) -> CellMacs:
        """Multiply-adds of this space's networks, layer by layer."""

    @property
    @abstractmethod
    def cell_parameters(self) -> tuple[tuple[int, int, int, int, int], int]:
        """Weights of each operation summed over cells, and of everything else."""

    def operations(self, edge: int) -> tuple[str, ...]:
        return OPERATIONS

    def absent(self, edge: int) -> frozenset[int]:
        return frozenset({NONE})

    @property
    def one_cell(self) -> bool:
        return True

    def connected(self, choice: Architecture | SubSpace) -> bool:
        active = choice.allowed if isinstance(choice, SubSpace) else [(op,) for op in choice]
        return any(live_edges(active))

    def function(self, architecture: Architecture) -> Architecture:
        return canonical(architecture)

    def functions(self, subspace: SubSpace) -> Rows:
        return np.array(
            [a for a in itertools.product(*subspace.allowed) if canonical(a) == a and any(a)], dtype=np.int8
        ).reshape(-1, len(EDGES))

    def macs(self, architecture: Architecture) -> int:
        macs = self.cell_macs
        return macs.stem + macs.between + macs.classifier + sum(macs.operation[op] for op in architecture)

    def parameters(self, architecture: Architecture) -> int:
        operation, rest = self.cell_parameters
        return rest + sum(operation[op] for op in architecture)

    def hierarchies(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(e for e, (_, target) in enumerate(EDGES) if target == node) for node in range(1, NODES))

    def nonlinear_depth(self, architecture: Architecture) -> int:
        """Convolutions (each has a ReLU) on the live path that has most of them: 0 to 3."""
        depth: list[int | None] = [0] + [None] * (NODES - 1)
        for edge, (source, target) in enumerate(EDGES):
            before, op = depth[source], architecture[edge]
            if before is not None and op != NONE:
                depth[target] = max(depth[target] or 0, before + (op in (CONV1, CONV3)))
        return depth[-1] or 0

    @abstractmethod
    def network(self, subspace: SubSpace) -> CellSupernet:
        """A network with the operations of ``subspace``, initialised by torch's present random state."""

    def supernet(self, seed: int) -> CellSupernet:
        return self._initialised(self.root(), seed)

    def stand_alone(self, architecture: Architecture, seed: int) -> CellSupernet:
        network = self._initialised(SubSpace(tuple((op,) for op in architecture)), seed)
        network.as_written = True
        return network

    def _initialised(self, subspace: SubSpace, seed: int) -> CellSupernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.network(subspace)
        memory_format(network)
        return network

    def convolutions(self, architecture: Architecture) -> int:
        return sum(op in (CONV1, CONV3) for op in architecture)

    def flops(self, choice: Choice) -> Flops:
        macs = self.cell_macs
        active = running(choice)
        cells = sum(macs.operation[op] for operations in active for op in operations)
        forward = 2 * (macs.stem + macs.between + macs.classifier + cells)
        if not any(active):  # the last cell is cut off: only the classifier's weights get a gradient
            return Flops(forward, 2 * macs.classifier)
        return Flops(forward, 2 * forward - 2 * macs.stem)
