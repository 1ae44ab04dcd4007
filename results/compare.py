"""Two arms side by side: paired differences of every metric, repetition by repetition."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from results import stats
from results.arms import Arm, Getter, metric, selected, tables
from results.skipped import Skipped
from results.stats import Estimate
from results.store import load

HONEST = {"selected test %": "test", "selected regret": "regret"}


@dataclass(frozen=True)
class Difference:
    """One metric of both arms, and the first less the second; ``p`` is the sign-flip test's, for this metric alone."""

    metric: str
    first: Estimate
    second: Estimate
    difference: Estimate
    p: float
    word: str


@dataclass(frozen=True)
class Pair:
    """Two arms of one table. ``word`` of a difference says what ``arm_a`` is beside ``arm_b``; ``reads_truth`` names
    those of the two that are oracle controls."""

    study: str
    space: str
    dataset: str
    budget: tuple[str, float]
    population: str
    arm_a: str
    arm_b: str
    seeds: int
    differences: tuple[Difference, ...]
    undefined: tuple[str, ...]
    reads_truth: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compared:
    """The two arms in every table of the folder that has both, and one sentence for each file left out."""

    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]


def compare(folder: str | Path, arm_a: str, arm_b: str) -> Compared:
    """Compare two arms of a results folder.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
        ConfigError: if an arm is unknown, skipped or incomplete, or no table has both.
    """
    loaded = load(folder)
    found = [{arm.name: arm for arm in arms} for arms in tables(loaded.runs)]
    _check_known(folder, (arm_a, arm_b), sorted({name for arms in found for name in arms}), loaded.skipped)
    both = [(arms[arm_a], arms[arm_b]) for arms in found if arm_a in arms and arm_b in arms]
    if not both:
        raise ConfigError(
            f"{folder}: arms {arm_a!r} and {arm_b!r} share no study, space, dataset, budget and population, so they "
            "cannot be compared; run both in one study"
        )
    whole = [pair for pair in both if all(arm.complete for arm in pair)]
    if not whole:
        short = next(arm for arm in both[0] if not arm.complete)
        raise ConfigError(
            f"{folder}: arm {short.name!r} has {len(short.runs)} of {short.expected_runs} runs, and incomplete arms "
            "are never averaged; finish the study with `splitbench run`"
        )
    warnings = loaded.warnings
    if left_out := len(both) - len(whole):
        warnings = (*warnings, f"both arms are also in other tables ({left_out}), but with missing runs: left out")
    return Compared(tuple(_pair(first, second) for first, second in whole), warnings)


def _check_known(folder: str | Path, arms: tuple[str, str], known: list[str], skipped: tuple[Skipped, ...]) -> None:
    from harness.registry import suggestion

    for arm in arms:
        if arm in known:
            continue
        if reasons := [f"{one.folder}: {one.reason}".removeprefix(": ") for one in skipped if one.arm == arm]:
            raise ConfigError(
                f"{folder}: arm {arm!r} was skipped ({'; '.join(reasons)}); the arms that ran are {', '.join(known)}"
            )
        raise ConfigError(
            f"{folder}: there is no arm {arm!r}{suggestion(arm, known)}; the arms there are {', '.join(known)}"
        )
    if arms[0] == arms[1]:
        raise ConfigError(f"{folder}: arm {arms[0]!r} was named twice; name two of {', '.join(known)}")


def _pair(first: Arm, second: Arm) -> Pair:
    record = first.runs[0].record
    names = sorted({name for arm in (first, second) for run in arm.runs for name in run.record.metrics})
    getters: dict[str, Getter] = {name: metric(name) for name in names}
    getters |= {label: selected(name) for label, name in HONEST.items()}
    found = {name: _difference(name, first, second, get) for name, get in getters.items()}
    differences = tuple(difference for difference in found.values() if difference is not None)
    return Pair(
        study=record.study,
        space=record.space,
        dataset=record.dataset,
        budget=(record.budget.kind, record.budget.limit),
        population=record.population,
        arm_a=first.name,
        arm_b=second.name,
        seeds=len(first.repetitions.keys() & second.repetitions.keys()),
        differences=differences,
        undefined=tuple(name for name, difference in found.items() if difference is None),
        reads_truth=tuple(arm.name for arm in (first, second) if arm.reads_truth),
    )


def _difference(name: str, first: Arm, second: Arm, get: Getter) -> Difference | None:
    a, b = first.by_repetition(get), second.by_repetition(get)
    compared = stats.compare(a, b) if a is not None and b is not None else None
    if compared is None or a is None or b is None:
        return None
    shared = sorted(a.keys() & b.keys())
    word = stats.word(name.removeprefix("selected "), compared.difference.mean, compared.p)
    estimates = (stats.interval([a[r] for r in shared]), stats.interval([b[r] for r in shared]))
    return Difference(name, *estimates, compared.difference, compared.p, word)


def to_json(compared: Compared) -> dict[str, Any]:
    """The pairs as plain data, for ``compare --json``."""
    from dataclasses import asdict

    pairs = []
    for pair in compared.pairs:
        kind, limit = pair.budget
        pairs.append({**asdict(pair), "budget": {"kind": kind, "limit": limit}})
    return {"pairs": pairs, "warnings": list(compared.warnings)}
