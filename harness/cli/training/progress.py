"""Progress of the verbs that train: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from splitbench.results.records import population_names
from splitbench.results.records.failures import Failure
from splitbench.results.records.record import Measured, Record


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
    tau, name = record.metrics.get("tau[all]"), population_names.with_population_names("tau[all]", record.population)
    shown = "undefined" if tau is None else f"{tau:.3f}"
    draw = f" draw {record.draw + 1}" if record.draw else ""
    return f"{record.arm}, seed {record.repetition + 1}{draw}: {name} {shown}, chosen {record.selection.test:.2f} %"
