"""The verbs that train: progress while they run, the leaderboard at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from splitbench.harness import config
from splitbench.harness.cli import show
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import load_plugin
from splitbench.results import population_names
from splitbench.results.failures import Failure
from splitbench.results.listing import FAILED
from splitbench.results.record import Measured, Record

if TYPE_CHECKING:
    from splitbench.harness.study import Study


def run_study(
    path: Path,
    out: Path | None,
    device: str,
    workers: int | None,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """Run a study file and print its leaderboard. Where runs failed, a line an arm says so, and the status is 1."""
    study, folder, workers = opened(path, out, device, workers, plugins)
    with watcher(study.config.name, folder) as shown:
        failed = study.run(folder, workers, plugins, shown)

    from splitbench.results import render
    from splitbench.results.failures import by_arm, told
    from splitbench.results.leaderboard import leaderboards

    if len(failed) < len(study.runs()):
        boards = leaderboards(folder)
        if as_json:
            typer.echo(render.to_json(boards), nl=False)
        elif sys.stdout.isatty():
            render.terminal(boards)
        else:
            typer.echo(render.markdown(boards), nl=False)
        typer.echo(f"Results: {folder}. Show them again: splitbench leaderboard {folder}", err=True)
    runs = Counter(arm.label for arm, _, _ in study.runs())
    for arm, own in by_arm(failed).items():
        typer.echo(f"splitbench: arm {arm}: {len(own)} of {runs[arm]} runs failed: {told(own)}", err=True)
        if show.DEBUG:
            typer.echo(own[0].traceback, err=True)
    if failed:
        typer.echo(f"The same command tries them again; tracebacks are in {folder}/records/*{FAILED}", err=True)
        raise typer.Exit(1)


def show_forecast(
    path: Path, out: Path | None, device: str, workers: int | None, plugins: Sequence[Path], as_json: bool
) -> None:
    """Print what a study file would run, and what that would take; nothing is written."""
    study, _, workers = opened(path, out, device, workers, plugins)

    from splitbench.harness import forecast
    from splitbench.results import render

    found = forecast.forecast(study, workers)
    if as_json:
        show.json_out(found.as_json())
    elif sys.stdout.isatty():
        render.terminal_sheet(forecast.sheet(study, found))
    else:
        typer.echo(render.sheet_markdown(forecast.sheet(study, found)), nl=False)


def opened(
    path: Path, out: Path | None, device: str, workers: int | None, plugins: Sequence[Path]
) -> tuple[Study, Path, int]:
    """A checked study, its results folder, and how many workers it gets."""
    study = read(path, workers, plugins)

    from splitbench.harness.device import choose
    from splitbench.harness.study import Study

    chosen = choose(device)
    return Study.build(study, chosen), out or Path("runs") / study.name, workers or usual_workers(chosen)


def read(path: Path, workers: int | None, plugins: Sequence[Path]) -> config.StudyConfig:
    """A study file and its plugins, before torch is imported: a typing error is told at once."""
    for plugin in plugins:
        load_plugin(plugin)
    study = config.load(path)
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 is needed")
    return study


def usual_workers(device: str) -> int:
    """As many as serve a device, unless the user says otherwise."""
    return min(2, os.cpu_count() or 1) if device == "cpu" else 1


@contextlib.contextmanager
def watcher(name: str, folder: Path, what: str = "study") -> Iterator[Any]:
    """Bars on a terminal, plain lines elsewhere (on standard error, so that output can be piped)."""
    if sys.stderr.isatty():
        with bars(f"{what} {name}") as shown:
            yield shown
    else:
        yield Lines(f"{what} {name}", folder)


class Lines:
    """A line when a run (or other task) ends, and one a minute about what is under way."""

    def __init__(self, name: str, folder: Path) -> None:
        self.start = self.spoke = time.monotonic()
        self.ended = self.total = 0
        typer.echo(f"{name}: results go to {folder}", err=True)

    def note(self, sentence: str) -> None:
        typer.echo(f"  {sentence}", err=True)

    def begin(self, runs: int) -> None:
        self.total = runs

    def stage(self, stage: Any, result: Any) -> None:
        """Stages are too many for lines."""

    def running(self, stages: Sequence[tuple[Any, float | None]]) -> None:
        if time.monotonic() - self.spoke < 60:
            return
        self.spoke = time.monotonic()
        for stage, share in stages:
            typer.echo(f"  under way: {stage.title}" + ("" if share is None else f", {share:.0%}"), err=True)

    def run(self, record: Record, measured: Measured) -> None:
        self.done(_summary(record))

    def fail(self, failure: Failure) -> None:
        self.done(f"failed: {failure.arm}, {failure.words}")

    def done(self, sentence: str) -> None:
        self.ended += 1
        self.spoke = time.monotonic()
        typer.echo(f"[{self.ended}/{self.total}] {sentence} ({self.spoke - self.start:.0f} s in all)", err=True)


@contextlib.contextmanager
def bars(name: str) -> Iterator[Any]:
    """Progress bars with time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )

    class Bars:
        """Rich's bars as a watcher."""

        def note(self, sentence: str) -> None:
            progress.console.print(sentence, markup=False, highlight=False)

        def begin(self, runs: int) -> None:
            self.task = progress.add_task(name, total=runs)
            self.tasks: dict[str, Any] = {}

        def stage(self, stage: Any, result: Any) -> None:
            if stage.key in self.tasks:
                progress.remove_task(self.tasks.pop(stage.key))

        def running(self, stages: Sequence[tuple[Any, float | None]]) -> None:
            for stage, share in stages:
                if stage.key not in self.tasks:
                    self.tasks[stage.key] = progress.add_task(f"  {stage.title}", total=100)
                progress.update(self.tasks[stage.key], completed=round(100 * (share or 0)))

        def run(self, record: Record, measured: Measured) -> None:
            self.done(_summary(record))

        def fail(self, failure: Failure) -> None:
            self.done(f"failed: {failure.arm}, {failure.words}")

        def done(self, sentence: str) -> None:
            progress.advance(self.task)
            progress.console.print(sentence, markup=False, highlight=False)

    with progress:
        yield Bars()


def _summary(record: Record) -> str:
    tau, name = record.metrics.get("tau[all]"), population_names.shown("tau[all]", record.population)
    shown = "undefined" if tau is None else f"{tau:.3f}"
    draw = f" draw {record.draw + 1}" if record.draw else ""
    return f"{record.arm}, seed {record.repetition + 1}{draw}: {name} {shown}, chosen {record.selection.test:.2f} %"
