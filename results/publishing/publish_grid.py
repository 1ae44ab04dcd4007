"""Publish a grid: its cells that are whole, an index over them, and from which budget on each arm pays.

A cell is published as a study is, in a folder of its own below the grid's. Cells that are not whole yet are left out,
so that a long grid can be published as it grows.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.results.grids import grid_board, grid_sheets
from splitbench.results.grids.grids import GRID, GRID_STUDY, GridFolder, read_grid, write_grid
from splitbench.results.payoff import ladder
from splitbench.results.payoff.break_even_report import break_even_report
from splitbench.results.payoff.break_even_sheet import break_even_json, break_even_sheet
from splitbench.results.plots import style
from splitbench.results.records.archive import has_records
from splitbench.results.records.files import write_atomically
from splitbench.results.words import render

INDEX, BREAK_EVEN = "grid", "break-even"


def publish_grid(
    grid: GridFolder, target: Path, cell: Callable[[Path, Path, str], Path], say: Callable[[str], None] = print
) -> Path:
    """Publish the complete cells of ``grid`` into ``target``, with an index over them.

    Args:
        grid: a grid's folder, or the published one, which is then made anew in place.
        target: its folder among the published ones.
        cell: publishes one results folder; called with the folder, the target and the cell's name.
        say: called with a sentence for each cell that is left out.

    Raises:
        SplitbenchError: if no cell is whole.
    """
    left_out = {}
    for name in grid.cells:
        try:
            if not has_records(grid.folder / name):
                raise SplitbenchError("it has not been run")
            cell(grid.folder / name, target, name)
        except SplitbenchError as error:
            left_out[name] = str(error)
    # What an earlier run of the grid published stands beside what this one adds.
    whole = {name: values for name, values in grid.cells.items() if has_records(target / name)}
    if not whole:
        first = next(iter(left_out.values()), "it has no cells")
        raise SplitbenchError(f"{grid.folder} is not published: no cell of it is whole ({first})")
    for name, problem in left_out.items():
        if name not in whole:
            say(f"{grid.folder}: the cell {name} is left out: {problem}")
    axes = {
        axis: tuple(value for value in values if any(own[axis] == value for own in whole.values()))
        for axis, values in grid.axes.items()
    }
    write_grid(GridFolder(target, grid.study, axes, whole))
    if (grid.folder / GRID_STUDY).exists() and grid.folder.resolve() != target.resolve():
        shutil.copy(grid.folder / GRID_STUDY, target)
    for name, content in pages(target).items():
        write_atomically(target / name, content)
    return target


def pages(folder: Path) -> dict[str, bytes]:
    """The files over all cells of a published grid, by name: the index, and the break-evens of a ladder of budgets.

    A grid of one budget, or of more axes than the budget, has no break-evens.
    """
    grid = read_grid(folder)
    if grid is None:
        raise SplitbenchError(f"{folder} holds no {GRID}")
    index = grid_board.index(grid)
    written = {
        f"{INDEX}.md": render.sheet_markdown(grid_sheets.grid_sheet(index)),
        f"{INDEX}-index.json": json.dumps(grid_sheets.grid_json(index), indent=1, allow_nan=False) + "\n",
    }
    drawn: dict[str, bytes] = {}
    with contextlib.suppress(ConfigError):
        from splitbench.results.plots.of_arms.break_even import break_even_figure

        shown = break_even_report(ladder.read_ladder([folder]))
        written[f"{BREAK_EVEN}.md"] = render.sheet_markdown(break_even_sheet(shown))
        written[f"{BREAK_EVEN}.json"] = json.dumps(break_even_json(shown), indent=1, allow_nan=False) + "\n"
        drawn[f"{BREAK_EVEN}.svg"] = style.svg(break_even_figure(shown))
    return {name: text.encode() for name, text in written.items()} | drawn
