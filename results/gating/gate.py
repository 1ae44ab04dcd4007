"""The gate: does a results folder fall behind its baseline by more than noise, at the same protocol?

Three questions, each with a family of tests of its own (splitbench.results.inference.noninferiority):

- metrics: has an arm's number dropped, by more than the margin and more than chance?
- invariants: are the ceiling, the size baselines and the truth what they were? No trainer and no criterion can change
  them; if they differ, the ranked architectures or their truth do.
- ledger: did each arm spend its budget, and on the same phases?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.arms.arms import Arm, tables
from splitbench.results.arms.recheck import recheck
from splitbench.results.gating import baseline as baselines
from splitbench.results.gating.baseline import Baseline, GuardedArm, Table
from splitbench.results.inference import noninferiority as tests
from splitbench.results.inference.noninferiority import Test
from splitbench.results.inference.stats import lower_is_better
from splitbench.results.records.differences import SOURCE_CHANGED, changes
from splitbench.results.records.failures import Failure, by_arm, failure_words, same_table
from splitbench.results.records.loading import AllFailedError, Loaded, load
from splitbench.results.records.machines import KINDS, kinds, machines, mixture

OK, REGRESSION, NOT_MEASURED = 0, 1, 3
ROUNDING = 1e-6
UNSPENT_STEPS = 5.0
"""An arm ends within one step of its limit, and the dearest step costs a few times the mean one."""
STEPS_FLOOR, SHARE_FLOOR = 0.1, 0.05
METRIC, INVARIANT, LEDGER = "metric", "invariant", "ledger"
UNDEFINED, OVER = "undefined", "off its limit"


@dataclass(frozen=True)
class Check:
    """One number that was held against the baseline's; ``says`` explains a failure, or why nothing can be said."""

    table: str
    arm: str
    name: str
    kind: str
    verdict: str
    failed: bool
    says: str = ""
    test: Test | None = None


@dataclass(frozen=True)
class Report:
    """What the gate found.

    Attributes:
        checks: in the order of tables and arms; metrics first.
        changed: what the configuration or the environment says differently, in words.
        missing: what the baseline guards and the folder does not have comparably, one sentence each.
        notes: what is worth knowing and fails nothing.
        warnings: files of the folder that were left out.
    """

    checks: tuple[Check, ...]
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.failed)

    @property
    def status(self) -> int:
        """The exit status: a regression comes first; what was not measured cannot pass."""
        if self.failures:
            return REGRESSION
        return NOT_MEASURED if self.missing else OK


@dataclass
class _Found:
    checks: list[Check] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gate(folder: str | Path, path: str | Path, metrics: Sequence[str] = ()) -> Report:
    """Hold a results folder against a baseline file; ``metrics`` picks among the baseline's.

    Raises:
        StoreError: if the folder or the file cannot be used.
        ConfigError: if the baseline does not hold a metric, or two tables of the folder match one of the baseline.
    """
    there = baselines.read(Path(path))
    if unknown := [name for name in metrics if name not in there.metrics]:
        raise ConfigError(
            f"{path}: the baseline does not hold {unknown[0]!r}, but {', '.join(there.metrics)}; add it with "
            f"`splitbench gate {folder} --baseline {path} --update` and a --metric for each"
        )
    try:
        loaded = load(folder)
    except AllFailedError as error:  # nothing was measured: no other word for it fits
        loaded = Loaded((), (), failed=error.failed)
    return hold(there, loaded, metrics, folder)


def hold(there: Baseline, loaded: Loaded, metrics: Sequence[str], folder: str | Path) -> Report:
    """Hold loaded records against a baseline; ``folder`` is for messages."""
    found = _Found()
    arms = tables(loaded.runs, loaded.failed)
    for table in there.tables:
        matched = _match(table, arms, folder, found, loaded.failed)
        if matched is not None:
            _compare(table, matched, list(metrics) or there.metrics, loaded, found)
    _environment(there, loaded, found)
    found.checks = _judged(found.checks)
    for check in found.checks:
        if check.kind == METRIC and check.verdict == tests.UNTESTED:
            found.missing.append(f"{check.table}: arm {check.arm}: {check.name} could not be tested: {check.says}")
    return Report(tuple(found.checks), tuple(found.changed), tuple(found.missing), tuple(found.notes), loaded.warnings)


def update(folder: str | Path, path: str | Path, metrics: Sequence[str], command: str) -> list[str]:
    """Write the baseline of a results folder, and say in sentences what it changes.

    Without ``metrics`` those of the old baseline are kept.

    Raises:
        StoreError: if the folder cannot be used or the file not be written.
        ConfigError: if an arm is incomplete or lacks a metric.
    """
    path = Path(path)
    old, said = None, []
    if path.exists():
        try:
            old = baselines.read(path)
        except StoreError as error:
            said.append(f"the old file is replaced unread: {error}")
    loaded = load(folder)
    if loaded.failed:
        arm, own = next(iter(by_arm(loaded.failed).items()))
        raise ConfigError(
            f"{folder}: no baseline is written: arm {arm!r} has failed ({failure_words(own)}); mend it and run the "
            "study again, or take it out of the study"
        )
    chosen = list(dict.fromkeys(metrics)) or (old.metrics if old else list(baselines.METRICS))
    new = baselines.make(tables(loaded.runs, loaded.failed), chosen, command, Path(folder))
    baselines.write(path, new)
    return [*said, *loaded.warnings, *_news(old, new)]


def title(conditions: Mapping[str, Any]) -> str:
    """A table in a few words: study, space and data set."""
    names = [conditions[key] for key in ("study", "space", "dataset")]
    return " / ".join(str(name["name"] if isinstance(name, Mapping) else name) for name in names)


def _match(
    table: Table, found: Sequence[Sequence[Arm]], folder: str | Path, into: _Found, failed: Sequence[Failure]
) -> Sequence[Arm] | None:
    same = [arms for arms in found if baselines.conditions(arms[0]) == table.conditions]
    paired = [arms for arms in same if baselines.seed(arms[0]) == table.seed]
    matched = paired or same
    if len(matched) > 1:
        raise ConfigError(
            f"{folder}: {len(matched)} tables match {title(table.conditions)} of the baseline, so old and new runs are "
            "mixed; run the study into an empty folder"
        )
    if matched:
        return matched[0]
    near = [arms for arms in found if arms[0].runs[0].record.study == table.conditions["study"]]
    if near:
        differs = changes(table.conditions, baselines.conditions(near[0][0]))
        into.missing.append(f"{title(table.conditions)} is not comparable: {'; '.join(differs)}")
    else:
        lost = by_arm(one for one in failed if one.study == table.conditions["study"])
        reasons = "; ".join(f"arm {arm} failed: {failure_words(own)}" for arm, own in lost.items())
        into.missing.append(f"{title(table.conditions)} was not measured" + (f": {reasons}" if reasons else ""))
    return None


def _compare(table: Table, arms: Sequence[Arm], metrics: Sequence[str], loaded: Loaded, into: _Found) -> None:
    where, now = title(table.conditions), {arm.name: arm for arm in arms}
    shared = set(table.repetitions) & {r for arm in arms for r in arm.repetitions}
    paired = table.seed is not None and table.seed == baselines.seed(arms[0]) and bool(shared)
    if not paired:
        into.notes.append(f"{where}: other seeds than the baseline's, so arms are compared as two samples")
    absent = {one.arm: f"was skipped: {one.reason}" for one in loaded.skipped}
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
    for name, arm in whole.items():
        own = paired and bool(set(table.repetitions) & arm.repetitions.keys())
        differs = changes(table.arms[name].config, arm.runs[0].record.config.get("arm", {}))
        into.changed += [f"{where}: arm {name}: {one}" for one in differs]
        for metric in metrics:
            into.checks.append(_metric(table, where, name, arm, metric, own))
        problems, without = recheck(arm)
        into.checks += [
            Check(where, name, "tau[all] of its estimates", INVARIANT, tests.CHANGED, True, _own(one))
            for one in problems
        ]
        if without:
            into.notes.append(
                f"{where}: arm {name}: {without} runs have no estimates file, so their tau is not checked"
            )
        into.checks += _ledger(
            table, where, name, arm, own, into, [d for d in differs if not d.endswith(SOURCE_CHANGED)]
        )
    if whole:
        into.checks += _invariants(table, where, list(whole.values()), paired)


def _metric(table: Table, where: str, name: str, arm: Arm, metric: str, paired: bool) -> Check:
    before = dict(zip(table.repetitions, table.arms[name].metrics[metric], strict=True))
    after = baselines.values(arm, metric)
    if after is None:
        says = "is undefined in some run, and was defined in all of the baseline's: estimates collapsed to one value"
        return Check(where, name, metric, METRIC, UNDEFINED, True, says)
    less = lower_is_better(metric.removeprefix("selected "))
    test = tests.compare(before, after, paired, less_is_better=less)
    return Check(where, name, metric, METRIC, tests.UNTESTED, False, test=test)


def _invariants(table: Table, where: str, arms: Sequence[Arm], paired: bool) -> list[Check]:
    now, quarrels = baselines.invariants(arms)
    found = [Check(where, "", "one population", INVARIANT, tests.CHANGED, True, says) for says in quarrels]
    for name, values in table.invariants.items():
        before = dict(zip(table.repetitions, values, strict=True))
        after = now.get(name)
        if not after:
            found.append(Check(where, "", name, INVARIANT, UNDEFINED, True, f"no record has {name} any more"))
            continue
        test = tests.compare(before, after, paired, two_sided=True)
        found.append(Check(where, "", name, INVARIANT, tests.UNTESTED, False, test=test))
        if paired:  # a function of the seeds alone: no test is needed
            off = max(abs(before[r] - after[r]) for r in before.keys() & after.keys())
            moved = off > ROUNDING * max(1.0, abs(test.before))
            verdict = tests.CHANGED if moved else tests.EQUAL
            says = _population(test) if moved else ""
            found[-1] = Check(where, "", name, INVARIANT, verdict, moved, says, replace(test, p=None))
    return found


def _ledger(
    table: Table, where: str, name: str, arm: Arm, paired: bool, into: _Found, differs: Sequence[str]
) -> list[Check]:
    """Unspent budget fails always; other steps or phases only where the configuration does not explain them."""
    guarded: GuardedArm = table.arms[name]
    now = baselines.ledger(arm)
    found = []
    if "unspent steps" in now and guarded.ledger.unspent:
        most = max(UNSPENT_STEPS, 2 * max(guarded.ledger.unspent))
        least = min(-ROUNDING, 2 * min(guarded.ledger.unspent))
        for r, steps in now["unspent steps"].items():
            if not least <= steps <= most:
                way = "of its budget are unspent" if steps > 0 else "more than its budget are spent"
                says = f"{abs(steps):.1f} steps {way} in repetition {r}: it is not compared at equal compute"
                found.append(Check(where, name, "budget spent", LEDGER, OVER, True, says))
                break
    if not guarded.ledger.shares:
        return found  # a budget in seconds: steps are the machine's
    entries = {"trained steps": (guarded.ledger.trained_steps, STEPS_FLOOR)}
    entries |= {f"share of {phase}": (of, SHARE_FLOOR) for phase, of in guarded.ledger.shares.items()}
    for entry, (values, floor) in entries.items():
        after = now.get(entry)
        if not values or not after:
            continue
        before = dict(zip(table.repetitions, values, strict=True))
        test = tests.compare(before, after, paired, two_sided=True, floor=floor)
        if not differs:
            found.append(Check(where, name, entry, LEDGER, tests.UNTESTED, False, test=test))
        elif abs(test.difference) > test.margin:
            into.notes.append(f"{where}: arm {name}: {entry} {test.before:.4g} -> {test.after:.4g}")
    return found


def _judged(checks: list[Check]) -> list[Check]:
    """Each kind of check is a family of its own, over all tables and arms."""
    found = list(checks)
    for kind in (METRIC, INVARIANT, LEDGER):
        places = [i for i, one in enumerate(checks) if one.kind == kind and one.test and one.verdict == tests.UNTESTED]
        judged = tests.judge([test for i in places if (test := checks[i].test) is not None])
        for i, test in zip(places, judged, strict=True):
            one = checks[i]
            says = _says(one, test)
            found[i] = Check(one.table, one.arm, one.name, kind, test.verdict, test.failed, says, test)
    order = {METRIC: 0, INVARIANT: 1, LEDGER: 2}
    return sorted(found, key=lambda one: order[one.kind])


def _says(check: Check, test: Test) -> str:
    if test.verdict == tests.UNTESTED:
        return f"{test.n_before} and {test.n_after} repetitions are too few for any test; at least 2 each are needed"
    if not test.failed:
        return ""
    if check.kind == INVARIANT:
        return _population(test)
    if check.kind == LEDGER:
        return (
            f"{check.name} went from {test.before:.4g} to {test.after:.4g}, though the arm's configuration is the same"
        )
    way = "rose" if test.less_is_better else "fell"
    return (
        f"{way} by {test.drop:.4g}, more than the margin of {test.margin:.4g} and more than chance "
        f"(adjusted p {test.p:.2g}, {'paired over' if test.paired else 'other seeds,'} {test.n_after} repetitions)"
    )


def _own(problem: str) -> str:
    return f"{problem}: tau is computed on other architectures than were estimated"


def _population(test: Test) -> str:
    return (
        f"went from {test.before:.6g} to {test.after:.6g}: no trainer and no criterion can change it, so the "
        "population or the truth changed, and every tau is computed on something else than the baseline's"
    )


def _environment(there: Baseline, loaded: Loaded, into: _Found) -> None:
    now = {"splitbench": sorted({run.record.splitbench for run in loaded.runs}), **kinds(machines(loaded.runs))}
    for key, values in now.items():
        before = there.provenance.get(key)
        if values and before and before != values:
            into.changed.append(f"{key}: {', '.join(map(str, before))} -> {', '.join(values)}")
    both = {kind: sorted({*now[kind], *map(str, there.provenance.get(kind) or ())}) for kind in KINDS}
    if mixed := mixture(both, "baseline and folder together mix"):
        into.notes.append(mixed)


def _news(old: Baseline | None, new: Baseline) -> list[str]:
    was = {
        (title(table.conditions), name): arm
        for table in (old.tables if old else [])
        for name, arm in table.arms.items()
    }
    now = {(title(table.conditions), name): arm for table in new.tables for name, arm in table.arms.items()}
    said = [f"{where}: arm {name} is no longer guarded" for where, name in sorted(was.keys() - now.keys())]
    for (where, name), arm in now.items():
        before = was.get((where, name))
        if before is None:
            said.append(f"{where}: arm {name} is new")
        differs = changes(before.config, arm.config) if before else []
        said += [f"{where}: arm {name}: {one}" for one in differs]
        for metric, values in arm.metrics.items():
            past = before.metrics.get(metric) if before else None
            if past == values:
                continue
            start = f"{tests.mean(past):.4f} -> " if past else ""
            said.append(f"{where}: arm {name}: {metric} {start}{tests.mean(values):.4f} ({len(values)} seeds)")
    return said or ["nothing changed but, perhaps, the provenance"]
