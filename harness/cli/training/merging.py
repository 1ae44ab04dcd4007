"""The verb that joins the parts of a study: `merge`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.running.folder_lock import FolderLock


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders of the parts of one study.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Where they go: a new folder, or one with results of the study, which they join."
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Join the results folders of a study's parts, or of a grid's, and say what is missing to be whole.

    Parts of different studies, protocols or versions are refused, and so are two records of one run that differ.
    """
    from splitbench.results.grids import grid_merging
    from splitbench.results.merging import merge_report
    from splitbench.results.merging.merging import merger
    from splitbench.results.words.sheet import Sheet

    with contextlib.ExitStack() as stack:
        if out.is_dir():
            stack.enter_context(FolderLock(out).held(lambda sentence: typer.echo(sentence, err=True)))
        sheet: Sheet
        if (grid := grid_merging.grid_merger(folders, out)) is not None:
            grid.write()
            data, sheet = grid_merging.grid_merge_json(grid), grid_merging.grid_merge_sheet(grid)
        else:
            merged = merger(folders, out)
            merged.write()
            data, sheet = merge_report.merge_json(merged), merge_report.merge_sheet(merged)
    if as_json:
        show.json_out(data)
    else:
        show.print_sheet(sheet)
