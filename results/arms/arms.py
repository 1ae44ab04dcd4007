"""The runs of one arm, repetition by repetition, and the tables that arms may share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from splitbench.results.inference.stats import Estimate, interval
from splitbench.results.measures.families import Range
from splitbench.results.records.failures import Failure, by_arm, failure_words, same_table
from splitbench.results.records.loading import StoredRun
from splitbench.results.records.record import Record, table_key

PRIMARY = "tau[all]"
"""The metric that arms are sorted by and verdicts are on."""
SELECTED = {"selected test %": "test", "selected regret": "regret"}
"""What is compared of the honest choice -> its field in a record's selection."""

Getter = Callable[[Record], float | None]


@dataclass(frozen=True)
class ArmRuns:
    """All runs of one arm in one table, by repetition and draw; ``failed`` are those that failed."""

    name: str
    runs: tuple[StoredRun, ...]
    failed: tuple[Failure, ...] = ()

    @cached_property
    def repetitions(self) -> dict[int, tuple[StoredRun, ...]]:
        grouped = itertools.groupby(self.runs, key=lambda run: run.record.repetition)
        return {repetition: tuple(runs) for repetition, runs in grouped}

    @property
    def expected_runs(self) -> int:
        """The largest number that a record names: after a study gets more seeds, its old runs are not all."""
        return max([run.record.expected_runs for run in self.runs] + [failure.expected_runs for failure in self.failed])

    @property
    def draws(self) -> int:
        return max(len(runs) for runs in self.repetitions.values())

    @property
    def complete(self) -> bool:
        """Whether every expected run is there, no run failed, and every repetition has as many draws as the others."""
        even = len({len(runs) for runs in self.repetitions.values()}) == 1
        return even and len(self.runs) >= self.expected_runs and not self.failed

    @property
    def lacking(self) -> str:
        """What an incomplete arm lacks, in words: ``has 1 of 2 runs (seed 2: the supernet has diverged)``."""
        why = f" ({failure_words(self.failed)})" if self.failed else ""
        return f"has {len(self.runs)} of {self.expected_runs} runs{why}"

    @property
    def baseline(self) -> bool:
        return any(run.record.baseline for run in self.runs)

    @property
    def reads_truth(self) -> bool:
        """Whether it is an oracle control: a bound, and no hypothesis to be tested beside the others."""
        return any(run.record.reads_truth for run in self.runs)

    @property
    def given(self) -> bool:
        """Whether its partition was written down in the study file: no finding of a criterion."""
        chosen = [run.record.config.get("arm", {}).get("criteria", {}) for run in self.runs]
        return any(criterion.get("name") == "given" for criterion in chosen)

    def by_repetition(self, get: Getter) -> dict[int, float] | None:
        """The mean over draws for each repetition; None if one run lacks the value, so that a mean never leaves out
        the runs that collapsed."""
        means = {}
        for repetition, runs in self.repetitions.items():
            values = [get(run.record) for run in runs]
            defined = [value for value in values if value is not None and math.isfinite(value)]
            if len(defined) < len(values):
                return None
            means[repetition] = math.fsum(defined) / len(defined)
        return means

    def estimate(self, get: Getter, within: Range | None = None) -> Estimate | None:
        """Mean and interval over repetitions, inside the range ``within``; None if one run lacks the value."""
        values = self.by_repetition(get)
        return None if values is None else interval([values[turn] for turn in sorted(values)], within=within)


def metric(name: str) -> Getter:
    """Reads a metric against ground-truth test accuracy."""
    return lambda record: record.metrics.get(name)


def validation_metric(name: str) -> Getter:
    """Reads a metric against ground-truth validation accuracy."""
    return lambda record: record.validation_metrics.get(name)


def selected(name: str) -> Getter:
    """Reads a number of the selection."""
    return lambda record: float(getattr(record.selection, name))


TEST, REGRET = SELECTED
JUDGED: Mapping[str, Getter] = {PRIMARY: metric(PRIMARY), TEST: selected(SELECTED[TEST])}
"""What a leaderboard gives verdicts on, named beforehand: each is a family of hypotheses of its own."""


def tables(runs: Iterable[StoredRun], failed: Iterable[Failure] = ()) -> list[tuple[ArmRuns, ...]]:
    """Arms by table, both in a fixed order: arms of different studies, spaces, data sets, budgets, populations or
    protocols never share one. Failed runs belong to their arms; an arm that has none but those is not among them."""

    def order(run: StoredRun) -> tuple[object, ...]:
        return (*table_key(run.record), run.record.arm, run.record.repetition, run.record.draw)

    grouped, failed = [], tuple(failed)
    ordered = sorted(runs, key=order)
    for _, members in itertools.groupby(ordered, key=lambda run: table_key(run.record)):
        own = [*members]
        arms = itertools.groupby(own, key=lambda run: run.record.arm)
        lost = by_arm(same_table(failed, own[0].record))
        grouped.append(tuple(ArmRuns(name, tuple(arm), lost.get(name, ())) for name, arm in arms))
    return grouped
