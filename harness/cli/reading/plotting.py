"""The verb that draws results: `plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.errors import ConfigError
from splitbench.results.plots import KINDS

if TYPE_CHECKING:
    from splitbench.results.plots.source import Options, PlotSource

FORMATS = ("svg", "png", "both")
COSTS = ("flops", "seconds")


def plot(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, or a folder of results folders.")],
    kind: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"{', '.join(KINDS)}. [default: all that DIR can give]")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where they go. [default: DIR/plots]")] = None,
    arm: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this arm (again for more). [default: all]")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="svg, png or both.")] = "both",
    metric: Annotated[str, typer.Option(metavar="NAME", help="What arms are compared by.")] = "tau[all]",
    cost: Annotated[str, typer.Option(metavar="NAME", help="pareto: flops or seconds.")] = "flops",
    repetition: Annotated[
        int | None,
        typer.Option(
            metavar="R", help="affinity, tree, scatter: of this one. [default: the first; affinity: the mean]"
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Draw a results folder."""
    if form not in FORMATS:
        raise ConfigError(f"--format {form}: unknown format; there are: {', '.join(FORMATS)}")
    if cost not in COSTS:
        raise ConfigError(f"--cost {cost}: unknown cost; there are: {', '.join(COSTS)}")

    from splitbench.results.plots.catalogue import check_kinds, check_metric
    from splitbench.results.plots.source import Options, open_folder

    check_kinds(kind or [])
    source = open_folder(folder, arm or [])
    options = Options(metric=metric, cost=cost, repetition=repetition)
    check_metric(source, options)
    for warning in source.warnings:
        typer.echo(f"warning: {warning}", err=True)
    target = out or folder / "plots"
    written, left_out = _draw(source, options, kind or [], target, FORMATS[:2] if form == "both" else (form,))
    if as_json:
        summary = {"files": written, "left_out": left_out, "notes": options.notes, "warnings": list(source.warnings)}
        show.json_out(summary)
    else:
        for file in written:
            typer.echo(file["path"])


def _draw(
    source: PlotSource, options: Options, kinds: list[str], target: Path, forms: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw everything, then write it: a kind that was asked for and cannot be drawn leaves nothing behind.

    Raises:
        ConfigError: if a kind was asked for, and the folder cannot give a single picture of it.
    """
    from splitbench.results.plots import style
    from splitbench.results.plots.catalogue import drawings, unasked
    from splitbench.results.plots.source import CannotDrawError
    from splitbench.results.records.files import write_atomically

    save = {"svg": style.svg, "png": style.png}
    files: dict[Path, bytes] = {}
    written: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for kind in dict.fromkeys(kinds) if kinds else KINDS:
        reasons: list[str] = []
        before = len(files)
        try:
            for drawing in drawings(source if kinds else unasked(source, kind), kind, options):
                try:
                    figure = drawing.draw()
                except CannotDrawError as error:
                    reasons.append(str(error))
                    continue
                for form in forms:
                    path = target / f"{drawing.name}.{form}"
                    files[path] = save[form](figure)
                    written.append({"kind": kind, "arm": drawing.arm, "path": str(path)})
        except CannotDrawError as error:
            reasons.append(str(error))
        reasons = list(dict.fromkeys(reasons))
        if kinds and reasons and len(files) == before:
            raise ConfigError(f"{source.folder}: {kind} cannot be drawn: {reasons[0]}")
        left_out += [{"kind": kind, "reason": reason} for reason in reasons]
    for picture in left_out:
        typer.echo(f"{picture['kind']} is left out: {picture['reason']}", err=True)
    for note in options.notes:
        typer.echo(note, err=True)
    for path, content in files.items():
        write_atomically(path, content)
    return written, left_out
