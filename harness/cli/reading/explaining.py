"""The verb that says why an arm is where it is: `explain`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.errors import ConfigError


def explain(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder of a study with decompose: true.")],
    arm: Annotated[str, typer.Argument(metavar="ARM", help="An arm's name.")],
    against: Annotated[
        str | None, typer.Option(metavar="ARM", help="Another arm. [default: no split, at the whole budget]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the terms as a waterfall into a .png or .svg file.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what each part of an arm's split cost and brought."""
    if out is not None and out.suffix not in (".png", ".svg"):
        raise ConfigError(f"--out {out}: the picture is a .png or .svg file")

    from splitbench.results.payoff.explain import explain_arm as explained
    from splitbench.results.payoff.explain import explain_sheet

    explanation = explained(folder, arm, against)
    if as_json:
        show.json_out({**dataclasses.asdict(explanation), "sentence": explanation.sentence})
    else:
        show.print_sheet(explain_sheet(explanation))
    if out is not None:
        from splitbench.results.plots import style
        from splitbench.results.plots.of_arms.waterfall import picture
        from splitbench.results.records.files import write_atomically

        figure = picture(explanation, f"{explanation.study}: {explanation.space} on {explanation.dataset}")
        write_atomically(out, style.png(figure) if out.suffix == ".png" else style.svg(figure))
        typer.echo(f"wrote {out}", err=True)
