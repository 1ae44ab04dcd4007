"""Keeps an engine busy: tasks are generators that ask for stages, and whoever watches is told how far they are.

What the store already holds comes back at once, so doing everything again only does what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from splitbench.harness.engines.base import Engine
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stores.base import Store
from splitbench.results.records.failures import Failure
from splitbench.results.records.record import Measured, Record
from splitbench.spaces.truth import closed

POLL_SECONDS = 1.0


class Watcher:
    """Told what happens while a study runs; the command shows it as bars or lines."""

    def note(self, sentence: str) -> None:
        """Something that whoever reads the results should know."""

    def begin(self, runs: int) -> None:
        """``runs`` runs (or other tasks) are about to start."""

    def stage(self, stage: Stage[Any], result: Result[Any]) -> None:
        """A stage has ended (or was found in the store)."""

    def running(self, stages: Sequence[tuple[Stage[Any], float | None]]) -> None:
        """Now and then: what is under way, with the finished share where it is known."""

    def run(self, record: Record, measured: Measured) -> None:
        """A run has ended and its record is written."""

    def fail(self, failure: Failure) -> None:
        """A run has failed, and why is written in the place of its record."""

    def done(self, sentence: str) -> None:
        """A task that leaves no record has ended, in words."""


@dataclass
class Task:
    """A generator that asks for stages and is sent their results, and who is given what it returns.

    ``fail`` is given what ends the task before its time, and the stage that raised it (None: the generator itself, or
    ``finish``); the other tasks go on. Without it, or where it gives False, the error ends all tasks.
    """

    generator: Generator[list[Stage[Any]], list[Result[Any]], Any]
    finish: Callable[[Any], None]
    fail: Callable[[BaseException, Stage[Any] | None], bool] | None = None
    stages: list[Stage[Any]] = field(default_factory=list)
    futures: list[Future[Result[Any]]] = field(default_factory=list)


class Driver:
    """Keeps an engine busy with the stages that tasks ask for.

    Args:
        store: where results of stages are kept.
        engine: runs the stages.
        watcher: told what happens.
        check: called before anything is begun or written: raises if the folder is no longer this process's.
    """

    def __init__(
        self, store: Store, engine: Engine, watcher: Watcher, check: Callable[[], None] = lambda: None
    ) -> None:
        self.store, self.engine, self.watcher, self.check = store, engine, watcher, check
        self.reported: set[str] = set()

    def drive(self, tasks: Iterable[Task | None], parallel: int) -> None:
        """Run everything, ``parallel`` tasks at a time. A task is taken when there is room for it; None says that there
        is none at the moment, and that more may come."""
        waiting, active = iter(tasks), list[Task]()
        ended = False
        while not ended or active:
            nothing = False
            while not (ended or nothing) and len(active) < parallel:
                try:
                    new = next(waiting)
                except StopIteration:
                    ended = True
                    break
                nothing = new is None
                if new is not None and self.advance(new, None):
                    active.append(new)
            active = [a for a in active if not all(f.done() for f in a.futures) or self.resume(a)]
            pending = [f for a in active for f in a.futures if not f.done()]
            if pending:
                wait(pending, POLL_SECONDS, FIRST_COMPLETED)
                self.report(active)
            elif nothing and not active:
                time.sleep(POLL_SECONDS)

    def resume(self, task: Task) -> bool:
        """Send a task its results, or what kept a stage from giving one; False once it has ended."""
        for stage, future in zip(task.stages, task.futures, strict=True):
            if (error := future.exception()) is not None:
                return self.advance(task, error, stage)
        results = [future.result() for future in task.futures]
        for stage, result in zip(task.stages, results, strict=True):
            if stage.key not in self.reported:
                self.reported.add(stage.key)
                self.watcher.stage(stage, result)
        return self.advance(task, results)

    def advance(
        self, task: Task, results: list[Result[Any]] | BaseException | None, failed: Stage[Any] | None = None
    ) -> bool:
        """Have a task ask for its next stages; False once it has ended. Its first step takes None, one after a stage
        that failed its error."""
        try:
            stages = self.step(task, results)
        except (Exception, SystemExit) as error:  # a plugin may raise anything, and may try to end the program
            self.check()
            if task.fail is None or not task.fail(error, failed if error is results else None):
                raise
            return False
        if stages is None:
            return False
        self.check()
        task.stages = stages
        task.futures = [self.engine.submit(stage) for stage in stages]
        return True

    def step(self, task: Task, results: list[Result[Any]] | BaseException | None) -> list[Stage[Any]] | None:
        """What a task asks for next; None once it has ended."""
        try:
            with closed():  # partitioners, edge rules and selectors' plans see no ground truth
                if isinstance(results, BaseException):
                    return task.generator.throw(results)
                return next(task.generator) if results is None else task.generator.send(results)
        except StopIteration as end:
            self.check()
            task.finish(end.value)
            return None

    def report(self, active: list[Task]) -> None:
        under_way: dict[str, tuple[Stage[Any], float | None]] = {}
        for task in active:
            for stage, future in zip(task.stages, task.futures, strict=True):
                if future.running() and stage.key not in under_way:
                    under_way[stage.key] = stage, self.store.progress(stage.key)
        self.watcher.running(list(under_way.values()))
