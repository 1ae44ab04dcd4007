"""The verb that compares partitions without training leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.training import progress, running


def run_geometry(
    path: Path,
    out: Path | None,
    probes: int,
    device: str,
    workers: int | None,
    plugins: Sequence[Path],
    as_json: bool,
    engine: str | None = None,
) -> None:
    """Split the arms of a study file and print how their partitions compare."""
    running.prepare_run(workers, plugins)  # an engine may be a plugin's
    runs_stages = running.engine_of(engine)
    study, folder, workers = running.opened_study(path, out, device, workers, plugins, runs_stages)

    from splitbench.harness.running.geometry import FIGURE, JSON, compare_partitions

    with progress.watcher(study.config.name, folder) as shown:
        comparison = compare_partitions(study, folder, workers, plugins, probes, shown, runs_stages)

    from splitbench.results.partitions.geometry_report import geometry_sheet

    if as_json:
        typer.echo((folder / JSON).read_text(encoding="utf-8"), nl=False)
    else:
        show.print_sheet(geometry_sheet(comparison))
    typer.echo(f"Results: {folder / JSON} and beside it; the picture is {folder / FIGURE}", err=True)
