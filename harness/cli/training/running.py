"""The verbs that train: progress while they run, the leaderboard at the end."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.specs import spec_of
from splitbench.harness.cli.training import grids, progress
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, load_plugin, split_spec
from splitbench.harness.study import config
from splitbench.harness.study.grid import Grid
from splitbench.harness.study.grid import load_study_or_grid as load_any
from splitbench.harness.study.overrides import parse_set
from splitbench.harness.study.portion import portion
from splitbench.results.records.failures import Failure, by_arm, failure_words
from splitbench.results.records.listing import FAILED

if TYPE_CHECKING:
    from splitbench.harness.running.study import Study


@dataclass(frozen=True)
class Asked:
    """What a command line changes of a study file (``--set``), and which part of the study it runs.

    Attributes:
        sets: each ``KEY=VALUE``.
        arms: names of arms, or several with commas between; none for all.
        seeds: repetitions, as ``0-5,8``; None for all.
        cells: names of cells of a grid; none for all.
    """

    sets: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    seeds: str | None = None
    cells: tuple[str, ...] = ()


WHOLE = Asked()


def run_study(
    path: Path,
    out: Path | None,
    device: str,
    workers: int | None,
    plugins: Sequence[Path],
    as_json: bool,
    asked: Asked = WHOLE,
    engine: str | None = None,
) -> None:
    """Run a study file and print its leaderboard. Where runs failed, a line an arm says so, and the status is 1."""
    whole = read_with_changes(path, workers, plugins, asked)
    if isinstance(whole, Grid):
        grids.run_grid(whole, out, device, workers, plugins, as_json, asked, engine)
        return
    runs_stages = engine_of(engine)
    study, folder, workers = built_study(whole, out, device, workers, asked, runs_stages)
    with progress.watcher(study.config.name, folder) as shown:
        failed = study.run(folder, workers, plugins, shown, runs_stages)

    from splitbench.results.expectation.expected_folder import leaderboards_with_expectation
    from splitbench.results.words import render

    if len(failed) < len(study.runs()):
        boards = leaderboards_with_expectation(folder)
        if as_json:
            typer.echo(render.boards_json(boards), nl=False)
        elif sys.stdout.isatty():
            render.terminal(boards)
        else:
            typer.echo(render.markdown(boards), nl=False)
        typer.echo(f"Results: {folder}. Show them again: splitbench leaderboard {folder}", err=True)
    tell_failures(study, failed)
    if failed:
        typer.echo(f"The same command tries them again; tracebacks are in {folder}/records/*{FAILED}", err=True)
        raise typer.Exit(1)


def tell_failures(study: Study, failed: Sequence[Failure], where: str = "") -> None:
    """A line for each arm with failed runs."""
    runs = Counter(arm.label for arm, _, _ in study.runs())
    for arm, own in by_arm(failed).items():
        why = failure_words(own)
        typer.echo(f"splitbench: {where}arm {arm}: {len(own)} of {runs[arm]} runs failed: {why}", err=True)
        if show.DEBUG:
            typer.echo(own[0].traceback, err=True)


def show_forecast(
    path: Path,
    out: Path | None,
    device: str,
    workers: int | None,
    plugins: Sequence[Path],
    as_json: bool,
    asked: Asked = WHOLE,
    engine: str | None = None,
) -> None:
    """Print what a study file would run, and what that would take; nothing is written."""
    whole = read_with_changes(path, workers, plugins, asked)
    if isinstance(whole, Grid):
        grids.show_grid_forecast(whole, device, workers, as_json, asked, engine)
        return
    study, _, workers = built_study(whole, out, device, workers, asked, engine_of(engine))

    from splitbench.harness.forecasts import study_forecast as forecast

    expected = forecast.forecast(study, workers)
    if as_json:
        show.json_out(expected.as_json())
    else:
        show.print_sheet(forecast.forecast_sheet(study, expected))


def opened_study(
    path: Path, out: Path | None, device: str, workers: int | None, plugins: Sequence[Path], engine: Spec | None = None
) -> tuple[Study, Path, int]:
    """A checked study, its results folder, and how many workers it gets; a grid is refused."""
    return built_study(read_study(path, workers, plugins), out, device, workers, WHOLE, engine)


def built_study(
    study: config.StudyConfig,
    out: Path | None,
    device: str,
    workers: int | None,
    asked: Asked,
    engine: Spec | None = None,
) -> tuple[Study, Path, int]:
    """A study with its parts built, its results folder, and how many workers it gets."""
    if asked.cells:
        raise ConfigError(f"--cell {asked.cells[0]}: the study file has no grid; leave it out")
    part = portion(study, asked.arms, asked.seeds)

    from splitbench.harness.device import choose
    from splitbench.harness.running.study import Study

    chosen = choose(device)
    return Study.build(study, chosen, part), out or Path("runs") / study.name, workers or usual_workers(chosen, engine)


def read_with_changes(
    path: Path, workers: int | None, plugins: Sequence[Path], asked: Asked = WHOLE
) -> config.StudyConfig | Grid:
    """A study file as ``--set`` changes it, and its plugins. No torch is imported: a mistake shows at once."""
    prepare_run(workers, plugins)
    source = f"{path} with --set {' '.join(asked.sets)}" if asked.sets else str(path)
    return load_any(path, parse_set(asked.sets), source)


def read_study(path: Path, workers: int | None, plugins: Sequence[Path]) -> config.StudyConfig:
    """A file of one study, for verbs that take no grid."""
    prepare_run(workers, plugins)
    return config.load_study(path)


def prepare_run(workers: int | None, plugins: Sequence[Path]) -> None:
    """Load the plugins, and check what the command line says of workers."""
    for plugin in plugins:
        load_plugin(plugin)
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 is needed")


def engine_of(text: str | None) -> Spec | None:
    """What ``--engine`` names, checked without importing torch; None leaves the choice to the number of workers.

    Raises:
        ConfigError: for an engine that there is not.
    """
    return None if text is None else spec_of(text, "--engine", "engines")


def usual_workers(device: str, engine: Spec | None = None) -> int:
    """As many as serve a device, unless the user says otherwise; one where all is done in this process."""
    if engine is not None and split_spec(engine, "--engine")[0] == "local":
        return 1
    return min(2, os.cpu_count() or 1) if device == "cpu" else 1
