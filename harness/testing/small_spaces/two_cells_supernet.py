"""The cells of the space two_cells: their topology, and the supernet that runs them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from splitbench.spaces.base import Choice, Mixture, Supernet
from splitbench.spaces.choices import named_operations
from splitbench.spaces.operations import conv, norm, relu_conv_norm

if TYPE_CHECKING:
    from splitbench.harness.testing.small_spaces.two_cells import TwoCells

OPERATIONS = ("skip_connect", "none", "nor_conv_1x1", "nor_conv_3x3", "nor_conv_5x5")
NONE = OPERATIONS.index("none")
KERNELS = {2: 1, 3: 3, 4: 5}
EDGES = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # of one cell: source, target
INTO = {2: (0, 1), 3: (2, 3, 4)}  # node: the edges that lead into it
KINDS = ("normal", "reduction")
LAYOUT = (0, 1, 0)  # the kind of each cell of the network
CHANNELS = 3
Active = tuple[tuple[int, ...], ...]


def live_in_cell(active: Sequence[Sequence[int]]) -> tuple[bool, ...]:
    """For each edge of a cell, whether some operation on it carries signal from the inputs to the output."""
    carries = [any(op != NONE for op in operations) for operations in active]
    middle = carries[4] and (carries[0] or carries[1])
    return carries[0] and middle, carries[1] and middle, carries[2], carries[3], middle


def running_in_two_cells(choice: Choice) -> Active:
    """Edge by edge, the live operations, never ``none``; nothing at all if any cell is cut off."""
    active = named_operations(choice)
    live = [live_in_cell(active[start : start + len(EDGES)]) for start in (0, len(EDGES))]
    if not all(map(any, live)):
        return ((),) * len(active)
    return tuple(
        tuple(op for op in operations if op != NONE) if alive else ()
        for operations, alive in zip(active, itertools.chain(*live), strict=True)
    )


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
        active, size = running_in_two_cells(choice), len(EDGES)
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
        return running_in_two_cells(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.body) if any(running_in_two_cells(choice)) else []

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "tail", "classifier"):
            yield from getattr(self, name).named_parameters(name)
