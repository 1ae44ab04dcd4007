"""The split tree of one run: which operations went where, and how long each node was trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.plots import style
from splitbench.results.plots.source import (
    CannotDrawError,
    Options,
    PlotTable,
    edge_name,
    operation_name,
    run_shown,
    run_words,
)
from splitbench.results.records.record import NodeRecord, Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = 2.0  # inches of a node's words
GAP, STEP = 0.13, 0.3  # inches between two nodes, and from a node's words to its children's


@dataclass(frozen=True)
class Box:
    """A node as it is drawn.

    Attributes:
        node: of the record.
        depth: 0 for the root.
        parent: index of its parent's box; None for the root.
        lines: what is written; the first ``own`` of them name the operations that distinguish it.
        leaf: number of the leaf, in the order of the record's selection; None for an inner node.
    """

    node: NodeRecord
    depth: int
    parent: int | None
    lines: tuple[str, ...]
    own: int
    leaf: int | None


def boxes(record: Record) -> list[Box]:
    """The tree in preorder."""
    drawn: list[Box] = []
    numbers = {_key(leaf.allowed): index for index, leaf in reversed(list(enumerate(record.selection.leaves)))}

    def add(node: NodeRecord, depth: int, parent: int | None) -> None:
        own = [] if parent is None else _own(record, drawn[parent].node, node)
        # momentum splits keep a selection over the root: such leaves have no number of their own
        leaf = numbers.get(_key(node.allowed)) if not node.children else None
        drawn.append(Box(node, depth, parent, (*own, *_facts(record, node, leaf)), len(own), leaf))
        here = len(drawn) - 1
        for child in node.children:
            add(child, depth + 1, here)

    add(record.tree, 0, None)
    return drawn


def _key(allowed: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, allowed))


def _own(record: Record, parent: NodeRecord, child: NodeRecord) -> list[str]:
    lines: list[str] = []
    for edge in parent.edges:
        names = ", ".join(operation_name(record, edge, op) for op in child.allowed[edge])
        prefix = f"edge {edge_name(record, edge)}: " if len(parent.edges) > 1 else ""
        lines += style.wrapped(prefix + names, WIDEST)
    return lines


def _facts(record: Record, node: NodeRecord, leaf: int | None) -> Iterator[str]:
    if node.steps:
        yield f"{node.steps:,} steps"
    elif node.children:
        yield "not trained itself"
    if node.children:
        edges = [edge_name(record, edge) for edge in node.edges]
        yield from style.wrapped(f"split at edge{'s' if len(edges) > 1 else ''} {', '.join(edges)}", WIDEST)
    elif leaf is not None:
        own = record.selection.leaves[leaf]
        yield f"leaf {leaf}: {own.population:,} of {record.population_size:,}"
        yield f"choice: test {own.test:.1f} %" if own.kept else "stopped early"


@style.styled
def tree_figure(table: PlotTable, arm: ArmRuns, options: Options) -> Figure:
    """From the root at the left to the leaves at the right; the leaf that holds the arm's answer is marked.

    Raises:
        CannotDrawError: if the tree was never split.
    """
    record = run_shown(arm, options).record
    if not record.tree.children:
        raise CannotDrawError(f"arm {arm.name!r} has no split")
    shown = boxes(record)
    heights = [style.LINE * len(box.lines) for box in shown]
    middles, total = _middles(shown, heights)
    depths = max(box.depth for box in shown) + 1
    widths = [
        max(style.widest([f"{line} ✓" for line in box.lines]) for box in shown if box.depth == depth)
        for depth in range(depths)
    ]
    lefts = [0.15 + sum(widths[:depth]) + (STEP + 0.15) * depth for depth in range(depths)]
    width = max(lefts[-1] + widths[-1] + 0.15, 4.5)
    body = total + 0.2
    what = "Each branch names the operations that it keeps on the edge that was split."
    page = style.figure_page(
        width, body, f"{arm.name}: split tree", [f"{table.title}, {run_words(record)}. {what}", _answer(record)]
    )
    axes = style.blank(page, body)
    ys = [body - 0.1 - middle for middle in middles]
    answer = _path(shown, record.selection.leaf)
    for index, (box, y, high) in enumerate(zip(shown, ys, heights, strict=True)):
        x, chosen = lefts[box.depth], index in answer
        if box.parent is not None:
            parent = shown[box.parent]
            start = lefts[parent.depth] + max(style.widest(parent.lines), 0.1) + 0.06
            bend = x - 0.2
            path = [start, bend, bend, x - 0.06], [ys[box.parent], ys[box.parent], y, y]
            axes.plot(
                *path,
                color=style.BLUE if chosen else style.FAINT,
                linewidth=1.8 if chosen else 1.0,
                zorder=2 if chosen else 1,
            )
        _words(axes, box, x, y + high / 2, chosen and not box.node.children)
    return page


def _middles(shown: Sequence[Box], heights: Sequence[float]) -> tuple[list[float], float]:
    """Inches from the top to each box's middle: leaves below one another, a parent beside the middle of its children.

    A parent that is taller than all of its children takes its own height.
    """
    children: dict[int, list[int]] = {index: [] for index in range(len(shown))}
    for index, box in enumerate(shown):
        if box.parent is not None:
            children[box.parent].append(index)
    middles = [0.0] * len(shown)

    def place(index: int, top: float) -> float:
        """Gives the lower end of the subtree."""
        low = top
        for child in children[index]:
            low = place(child, low) + GAP
        low = max(low - GAP, top) if children[index] else top
        if children[index]:
            middles[index] = (middles[children[index][0]] + middles[children[index][-1]]) / 2
        missing = heights[index] - (low - top)
        if missing > 0:
            if children[index]:
                _shift(index, missing / 2)
            middles[index] = top + heights[index] / 2
            low = top + heights[index]
        return low

    def _shift(index: int, by: float) -> None:
        for child in children[index]:
            middles[child] += by
            _shift(child, by)

    total = place(0, 0.0)
    # a tall parent of uneven children can stand out at the top or the bottom
    above = max(0.0, max(high / 2 - middle for middle, high in zip(middles, heights, strict=True)))
    return [middle + above for middle in middles], max(
        total + above, max(middle + above + high / 2 for middle, high in zip(middles, heights, strict=True))
    )


def _path(shown: Sequence[Box], leaf: int) -> set[int]:
    """Boxes from the root to the leaf that holds the answer."""
    places: set[int] = set()
    here = next((index for index, box in enumerate(shown) if box.leaf == leaf), None)
    while here is not None:
        places.add(here)
        here = shown[here].parent
    return places


def _words(axes: Axes, box: Box, x: float, top: float, chosen: bool) -> None:
    for index, line in enumerate(box.lines):
        axes.text(
            x,
            top - style.LINE * (index + 0.5),
            f"{line} ✓" if chosen and index == len(box.lines) - 1 else line,
            fontsize=style.SMALL,
            va="center_baseline",
            color=(style.BLUE if chosen else style.INK) if index < box.own or box.parent is None else style.SOFT,
        )


def _answer(record: Record) -> str:
    chosen = record.selection
    return f"✓ marks the leaf with the arm's answer: test {chosen.test:.1f} %, regret {chosen.regret:.1f} points."
