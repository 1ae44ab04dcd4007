"""The verbs that show results: `leaderboard` and `compare`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.errors import ConfigError

if TYPE_CHECKING:
    from splitbench.results.boards.leaderboard import Leaderboards

FORMATS = ("text", "md", "json", "csv", "html")
PAGE = "leaderboard.html"


def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, or a grid's.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="text, md, json, csv or html. [default: text on a terminal, else md]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Write to a file instead of standard output. [default for html on a terminal: DIR/{PAGE}]",
        ),
    ] = None,
    details: Annotated[
        float | None,
        typer.Option(metavar="MB", help="html: megabytes for the details of single runs. [default: 4]"),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="html: details of this arm's runs and no others (may be repeated)."),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="This cell of a grid. [default: an index of all cells, and mean ranks]"),
    ] = None,
    estimates: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="A row of estimates that were made elsewhere, as splitbench measure reads them (may be repeated).",
        ),
    ] = None,
    rank_sum: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B", help="A row that ranks by the sum of two rankers' ranks: two arms, or an arm and flops."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the leaderboard of a results folder, or the index of a grid's, as text, data or a page."""
    from splitbench.results.grids.grids import read_grid

    chosen = _format(form, out, as_json)
    grid = read_grid(folder)
    if cell is not None:
        if grid is None:
            raise ConfigError(f"--cell {cell}: {folder} holds no grid; leave it out")
        folder = grid.cell(cell)
    elif grid is not None:
        from splitbench.harness.cli.training.grids import show_index

        show_index(grid, chosen, out)
        return
    _refuse_unread(chosen, details, arm, estimates, rank_sum)
    if chosen == "html" and out is None and sys.stdout.isatty():
        out = folder / PAGE
    if chosen == "text" and out is None:
        from splitbench.results.words import render

        render.terminal(_boards(folder, estimates or [], rank_sum))
        return
    _write(_rendered(folder, chosen, details, arm or [], lambda: _boards(folder, estimates or [], rank_sum)), out)


def _refuse_unread(
    form: str,
    details: float | None,
    arms: list[str] | None,
    estimates: list[str] | None,
    rank_sum: tuple[str, str] | None,
) -> None:
    """Refuse an option that this format does not read."""
    if form == "html" and (estimates or rank_sum):
        option = "estimates" if estimates else "rank-sum"
        raise ConfigError(f"--{option} belongs to text, md, json and csv: a page shows the runs of a folder alone")
    if form != "html" and (details is not None or arms):
        raise ConfigError(f"--{'arm' if arms else 'details'} belongs to --format html, and the format is {form}")


def _write(data: bytes, out: Path | None) -> None:
    """To a file, or to standard output."""
    if out is None:
        # Bytes stay bytes, a CSV's carriage returns included, where standard output takes them.
        typer.echo(data if hasattr(sys.stdout, "buffer") else data.decode(), nl=False)
        return
    from splitbench.results.records.files import write_atomically

    write_atomically(out, data)
    typer.echo(f"wrote {out} ({len(data) / 1e6:.1f} MB)", err=True)


def _format(form: str | None, out: Path | None, as_json: bool) -> str:
    if as_json:
        if form not in (None, "json"):
            raise ConfigError(f"--json and --format {form} ask for two formats; leave one of them out")
        return "json"
    chosen = form or ("text" if out is None and sys.stdout.isatty() else "md")
    if chosen not in FORMATS:
        raise ConfigError(f"--format {chosen}: unknown format; there are: {', '.join(FORMATS)}")
    return chosen


def _boards(folder: Path, estimates: list[str], rank_sum: tuple[str, str] | None) -> Leaderboards:
    from splitbench.results.boards.leaderboard import leaderboards_of
    from splitbench.results.expectation.expected_folder import with_expected
    from splitbench.results.records.loading import load_runs

    loaded = load_runs(folder)
    if estimates:
        from splitbench.harness.cli.reading.measuring import for_leaderboard
        from splitbench.results.estimates.outside_rows import leaderboards_with

        boards = leaderboards_with(loaded, for_leaderboard(estimates, {run.record.space for run in loaded.runs}))
    else:
        boards = leaderboards_of(loaded)
    boards = with_expected(boards, loaded)
    if rank_sum is None:
        return boards
    from splitbench.results.boards.rank_sums import with_rank_sum

    return with_rank_sum(boards, loaded, *rank_sum)


def _rendered(
    folder: Path, form: str, details: float | None, arms: list[str], boards_of: Callable[[], Leaderboards]
) -> bytes:
    if form == "html":
        from splitbench.results.page import DETAILS_MB, page

        return page(folder, DETAILS_MB if details is None else details, arms, expected=True)
    from splitbench.results.words import render

    boards = boards_of()
    if form == "json":
        return render.boards_json(boards).encode()
    if form == "csv":
        from splitbench.results.words.table import to_csv

        return to_csv(boards).encode()
    if form == "text":
        return _terminal_text(boards).encode()
    return render.markdown(boards).encode()


def _terminal_text(boards: Leaderboards) -> str:
    """What a wide terminal shows, for a file."""
    import io

    from rich.console import Console

    from splitbench.results.words import render

    text = io.StringIO()
    render.terminal(boards, Console(file=text, width=200))
    return text.getvalue()


def compare_verb(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")],
    arm_a: Annotated[str, typer.Argument(metavar="ARM_A", help="An arm's name.")],
    arm_b: Annotated[str, typer.Argument(metavar="ARM_B", help="The arm it is compared with.")],
    as_json: JsonFlag = False,
) -> None:
    """Compare two arms, seed by seed, on every metric."""
    from splitbench.results.boards.compare import compare as compare_arms
    from splitbench.results.boards.compare import comparison_json
    from splitbench.results.grids.grids import refuse_grid
    from splitbench.results.words import render

    refuse_grid(folder, "compare")
    compared = compare_arms(folder, arm_a, arm_b)
    if as_json:
        show.json_out(comparison_json(compared))
    elif sys.stdout.isatty():
        render.terminal(compared)
    else:
        typer.echo(render.markdown(compared), nl=False)
