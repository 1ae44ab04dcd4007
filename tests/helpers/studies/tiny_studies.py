"""Studies on the embedded space that take a second or two, and what the tests look at in their folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import splitbench
from splitbench.harness.engines.driver import Watcher
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stages.kinds import KINDS
from splitbench.results.records.record import Measured, Record


def tiny(**changes: Any) -> dict[str, Any]:
    """A study with small everything; keys given replace its own, and None removes one."""
    study = {
        "name": "tiny",
        "space": "micro",
        "dataset": "digits",
        "trainer": {"name": "rsps", "batch_size": 32, "learning_rate": 0.1},
        "schedule": {"warmup": 0.3},
        "budget": {"steps": 60},
        "seeds": 1,
        "population": {"sample": 20},
        "evaluation": {"images": 100},
        "selector": {"name": "random_best", "samples": 4},
        "arms": ["none"],
    } | changes
    return {key: value for key, value in study.items() if value is not None}


class Notes(Watcher):
    """Keeps what a study tells its watcher."""

    def __init__(self) -> None:
        self.stages: list[tuple[Stage[Any], Result[Any]]] = []
        self.records: list[Record] = []
        self.sentences: list[str] = []

    def note(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def stage(self, stage: Stage[Any], result: Result[Any]) -> None:
        self.stages.append((stage, result))

    def run(self, record: Record, measured: Measured) -> None:
        self.records.append(record)

    def of(self, kind: str) -> list[tuple[Stage[Any], Result[Any]]]:
        """Distinct stages of one kind with their results."""
        return [(stage, result) for stage, result in self.stages if stage.kind == kind]


class Executed(Counter[str]):
    """Counts the stages that are computed (and not looked up), by kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        for kind in KINDS:
            monkeypatch.setattr(kind, "work", self.counted(kind.kind, kind.work))

    def counted(self, kind: str, work: Any) -> Any:
        def run(*args: Any) -> Any:
            self[kind] += 1
            return work(*args)

        return run


def run_tiny(folder: Path, workers: int = 1, **changes: Any) -> Notes:
    """Run a tiny study on the CPU and give what it told."""
    notes = Notes()
    splitbench.run(tiny(**changes), folder, device="cpu", workers=workers, watcher=notes)
    return notes


def record_bytes(folder: Path) -> dict[str, bytes]:
    """File name -> content of everything in ``records`` that is a pure function of the study."""
    # A hidden file is what a kill in the middle of a write leaves behind.
    files = sorted(file for file in (folder / "records").iterdir() if not file.name.startswith("."))
    return {file.name: file.read_bytes() for file in files if not file.name.endswith(".measured.json")}
