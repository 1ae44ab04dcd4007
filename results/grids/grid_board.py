"""The index of a grid: differences to each cell's baseline, and mean ranks of the arms over cells.

tau is never sorted or averaged over cells: another budget, trainer or space makes another scale of it. Differences are
each cell's own, paired by seed inside of it, and ranks are taken inside of a cell before they are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitbench.harness.errors import StoreError
from splitbench.results.arms.arms import PRIMARY
from splitbench.results.boards.leaderboard import Leaderboard, leaderboards_of
from splitbench.results.boards.rows import BoardRow
from splitbench.results.grids.grids import GridFolder
from splitbench.results.records.failures import by_arm, failure_words
from splitbench.results.records.loading import AllFailedError, load_runs

DIGITS = 12  # values that are equal on paper differ by rounding, and share a rank
FEWEST_ARMS = 2
FEWEST_CELLS = 2  # a mean over one cell is the order of its leaderboard again


@dataclass(frozen=True)
class CellBoard:
    """One cell: its leaderboard, or (None) why it has none; ``skipped`` are its arms that cannot run."""

    name: str
    values: Mapping[str, Any]
    board: Leaderboard | None
    reason: str = ""
    skipped: tuple[str, ...] = ()

    def row(self, arm: str) -> BoardRow | None:
        """An arm's row, if it has one here."""
        rows = self.board.rows if self.board is not None else ()
        return next((row for row in rows if row.arm == arm and not row.trivial), None)


@dataclass(frozen=True)
class MeanRanks:
    """Mean ranks of arms, the same for all, in order of ``arms``.

    Attributes:
        cells: those whose ranks are averaged.
        arms: best first over all of the grid's cells with results.
        ranks: 1 is the best rank in a cell; arms with equal means share theirs.
    """

    cells: tuple[str, ...]
    arms: tuple[str, ...]
    ranks: tuple[float, ...]


@dataclass(frozen=True)
class Index:
    """A grid's folder at a glance.

    Attributes:
        study, axes: of the grid.
        cells: each, also those that have not been run.
        arms: every arm of any cell, in alphabetical order.
        ranks: over all cells with results; None for fewer than two cells, or arms that are complete in each of them.
        along: axis -> for each of its values the mean ranks of the same arms over the cells that have it.
        left_out: arms that have no place in ``ranks``; oracle controls are bounds and take none.
        warnings: sentences, each with its cell.
    """

    study: str
    axes: Mapping[str, tuple[Any, ...]]
    cells: tuple[CellBoard, ...]
    arms: tuple[str, ...]
    ranks: MeanRanks | None
    along: Mapping[str, tuple[tuple[Any, MeanRanks], ...]]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


def index(grid: GridFolder) -> Index:
    """Read every cell of a grid.

    Raises:
        StoreError: if no cell holds a usable record.
    """
    cells, warnings = [], []
    for name, values in grid.cells.items():
        cell, said = read_cell(grid, name, values)
        cells.append(cell)
        warnings += [f"{name}: {sentence}" for sentence in said]
    there = [cell for cell in cells if cell.board is not None]
    if not there:
        reasons = "; ".join(f"{cell.name}: {cell.reason}" for cell in cells[:1])
        raise StoreError(f"{grid.folder}: no cell of the grid has results yet ({reasons}); run it with splitbench run")
    arms = sorted({row.arm for cell in there if cell.board for row in cell.board.rows if not row.trivial})
    ranked = [arm for arm in arms if all(ranks_here(cell.row(arm)) for cell in there)]
    ranks = mean_ranks(there, ranked) if len(there) >= FEWEST_CELLS else None
    along = {}
    for axis, choices in grid.axes.items() if ranks is not None else ():
        groups = [(value, [cell for cell in there if cell.values[axis] == value]) for value in choices]
        ranked_groups = [(value, own) for value, group in groups if (own := mean_ranks(group, ranked)) is not None]
        if len(ranked_groups) > 1 and ranks is not None:
            along[axis] = tuple((value, in_order(own, ranks.arms)) for value, own in ranked_groups)
    left_out = tuple(arm for arm in arms if arm not in ranked)
    return Index(grid.study, grid.axes, tuple(cells), tuple(arms), ranks, along, left_out, tuple(warnings))


def read_cell(grid: GridFolder, name: str, values: Mapping[str, Any]) -> tuple[CellBoard, list[str]]:
    """One cell, and its warnings."""
    folder = grid.folder / name
    if not folder.is_dir():
        return CellBoard(name, values, None, "not run yet"), []
    try:
        loaded = load_runs(folder)
    except AllFailedError as error:
        reasons = [f"{arm}, {failure_words(own)}" for arm, own in by_arm(error.failed).items()]
        return CellBoard(name, values, None, f"all of its {len(error.failed)} runs failed: {reasons[0]}"), []
    except StoreError as error:
        runs = (folder / "records").is_dir() and any((folder / "records").iterdir())
        return CellBoard(name, values, None, str(error) if runs else "not run yet"), []
    boards = leaderboards_of(loaded)
    said = [*boards.warnings, *(sentence for board in boards.boards for sentence in board.warnings)]
    if len(boards.boards) > 1:
        reason = f"it holds {len(boards.boards)} tables, which --cell {name} shows"
        return CellBoard(name, values, None, reason, boards.skipped), said
    return CellBoard(name, values, boards.boards[0], "", boards.skipped), said


def ranks_here(row: BoardRow | None) -> bool:
    """Whether an arm takes a rank in a cell: it is complete there, has a value, and is no oracle control."""
    return row is not None and row.complete and not row.reads_truth and row.metrics.get(PRIMARY) is not None


def mean_ranks(cells: Sequence[CellBoard], arms: Sequence[str]) -> MeanRanks | None:
    """Ranks of the arms by their mean of the primary metric inside of each cell, averaged over cells; None where there
    is nothing to rank."""
    if len(arms) < FEWEST_ARMS or not cells:
        return None
    totals = dict.fromkeys(arms, 0.0)
    for cell in cells:
        values = {arm: estimate.mean for arm in arms if (row := cell.row(arm)) and (estimate := row.metrics[PRIMARY])}
        for arm, rank in ranks_of(values).items():
            totals[arm] += rank
    means = {arm: total / len(cells) for arm, total in totals.items()}
    order = sorted(arms, key=lambda arm: (means[arm], arm))
    return MeanRanks(tuple(cell.name for cell in cells), tuple(order), tuple(means[arm] for arm in order))


def ranks_of(values: Mapping[str, float]) -> dict[str, float]:
    """1 for the largest value; equal ones share the mean of their places."""
    rounded = {arm: round(value, DIGITS) for arm, value in values.items()}
    every = list(rounded.values())
    return {
        arm: 1 + sum(other > value for other in every) + (every.count(value) - 1) / 2 for arm, value in rounded.items()
    }


def in_order(mean: MeanRanks, arms: Sequence[str]) -> MeanRanks:
    """The same ranks in another order of the arms."""
    ranks = dict(zip(mean.arms, mean.ranks, strict=True))
    return MeanRanks(mean.cells, tuple(arms), tuple(ranks[arm] for arm in arms))
