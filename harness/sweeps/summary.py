"""A sweep in words and files: what ``sweep.json`` holds, a line for each trial, and the study of the tuned arms."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.running.study import Study
from splitbench.harness.runs.record import protocol
from splitbench.harness.study.config import ArmConfig, StudyConfig
from splitbench.harness.sweeps.attempts import SETTLED
from splitbench.harness.sweeps.configured_arm import configured
from splitbench.harness.sweeps.identity import spec
from splitbench.harness.sweeps.trial import Ended, Swept, Trials
from splitbench.results.inference import stats
from splitbench.results.sweeps import sweep

LEAST_SEEDS = 8  # of the tuned study: as many as a verdict for a few arms needs
NOTHING_TO_TELL = "fewer than two trials have a value, or all have the same"


def of(config: StudyConfig, study: Study, arms: Sequence[Swept], trials: Trials, wanted: int) -> sweep.Sweep:
    """The state of the sweep, read from its storage."""
    complete = all(swept.ledger.settled for swept in arms)
    budget, space = study.settings.budget, study.settings.space
    return sweep.Sweep(
        schema_version=sweep.SWEEP_SCHEMA,
        splitbench=importlib.metadata.version("splitbench"),
        optuna=optuna.__version__,
        study=config.name,
        space=space.name,
        dataset=study.settings.dataset,
        budget_kind=budget.kind,
        budget_limit=budget.limit,
        protocol=protocol(config, study.settings),
        population=population_words(config),
        metric=trials.metric,
        lower_is_better=stats.lower_is_better(trials.metric),
        seeds=config.seeds,
        trials=max([wanted, *(swept.ledger.claimed for swept in arms)]),  # as many were asked for once
        baseline=trials.baseline.label,
        baseline_validation=trials.references(),
        sampler=spec(config.sweep.sampler),
        pruner=spec(config.sweep.pruner),
        search=config.model_dump(mode="json")["search"],
        arms=[swept_arm(swept, trials, complete) for swept in arms],
        complete=complete,
    )


def population_words(config: StudyConfig) -> str:
    sample = config.population.sample
    return "all distinct connected functions" if sample is None else f"a uniform sample of {sample:,} functions"


def swept_arm(swept: Swept, trials: Trials, complete: bool) -> sweep.SweptArm:
    settled = {slot: trial for slot, trial in enumerate(swept.ledger.slots()) if trial.state in SETTLED}
    shares, note = (
        importance(list(settled.values()), swept.ledger.study.direction) if complete else ({}, "the sweep is not over")
    )
    return sweep.SweptArm(
        arm=swept.config.label,
        baseline=swept.config.label == trials.baseline.label,
        reads_truth=swept.arm.reads_truth,
        searched=[parameter.path for parameter in swept.parameters],
        own={parameter.path: parameter.own for parameter in swept.parameters},
        trials=[settled_trial(slot, trial) for slot, trial in settled.items()],
        importance=shares,
        importance_note=note,
    )


def settled_trial(slot: int, trial: FrozenTrial) -> sweep.TrialRecord:
    attributes = trial.user_attrs
    stopped: Literal["infeasible", "pruned"] = "infeasible" if attributes.get("reason") else "pruned"
    return sweep.TrialRecord(
        number=trial.number,
        slot=slot,
        state="complete" if trial.state is TrialState.COMPLETE else stopped,
        values=attributes.get("values", {}),
        record=attributes.get("record", ""),
        validation=attributes.get("validation", []),
        differences=attributes.get("differences", []),
        spent=attributes.get("spent", 0.0),
        reason=attributes.get("reason", ""),
    )


def importance(settled: Sequence[FrozenTrial], direction: optuna.study.StudyDirection) -> tuple[dict[str, float], str]:
    """Each parameter's share of the variance of the trials' values by functional ANOVA (Hutter et al., ICML 2014), or
    why there is none. A pruned trial has the mean over the seeds that it ran."""
    values = [
        (trial, trial.intermediate_values[max(trial.intermediate_values)])
        for trial in settled
        if trial.intermediate_values
    ]
    if len({value for _, value in values}) < 2:
        return {}, NOTHING_TO_TELL
    names = list(values[0][0].params)
    if len(names) == 1:
        return {names[0]: 1.0}, ""
    study = optuna.create_study(direction=direction)
    study.add_trials(
        [
            optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value)
            for trial, value in values
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(shares[name]), 6) for name in names}, ""


def trial_line(label: str, trial: optuna.Trial, end: Ended, metric: str, seeds: int) -> str:
    """A line about a trial that has ended."""
    values = ", ".join(
        f"{path.rpartition('.')[2]} {value}" for path, value in trial.user_attrs.get("values", {}).items()
    )
    ran = len(trial.user_attrs.get("differences", []))
    words = {
        "complete": f"{metric} {end.value or 0:+.3f}",
        "pruned": f"{metric} {end.value or 0:+.3f} after {ran} of {seeds} seeds, pruned",
        "infeasible": f"cannot run: {end.reason}",
    }
    return f"{label}, trial {trial.number}: {values}: {words[end.word]}"


def tuned(
    config: StudyConfig,
    arms: Sequence[Swept],
    baseline: str,
    chosen: Mapping[str, sweep.TrialRecord | None],
    draws: Mapping[str, int],
) -> dict[str, Any] | None:
    """A study file with every arm as tuned and as it was, on seeds of its own; None while an arm has nothing chosen.

    Args:
        config: the study, its arms with one draw a seed.
        arms: those that are swept.
        baseline: the arm that all are compared with.
        chosen: arm -> its best trial; None if it has none yet.
        draws: arm -> number of draws in the study file.
    """
    if any(trial is None for trial in chosen.values()):
        return None

    def written(made: ArmConfig, label: str, **more: Any) -> dict[str, Any]:
        full = made.model_copy(update={"draws": draws[label]})
        return {**full.model_dump(mode="json", exclude_defaults=True), **more}

    own = [written(arm, arm.label) for arm in config.arms if arm.label not in chosen]
    compared = {"untuned": list[dict[str, Any]](), "tuned": list[dict[str, Any]]()}
    for swept in arms:
        picked = chosen[swept.config.label]
        for suffix, values in (("untuned", {}), ("tuned", picked.values if picked is not None else {})):
            made, _ = configured(config, swept.config, swept.arm, swept.parameters, values)
            label = swept.config.label
            compared[suffix].append(written(made, label, name=f"{label} {suffix}"))
    study = config.model_dump(mode="json", exclude_none=True, exclude={"arms", "search", "sweep", "baseline"})
    return {
        **study,
        "name": f"{config.name}-tuned",
        "seed": config.seed + 1,
        "seeds": max(config.seeds, LEAST_SEEDS),
        "baseline": f"{baseline} tuned" if baseline in chosen else baseline,
        "arms": [*own, *compared["untuned"], *compared["tuned"]],
    }
