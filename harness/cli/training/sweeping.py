"""The verb that searches parameters: `sweep`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from splitbench.harness.cli.training import progress, running


def run_sweep(
    path: Path,
    trials: int | None,
    storage: str | None,
    out: Path | None,
    device: str,
    workers: int | None,
    plugins: Sequence[Path],
    as_json: bool,
    engine: str | None = None,
) -> None:
    """Run what is missing of a sweep, and print what it found."""
    study = running.read_study(path, workers, plugins)
    runs_stages = running.engine_of(engine)
    folder = out or Path("runs") / f"{study.name}-sweep"

    from splitbench.harness.device import choose
    from splitbench.harness.sweeps.tuner import TUNED, Tuner

    chosen = choose(device)
    tuner = Tuner(study, chosen, trials)
    with progress.watcher(study.name, folder, "sweep") as shown:
        workers = workers or running.usual_workers(chosen, runs_stages)
        tuner.run(folder, storage, workers, plugins, shown, runs_stages)

    from splitbench.results.sweeps import sweep, sweep_report

    state = sweep.read_sweep(folder)
    if as_json:
        typer.echo(sweep_report.sweep_json(state), nl=False)
    elif sys.stdout.isatty():
        sweep_report.sweep_terminal(state)
    else:
        typer.echo(sweep_report.sweep_markdown(state), nl=False)
    typer.echo(f"Results: {folder}. Pictures of them: splitbench plot {folder}", err=True)
    if (folder / TUNED).exists():
        typer.echo(f"Compare the tuned arms on fresh seeds: splitbench run {folder / TUNED}", err=True)
