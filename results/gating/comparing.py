"""Compares a results folder with a baseline, table by table and arm by arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import ArmRuns, tables
from splitbench.results.arms.recheck import recheck
from splitbench.results.gating import baseline as baselines
from splitbench.results.gating.baseline import Baseline, BaselineTable, conditions_title
from splitbench.results.gating.checks import INVARIANT, METRIC, GateCheck, GateReport, judged_checks
from splitbench.results.gating.quantities import invariant_checks, ledger_checks, metric_check
from splitbench.results.inference import noninferiority as tests
from splitbench.results.records.differences import SOURCE_CHANGED, config_changes
from splitbench.results.records.failures import Failure, by_arm, failure_words, same_table
from splitbench.results.records.loading import Loaded
from splitbench.results.records.machines import KINDS, kinds, machines, mixture


@dataclass
class _Report:
    """A report while it is written."""

    checks: list[GateCheck] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def hold(there: Baseline, loaded: Loaded, metrics: Sequence[str], folder: str | Path) -> GateReport:
    """Compare loaded records with a baseline; ``folder`` is for messages."""
    report = _Report()
    arms = tables(loaded.runs, loaded.failed)
    for table in there.tables:
        matched = _match(table, arms, folder, report, loaded.failed)
        if matched is not None:
            _compare(table, matched, list(metrics) or there.metrics, loaded, report)
    _environment(there, loaded, report)
    checks = judged_checks(report.checks)
    report.missing += [
        f"{check.table}: arm {check.arm}: {check.name} could not be tested: {check.says}"
        for check in checks
        if check.kind == METRIC and check.verdict == tests.UNTESTED
    ]
    return GateReport(tuple(checks), tuple(report.changed), tuple(report.missing), tuple(report.notes), loaded.warnings)


def _match(
    table: BaselineTable,
    there: Sequence[Sequence[ArmRuns]],
    folder: str | Path,
    into: _Report,
    failed: Sequence[Failure],
) -> Sequence[ArmRuns] | None:
    same = [arms for arms in there if baselines.comparable_conditions(arms[0]) == table.conditions]
    paired = [arms for arms in same if baselines.arm_seed(arms[0]) == table.seed]
    matched = paired or same
    if len(matched) > 1:
        raise ConfigError(
            f"{folder}: {len(matched)} tables match {conditions_title(table.conditions)} of the baseline, so old and "
            "new runs are mixed; run the study into an empty folder"
        )
    if matched:
        return matched[0]
    near = [arms for arms in there if arms[0].runs[0].record.study == table.conditions["study"]]
    if near:
        differs = config_changes(table.conditions, baselines.comparable_conditions(near[0][0]))
        into.missing.append(f"{conditions_title(table.conditions)} is not comparable: {'; '.join(differs)}")
    else:
        lost = by_arm(failure for failure in failed if failure.study == table.conditions["study"])
        reasons = "; ".join(f"arm {arm} failed: {failure_words(own)}" for arm, own in lost.items())
        into.missing.append(
            f"{conditions_title(table.conditions)} was not measured" + (f": {reasons}" if reasons else "")
        )
    return None


def _compare(
    table: BaselineTable, arms: Sequence[ArmRuns], metrics: Sequence[str], loaded: Loaded, into: _Report
) -> None:
    """Compare the arms of one table with the baseline's: complete arms by their numbers, the others as missing."""
    where = conditions_title(table.conditions)
    shared = set(table.repetitions) & {r for arm in arms for r in arm.repetitions}
    paired = table.seed is not None and table.seed == baselines.arm_seed(arms[0]) and bool(shared)
    if not paired:
        into.notes.append(f"{where}: other seeds than the baseline's, so arms are compared as two samples")
    whole = _whole_arms(table, where, arms, loaded, into)
    for arm in whole.values():
        # An arm that lacks every seed of the table would be paired with nothing.
        _compare_arm(table, where, arm, metrics, paired and bool(set(table.repetitions) & arm.repetitions.keys()), into)
    if whole:
        into.checks += invariant_checks(table, where, list(whole.values()), paired)


def _whole_arms(
    table: BaselineTable, where: str, arms: Sequence[ArmRuns], loaded: Loaded, into: _Report
) -> dict[str, ArmRuns]:
    """The guarded arms that are complete, by name; the report says what is wrong with the others."""
    now = {arm.name: arm for arm in arms}
    absent = {skipped.arm: f"was skipped: {skipped.reason}" for skipped in loaded.skipped}
    lost = by_arm(same_table(loaded.failed, arms[0].runs[0].record))
    absent |= {name: f"failed: {failure_words(own)}" for name, own in lost.items()}
    whole = {}
    for name in table.arms:
        arm = now.get(name)
        if arm is None:
            into.missing.append(f"{where}: arm {name} {absent.get(name, 'has no run')}")
        elif not arm.complete:
            into.missing.append(f"{where}: arm {name} {arm.lacking}")
        else:
            whole[name] = arm
    into.notes += [
        f"{where}: arm {name}, which the baseline does not guard, failed: {failure_words(own)}"
        for name, own in lost.items()
        if name not in table.arms
    ]
    if added := [name for name in now if name not in table.arms]:
        into.notes.append(f"{where}: not in the baseline, and so not compared: {', '.join(added)}")
    return whole


def _compare_arm(
    table: BaselineTable, where: str, arm: ArmRuns, metrics: Sequence[str], paired: bool, into: _Report
) -> None:
    name = arm.name
    differs = config_changes(table.arms[name].config, arm.runs[0].record.config.get("arm", {}))
    into.changed += [f"{where}: arm {name}: {difference}" for difference in differs]
    into.checks += [metric_check(table, where, name, arm, metric, paired) for metric in metrics]
    problems, without = recheck(arm)
    for problem in problems:
        says = f"{problem}: tau is computed on other architectures than were estimated"
        into.checks.append(GateCheck(where, name, "tau[all] of its estimates", INVARIANT, tests.CHANGED, True, says))
    if without:
        into.notes.append(f"{where}: arm {name}: {without} runs have no estimates file, so their tau is not checked")
    # Another source of the same parameters explains no other steps or phases.
    parameters = [difference for difference in differs if not difference.endswith(SOURCE_CHANGED)]
    into.checks += ledger_checks(table, where, name, arm, paired, into.notes, parameters)


def _environment(there: Baseline, loaded: Loaded, into: _Report) -> None:
    now = {"splitbench": sorted({run.record.splitbench for run in loaded.runs}), **kinds(machines(loaded.runs))}
    for key, values in now.items():
        before = there.provenance.get(key)
        if values and before and before != values:
            into.changed.append(f"{key}: {', '.join(map(str, before))} -> {', '.join(values)}")
    both = {kind: sorted({*now[kind], *map(str, there.provenance.get(kind) or ())}) for kind in KINDS}
    if mixed := mixture(both, "baseline and folder together mix"):
        into.notes.append(mixed)
