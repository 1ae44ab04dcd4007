"""A search space for tests: one to eight operations an edge are a parameter, and everything else is tiny.

Three nodes in a row, and an edge that goes past the middle one. So an edge can be dead while the network is not (the
other edge of its path holds ``none``), and a network can be cut altogether. ``none`` is not the first operation:
nothing may rely on its index.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Architecture, Choice, Flops, Mixture, Rows, SearchSpace, SubSpace, Supernet
from splitbench.spaces.choices import named_operations
from splitbench.spaces.operations import avg_pool_3x3, conv, norm, relu_conv_norm
from splitbench.spaces.supernet import memory_format
from splitbench.spaces.truth import TableTruth, require_open

OPERATIONS = (
    "skip_connect",
    "nor_conv_3x3",
    "none",
    "nor_conv_1x1",
    "avg_pool_3x3",
    "nor_conv_5x5",
    "max_pool_3x3",
    "nor_depthwise_3x3",
)
NONE = OPERATIONS.index("none")
KERNELS = {1: 3, 3: 1, 5: 5}
DEPTHWISE = 7
EDGES = ((0, 1), (0, 2), (1, 2))
CHANNELS, CELLS = 4, 2


def live_chain_edges(active: Sequence[Sequence[int]]) -> tuple[bool, bool, bool]:
    """For each edge, whether some operation on it carries signal from the first node to the last."""
    first, past, second = (any(op != NONE for op in operations) for operations in active)
    return first and second, past, first and second


def running_in_chain(choice: Choice) -> tuple[tuple[int, ...], ...]:
    """Edge by edge, the operations that run: live ones, never ``none``."""
    active = named_operations(choice)
    return tuple(
        tuple(op for op in operations if op != NONE) if live else ()
        for operations, live in zip(active, live_chain_edges(active), strict=True)
    )


def macs_of(operation: int) -> int:
    """Multiply-adds a pixel, which are the weights as well."""
    if operation == DEPTHWISE:
        return 9 * CHANNELS
    return KERNELS.get(operation, 0) ** 2 * CHANNELS**2


def module_of(operation: int) -> nn.Module:
    """One operation; ``none`` has no module."""
    if operation == DEPTHWISE:
        layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False)
        return nn.Sequential(nn.ReLU(), layer, norm(CHANNELS))
    if operation in KERNELS:
        return relu_conv_norm(CHANNELS, KERNELS[operation])
    factories: dict[str, Callable[[], nn.Module]] = {
        "skip_connect": nn.Identity,
        "avg_pool_3x3": avg_pool_3x3,
        "max_pool_3x3": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    }
    return factories[OPERATIONS[operation]]()


class ChainCell(nn.Module):
    """All operations on all three edges; the last node sums its inputs."""

    def __init__(self, operations: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleDict({str(op): module_of(op) for op in range(operations) if op != NONE}) for _ in EDGES
        )

    def forward(self, x: Tensor, active: Sequence[Sequence[int]], weights: Tensor | None) -> Tensor:
        """x [N, C, H, W] -> [N, C, H, W]; ``active`` lists, edge by edge, the operations that run."""
        nodes = [x, torch.zeros_like(x), torch.zeros_like(x)]
        for edge, (source, target) in enumerate(EDGES):
            operations: nn.ModuleDict = self.edges[edge]  # type: ignore[assignment]
            for op in active[edge]:
                y = operations[str(op)](nodes[source])
                nodes[target] = nodes[target] + (y if weights is None else y * weights[edge, op])
        return nodes[-1]


class ChainSupernet(Supernet):
    """Stem, two cells with a convolution between them, classifier."""

    def __init__(self, space: Chain) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(space.shape[0], CHANNELS, 1), norm(CHANNELS))
        between = nn.Sequential(conv(CHANNELS, CHANNELS, 3), norm(CHANNELS))
        self.body = nn.ModuleList([ChainCell(space.choices), between, ChainCell(space.choices)])
        self.tail = nn.Sequential(norm(CHANNELS), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(CHANNELS, space.classes)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        x = self.stem(images)
        active, weights = running_in_chain(choice), choice.weights if isinstance(choice, Mixture) else None
        for layer in self.body:
            x = layer(x, active, weights) if isinstance(layer, ChainCell) else layer(x)
        logits: Tensor = self.classifier(self.tail(x).flatten(1))
        return logits

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        for index, layer in enumerate(self.body):
            if isinstance(layer, ChainCell):
                yield from layer.edges[edge].named_parameters(f"body.{index}.edges.{edge}")

    def operation_modules(self, edge: int) -> dict[int, list[nn.Module]]:
        modules: dict[int, list[nn.Module]] = {}
        for layer in self.body:
            if isinstance(layer, ChainCell):
                for op, module in layer.edges[edge].named_children():
                    modules.setdefault(int(op), []).append(module)
        return modules

    def running(self, choice: Choice) -> tuple[tuple[int, ...], ...]:
        return running_in_chain(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.body)

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "tail", "classifier"):
            yield from getattr(self, name).named_parameters(name)


@dataclass(frozen=True)
class Chain(SearchSpace):
    """Three edges with ``choices`` operations each, for conformance suites; its ground truth is random numbers.

    Attributes:
        choices: operations an edge, the first of ``OPERATIONS``.
        shape, classes: of the images.
    """

    choices: int = 5
    shape: tuple[int, int, int] = (1, 8, 8)
    classes: int = 10

    name: ClassVar[str] = "chain"
    edges = tuple(f"{source}-{target}" for source, target in EDGES)

    def __post_init__(self) -> None:
        if not 2 <= self.choices <= len(OPERATIONS):
            raise ConfigError(
                f"space chain: choices must be 2 to {len(OPERATIONS)}, not {self.choices}; choose one of them"
            )

    def operations(self, edge: int) -> tuple[str, ...]:
        return OPERATIONS[: self.choices]

    def absent(self, edge: int) -> frozenset[int]:
        return frozenset({NONE}) if self.choices > NONE else frozenset()

    @property
    def one_cell(self) -> bool:
        return True

    def connected(self, choice: Architecture | SubSpace) -> bool:
        active = choice.allowed if isinstance(choice, SubSpace) else [(op,) for op in choice]
        return any(live_chain_edges(active))

    def function(self, architecture: Architecture) -> Architecture:
        live = live_chain_edges([(op,) for op in architecture])
        return tuple(op if alive else NONE for op, alive in zip(architecture, live, strict=True))

    def functions(self, subspace: SubSpace) -> Rows:
        listed_rows = [a for a in itertools.product(*subspace.allowed) if self.connected(a) and self.function(a) == a]
        return np.array(listed_rows, dtype=np.int8).reshape(-1, len(EDGES))

    @property
    def _stem(self) -> int:
        """The same of the stem alone, whose input needs no gradient."""
        return self.shape[0] * CHANNELS

    @property
    def _outer(self) -> int:
        """Weights, and multiply-adds a pixel, of the stem and the layer between the cells."""
        return self._stem + 9 * CHANNELS**2

    def macs(self, architecture: Architecture) -> int:
        pixels = self.shape[1] * self.shape[2]
        cells = CELLS * sum(macs_of(op) for op in architecture)
        return pixels * (self._outer + cells) + CHANNELS * self.classes

    def parameters(self, architecture: Architecture) -> int:
        return self._outer + CELLS * sum(macs_of(op) for op in architecture) + (CHANNELS + 1) * self.classes

    def convolutions(self, architecture: Architecture) -> int:
        return sum(macs_of(op) > 0 for op in architecture)

    def nonlinear_depth(self, architecture: Architecture) -> int:
        """Convolutions (each has a ReLU) on the way that has more of them: 0 to 2."""
        first, past, second = (macs_of(op) > 0 for op in self.function(architecture))
        return max(first + second, int(past))

    def hierarchies(self) -> tuple[tuple[int, ...], ...]:
        return (0,), (1, 2)

    def flops(self, choice: Choice) -> Flops:
        pixels, classifier = self.shape[1] * self.shape[2], CHANNELS * self.classes
        active = running_in_chain(choice)
        cells = CELLS * sum(macs_of(op) for operations in active for op in operations)
        forward = 2 * (pixels * (self._outer + cells) + classifier)
        if not any(active):  # cut off: only the classifier's weights get a gradient
            return Flops(forward, 2 * classifier)
        return Flops(forward, 2 * forward - 2 * pixels * self._stem)

    def bind(self, shape: tuple[int, int, int], classes: int) -> Chain:
        return replace(self, shape=shape, classes=classes)

    def supernet(self, seed: int) -> ChainSupernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ChainSupernet(self)
        memory_format(network)
        return network

    def load_truth(self, dataset: str) -> TableTruth:
        return made_up_truth(self)


@functools.lru_cache(maxsize=16)
def _rows(space: SearchSpace) -> npt.NDArray[np.int8]:
    return np.array(sorted({space.function(a) for a in itertools.product(*space.root().allowed)}), dtype=np.int8)


def made_up_truth(space: SearchSpace) -> TableTruth:
    """Random accuracies of every function of a small space, always the same: two trainings each.

    Raises:
        ConfigError: where no ground truth may be opened.
    """
    require_open()
    rows, rng = _rows(space), np.random.default_rng(5)
    mean = rng.uniform(50, 90, (len(rows), 1))
    validation, test = (mean + rng.normal(size=(len(rows), 2)) for _ in range(2))
    return TableTruth(rows, validation, test, space.function, "random numbers for a test")
