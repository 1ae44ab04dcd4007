"""The driver: it submits the stages that tasks ask for to an engine, and reports progress to a watcher.

A task is a generator that yields lists of stages and is sent their results. Stages whose results the store holds cost
nothing, so running a study again computes only what is missing.
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
    """Receives the progress of a study. Its methods do nothing; the command line's show progress as bars or lines."""

    def note(self, sentence: str) -> None:
        """Called with a remark that readers of the results need, as one sentence."""

    def begin(self, runs: int) -> None:
        """Called before ``runs`` runs (or other tasks) start."""

    def stage(self, stage: Stage[Any], result: Result[Any]) -> None:
        """Called once for each stage, when its result has arrived or was in the store."""

    def running(self, stages: Sequence[tuple[Stage[Any], float | None]]) -> None:
        """Called about once a second with the running stages and their finished shares in [0, 1], None if not known."""

    def run(self, record: Record, measured: Measured) -> None:
        """Called when a run has ended and its record is written."""

    def fail(self, failure: Failure) -> None:
        """Called when a run has failed and the reason is written in the place of its record."""

    def done(self, sentence: str) -> None:
        """Called with a sentence when a task that writes no record has ended."""


@dataclass
class Task:
    """A generator that yields lists of stages, and what is called when it ends.

    Attributes:
        generator: yields stages and is sent their results, in the same order.
        finish: called with what the generator returns.
        fail: called with the error that ended the task, and with the stage that raised it (None if the generator or
            ``finish`` raised it). If it returns True, the other tasks continue; if it returns False, or is None, the
            error ends all tasks.
        stages, futures: what the task waits for now.
    """

    generator: Generator[list[Stage[Any]], list[Result[Any]], Any]
    finish: Callable[[Any], None]
    fail: Callable[[BaseException, Stage[Any] | None], bool] | None = None
    stages: list[Stage[Any]] = field(default_factory=list)
    futures: list[Future[Result[Any]]] = field(default_factory=list)


class Driver:
    """Submits the stages that tasks ask for, and sends each task its results when all of them are there.

    Args:
        store: where results of stages are kept.
        engine: runs the stages.
        watcher: receives progress.
        check: called before stages are submitted and before results are written; raises if another process has taken
            the results folder over.
    """

    def __init__(
        self, store: Store, engine: Engine, watcher: Watcher, check: Callable[[], None] = lambda: None
    ) -> None:
        self.store, self.engine, self.watcher, self.check = store, engine, watcher, check
        self.reported: set[str] = set()

    def drive(self, tasks: Iterable[Task | None], parallel: int) -> None:
        """Run all tasks, ``parallel`` of them at a time. ``tasks`` is read when there is room for another task; it
        yields None when it has no task now but may have one later."""
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
        """Send a task the results of its stages, or the first error of one; False once the task has ended."""
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
        """Resume a task's generator and submit the stages that it asks for; False once it has ended.

        Args:
            task: whose turn it is.
            results: of its last stages; None for its first step, an error if a stage has failed.
            failed: the stage that raised the error.
        """
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
        """The stages that a task asks for next; None once it has ended."""
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
