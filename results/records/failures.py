"""Runs that failed: each has a small file in the place of its record, until the run is tried again and succeeds.

A failed run has no numbers. Its arm is incomplete, and is never averaged; what failed and why is shown wherever the arm
is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from splitbench.results.records.record import PROTOCOL, Record

SCHEMA = 1


class Failure(BaseModel):
    """One run that failed: which, and why. ``config`` holds the arm's configuration, as in its record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA
    splitbench: str
    study: str
    arm: str
    repetition: int
    draw: int = 0
    baseline: bool
    expected_runs: int
    space: str
    dataset: str
    trainer: str
    reads_truth: bool = False
    config: dict[str, Any]
    protocol: str = Field(pattern=PROTOCOL)
    budget_kind: str
    budget_limit: float
    stage: str = Field(description="what was under way, in words; empty between stages")
    component: str = Field(description="whose doing it was, as 'criterion mine of mine.py'; empty where not known")
    reason: str = Field(description="one sentence")
    traceback: str = Field(description="for whoever mends it")

    @property
    def run(self) -> tuple[str, str, str, str, str, float, str, int, int]:
        """The identity of the run, equal to :func:`run_key` of its record."""
        table = self.study, self.space, self.dataset, self.protocol, self.budget_kind, self.budget_limit
        return *table, self.arm, self.repetition, self.draw

    @property
    def words(self) -> str:
        """The run and why it failed: ``seed 2, train root: the supernet has diverged``."""
        draw = f" draw {self.draw + 1}" if self.draw else ""
        stage = f", {self.stage}" if self.stage else ""
        return f"seed {self.repetition + 1}{draw}{stage}: {self.reason}"


def run_key(record: Record) -> tuple[str, str, str, str, str, float, str, int, int]:
    """The identity of a run among those of all studies. A failed run ranks nothing, so the population is left out."""
    budget = record.budget
    table = record.study, record.space, record.dataset, record.protocol, budget.kind, budget.limit
    return *table, record.arm, record.repetition, record.draw


def same_table(failures: Iterable[Failure], record: Record) -> tuple[Failure, ...]:
    """The failures of the table that a record belongs to."""
    return tuple(failure for failure in failures if failure.run[:6] == run_key(record)[:6])


def read_failure(data: bytes, where: str) -> tuple[Failure | None, str]:
    """The failure in a file, or None and a sentence about what is wrong with the file."""
    try:
        failure = Failure.model_validate_json(data)
    except ValidationError:
        return None, f"{where}: left out, a failed run's file that is damaged; delete it and run the study again"
    if failure.schema_version > SCHEMA:
        return None, f"{where}: left out, written by a newer splitbench ({failure.splitbench}): upgrade"
    return failure, ""


def failure_words(failures: Sequence[Failure]) -> str:
    """An arm's failures in a sentence, with equal reasons once."""
    reasons = Counter(failure.reason for failure in failures)
    first = {reason: next(failure for failure in failures if failure.reason == reason) for reason in reasons}
    parts = [
        failure.words + (f" (and {n - 1} more so)" if (n := reasons[reason]) > 1 else "")
        for reason, failure in first.items()
    ]
    shown = parts[:3] + ([f"and {len(parts) - 3} more reasons"] if len(parts) > 3 else [])
    return "; ".join(shown)


def by_arm(failures: Iterable[Failure]) -> dict[str, tuple[Failure, ...]]:
    """Arm -> its failures, by repetition and draw."""
    grouped: dict[str, list[Failure]] = {}
    for failure in sorted(failures, key=lambda failure: (failure.arm, failure.repetition, failure.draw)):
        grouped.setdefault(failure.arm, []).append(failure)
    return {arm: tuple(own) for arm, own in grouped.items()}
