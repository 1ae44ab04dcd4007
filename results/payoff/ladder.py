"""One study at several budgets: its tables by budget, and what each arm gained over the baseline at each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import ArmRuns, Getter, metric, tables
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.differences import config_changes
from splitbench.results.records.failures import Failure, by_arm, failure_words, same_table
from splitbench.results.records.loading import StoredRun, load_runs
from splitbench.results.records.record import Record, bare, table_key

NOT_SHARED = ("arms", "seeds", "name", "baseline", "budget", "decompose")
"""Of a study: what tables of one ladder may differ in."""
NAMED = 3  # differences told
CEILING_DIGITS = 6
MEND = "name results folders that differ in the budget alone"


@dataclass(frozen=True)
class Ladder:
    """Tables that differ in nothing but the budget's limit, the arms that each has, and the number of seeds.

    Attributes:
        folders: where they were read.
        kind: of the budget: flops, steps, examples or seconds.
        baseline: the arm that others are compared with, the same at every budget.
        tables: budget, ascending -> arm -> its runs, incomplete arms too.
        warnings: a sentence for each file, arm or budget that is left out.
    """

    folders: tuple[Path, ...]
    kind: str
    baseline: str
    tables: Mapping[float, Mapping[str, ArmRuns]]
    warnings: tuple[str, ...]

    @property
    def record(self) -> Record:
        """One of them, for what all have in common."""
        return next(iter(next(iter(self.tables.values())).values())).runs[0].record

    @property
    def arms(self) -> tuple[str, ...]:
        """All but the baseline, by name."""
        return tuple(sorted({name for own in self.tables.values() for name in own} - {self.baseline}))

    def complete(self, arm: str) -> dict[float, ArmRuns]:
        """The budgets at which the arm, and the baseline, has all its runs."""
        return {
            budget: own[arm]
            for budget, own in self.tables.items()
            if arm in own and own[arm].complete and own[self.baseline].complete
        }

    def gains(self, arm: str, name: str) -> dict[float, dict[int, float]]:
        """Budget -> seed -> by how much the arm is better than the baseline in the metric ``name``; budgets at which
        it is undefined in some run of either are absent."""
        sign = -1 if stats.lower_is_better(name) else 1
        by_budget = {}
        for budget, own in self.complete(arm).items():
            values = own.by_repetition(metric(name))
            reference = self.tables[budget][self.baseline].by_repetition(metric(name))
            if values and reference and (seeds := values.keys() & reference.keys()):
                by_budget[budget] = {seed: sign * (values[seed] - reference[seed]) for seed in sorted(seeds)}
        return by_budget

    def unsplit(self, name: str) -> dict[float, Estimate]:
        """The baseline's metric at each budget."""
        return self._estimates(metric(name))

    def flops_alone(self, name: str) -> dict[float, Estimate]:
        """The metric of the stand-alone networks' FLOPs as a score, on the baseline's seeds at each budget."""
        return self._estimates(lambda record: record.trivial.get("flops", {}).get(name))

    def ceiling(self, name: str) -> float | None:
        """The metric's noise ceiling, over the baseline's runs at every budget."""
        values = [value.mean for value in self._estimates(lambda record: record.ceiling.get(name)).values()]
        return sum(values) / len(values) if values else None

    def _estimates(self, get: Getter) -> dict[float, Estimate]:
        estimates = {budget: own.estimate(get) for budget, own in self.complete(self.baseline).items()}
        return {budget: value for budget, value in estimates.items() if value is not None}


def read_ladder(folders: Sequence[Path]) -> Ladder:
    """Read results folders, or folders of them, as one study at several budgets.

    Raises:
        StoreError: if a folder is missing or holds no usable record.
        ConfigError: if they are not one study at two budgets or more.
    """
    where = ", ".join(map(str, folders))
    runs: dict[tuple[Any, ...], StoredRun] = {}
    failed: list[Failure] = []
    warnings: list[str] = []
    for folder in folders:
        loaded = load_runs(folder)
        failed += loaded.failed
        warnings += loaded.warnings
        for run in loaded.runs:
            key = (*table_key(run.record), run.record.arm, run.record.repetition, run.record.draw)
            if runs.setdefault(key, run).record != run.record:
                raise ConfigError(
                    f"{run.path}: this is another record of the run in {runs[key].path}; name one of the two folders"
                )
    by_limit = sorted(
        ({arm.name: arm for arm in arms} for arms in tables(runs.values(), failed)),
        key=lambda own: _record(own).budget.limit,
    )
    _check_one_study(where, by_limit)
    by_budget = {_record(own).budget.limit: own for own in by_limit}
    baseline = _baseline(where, by_budget)
    _check_arms(where, by_budget)
    for budget, own in by_budget.items():
        warnings += [
            f"at budget {budget:g} arm {arm.name!r} {arm.lacking}, so it is left out there"
            for arm in own.values()
            if not arm.complete
        ]
        warnings += [
            f"at budget {budget:g} no run of arm {name!r} succeeded ({failure_words(lost)}), so it is left out there"
            for name, lost in by_arm(same_table(failed, _record(own))).items()
            if name not in own
        ]
    kept = {budget: own for budget, own in by_budget.items() if own[baseline].complete}
    if len(kept) < 2:
        raise ConfigError(
            f"{where}: {_count(by_budget, kept, baseline)}; run the study at two budgets or more, and {MEND}"
        )
    return Ladder(tuple(folders), _record(by_limit[0]).budget.kind, baseline, kept, tuple(sorted(set(warnings))))


def shared_by_ladder(record: Record) -> dict[str, Any]:
    """What the records of one ladder have in common, as plain JSON."""
    study = {key: value for key, value in record.config.get("study", {}).items() if key not in NOT_SHARED}
    return {
        "space": record.space,
        "dataset": record.dataset,
        "population": record.population,
        "budget kind": record.budget.kind,
        "study": study,
        "common": record.config.get("common"),
    }


def rounded_ceiling(record: Record) -> dict[str, float]:
    """The noise ceiling, rounded: it differs where the ranked architectures or their truth differ."""
    return {name: round(value, CEILING_DIGITS) for name, value in record.ceiling.items() if value is not None}


def _check_one_study(where: str, budgets: Sequence[Mapping[str, ArmRuns]]) -> None:
    first = _record(budgets[0])
    seen: dict[float, Record] = {}
    ceilings: dict[int, tuple[float, dict[str, float]]] = {}
    for own in budgets:
        record = _record(own)
        if differing := config_changes(shared_by_ladder(first), shared_by_ladder(record)):
            raise ConfigError(
                f"{where}: the tables at budgets {first.budget.limit:g} and {record.budget.limit:g} are not of one "
                f"study ({', '.join(differing[:NAMED])}); {MEND}"
            )
        other = seen.setdefault(record.budget.limit, record)
        if other is not record:
            named = " and ".join(
                f"study {table.study}, protocol {table.protocol or 'not known'}" for table in (other, record)
            )
            raise ConfigError(f"{where}: there are two tables at budget {record.budget.limit:g} ({named}); {MEND}")
        for run in (run for arm in own.values() for run in arm.runs):
            at, there = ceilings.setdefault(run.record.repetition, (record.budget.limit, rounded_ceiling(run.record)))
            if there != rounded_ceiling(run.record):
                raise ConfigError(
                    f"{where}: at budgets {at:g} and {record.budget.limit:g} repetition {run.record.repetition} did "
                    f"not rank the same architectures (their noise ceilings differ); {MEND}"
                )


def _baseline(where: str, by_budget: Mapping[float, Mapping[str, ArmRuns]]) -> str:
    named = {budget: sorted(arm.name for arm in own.values() if arm.baseline) for budget, own in by_budget.items()}
    for budget, names in named.items():
        if len(names) != 1:
            raise ConfigError(
                f"{where}: at budget {budget:g} {'no arm' if not names else ', '.join(names)} is the baseline; one arm "
                "has to be it at every budget: name it in the study file, and run it there"
            )
    names = sorted({names[0] for names in named.values()})
    if len(names) > 1:
        raise ConfigError(
            f"{where}: the baseline is not the same at every budget ({', '.join(names)}); name one in the study files"
        )
    return names[0]


def settings(record: Record) -> dict[str, Any]:
    """The settings that identify an arm; whether its difference is decomposed is not one of them."""
    return {key: value for key, value in record.config.get("arm", {}).items() if key != "decompose"}


def _check_arms(where: str, by_budget: Mapping[float, Mapping[str, ArmRuns]]) -> None:
    """Refuse a name whose settings, code included, are not the same at every budget."""
    seen: dict[str, tuple[float, Any]] = {}
    for budget, own in by_budget.items():
        for name, arm in own.items():
            for config in (settings(run.record) for run in arm.runs):
                at, there = seen.setdefault(name, (budget, config))
                if there != config:
                    differs = config_changes(there, config) or [f"{bare(there)} -> {bare(config)}"]
                    raise ConfigError(
                        f"{where}: arm {name!r} is not the same at budgets {at:g} and {budget:g} "
                        f"({', '.join(differs[:NAMED])}); {MEND}"
                    )


def _count(by_budget: Iterable[float], kept: Iterable[float], baseline: str) -> str:
    words = [f"{budget:g}" for budget in by_budget]
    if len(words) == 1:
        return f"there is one budget alone ({words[0]})"
    complete = ", ".join(f"{budget:g}" for budget in kept) or "none"
    return f"of the budgets {', '.join(words)} the baseline {baseline} is complete at {complete}"


def _record(own: Mapping[str, ArmRuns]) -> Record:
    return next(iter(own.values())).runs[0].record
