"""The leaderboard: a pure function of a results folder. Nothing here needs torch or pandas.

numpy and scipy are imported only for what needs them: mean ranks over three or more pairs of space and data set, and
sign flips of more than ``stats.PLAIN_UP_TO`` repetitions.

A table holds the arms of one study, space, dataset, budget, population and protocol. Arms with missing runs are named
and never averaged. A metric that one run of an arm lacks is null for the arm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splitbench.results import stats
from splitbench.results.arms import PRIMARY, Arm, metric, selected, tables, validation_metric
from splitbench.results.controls import Chance, against_chance
from splitbench.results.costs import Cost, mean_cost
from splitbench.results.explain import decomposition_of
from splitbench.results.failures import Failure, by_arm, same_table
from splitbench.results.friedman import RankGroups, across
from splitbench.results.machines import kinds, machines, mixture
from splitbench.results.record import Record
from splitbench.results.stats import Estimate
from splitbench.results.store import Loaded, load

SELECTION = {
    "test": "ground-truth test accuracy % of the honest choice",
    "regret": "best test accuracy of the space less that",
    "oracle": "best test accuracy over the leaves' choices",
    "leaf_floor": "expected best of one random architecture a leaf",
    "best_of_k": "expected best of K random architectures, K leaves",
}
SEVERAL_BASELINES = "several arms are marked as the baseline"
NOT_COMPARABLE = "so they are not comparable"


@dataclass(frozen=True)
class Verdict:
    """What a paired comparison with the baseline says.

    ``p`` is Holm-adjusted over the arms of the table; oracle controls are no hypotheses, and adjusted among themselves.
    """

    against: str
    metric: str
    word: str
    p: float
    difference: Estimate


@dataclass(frozen=True)
class Failed:
    """A run that failed: which, what was under way (empty between stages), and why, in a sentence."""

    arm: str
    repetition: int
    draw: int
    stage: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One arm, or (``trivial``) one size of the stand-alone networks used as a score.

    ``reads_truth`` marks an oracle control: it has seen the answers. ``given`` marks a partition that the study file
    gave. ``chance`` is the comparison with random groups of the same sizes. ``outside`` marks estimates of a file: on
    the populations of the arms, without budget, seeds or verdict. ``of_ceiling`` is the primary metric over its noise
    ceiling, divided repetition by repetition; None where the ceiling is not known. ``failed`` are the runs that failed;
    their arm is incomplete. ``decomposition`` has the terms of the difference to no split, where every run has them.
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
    reads_truth: bool = False
    outside: bool = False
    given: bool = False
    metrics: Mapping[str, Estimate | None] = field(default_factory=dict)
    validation_metrics: Mapping[str, Estimate | None] = field(default_factory=dict)
    of_ceiling: Estimate | None = None
    selection: Mapping[str, Estimate | None] = field(default_factory=dict)
    leaves: tuple[int, ...] = ()
    chance: Chance | None = None
    verdict: Verdict | None = None
    cost: Cost | None = None
    failed: tuple[Failed, ...] = ()
    decomposition: Mapping[str, Estimate] | None = None


@dataclass(frozen=True)
class Leaderboard:
    """One table.

    ``comparisons`` arms that are no oracle controls are held against the baseline; below ``seeds_needed`` none of them
    can get a verdict. ``without_chance`` says of each arm that splits, and has no comparison with chance, why.
    ``share``, ``sampling`` and ``scoring`` are the study's: how leaves share the budget, what is equally likely to be
    drawn in training, and whether scoring is paid for; ``batch_norm`` says what normalises its estimates. Studies from
    before these settings are as their defaults here.
    """

    study: str
    space: str
    dataset: str
    trainers: tuple[str, ...]
    budget: tuple[str, float]
    population: str
    population_size: int
    seeds: int
    baseline: str | None
    comparisons: int
    seeds_needed: int
    ceiling: Mapping[str, float | None]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    without_chance: Mapping[str, str] = field(default_factory=dict)
    share: str = "flops"
    sampling: str = "strings"
    scoring: str = "charged"
    batch_norm: str = "batch"

    @property
    def faults(self) -> tuple[str, ...]:
        """Those of the warnings for which the table is no fair comparison: arms that ranked other architectures, or
        several baselines."""
        return tuple(one for one in self.warnings if NOT_COMPARABLE in one or one.startswith(SEVERAL_BASELINES))


@dataclass(frozen=True)
class Leaderboards:
    """Every table of a results folder; a sentence for each file left out, and for each arm skipped.

    ``rank_groups`` rank the arms over spaces and data sets, where there are at least three with the same arms.
    """

    boards: tuple[Leaderboard, ...]
    warnings: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    rank_groups: RankGroups | None = None


def with_rows(board: Leaderboard, rows: Iterable[Row]) -> Leaderboard:
    """The table with more rows, each at its place among the arms."""
    arms = [*(row for row in board.rows if not row.trivial), *rows]
    return replace(board, rows=(*sorted(arms, key=_place), *(row for row in board.rows if row.trivial)))


def leaderboards(folder: str | Path) -> Leaderboards:
    """Read a results folder.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
    """
    return leaderboards_of(load(folder))


def leaderboards_of(loaded: Loaded) -> Leaderboards:
    """The leaderboards of runs that have been read already; the folder is not touched again."""
    found = tables(loaded.runs, loaded.failed)
    own = [same_table(loaded.failed, arms[0].runs[0].record) for arms in found]
    boards = tuple(_board(arms, by_arm(failed)) for arms, failed in zip(found, own, strict=True))
    shown = {one.run for failed in own for one in failed}
    apart = [
        f"study {one.study}: arm {one.arm} failed, and no run of its table succeeded: {one.words}"
        for one in loaded.failed
        if one.run not in shown
    ]
    warnings = tuple(sorted([*loaded.warnings, *apart]))
    return Leaderboards(boards, warnings, tuple(map(str, loaded.skipped)), across(found, PRIMARY))


def _board(arms: tuple[Arm, ...], failed: Mapping[str, tuple[Failure, ...]]) -> Leaderboard:
    records = [run.record for arm in arms for run in arm.runs]
    first = records[0]
    warnings: list[str] = []
    lost = [name for name, own in failed.items() if own[0].baseline]
    baseline = _baseline(arms, lost, warnings)
    verdicts = _verdicts(arms, baseline)
    chances = against_chance(arms, metric(PRIMARY))
    rows = [_row(arm, verdicts.get(arm.name), chances.found.get(arm.name), warnings) for arm in arms]
    rows += [_failed_row(own) for name, own in failed.items() if name not in {arm.name for arm in arms}]
    honest = [arm for arm in arms if arm is not baseline and not arm.reads_truth]
    comparisons = sum(arm.name in verdicts for arm in honest) if verdicts else len(honest)
    _check_same_population(records, warnings)
    if mixed := mixture(kinds(machines(run for arm in arms for run in arm.runs))):
        warnings.append(mixed)
    return Leaderboard(
        study=first.study,
        space=first.space,
        dataset=first.dataset,
        trainers=tuple(sorted({record.trainer for record in records})),
        budget=(first.budget.kind, first.budget.limit),
        population=first.population,
        population_size=first.population_size,
        seeds=max(len(arm.repetitions) for arm in arms),
        baseline=baseline.name if baseline else None,
        comparisons=comparisons,
        seeds_needed=stats.repetitions_needed(max(1, comparisons)),
        ceiling=_ceiling(records),
        rows=(*sorted(rows, key=_place), *_trivial_rows(records)),
        warnings=tuple(warnings),
        without_chance=chances.without,
        **_settings(first),
    )


def _settings(record: Record) -> dict[str, str]:
    """How leaves share the budget, what is drawn, who pays for scoring, and what normalises estimates; nothing of what
    an old record lacks."""
    study = record.config.get("study", {})
    schedule = study.get("schedule", {}) if isinstance(study, Mapping) else {}
    found = {"share": schedule.get("share"), "sampling": study.get("sampling"), "scoring": study.get("scoring")}
    found["batch_norm"] = (study.get("evaluation") or {}).get("batch_norm")
    return {key: str(value) for key, value in found.items() if value is not None}


def _baseline(arms: tuple[Arm, ...], lost: Sequence[str], warnings: list[str]) -> Arm | None:
    """The baseline's arm; ``lost`` are baselines that have failed runs alone."""
    named = [arm for arm in arms if arm.baseline]
    if not named and lost:
        warnings.append(f"the baseline {lost[0]} has failed, so there is no verdict; mend it and run the study again")
        return None
    if not named:
        warnings.append("no arm of this table is the baseline, so there is no verdict; name one in the study file")
        return None
    if len(named) > 1:
        others = ", ".join(arm.name for arm in named[1:])
        warnings.append(f"{SEVERAL_BASELINES}: {named[0].name} is used, and not {others}")
    if not named[0].complete:
        warnings.append(f"the baseline {named[0].name} is incomplete, so there is no verdict; finish its runs")
    return named[0]


def _verdicts(arms: tuple[Arm, ...], baseline: Arm | None) -> dict[str, Verdict]:
    if baseline is None or not baseline.complete:
        return {}
    reference = baseline.by_repetition(metric(PRIMARY))
    compared: dict[str, stats.Comparison] = {}
    for arm in arms:
        values = arm.by_repetition(metric(PRIMARY)) if arm is not baseline and arm.complete else None
        comparison = stats.compare(values, reference) if values is not None and reference is not None else None
        if comparison is not None:
            compared[arm.name] = comparison
    oracles = [arm.reads_truth for arm in arms if arm.name in compared]
    adjusted = stats.holm_within([comparison.p for comparison in compared.values()], oracles)
    return {
        name: Verdict(
            baseline.name, PRIMARY, stats.word(PRIMARY, comparison.difference.mean, p), p, comparison.difference
        )
        for (name, comparison), p in zip(compared.items(), adjusted, strict=True)
    }


def _row(arm: Arm, verdict: Verdict | None, chance: Chance | None, warnings: list[str]) -> Row:
    record = arm.runs[0].record
    row = Row(
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
    for name in _names(record.metrics for record in records):
        lacking = sum(not _finite(record.metrics.get(name)) for record in records)
        if 0 < lacking < len(records):
            warnings.append(f"{arm.name}: {name} is undefined in {lacking} of {len(records)} runs, so it has no mean")
    validation = _names(record.validation_metrics for record in records)
    return replace(
        row,
        metrics={name: arm.estimate(metric(name)) for name in _names(record.metrics for record in records)},
        validation_metrics={name: arm.estimate(validation_metric(name)) for name in validation},
        of_ceiling=arm.estimate(lambda record: _of_ceiling(record, record.metrics)),
        selection={name: arm.estimate(selected(name)) for name in SELECTION},
        leaves=tuple(sorted({sum(leaf.kept for leaf in record.selection.leaves) for record in records})),
        chance=chance,
        decomposition=decomposition_of(arm),
        verdict=verdict,
        cost=mean_cost(arm.runs),
    )


def _failed_row(failures: Sequence[Failure]) -> Row:
    """The row of an arm all of whose runs failed."""
    first = failures[0]
    return Row(
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
    return tuple(Failed(one.arm, one.repetition, one.draw, one.stage, one.reason) for one in failures)


def _ceiling(records: list[Record]) -> dict[str, float | None]:
    """The mean over repetitions, which may each rank a population of their own."""
    one_each = list({record.repetition: record for record in records}.values())
    found: dict[str, float | None] = {}
    for name in _names(record.ceiling for record in one_each):
        values = [value for record in one_each if (value := record.ceiling.get(name)) is not None and _finite(value)]
        found[name] = math.fsum(values) / len(values) if len(values) == len(one_each) else None
    return found


def _of_ceiling(record: Record, metrics: Mapping[str, float | None]) -> float | None:
    """The primary metric over the noise ceiling on the same population."""
    value, limit = metrics.get(PRIMARY), record.ceiling.get(PRIMARY)
    return value / limit if value is not None and limit is not None and limit > 0 else None


def _trivial_rows(records: list[Record]) -> tuple[Row, ...]:
    """Sizes as scores. Their leaf metrics depend on an arm's leaves, so they stay in the records."""
    one_each = sorted({record.repetition: record for record in records}.values(), key=lambda record: record.repetition)
    rows = []
    for size in _names(record.trivial for record in one_each):
        metrics: dict[str, Estimate | None] = {}
        for name in _shared(_names(record.trivial.get(size, {}) for record in one_each)):
            metrics[name] = _whole_interval([record.trivial.get(size, {}).get(name) for record in one_each])
        first, n = one_each[0], len(one_each)
        share = _whole_interval([_of_ceiling(record, record.trivial.get(size, {})) for record in one_each])
        row = Row(size, first.space, first.dataset, None, n, 1, n, n, True, False, trivial=True, metrics=metrics)
        rows.append(replace(row, of_ceiling=share))
    return tuple(sorted(rows, key=_place))


def _whole_interval(values: list[float | None]) -> Estimate | None:
    defined = [value for value in values if value is not None and math.isfinite(value)]
    return stats.interval(defined) if len(defined) == len(values) else None


def _check_same_population(records: list[Record], warnings: list[str]) -> None:
    """Size baselines and ceiling do not depend on the arm: where they differ, so do the ranked architectures."""
    seen: dict[int, tuple[Any, str]] = {}
    for record in records:
        sizes = {size: {name: found[name] for name in _shared(found)} for size, found in record.trivial.items()}
        mark = (record.population_size, record.ceiling, sizes)
        there, arm = seen.setdefault(record.repetition, (mark, record.arm))
        if there != mark:
            warnings.append(
                f"arms {arm} and {record.arm} did not rank the same architectures in repetition {record.repetition}, "
                f"{NOT_COMPARABLE}; run the study again into an empty folder"
            )
            return


def _place(row: Row) -> tuple[bool, bool, float, str]:
    """Complete arms first, then by the primary metric from the best down, then by name."""
    primary = row.metrics.get(PRIMARY)
    return (not row.complete, primary is None, -primary.mean if primary else 0.0, row.arm)


def _shared(names: Any) -> list[str]:
    return [name for name in names if "_leaf" not in name]


def _names(mappings: Any) -> list[str]:
    return sorted({name for mapping in mappings for name in mapping})


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
