"""A stage's parents are the stages whose results its work opens: no more and no fewer, whatever its kind."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from tiny_studies import tiny

from splitbench.harness.device import one_thread
from splitbench.harness.engines.driver import Driver, Task, Watcher
from splitbench.harness.engines.local import InProcess
from splitbench.harness.running.study import Study
from splitbench.harness.runs.protocol import Run
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.kinds import KINDS
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study.config import parse_study


class Opened(StageStore):
    """Notes which stages' files are opened while a stage works: what has been opened since the last one ended."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.since: list[str] = []

    def open(self, key: str, name: str) -> Path:
        self.since.append(key)
        return super().open(key, name)


class Noting(InProcess):
    """Keeps what each stage has opened."""

    def __init__(self, store: Opened) -> None:
        super().__init__(store)
        self.opened: dict[str, tuple[Stage, set[str]]] = {}
        self.order: list[str] = []

    def submit(self, stage: Stage):  # type: ignore[no-untyped-def, type-arg]
        assert isinstance(self.store, Opened)
        self.store.since.clear()
        future = super().submit(stage)
        if stage.key not in self.opened:
            self.opened[stage.key] = stage, set(self.store.since)
            self.order.append(stage.key)
        return future


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Noting:
    """A split arm with a decomposition: every kind of stage is run."""
    engine = Noting(Opened(tmp_path_factory.mktemp("noted")))
    study = Study.build(parse_study(tiny(budget={"steps": 200}, arms=["random"], decompose=True)), "cpu")
    run = Run(study.settings, study.arms[0], study.seeds(0), 0)
    ends: list[object] = []
    with one_thread():
        Driver(engine.store, engine, Watcher()).drive([Task(run.stages(), ends.append)], 1)
    assert len(ends) == 1
    return engine


def test_parents_are_what_the_work_opens(noted: Noting) -> None:
    by_kind: defaultdict[str, list[int]] = defaultdict(list)
    for stage, opened in noted.opened.values():
        assert set(stage.parents) == opened, stage.title
        assert len(stage.parents) == len(opened), "a parent is named twice"
        by_kind[stage.kind].append(len(opened))
    assert set(by_kind) == {kind.kind for kind in KINDS}
    assert {kind for kind, counts in by_kind.items() if max(counts) == 0} == {"facts"}
    assert by_kind["train"][0] == 0, "the warm-up begins with initial weights"


def test_parents_come_first(noted: Noting) -> None:
    for index, key in enumerate(noted.order):
        assert set(noted.opened[key][0].parents) <= set(noted.order[:index])
