"""What the command does with a grid: run its cells, forecast them, show its index."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from splitbench.harness.cli import show
from splitbench.harness.errors import ConfigError
from splitbench.harness.study.grid import Grid
from splitbench.harness.study.portion import portion
from splitbench.results.grids.grids import GridFolder, read_grid
from splitbench.results.records.listing import FAILED

if TYPE_CHECKING:
    from splitbench.harness.cli.training.running import Asked
    from splitbench.harness.running.grid_run import Built


def run_grid(
    grid: Grid,
    out: Path | None,
    device: str,
    workers: int | None,
    plugins: Sequence[Path],
    as_json: bool,
    asked: Asked,
    engine: str | None = None,
) -> None:
    """Run what is missing of a grid and print its index. Where runs failed, a line a cell and arm says so, and the
    status is 1."""
    from splitbench.harness.cli.training import progress, running

    folder, runs_stages = out or Path("runs") / grid.name, running.engine_of(engine)
    cells, chosen = opened_grid(grid, device, asked)

    from splitbench.harness.running import grid_run

    with progress.watcher(grid.name, folder, "grid") as shown:
        workers = workers or running.usual_workers(chosen, runs_stages)
        failed = grid_run.run_cells(grid, cells, folder, workers, plugins, shown, runs_stages)
    if any(len(failed[cell.name]) < len(study.runs()) for cell, study in cells):
        there = read_grid(folder)
        assert there is not None
        show_index(there, "json" if as_json else "text" if sys.stdout.isatty() else "md", None)
        typer.echo(f"Results: {folder}. Show them again: splitbench leaderboard {folder}", err=True)
    for cell, study in cells:
        running.tell_failures(study, failed[cell.name], f"cell {cell.name}: ")
    if any(failed.values()):
        typer.echo(f"The same command tries them again; tracebacks are in {folder}/*/records/*{FAILED}", err=True)
        raise typer.Exit(1)


def opened_grid(grid: Grid, device: str, asked: Asked) -> tuple[Built, str]:
    """The checked cells that are asked for, and the device that they run on."""
    cells = grid.chosen(asked.cells)
    portions = [portion(cell.config, asked.arms, asked.seeds) for cell in cells]  # before torch is imported

    from splitbench.harness.device import choose
    from splitbench.harness.running import grid_run

    chosen = choose(device)
    return grid_run.build_cells(cells, chosen, portions), chosen


def show_grid_forecast(
    grid: Grid, device: str, workers: int | None, as_json: bool, asked: Asked, engine: str | None = None
) -> None:
    """Print what the cells would run, and what that would take; nothing is written."""
    from splitbench.harness.cli.training import running

    cells, chosen = opened_grid(grid, device, asked)

    from splitbench.harness.forecasts import grid_forecast
    from splitbench.harness.forecasts import study_forecast as forecast

    workers = workers or running.usual_workers(chosen, running.engine_of(engine))
    expected = grid_forecast.forecast_grid(grid.name, cells, workers)
    if as_json:
        show.json_out(expected.as_json())
        return
    ((first, study), *others) = cells
    sheet = (
        grid_forecast.grid_forecast_sheet(expected)
        if others
        else forecast.forecast_sheet(study, expected.cells[first.name])
    )
    show.print_sheet(sheet)


def show_index(grid: GridFolder, form: str, out: Path | None) -> None:
    """Print a grid's index, or write it to a file.

    Raises:
        ConfigError: for a format that shows one leaderboard.
    """
    from splitbench.results.grids import grid_board, grid_sheets
    from splitbench.results.words import render

    if form in ("csv", "html"):
        raise ConfigError(
            f"--format {form} shows one cell of a grid: name it with --cell (cells: {', '.join(grid.cells)}), or take "
            "text, md or json"
        )
    index = grid_board.index(grid)
    if form == "text" and out is None:
        render.terminal_sheet(grid_sheets.grid_sheet(index))
        return
    if form == "json":
        text = json.dumps(grid_sheets.grid_json(index), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = render.sheet_markdown(grid_sheets.grid_sheet(index))
    if out is None:
        typer.echo(text, nl=False)
        return
    from splitbench.results.records.files import write_atomically

    write_atomically(out, text.encode())
    typer.echo(f"wrote {out}", err=True)
