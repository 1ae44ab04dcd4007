"""The file of a sweep: ``sweep.json`` in a results folder, which the harness rewrites as each trial settles.

The trials' runs are ordinary records beside it. What is derived here is a function of the file alone: the chosen
configuration, best-after-n curves, paired comparisons. Everything in it is against the ground truth's validation
accuracy, and on the seeds that were tuned on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from splitbench.harness.errors import StoreError
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.files import encode, write_atomically
from splitbench.results.records.listing import SWEEP as SWEEP

SWEEP_SCHEMA = 1
EDGE = 0.05  # of a range
AGAIN = "start `splitbench sweep` again, which writes it anew from its storage"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrialRecord(_Model):
    """One configuration of one arm."""

    number: int = Field(description="the trial's number in the arm's Optuna study, retries included")
    slot: int = Field(description="which of the arm's trials it is, from 0; retries share the slot of the first")
    state: Literal["complete", "pruned", "infeasible"]
    values: dict[str, bool | int | float | str] = Field(description="by path: what ran")
    record: str = Field(description="the arm's name in its records")
    validation: list[float] = Field(description="the metric against validation truth, by seed")
    differences: list[float] = Field(description="that less the untuned baseline's, by seed")
    spent: float = Field(description="over all its runs, in the budget's unit")
    reason: str = Field(default="", description="why it could not run")


class SweptArm(_Model):
    """One arm's trials."""

    arm: str
    baseline: bool
    reads_truth: bool
    searched: list[str] = Field(description="paths")
    own: dict[str, bool | int | float | str | None] = Field(description="by path: the study file's own values")
    trials: list[TrialRecord] = Field(description="those that are settled, by slot")
    importance: dict[str, float] = Field(description="by path: its share of the variance of trials' values (fANOVA)")
    importance_note: str = Field(default="", description="why there is none")


class Sweep(_Model):
    """Every arm has the same number of trials, each of at most ``seeds`` runs at the same budget."""

    schema_version: int
    splitbench: str
    optuna: str
    study: str
    space: str
    dataset: str
    budget_kind: str
    budget_limit: float = Field(description="of a run")
    protocol: str
    population: str
    metric: str
    lower_is_better: bool
    seeds: int
    trials: int = Field(description="how many each arm gets")
    baseline: str
    baseline_validation: list[float] = Field(description="the metric of the untuned baseline, by seed")
    sampler: dict[str, Any]
    pruner: dict[str, Any]
    search: dict[str, Any] = Field(description="by path: a list of choices, or a range, as in the study file")
    arms: list[SweptArm]
    complete: bool


@dataclass(frozen=True)
class TrialPoint:
    """The state of an arm after ``n`` settled trials.

    Attributes:
        runs: how many seeds it ran for them in all; the untuned baseline's are not counted.
        slot: of the best complete trial so far; None before the first.
        best: that trial's mean difference from the untuned baseline, and its interval over seeds.
    """

    n: int
    runs: int
    slot: int | None
    best: Estimate | None


def read_sweep(folder: str | Path) -> Sweep:
    """The sweep of a results folder.

    Raises:
        StoreError: if it has none, or one that is damaged or a newer version's.
    """
    path = Path(folder) / SWEEP
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no sweep; name the --out folder of `splitbench sweep`") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise StoreError(f"{path}: {'truncated or not JSON' if data.strip() else 'empty'}; {AGAIN}") from None
    if not isinstance(content, dict) or not {"schema_version", "splitbench", "arms"} <= content.keys():
        raise StoreError(f"{path}: not a sweep of splitbench; move it elsewhere")
    version = content["schema_version"]
    if isinstance(version, int) and version > SWEEP_SCHEMA:
        raise StoreError(
            f"{path}: written by splitbench {content['splitbench']} with schema {version}; this version reads up to "
            f"{SWEEP_SCHEMA}: upgrade"
        )
    if isinstance(version, int) and version < 1:
        raise StoreError(f"{path}: there is no schema {version}; {AGAIN}")
    try:
        return Sweep.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{path}: invalid at {place!r} ({first['msg'].lower()}); {AGAIN}") from None


def write_sweep(folder: str | Path, sweep: Sweep) -> Path:
    """Replace a folder's sweep; returns its path. Equal sweeps give equal bytes.

    Raises:
        StoreError: if the folder cannot be written.
    """
    path = Path(folder) / SWEEP
    write_atomically(path, encode(sweep))
    return path


def settled(arm: SweptArm) -> list[TrialRecord]:
    """By slot."""
    return sorted(arm.trials, key=lambda trial: trial.slot)


def value(trial: TrialRecord) -> float | None:
    """The mean difference from the untuned baseline over the seeds that ran; None where none did."""
    return math.fsum(trial.differences) / len(trial.differences) if trial.differences else None


def best(sweep: Sweep, arm: SweptArm) -> TrialRecord | None:
    """The arm's choice: its best complete trial, of equal ones that of the lower slot; None before one is complete."""
    return _best(sweep, settled(arm))


def _best(sweep: Sweep, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    sign = 1 if sweep.lower_is_better else -1
    complete = [
        (sign * own, trial.slot, trial) for trial in trials if (own := value(trial)) is not None and full(trial)
    ]
    return min(complete, key=lambda entry: entry[:2])[2] if complete else None


def full(trial: TrialRecord) -> bool:
    return trial.state == "complete"


def runs(sweep: Sweep, trial: TrialRecord) -> int:
    """How many seeds a trial ran.

    A run whose training diverged has no value, and was charged all the same: an infeasible trial counts as many as its
    budget paid for.
    """
    known = len(trial.validation)
    return known if trial.state != "infeasible" else max(known, round(trial.spent / sweep.budget_limit))


def curve(sweep: Sweep, arm: SweptArm) -> list[TrialPoint]:
    """Best after n trials, n = 1 to as many as are settled."""
    points: list[TrialPoint] = []
    trials, used = settled(arm), 0
    for n, trial in enumerate(trials, 1):
        used += runs(sweep, trial)
        top = _best(sweep, trials[:n])
        points.append(TrialPoint(n, used, top.slot if top else None, stats.interval(top.differences) if top else None))
    return points


def chosen_difference(sweep: Sweep, arm: SweptArm) -> Estimate | None:
    """The chosen configuration's mean difference from the untuned baseline and its Student-t interval over seeds."""
    top = best(sweep, arm)
    return stats.interval(top.differences) if top else None


def at_the_edge(sweep: Sweep, arm: SweptArm) -> dict[str, str]:
    """Path -> ``low`` or ``high``, for chosen values within a twentieth of the range's length (on its scale) of an end.

    A better value may lie beyond. Choices, and ranges of fewer than five values, are left out.
    """
    top, ends_reached = best(sweep, arm), dict[str, str]()
    for path, value in top.values.items() if top else ():
        domain = sweep.search.get(path)
        if not isinstance(domain, dict) or isinstance(value, bool | str):
            continue
        (scale,) = domain.keys() & {"log", "range"}
        low, high = domain[scale]
        whole = isinstance(value, int)
        if (high - low) / (domain.get("step") or (1 if whole else math.inf)) < 4 and (whole or "step" in domain):
            continue
        ends = [math.log(x) if scale == "log" else x for x in (low, value, high)]
        share = (ends[1] - ends[0]) / (ends[2] - ends[0])
        if min(share, 1 - share) <= EDGE + 1e-9:
            ends_reached[path] = "low" if share < 0.5 else "high"
    return ends_reached


def spent_by_trials(arm: SweptArm) -> float:
    """The cost of all the arm's trials, in the budget's unit."""
    return math.fsum(trial.spent for trial in arm.trials)


def compare_chosen(sweep: Sweep, first: SweptArm, second: SweptArm) -> Estimate | None:
    """The first arm's chosen configuration less the second's, seed by seed; None where one has not chosen.

    Both differ from the same baseline on the same seeds, so their difference is that of the differences. It is on the
    seeds and the validation truth that both were tuned on.
    """
    a, b = best(sweep, first), best(sweep, second)
    pairs = list(zip(a.differences, b.differences, strict=False)) if a and b else []
    return stats.interval([x - y for x, y in pairs]) if pairs else None


def searched_paths(sweep: Sweep) -> list[str]:
    """Every path that some arm searches, in a fixed order."""
    mentioned = {path for arm in sweep.arms for path in arm.searched}
    return sorted(mentioned | sweep.search.keys())


def baseline_arm(sweep: Sweep) -> SweptArm | None:
    return next((arm for arm in sweep.arms if arm.baseline), None)
