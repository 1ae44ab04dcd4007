"""One row of a leaderboard: an arm that ran, an arm that failed, or a size of the stand-alone network as a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from splitbench.results.arms.arms import PRIMARY, TEST, ArmRuns, Getter, metric, selected, validation_metric
from splitbench.results.arms.controls import Chance
from splitbench.results.arms.costs import MeanCost, mean_cost
from splitbench.results.arms.terms import decomposition_of
from splitbench.results.inference import stats
from splitbench.results.inference.paired import Verdict
from splitbench.results.inference.stats import Estimate
from splitbench.results.measures.families import POINTS, Range, family
from splitbench.results.records.failures import Failure
from splitbench.results.records.record import Record

SELECTION = {
    "test": "ground-truth test accuracy % of the honest choice",
    "regret": "best test accuracy of the space less that",
    "oracle": "best test accuracy over the leaves' choices",
    "leaf_floor": "expected best of one random architecture a leaf",
    "best_of_k": "expected best of K random architectures, K leaves",
}


@dataclass(frozen=True)
class Failed:
    """A run that failed: which, what was under way (empty between stages), and why, in a sentence."""

    arm: str
    repetition: int
    draw: int
    stage: str
    reason: str


@dataclass(frozen=True)
class BoardRow:
    """One arm, or (``trivial``) a score that took no run: a size of the stand-alone networks, or (``rank_sum`` too) the
    sum of two rankers' ranks.

    ``reads_truth`` marks an oracle control: it has seen the answers. ``given`` marks a partition that the study file
    gave. ``chance`` is the comparison with random groups of the same sizes, ``verdicts`` are those against the baseline
    by metric. ``finding`` is the arm that stands first of those that chose the same leaves on every seed, where it is
    another. ``outside`` marks estimates of a file: on the populations of the arms, without budget, seeds or verdict.
    ``of_ceiling`` is the primary metric over its noise ceiling, divided repetition by repetition; None where the
    ceiling is not known. ``failed`` are the runs that failed; their arm is incomplete. ``decomposition`` has the terms
    of the difference to no split, where every run has them.
    """

    arm: str
    space: str
    dataset: str
    trainer: str | None
    seeds: int
    draws: int
    runs: int
    expected_runs: int
    complete: bool
    baseline: bool
    trivial: bool = False
    rank_sum: bool = False
    reads_truth: bool = False
    outside: bool = False
    given: bool = False
    metrics: Mapping[str, Estimate | None] = field(default_factory=dict)
    validation_metrics: Mapping[str, Estimate | None] = field(default_factory=dict)
    of_ceiling: Estimate | None = None
    selection: Mapping[str, Estimate | None] = field(default_factory=dict)
    leaves: tuple[int, ...] = ()
    chance: Chance | None = None
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    finding: str = ""
    cost: MeanCost | None = None
    failed: tuple[Failed, ...] = ()
    decomposition: Mapping[str, Estimate] | None = None

    @property
    def verdict(self) -> Verdict | None:
        """That on the primary metric."""
        return self.verdicts.get(PRIMARY)

    @property
    def selected_verdict(self) -> Verdict | None:
        """That on the test accuracy of the honest choice."""
        return self.verdicts.get(TEST)


def arm_row(arm: ArmRuns, verdicts: Mapping[str, Verdict], chance: Chance | None, warnings: list[str]) -> BoardRow:
    record = arm.runs[0].record
    row = BoardRow(
        arm=arm.name,
        space=record.space,
        dataset=record.dataset,
        trainer=record.trainer,
        seeds=len(arm.repetitions),
        draws=arm.draws,
        runs=len(arm.runs),
        expected_runs=arm.expected_runs,
        complete=arm.complete,
        baseline=arm.baseline,
        reads_truth=arm.reads_truth,
        given=arm.given,
        failed=_failed(arm.failed),
    )
    if not arm.complete:
        return row
    records = [run.record for run in arm.runs]
    for name in names(record.metrics for record in records):
        lacking = sum(not finite(record.metrics.get(name)) for record in records)
        if 0 < lacking < len(records):
            warnings.append(f"{arm.name}: {name} is undefined in {lacking} of {len(records)} runs, so it has no mean")
    validation = names(record.validation_metrics for record in records)
    return replace(
        row,
        metrics={
            name: arm.estimate(metric(name), family(name).range) for name in names(record.metrics for record in records)
        },
        validation_metrics={name: arm.estimate(validation_metric(name), family(name).range) for name in validation},
        of_ceiling=arm.estimate(lambda record: _of_ceiling(record, record.metrics)),
        selection={name: arm.estimate(selected(name), POINTS.range) for name in SELECTION},
        leaves=tuple(sorted({sum(leaf.kept for leaf in record.selection.leaves) for record in records})),
        chance=chance,
        decomposition=decomposition_of(arm),
        verdicts=verdicts,
        cost=mean_cost(arm.runs),
    )


def failed_row(failures: Sequence[Failure]) -> BoardRow:
    """The row of an arm all of whose runs failed."""
    first = failures[0]
    return BoardRow(
        arm=first.arm,
        space=first.space,
        dataset=first.dataset,
        trainer=first.trainer,
        seeds=0,
        draws=0,
        runs=0,
        expected_runs=first.expected_runs,
        complete=False,
        baseline=first.baseline,
        reads_truth=first.reads_truth,
        failed=_failed(failures),
    )


def _failed(failures: Iterable[Failure]) -> tuple[Failed, ...]:
    return tuple(
        Failed(failure.arm, failure.repetition, failure.draw, failure.stage, failure.reason) for failure in failures
    )


def _of_ceiling(record: Record, metrics: Mapping[str, float | None]) -> float | None:
    """The primary metric over the noise ceiling on the same population."""
    value, limit = metrics.get(PRIMARY), record.ceiling.get(PRIMARY)
    return value / limit if value is not None and limit is not None and limit > 0 else None


def size_rows(records: list[Record]) -> tuple[BoardRow, ...]:
    """Sizes as scores. Their leaf metrics depend on an arm's leaves, so they stay in the records."""
    one_each = sorted({record.repetition: record for record in records}.values(), key=lambda record: record.repetition)
    rows = []
    for size in names(record.trivial for record in one_each):
        metrics: dict[str, Estimate | None] = {}
        for name in shared_name(names(record.trivial.get(size, {}) for record in one_each)):
            values = [record.trivial.get(size, {}).get(name) for record in one_each]
            metrics[name] = whole_interval(values, family(name).range)
        first, n = one_each[0], len(one_each)
        share = whole_interval([_of_ceiling(record, record.trivial.get(size, {})) for record in one_each])
        row = BoardRow(size, first.space, first.dataset, None, n, 1, n, n, True, False, trivial=True, metrics=metrics)
        rows.append(replace(row, of_ceiling=share))
    return tuple(rows)


def rank_sum_row(arm: ArmRuns) -> BoardRow | None:
    """The rank-sum of an arm and FLOPs; None where a run of it does not hold it, as before schema 3 had it."""
    if not arm.complete or any(run.record.rank_sum is None for run in arm.runs):
        return None
    record, n = arm.runs[0].record, len(arm.runs)
    primary = _summed(PRIMARY)
    row = summed_row(
        f"{arm.name} + flops",
        (record.space, record.dataset),
        seeds=len(arm.repetitions),
        metrics={
            name: arm.estimate(_summed(name), family(name).range)
            for name in names(run.record.rank_sum or {} for run in arm.runs)
        },
        of_ceiling=arm.estimate(lambda record: _of_ceiling(record, {PRIMARY: primary(record)})),
    )
    return replace(row, draws=arm.draws, runs=n, expected_runs=arm.expected_runs)


def summed_row(
    name: str,
    on: tuple[str, str],
    seeds: int,
    metrics: Mapping[str, Estimate | None],
    of_ceiling: Estimate | None,
) -> BoardRow:
    """The row of a rank-sum on a space and data set: it took no training of its own, so a run a seed, and no cost."""
    row = BoardRow(name, *on, None, seeds, 1, seeds, seeds, True, False, trivial=True, rank_sum=True)
    return replace(row, metrics=metrics, of_ceiling=of_ceiling)


def _summed(name: str) -> Getter:
    return lambda record: (record.rank_sum or {}).get(name)


def whole_interval(values: Sequence[float | None], within: Range | None = None) -> Estimate | None:
    """Mean and interval over repetitions; None if one lacks a value."""
    defined = [value for value in values if value is not None and math.isfinite(value)]
    return stats.interval(defined, within=within) if len(defined) == len(values) else None


def row_order(row: BoardRow) -> tuple[bool, bool, float, str]:
    """Complete arms first, then by the primary metric from the best down, then by name."""
    primary = row.metrics.get(PRIMARY)
    return (not row.complete, primary is None, -primary.mean if primary else 0.0, row.arm)


def shared_name(names: Any) -> list[str]:
    return [name for name in names if "_leaf" not in name]


def names(mappings: Any) -> list[str]:
    return sorted({name for mapping in mappings for name in mapping})


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
