"""The driver: tasks are taken as there is room for them, and a stage that fails fails its own task."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from splitbench.harness.budget import Cost
from splitbench.harness.device import Machine
from splitbench.harness.engines import driver
from splitbench.harness.engines.driver import Driver, Task, Watcher
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.part import Part
from splitbench.harness.stages.base import Result, Scene, Stage
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stores.folder import StageStore

Stages = Generator[list[Stage[Any]], list[Result[Any]], Any]
NOWHERE = Scene(Part("spaces", "none", "", {}), Part("datasets", "none", "", {}), "")


@dataclass(frozen=True, kw_only=True)
class Number(Stage[int]):
    """Gives its number, or fails."""

    kind: ClassVar[str] = "number"
    version: ClassVar[int] = 1
    gives: ClassVar[type] = int

    n: int
    fails: bool = False

    def work(self, context: StageContext, folder: Path) -> tuple[int, Cost]:
        raise AssertionError("the fake engine does no work")


class Fake:
    """An engine whose stages end at once, or fail if they are told to."""

    def __init__(self) -> None:
        self.ran: list[int] = []

    def submit(self, stage: Any) -> Future[Result[Any]]:
        future: Future[Result[Any]] = Future()
        self.ran.append(stage.n)
        if stage.fails:
            future.set_exception(SplitbenchError(f"stage {stage.n} failed"))
        else:
            future.set_result(Result(stage.key, stage.n, Cost(), 0.0, 0, Machine("none")))
        return future

    def close(self) -> None:
        """Nothing runs."""


def asking(*stages: dict[str, Any]) -> Stages:
    """One stage after the other; gives their outputs."""
    found = []
    for inputs in stages:
        (result,) = yield [Number(scene=NOWHERE, **inputs)]
        found.append(result.output)
    return found


def forgiving(*stages: dict[str, Any]) -> Stages:
    try:
        return (yield from asking(*stages))
    except SplitbenchError as error:
        (result,) = yield [Number(scene=NOWHERE, n=99)]
        return [str(error), result.output]


def test_a_task_may_go_on_after_a_stage_that_failed(tmp_path: Path) -> None:
    ended: list[Any] = []
    tasks = [Task(forgiving({"n": 1}, {"n": 2, "fails": True}), ended.append), Task(asking({"n": 3}), ended.append)]
    Driver(StageStore(tmp_path), Fake(), Watcher()).drive(tasks, 1)
    assert ended == [["stage 2 failed", 99], [3]]


def test_a_failure_that_no_task_takes_ends_the_drive(tmp_path: Path) -> None:
    ended: list[Any] = []
    tasks = [Task(asking({"n": 1, "fails": True}), ended.append), Task(asking({"n": 2}), ended.append)]
    with pytest.raises(SplitbenchError, match="stage 1 failed"):
        Driver(StageStore(tmp_path), Fake(), Watcher()).drive(tasks, 1)
    assert ended == []


def test_tasks_are_taken_when_there_is_room_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep does not know its next trial before the last has ended; None says that it is not known yet."""
    waits: list[float] = []
    monkeypatch.setattr(driver, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(driver.time, "sleep", waits.append)
    ended: list[Any] = []
    taken: list[int] = []

    def tasks() -> Iterator[Task | None]:
        for n in range(4):
            taken.append(len(ended))
            yield Task(asking({"n": n}), ended.append)
            if n == 1:
                yield None

    Driver(StageStore(tmp_path), Fake(), Watcher()).drive(tasks(), 1)
    assert ended == [[0], [1], [2], [3]]
    assert taken == [0, 1, 2, 3]
    assert waits == [0.0]
