"""The dissimilarity of the operations of each edge at the root, and the groups that were made from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

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
from splitbench.results.records.record import EdgeScore, Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Groups = tuple[tuple[int, ...], ...]
CELL = 0.36  # inches: a number and its error, one above the other
BAR = 0.6  # inches that the colour bar takes
NUMBERED = 8  # operations; beyond it cells are too small for numbers


@dataclass(frozen=True)
class Heat:
    """One edge over one run or several.

    Attributes:
        edge: its index.
        operations: in the order of the groups [n].
        groups: the most frequent partition.
        agreeing: number of runs with this partition.
        chosen: number of runs that split the edge.
        runs: number of runs that scored it.
        dissimilarity: means, [n, n] in that order.
        error: standard errors of them; NaN where there is none.
    """

    edge: int
    operations: tuple[int, ...]
    groups: Groups
    agreeing: int
    chosen: int
    runs: int
    dissimilarity: Floats
    error: Floats


def heats(records: Sequence[Record]) -> list[Heat]:
    """An entry an edge that the root's scoring measured. Errors are those of the record where there is one; of the mean
    over several they are its standard error over them (standard deviation over the root of their number)."""
    edges = sorted({int(edge) for record in records for edge in record.tree.scores})
    return [_heat(edge, [record for record in records if str(edge) in record.tree.scores]) for edge in edges]


def _heat(edge: int, records: Sequence[Record]) -> Heat:
    scores = [record.tree.scores[str(edge)] for record in records]
    partitions = Counter(_groups(score) for score in scores)
    groups, count = min(partitions.items(), key=lambda item: (-item[1], item[0]))
    order = tuple(operation for group in groups for operation in group)
    values = np.array([_ordered(score, score.dissimilarity, order) for score in scores])
    if len(scores) == 1:
        error = _ordered(scores[0], scores[0].standard_error, order)
    else:
        error = values.std(axis=0, ddof=1) / math.sqrt(len(scores))
    chosen = sum(edge in record.tree.edges for record in records)
    return Heat(edge, order, groups, count, chosen, len(scores), values.mean(axis=0), error)


def _groups(score: EdgeScore) -> Groups:
    return tuple(sorted((tuple(sorted(group)) for group in score.groups), key=lambda group: (-len(group), group)))


def _ordered(score: EdgeScore, matrix: Sequence[Sequence[float | None]], order: Sequence[int]) -> Floats:
    index = [score.operations.index(operation) for operation in order]
    values = np.array([[math.nan if cell is None else cell for cell in row] for row in matrix], np.float64)
    return values[np.ix_(index, index)]


@style.styled
def affinity_figure(table: PlotTable, arm: ArmRuns, options: Options) -> Figure:
    """A panel an edge. The mean over all runs of the arm, or one repetition where one is asked for.

    Raises:
        CannotDrawError: if nothing was measured at the root.
    """
    single = options.repetition is not None
    records = [run_shown(arm, options).record] if single else [run.record for run in arm.runs]
    shown = heats(records)
    shown, unit = _scaled(shown)
    measured = [heat for heat in shown if np.isfinite(heat.dissimilarity).any() and np.nanmax(heat.dissimilarity) > 0]
    if not measured:
        raise CannotDrawError(f"arm {arm.name!r} measured no dissimilarity at the root")
    first = records[0]
    names = {heat.edge: [operation_name(first, heat.edge, op) for op in heat.operations] for heat in shown}
    most = max(len(heat.operations) for heat in shown)
    label = min(style.widest([name for own in names.values() for name in own]), 1.6)
    cell = CELL if most <= NUMBERED else max(0.17, 2.2 / most)
    side = cell * most
    words = [_words(heat, len(records)) for heat in shown]
    across = label + 0.15 + max(side, style.widest(words)) + 0.12
    columns = min(len(shown), max(1, int((style.WIDTH - BAR) / across)), 4)
    rows = -(-len(shown) // columns)
    down = side + 0.5 + 0.75 * label + 0.15
    width = max(columns * across + BAR, 4.6)
    what = run_words(first) if single else f"mean over {len(records)} run{'' if len(records) == 1 else 's'}"
    errors = "of the record" if len(records) == 1 else "over the runs"
    page = style.figure_page(
        width,
        rows * down,
        f"{arm.name}: dissimilarity of operations",
        [
            f"{table.title}. Root of the tree, {what}; ± is the standard error {errors}. Operations stand in the order "
            f"of the groups found most often, with lines between groups.{unit}",
        ],
    )
    top = max(float(np.nanmax(heat.dissimilarity)) for heat in measured)
    mesh: Any = None
    for index, heat in enumerate(shown):
        row, column = divmod(index, columns)
        n = len(heat.operations)
        left = column * across + label + 0.15
        bottom = (rows - row) * down - 0.45 - cell * n
        axes = style.panel(page, left, bottom, cell * n, cell * n)
        mesh = axes.pcolormesh(
            heat.dissimilarity, cmap=style.SEQUENTIAL, vmin=0, vmax=top, gid=f"edge {heat.edge}", rasterized=n > 30
        )
        _cells(axes, heat, top)
        _frame(axes, heat, names[heat.edge], len(records), edge_name(first, heat.edge))
    bar = style.panel(page, columns * across + 0.05, rows * down - 0.45 - side, 0.12, side)
    page.colorbar(mesh, cax=bar)
    bar.tick_params(length=2)
    return page


def _scaled(shown: Sequence[Heat]) -> tuple[list[Heat], str]:
    """The largest dissimilarity between 0.1 and 100, and the unit in words, so that two digits are enough."""
    values = [heat.dissimilarity[np.isfinite(heat.dissimilarity)] for heat in shown]
    top = max((float(np.abs(matrix).max()) for matrix in values if matrix.size), default=0.0)
    if not top or 0.1 <= top < 99.5:
        return list(shown), ""
    power = math.floor(math.log10(top))
    scale = 10.0**power
    scaled = [replace(heat, dissimilarity=heat.dissimilarity / scale, error=heat.error / scale) for heat in shown]
    return scaled, f" Numbers are in units of 1e{power}."


def _cells(axes: Axes, heat: Heat, top: float) -> None:
    n = len(heat.operations)
    if n > NUMBERED:
        return
    for i in range(n):
        for j in range(n):
            value, error = heat.dissimilarity[i, j], heat.error[i, j]
            if i == j or math.isnan(value):
                continue
            known = not math.isnan(error)
            axes.text(
                j + 0.5,
                i + 0.5,
                f"{_number(value)}\n±{_number(error)}" if known else _number(value),
                ha="center",
                va="center",
                fontsize=style.SMALL,
                linespacing=1.1,
                color=style.on(style.SEQUENTIAL, value / top),
            )


def _number(value: float) -> str:
    """Two digits, so that it fits its cell."""
    if value < 0.995:
        return f"{value:.2f}".removeprefix("0")
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _frame(axes: Axes, heat: Heat, names: Sequence[str], runs: int, edge: str) -> None:
    n = len(names)
    at = [index + 0.5 for index in range(n)]
    axes.set_xticks(at, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(at, names)
    axes.set_ylim(n, 0)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    border = 0
    for group in heat.groups[:-1]:
        border += len(group)
        axes.axhline(border, color=style.VERMILLION, linewidth=1.8, gid="border")
        axes.axvline(border, color=style.VERMILLION, linewidth=1.8)
    axes.set_title(
        f"edge {edge}", loc="left", fontsize=style.TEXT, fontweight="bold" if heat.chosen else "normal", pad=18
    )
    axes.annotate(
        _words(heat, runs),
        (0, 1),
        (0, 3.5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=style.SMALL,
        color=style.SOFT,
        va="bottom",
    )


def _words(heat: Heat, runs: int) -> str:
    """Under an edge's name; where cells are too small for errors, the median of them."""
    words = f"split in {heat.chosen} of {runs}; these groups in {heat.agreeing}"
    if runs == 1:
        words = "split here" if heat.chosen else "not split"
    n = len(heat.operations)
    known = heat.error[np.triu_indices(n, 1)]
    if n > NUMBERED and np.isfinite(known).any():
        words += f"; median ±{_number(float(np.nanmedian(known)))}"
    return words
