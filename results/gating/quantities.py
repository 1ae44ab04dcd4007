"""The three kinds of numbers that a gate compares with a baseline: metrics, invariants, and what was spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.gating import baseline as baselines
from splitbench.results.gating.baseline import BaselineTable, GuardedArm
from splitbench.results.gating.checks import (
    INVARIANT,
    LEDGER,
    METRIC,
    OVER,
    UNDEFINED,
    GateCheck,
    gate_population_words,
)
from splitbench.results.inference import noninferiority as tests
from splitbench.results.inference.stats import lower_is_better

ROUNDING = 1e-6
UNSPENT_STEPS = 5.0
"""An arm ends within one step of its limit, and the dearest step costs a few times the mean one."""
STEPS_FLOOR, SHARE_FLOOR = 0.1, 0.05


def metric_check(table: BaselineTable, where: str, name: str, arm: ArmRuns, metric: str, paired: bool) -> GateCheck:
    """The check of an arm's metric. A metric that is no longer defined fails without a test."""
    before = dict(zip(table.repetitions, table.arms[name].metrics[metric], strict=True))
    after = baselines.values(arm, metric)
    if after is None:
        says = "is undefined in some run, and was defined in all of the baseline's: estimates collapsed to one value"
        return GateCheck(where, name, metric, METRIC, UNDEFINED, True, says)
    less = lower_is_better(metric.removeprefix("selected "))
    test = tests.compare_repetitions(before, after, paired, less_is_better=less)
    return GateCheck(where, name, metric, METRIC, tests.UNTESTED, False, test=test)


def invariant_checks(table: BaselineTable, where: str, arms: Sequence[ArmRuns], paired: bool) -> list[GateCheck]:
    """Ceiling, size baselines and truth of a table: of the same seeds they must be the same, and of others alike."""
    now, quarrels = baselines.invariants(arms)
    checks = [GateCheck(where, "", "one population", INVARIANT, tests.CHANGED, True, says) for says in quarrels]
    for name, values in table.invariants.items():
        before = dict(zip(table.repetitions, values, strict=True))
        after = now.get(name)
        if not after:
            checks.append(GateCheck(where, "", name, INVARIANT, UNDEFINED, True, f"no record has {name} any more"))
            continue
        test = tests.compare_repetitions(before, after, paired, two_sided=True)
        checks.append(GateCheck(where, "", name, INVARIANT, tests.UNTESTED, False, test=test))
        if paired:  # a function of the seeds alone: no test is needed
            off = max(abs(before[r] - after[r]) for r in before.keys() & after.keys())
            moved = off > ROUNDING * max(1.0, abs(test.before))
            verdict = tests.CHANGED if moved else tests.EQUAL
            says = gate_population_words(test) if moved else ""
            checks[-1] = GateCheck(where, "", name, INVARIANT, verdict, moved, says, replace(test, p=None))
    return checks


def ledger_checks(
    table: BaselineTable, where: str, name: str, arm: ArmRuns, paired: bool, notes: list[str], differs: Sequence[str]
) -> list[GateCheck]:
    """Unspent budget fails always; other steps or phases only where the configuration does not explain them."""
    guarded: GuardedArm = table.arms[name]
    now = baselines.ledger(arm)
    checks = []
    if "unspent steps" in now and guarded.ledger.unspent:
        most = max(UNSPENT_STEPS, 2 * max(guarded.ledger.unspent))
        least = min(-ROUNDING, 2 * min(guarded.ledger.unspent))
        for r, steps in now["unspent steps"].items():
            if not least <= steps <= most:
                way = "of its budget are unspent" if steps > 0 else "more than its budget are spent"
                says = f"{abs(steps):.1f} steps {way} in repetition {r}: it is not compared at equal compute"
                checks.append(GateCheck(where, name, "budget spent", LEDGER, OVER, True, says))
                break
    if not guarded.ledger.shares:
        return checks  # a budget in seconds: steps are the machine's
    entries = {"trained steps": (guarded.ledger.trained_steps, STEPS_FLOOR)}
    entries |= {f"share of {phase}": (of, SHARE_FLOOR) for phase, of in guarded.ledger.shares.items()}
    for entry, (values, floor) in entries.items():
        after = now.get(entry)
        if not values or not after:
            continue
        before = dict(zip(table.repetitions, values, strict=True))
        test = tests.compare_repetitions(before, after, paired, two_sided=True, floor=floor)
        if not differs:
            checks.append(GateCheck(where, name, entry, LEDGER, tests.UNTESTED, False, test=test))
        elif abs(test.difference) > test.margin:
            notes.append(f"{where}: arm {name}: {entry} {test.before:.4g} -> {test.after:.4g}")
    return checks
