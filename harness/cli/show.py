"""Printing: tables and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from splitbench.results.words.sheet import Sheet

DEBUG = False


def json_out(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(json.dumps(value, indent=1, default=str))


def print_sheet(sheet: Sheet) -> None:
    """A sheet of words and tables: drawn on a terminal, markdown elsewhere."""
    from splitbench.results.words import render  # rich takes a moment: verbs that print JSON do without

    if sys.stdout.isatty():
        render.terminal_sheet(sheet)
    else:
        typer.echo(render.sheet_markdown(sheet), nl=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: drawn on a terminal, tab-separated elsewhere."""
    if not sys.stdout.isatty():
        typer.echo(f"# {title}")
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column)
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)
