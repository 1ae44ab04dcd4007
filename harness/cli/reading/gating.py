"""The verb that guards ranking metrics in CI: `gate`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.errors import ConfigError


def gate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")],
    baseline: Annotated[Path, typer.Option("--baseline", metavar="FILE", help="The baseline, a JSON file.")],
    update: Annotated[
        bool, typer.Option("--update", help="Write the baseline from DIR instead of comparing with it.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report.")] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a markdown summary, as for a pull request.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A metric to guard; may be given often. [default: the baseline's]"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare a results folder with a baseline.

    Exit status 0: no regression; 1: a regression; 2: wrong usage or bad input; 3: something that the baseline guards
    was not measured comparably. docs/gate.md says what is tested, and why so.
    """
    from splitbench.results.gating import gate as gates
    from splitbench.results.gating import gate_report
    from splitbench.results.gating.junit import junit as as_junit
    from splitbench.results.grids.grids import refuse_grid
    from splitbench.results.records.files import write_atomically

    refuse_grid(folder, "gate")
    metrics = list(dict.fromkeys(metric or []))
    if update:
        if junit or summary:
            raise ConfigError("--update writes a baseline and compares nothing: leave out --junit and --summary")
        words = ["splitbench", "gate", str(folder), "--baseline", str(baseline), "--update"]
        words += [word for name in metrics for word in ("--metric", name)]
        said = gates.update(folder, baseline, metrics, shlex.join(words))
        if as_json:
            show.json_out({"baseline": str(baseline), "changes": said})
        else:
            typer.echo("\n".join([*said, f"wrote {baseline}"]))
        return
    report = gates.hold_against_baseline(folder, baseline, metrics)
    if junit:
        write_atomically(junit, as_junit(report).encode())
    if summary:
        write_atomically(summary, gate_report.gate_markdown(report).encode())
    if as_json:
        show.json_out(gate_report.gate_json(report))
    else:
        typer.echo(gate_report.text(report), nl=False)
    if report.status:
        raise typer.Exit(report.status)
