"""A gate's baseline: what each arm of a study measured, repetition by repetition, and where the numbers come from.

The file is canonical JSON: sorted keys, one line a list of numbers, so that a change reads well in a pull request.
"""

from __future__ import annotations

import codecs
import contextlib
import math
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.arms.arms import SELECTED, ArmRuns, Getter, metric, selected
from splitbench.results.records.files import digest, encode, readable_json, write_atomically
from splitbench.results.records.loading import read_estimates
from splitbench.results.records.machines import kinds, machines
from splitbench.results.records.record import Record, bare

SCHEMA = 1
MEAN_ESTIMATE = "mean estimate %"
METRICS = ("tau[all]", MEAN_ESTIMATE)
"""Gated unless others are named: how well an arm ranks, and how well its supernets are trained (their mean validation
accuracy over the ranked architectures, which varies little between seeds). Each further metric takes power from all."""
TRAINED = ("warm_up", "training")
COSTS = ("flops", "steps", "examples")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpentByArm(_Model):
    """What an arm spent, by repetition and averaged over draws; shares are of the budget's limit."""

    unspent: list[float] = Field(description="limit less what was spent, in steps of this arm's mean cost")
    trained_steps: list[float] = Field(description="training steps of warm-up and leaves together")
    shares: dict[str, list[float]] = Field(description="by phase; empty for a budget in seconds")


class GuardedArm(_Model):
    """One arm: its configuration, what it measured, and the records of that."""

    config: dict[str, Any]
    metrics: dict[str, list[float]]
    ledger: SpentByArm
    records: str = Field(description="SHA-256 over the canonical bytes of its records")


class BaselineTable(_Model):
    """The arms that were compared with one another, and what must be the same for a comparison with them."""

    conditions: dict[str, Any] = Field(description="study, space, dataset, budget, population, evaluation, precision")
    seed: int | None = Field(description="of the study; repetitions of equal seeds are paired")
    repetitions: list[int]
    invariants: dict[str, list[float]] = Field(description="what no arm has a say in: ceiling, size baselines, truth")
    arms: dict[str, GuardedArm]


class Baseline(_Model):
    """The content of a baseline file."""

    schema_version: int = SCHEMA
    provenance: dict[str, Any]
    metrics: list[str]
    tables: list[BaselineTable]


def values(arm: ArmRuns, name: str) -> dict[int, float] | None:
    """A gated metric by repetition, averaged over draws; None if a run lacks it.

    Raises:
        StoreError: if the metric is read from estimates files, and one is missing or not its record's.
    """
    if name == MEAN_ESTIMATE:
        return {
            repetition: math.fsum(float(read_estimates(run)["accuracy"].mean()) for run in runs) / len(runs)
            for repetition, runs in arm.repetitions.items()
        }
    return arm.by_repetition(selected(SELECTED[name]) if name in SELECTED else metric(name))


def comparable_conditions(arm: ArmRuns) -> dict[str, Any]:
    """The conditions under which numbers can be compared; fingerprints of sources, seeds and arms are left out."""
    record = arm.runs[0].record
    study, common = record.config.get("study", {}), record.config.get("common", {})
    return {
        "study": record.study,
        "space": bare(common.get("space", record.space)),
        "dataset": bare(common.get("dataset", record.dataset)),
        "budget": {record.budget.kind: record.budget.limit},
        "population": record.population,
        "evaluation": study.get("evaluation"),
        "precision": common.get("precision"),
    }


def conditions_title(conditions: Mapping[str, Any]) -> str:
    """A table in a few words: study, space and data set."""
    names = [conditions[key] for key in ("study", "space", "dataset")]
    return " / ".join(str(name["name"] if isinstance(name, Mapping) else name) for name in names)


def arm_seed(arm: ArmRuns) -> int | None:
    study_seed: int | None = arm.runs[0].record.config.get("study", {}).get("seed")
    return study_seed


def invariants(arms: Sequence[ArmRuns]) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Numbers that do not depend on arms, by name and repetition, with a sentence for each in which arms differ.

    The ceiling and the size baselines are functions of the ranked architectures and their truth; the best accuracy of
    the space is one of the truth alone.
    """
    values_by_name: dict[str, dict[int, float]] = {}
    quarrels: dict[str, str] = {}
    for arm in arms:
        for run in arm.runs:
            record = run.record
            own = {f"({size}) tau[all]": of.get("tau[all]") for size, of in record.trivial.items()}
            own |= {"ceiling tau[all]": record.ceiling.get("tau[all]")}
            own |= {"best test % of the space": record.selection.test + record.selection.regret}
            own |= {"architectures ranked": float(record.population_size)}
            for name, value in own.items():
                if value is None:
                    continue
                there = values_by_name.setdefault(name, {}).setdefault(record.repetition, value)
                if abs(there - value) > 1e-9 * max(1.0, abs(there)):
                    quarrels.setdefault(
                        name, f"{name}: arms of one table differ ({there:.6g} and {value:.6g}, arm {arm.name})"
                    )
    return values_by_name, list(quarrels.values())


def ledger(arm: ArmRuns) -> dict[str, dict[int, float]]:
    """What an arm spent: ``unspent`` in steps, ``trained steps``, and ``share of PHASE``, by repetition."""
    budget = arm.runs[0].record.budget
    spent = {"trained steps": _over(arm, lambda r: float(sum(r.cost[p].steps for p in TRAINED if p in r.cost)))}
    if budget.kind not in COSTS:
        return spent
    kind, limit = budget.kind, budget.limit

    def amount(record: Record, phases: Iterable[str]) -> float:
        return float(sum(getattr(record.cost[phase], kind) for phase in phases if phase in record.cost))

    def unspent(record: Record) -> float:
        steps = sum(record.cost[phase].steps for phase in TRAINED if phase in record.cost)
        return (limit - record.budget.spent) / (amount(record, TRAINED) / steps if steps else limit)

    def share(phase: str) -> Getter:
        return lambda record: amount(record, [phase]) / limit

    spent["unspent steps"] = _over(arm, unspent)
    for phase in sorted({phase for run in arm.runs for phase in run.record.cost}):
        spent[f"share of {phase}"] = _over(arm, share(phase))
    return spent


def make_baseline(tables: Sequence[Sequence[ArmRuns]], metrics: Sequence[str], command: str, folder: Path) -> Baseline:
    """A baseline of complete arms.

    Raises:
        ConfigError: if an arm is incomplete, lacks a metric in some run, or the arms of a table did not rank the same
            architectures.
    """
    made = []
    for arms in tables:
        facts, quarrels = invariants(arms)
        if quarrels:
            raise ConfigError(f"{folder}: no baseline is written: {quarrels[0]}; run the study again")
        for arm in arms:
            if not arm.complete:
                raise ConfigError(
                    f"{folder}: no baseline is written: arm {arm.name!r} has {len(arm.runs)} of {arm.expected_runs} "
                    "runs; finish the study with `splitbench run`"
                )
        repetitions = sorted({r for arm in arms for r in arm.repetitions})
        if short := [arm.name for arm in arms if len(arm.repetitions) < len(repetitions)]:
            raise ConfigError(
                f"{folder}: no baseline is written: arm {short[0]!r} has fewer seeds than "
                f"the {len(repetitions)} of others; finish the study with `splitbench run`"
            )
        complete = {k: v for k, v in facts.items() if set(v) == set(repetitions)}
        made.append(
            BaselineTable(
                conditions=comparable_conditions(arms[0]),
                seed=arm_seed(arms[0]),
                repetitions=repetitions,
                invariants={name: [of[r] for r in repetitions] for name, of in complete.items()},
                arms={arm.name: _guarded(arm, metrics, folder) for arm in arms},
            )
        )
    return Baseline(provenance=_provenance(tables, command), metrics=list(metrics), tables=made)


def _guarded(arm: ArmRuns, metrics: Sequence[str], folder: Path) -> GuardedArm:
    measured = {}
    for name in metrics:
        of = values(arm, name)
        if of is None:
            known = sorted({key for run in arm.runs for key, v in run.record.metrics.items() if v is not None})
            raise ConfigError(
                f"{folder}: no baseline is written: a run of arm {arm.name!r} has no {name!r}; there are: "
                f"{', '.join([*known, MEAN_ESTIMATE, *SELECTED])}"
            )
        measured[name] = [of[r] for r in sorted(of)]
    spent = ledger(arm)
    prefix = "share of "
    return GuardedArm(
        config=dict(arm.runs[0].record.config.get("arm", {})),
        metrics=measured,
        ledger=SpentByArm(
            unspent=_list(spent.get("unspent steps", {})),
            trained_steps=_list(spent["trained steps"]),
            shares={name.removeprefix(prefix): _list(of) for name, of in spent.items() if name.startswith(prefix)},
        ),
        records=digest(b"".join(encode(run.record) for run in arm.runs)),
    )


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline atomically.

    Raises:
        StoreError: if the folder cannot be written.
    """
    write_atomically(path, readable_json(baseline.model_dump(mode="json")).encode())


def read_baseline(path: Path) -> Baseline:
    """A baseline.

    Raises:
        StoreError: if the file is missing, damaged or of a newer version.
    """
    again = "write it anew with `splitbench gate DIR --baseline FILE --update`"
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise StoreError(f"{path}: the baseline cannot be read ({error.strerror}); {again}") from error
    try:
        baseline = Baseline.model_validate_json(data)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "its first character"
        raise StoreError(f"{path}: not a baseline, or damaged (at {place}); {again}") from error
    if baseline.schema_version > SCHEMA:
        raise StoreError(f"{path}: a baseline of a newer splitbench (schema {baseline.schema_version}); upgrade")
    if not baseline.metrics or not any(table.arms for table in baseline.tables):
        lacking = "metric" if not baseline.metrics else "arm"
        raise StoreError(f"{path}: the baseline guards no {lacking}, so that nothing could ever fail; {again}")
    for table in baseline.tables:
        for name, arm in table.arms.items():
            if any(len(of) != len(table.repetitions) for of in arm.metrics.values()):
                raise StoreError(f"{path}: arm {name!r} does not have one value a repetition; {again}")
    return baseline


def _provenance(tables: Sequence[Sequence[ArmRuns]], command: str) -> dict[str, Any]:
    runs = [run for arms in tables for arm in arms for run in arm.runs]
    return {
        "command": command,
        "commit": _commit(),
        "splitbench": sorted({run.record.splitbench for run in runs}),
        **kinds(machines(runs)),
    }


def _commit() -> str | None:
    """The checked-out commit of the working folder, if it is a git checkout; ``+`` where files are changed."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip() or None
    return None


def _over(arm: ArmRuns, get: Getter) -> dict[int, float]:
    return arm.by_repetition(get) or {}


def _list(of: Mapping[int, float]) -> list[float]:
    return [of[r] for r in sorted(of)]
