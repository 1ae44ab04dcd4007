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

from splitbench.results.arms.arms import JUDGED, PRIMARY, SELECTED, ArmRuns, tables
from splitbench.results.arms.controls import against_chance
from splitbench.results.arms.findings import findings
from splitbench.results.arms.friedman import RankGroups, across
from splitbench.results.arms.grounds import ungrounded
from splitbench.results.boards.bills import BillCorrelation, bill_correlations
from splitbench.results.boards.rows import (
    BoardRow,
    arm_row,
    failed_row,
    finite,
    names,
    rank_sum_row,
    row_order,
    shared_name,
    size_rows,
)
from splitbench.results.inference import stats
from splitbench.results.inference.paired import Comparison, Verdict, compare_pairs, judge
from splitbench.results.records.failures import Failure, by_arm, same_table
from splitbench.results.records.loading import Loaded, load_runs
from splitbench.results.records.machines import kinds, machines, mixture
from splitbench.results.records.record import Record

SEVERAL_BASELINES = "several arms are marked as the baseline"
NOT_COMPARABLE = "so they are not comparable"


@dataclass(frozen=True)
class Leaderboard:
    """One table.

    ``comparisons`` findings of arms that are no oracle controls are tested against the baseline (arms that chose one
    partition are one); below ``seeds_needed`` none of them can get a verdict. ``without_chance`` says of each arm that
    splits, and has no comparison with chance, why; ``bill_correlations`` whether differences to chance follow what
    scoring took. ``share``, ``sampling`` and ``scoring`` are the study's: how leaves share the budget, what is equally
    likely to be drawn in training, and whether scoring is paid for; ``batch_norm`` says what normalises its estimates.
    Studies from before these settings are as their defaults here. ``expected`` are sentences on arms that do not
    split, by published runs (splitbench.results.expectation.expected_folder adds them).
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
    rows: tuple[BoardRow, ...]
    warnings: tuple[str, ...]
    without_chance: Mapping[str, str] = field(default_factory=dict)
    bill_correlations: tuple[BillCorrelation, ...] = ()
    share: str = "flops"
    sampling: str = "strings"
    scoring: str = "charged"
    batch_norm: str = "batch"
    expected: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """Those of the warnings for which the table is no fair comparison: arms that ranked other architectures, or
        several baselines."""
        return tuple(
            warning for warning in self.warnings if NOT_COMPARABLE in warning or warning.startswith(SEVERAL_BASELINES)
        )


@dataclass(frozen=True)
class Leaderboards:
    """Every table of a results folder; a sentence for each file left out, and for each arm skipped.

    ``rank_groups`` rank the arms over spaces and data sets, where there are at least three with the same arms.
    """

    boards: tuple[Leaderboard, ...]
    warnings: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    rank_groups: RankGroups | None = None


def with_rows(board: Leaderboard, rows: Iterable[BoardRow]) -> Leaderboard:
    """The table with more rows, each at its place among the arms."""
    arms = [*(row for row in board.rows if not row.trivial), *rows]
    return replace(board, rows=(*sorted(arms, key=row_order), *(row for row in board.rows if row.trivial)))


def with_baselines(board: Leaderboard, rows: Iterable[BoardRow]) -> Leaderboard:
    """The table with more rows among those that took no run, each at its place."""
    alone = sorted([*(row for row in board.rows if row.trivial), *rows], key=row_order)
    return replace(board, rows=(*(row for row in board.rows if not row.trivial), *alone))


def leaderboards(folder: str | Path) -> Leaderboards:
    """Read a results folder.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
    """
    return leaderboards_of(load_runs(folder))


def leaderboards_of(loaded: Loaded) -> Leaderboards:
    """The leaderboards of runs that have been read already; the folder is not touched again."""
    grouped = tables(loaded.runs, loaded.failed)
    own = [same_table(loaded.failed, arms[0].runs[0].record) for arms in grouped]
    boards = tuple(_board(arms, by_arm(failed)) for arms, failed in zip(grouped, own, strict=True))
    shown = {failure.run for failed in own for failure in failed}
    apart = [
        f"study {failure.study}: arm {failure.arm} failed, and no run of its table succeeded: {failure.words}"
        for failure in loaded.failed
        if failure.run not in shown
    ]
    warnings = tuple(sorted([*loaded.warnings, *apart]))
    return Leaderboards(boards, warnings, tuple(map(str, loaded.skipped)), across(grouped, PRIMARY))


def _board(arms: tuple[ArmRuns, ...], failed: Mapping[str, tuple[Failure, ...]]) -> Leaderboard:
    records = [run.record for arm in arms for run in arm.runs]
    first = records[0]
    warnings: list[str] = []
    lost = [name for name, own in failed.items() if own[0].baseline]
    baseline = _baseline(arms, lost, warnings)
    same = findings(arms)
    judged = {name: _verdicts(arms, baseline, name, same) for name in JUDGED}
    verdicts = judged[PRIMARY]
    chances = against_chance(arms, PRIMARY)
    rows = [
        arm_row(
            arm,
            {name: own[arm.name] for name, own in judged.items() if arm.name in own},
            chances.by_arm.get(arm.name),
            warnings,
        )
        for arm in arms
    ]
    rows += [failed_row(own) for name, own in failed.items() if name not in {arm.name for arm in arms}]
    honest = [arm for arm in arms if arm is not baseline and not arm.reads_truth]
    tested = [name for name, verdict in verdicts.items() if verdict.p is not None]
    comparisons = len({same[arm.name] for arm in honest if arm.name in tested or not verdicts})
    summed = rank_sum_row(baseline) if baseline is not None else None
    alone = [*size_rows(records), *([summed] if summed is not None else [])]
    placed = _together(sorted(rows, key=row_order), same)
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
        rows=(*placed, *sorted(alone, key=row_order)),
        warnings=tuple(warnings),
        without_chance=chances.without,
        bill_correlations=bill_correlations(placed),
        expected=(),
        **_settings(first),
    )


def _settings(record: Record) -> dict[str, str]:
    """How leaves share the budget, what is drawn, who pays for scoring, and what normalises estimates; nothing of what
    an old record lacks."""
    study = _part(record.config, "study")
    settings = {
        "share": _part(study, "schedule").get("share"),
        "batch_norm": _part(study, "evaluation").get("batch_norm"),
    }
    settings |= {key: study.get(key) for key in ("sampling", "scoring")}
    return {key: str(value) for key, value in settings.items() if value is not None}


def _part(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A record may hold anything as its configuration."""
    part = config.get(key)
    return part if isinstance(part, Mapping) else {}


def _baseline(arms: tuple[ArmRuns, ...], lost: Sequence[str], warnings: list[str]) -> ArmRuns | None:
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


def _verdicts(
    arms: tuple[ArmRuns, ...], baseline: ArmRuns | None, name: str, same: Mapping[str, str]
) -> dict[str, Verdict]:
    """The verdict on each arm that can be compared with the baseline by the metric of this name."""
    if baseline is None or not baseline.complete:
        return {}
    reference = baseline.by_repetition(JUDGED[name])
    comparisons: dict[str, Comparison] = {}
    for arm in arms:
        values = arm.by_repetition(JUDGED[name]) if arm is not baseline and arm.complete else None
        comparison = compare_pairs(values, reference, name) if values is not None and reference is not None else None
        if comparison is not None:
            comparisons[arm.name] = comparison
    ranks = name not in SELECTED
    common = f"{why}, in {baseline.name}" if (why := ungrounded(baseline, ranks)) else ""
    reasons = {arm.name: ungrounded(arm, ranks) or common for arm in arms if arm.name in comparisons}
    return judge(baseline.name, name, comparisons, reasons, {arm.name: arm.reads_truth for arm in arms}, same)


def _ceiling(records: list[Record]) -> dict[str, float | None]:
    """The mean over repetitions, which may each rank a population of their own."""
    one_each = list({record.repetition: record for record in records}.values())
    ceilings: dict[str, float | None] = {}
    for name in names(record.ceiling for record in one_each):
        values = [value for record in one_each if (value := record.ceiling.get(name)) is not None and finite(value)]
        ceilings[name] = math.fsum(values) / len(values) if len(values) == len(one_each) else None
    return ceilings


def _check_same_population(records: list[Record], warnings: list[str]) -> None:
    """Size baselines and ceiling do not depend on the arm: where they differ, so do the ranked architectures."""
    seen: dict[int, tuple[Any, str]] = {}
    for record in records:
        sizes = {
            size: {name: of_size[name] for name in shared_name(of_size)} for size, of_size in record.trivial.items()
        }
        mark = (record.population_size, record.ceiling, sizes)
        there, arm = seen.setdefault(record.repetition, (mark, record.arm))
        if there != mark:
            warnings.append(
                f"arms {arm} and {record.arm} did not rank the same architectures in repetition {record.repetition}, "
                f"{NOT_COMPARABLE}; run the study again into an empty folder"
            )
            return


def _together(rows: Sequence[BoardRow], same: Mapping[str, str]) -> list[BoardRow]:
    """Arms of one partition after the first of them, which names their finding."""
    first: dict[str, BoardRow] = {}
    for row in rows:
        first.setdefault(same.get(row.arm, row.arm), row)
    order = {row.arm: place for place, row in enumerate(rows)}
    leads = {row.arm: first[same.get(row.arm, row.arm)].arm for row in rows}
    marked = [replace(row, finding="" if leads[row.arm] == row.arm else leads[row.arm]) for row in rows]
    return sorted(marked, key=lambda row: (order[leads[row.arm]], order[row.arm]))
