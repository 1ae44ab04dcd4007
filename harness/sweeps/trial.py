"""One trial: a configuration of one arm, run seed by seed until the pruner says that it cannot win.

A trial is judged by the ranking against the ground truth's validation accuracies. Its records hold the test side too,
for later reading; the storage, and with it samplers and pruners, never gets it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import optuna

from splitbench.harness.errors import ConfigError, DataError, EngineError, SplitbenchError, StoreError
from splitbench.harness.running.study import Study
from splitbench.harness.runs.protocol import Asks, Outcome, Run
from splitbench.harness.study.arm import Arm, build_arm
from splitbench.harness.study.config import ArmConfig
from splitbench.harness.sweeps.configured_arm import configured
from splitbench.harness.sweeps.ledger import TrialLedger
from splitbench.harness.sweeps.search_parameters import Parameter
from splitbench.results.records.record import Record

BASELINE = "baseline"  # user attributes of an Optuna study: "baseline 0", ... the untuned baseline's metric by seed


@dataclass(frozen=True)
class Swept:
    """One arm of the study and its share of the sweep.

    Attributes:
        config, arm: the arm of the study file, with one draw a seed.
        parameters: the searched ones.
        ledger: its trials.
    """

    config: ArmConfig
    arm: Arm
    parameters: tuple[Parameter, ...]
    ledger: TrialLedger


@dataclass(frozen=True)
class Ended:
    """How a trial ended: complete, pruned, infeasible (it cannot run, or ranks nothing), or lost to another process
    that believed this one dead. ``value`` is its mean difference from the baseline, over the seeds that ran."""

    word: Literal["complete", "pruned", "infeasible", "lost"]
    value: float | None = None
    reason: str = ""


@dataclass
class Trials:
    """What all trials of a sweep share.

    Attributes:
        study: the study, its arms with one draw a seed.
        folder: the results folder.
        metric: what is compared, against the validation truth.
        baseline: the arm that trials are compared with, with the study file's own values.
        shared: the Optuna studies of all arms, of which one keeps the baseline's values for all processes.
        notes: sentences for the watcher.
    """

    study: Study
    folder: Path
    metric: str
    baseline: Arm
    shared: list[optuna.Study]
    notes: list[str] = field(default_factory=list)
    ran: set[int] = field(default_factory=set)

    def stages(self, swept: Swept, trial: optuna.Trial) -> Asks[Ended]:
        """Run a trial, seed by seed."""
        seeds = self.study.config.seeds
        validation: list[float] = []
        differences: list[float] = []
        spent = 0.0
        try:
            arm_config, values = configured(self.study.config, swept.config, swept.arm, swept.parameters, trial.params)
            trial.set_user_attr("values", values)
            trial.set_user_attr("record", arm_config.label)
            for repetition in range(seeds):
                reference = yield from self.reference(repetition)
                begun = False
                try:
                    if not repetition:
                        arm = build_arm(self.study.config, arm_config, 0, self.study.settings.space)
                        self.study.rehearser.rehearse(arm, self.study.seeds(0))
                    begun = True
                    record = yield from self.run(arm, repetition)
                except (StoreError, DataError, OSError, MemoryError, EngineError):
                    raise  # not the trial's doing
                except Exception as error:  # values that do not go together, weights that diverge, a plugin's bug
                    if begun:  # a run that was broken off counts as a whole one
                        trial.set_user_attr("spent", spent + self.study.settings.budget.limit)
                    return Ended("infeasible", reason=why(error))
                spent += record.budget.spent
                trial.set_user_attr("spent", spent)
                value = record.validation_metrics.get(self.metric)
                if value is None:
                    reason = f"seed {repetition + 1}: {self.metric} is not defined, as when all estimates are equal"
                    return Ended("infeasible", reason=reason)
                validation.append(value)
                differences.append(value - reference)
                trial.set_user_attr("validation", validation)
                trial.set_user_attr("differences", differences)
                mean = sum(differences) / len(differences)
                trial.report(mean, step=len(differences))
                if len(differences) < seeds and trial.should_prune():
                    return Ended("pruned", mean)
            return Ended("complete", mean)
        except optuna.exceptions.UpdateFinishedTrialError:
            return Ended("lost")

    def run(self, arm: Arm, repetition: int) -> Asks[Record]:
        """Run one seed of an arm as a study does, and write its record."""
        outcome: Outcome = yield from Run(self.study.settings, arm, self.study.seeds(repetition), 0).stages()
        return self.study.write(self.folder, arm, repetition, 0, outcome)[0]

    def reference(self, repetition: int) -> Asks[float]:
        """The baseline with the study file's own values: what a trial's run of the same seed is compared with.

        It runs once in each results folder. All processes of a sweep use the value that the storage has, because
        another machine's floating point may give one that differs in the last digits.
        """
        known = self.stored(repetition)
        if repetition in self.ran and known is not None:
            return known
        try:
            record = yield from self.run(self.baseline, repetition)
        except (StoreError, DataError):
            raise
        except SplitbenchError as error:
            raise ConfigError(f"{self._cannot} ({error}); mend the study file's own values") from error
        value = record.validation_metrics.get(self.metric)
        if value is None:
            raise ConfigError(
                f"{self._cannot}: its {self.metric} is not defined at seed {repetition + 1}, as when all estimates are "
                "equal; mend the study file's own values, or choose another sweep.metric"
            )
        self.ran.add(repetition)
        first = self.stored(repetition)
        if first is None:
            self.shared[0].set_user_attr(f"{BASELINE} {repetition}", value)
        elif first != value:
            self.notes.append(
                f"the baseline's {self.metric} at seed {repetition + 1} is {value!r} here, and {first!r} where the "
                "sweep began: floating point differs between machines; all trials are compared with the latter"
            )
        return value if first is None else first

    def stored(self, repetition: int) -> float | None:
        """The baseline's value at a seed, from the storage; None if it is not there yet. Any study may hold it, since
        an arm that is added later may come first."""
        name = f"{BASELINE} {repetition}"
        values = (study.user_attrs.get(name) for study in self.shared)
        return next((float(value) for value in values if value is not None), None)

    def references(self) -> list[float]:
        """The baseline's values in the storage, from the first seed to the last without a gap."""
        values = (self.stored(repetition) for repetition in range(self.study.config.seeds))
        return [value for value in itertools.takewhile(lambda value: value is not None, values) if value is not None]

    @property
    def _cannot(self) -> str:
        return f"the sweep compares trials with {self.baseline.label} as the study file has it, and that cannot run"


def why(error: Exception) -> str:
    """The reason why a trial cannot run, as a sentence."""
    said = str(error).partition("\n")[0]
    return said if isinstance(error, SplitbenchError) else f"this is a bug: {type(error).__name__}: {said}"
