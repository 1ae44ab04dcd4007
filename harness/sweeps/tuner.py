"""A sweep: every arm of a study gets the same number of trials, in one Optuna storage that several processes share.

Each arm is an Optuna study of its own, so every sampler and pruner works on one arm's history. The driver takes trials
one after the other, from the arm that has begun fewest, and runs their stages as those of any study.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import optuna
import yaml
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from splitbench.harness.engines.driver import Task, Watcher
from splitbench.harness.errors import ConfigError, EngineError, SplitbenchError
from splitbench.harness.registry import Spec, suggestion
from splitbench.harness.running.study import Study
from splitbench.harness.study.arm import Arm, build_arm
from splitbench.harness.study.config import ArmConfig, StudyConfig
from splitbench.harness.study.search import EXAMPLE
from splitbench.harness.sweeps import summary
from splitbench.harness.sweeps.choosing import pruners, samplers
from splitbench.harness.sweeps.configured_arm import configured
from splitbench.harness.sweeps.identity import check_sweep_folder, sweep_identity
from splitbench.harness.sweeps.ledger import TrialLedger
from splitbench.harness.sweeps.search_parameters import Parameter, searched_by_arm
from splitbench.harness.sweeps.storages.database import check_place
from splitbench.harness.sweeps.storages.storage import open_storage, open_studies, storage_errors
from splitbench.harness.sweeps.trial import Ended, Swept, Trials
from splitbench.harness.sweeps.worker import Worker
from splitbench.results.inference.stats import lower_is_better
from splitbench.results.measures import metrics
from splitbench.results.records import store
from splitbench.results.records.files import write_atomically
from splitbench.results.records.listing import SWEEP_STUDY
from splitbench.results.sweeps.sweep import best, write_sweep

JOURNAL = "sweep.journal"
TUNED = "tuned.yaml"


class Tuner:
    """A checked sweep. Nothing is trained, and no storage touched, before :meth:`run`.

    Args:
        config: the study, with what it searches.
        device: auto, cpu or cuda.
        trials: of each arm; the study file's number if None.

    Raises:
        ConfigError: nothing to search, unknown or unfit parameters, sampler, pruner or metric; or what a study raises.
    """

    def __init__(self, config: StudyConfig, device: str = "auto", trials: int | None = None) -> None:
        if config.search is None:
            raise ConfigError(
                f"study {config.name}: it does not say what to search; add the key search, as in {EXAMPLE}"
            )
        if trials is not None and trials < 1:
            raise ConfigError(f"--trials {trials}: at least 1 is needed")
        # One draw a seed: an arm of many draws would be tuned with a larger budget than the others.
        self.draws = {arm.label: arm.draws for arm in config.arms}
        self.config = config.model_copy(update={"arms": [a.model_copy(update={"draws": 1}) for a in config.arms]})
        self.metric = check_sweep_metric(config.sweep.metric)
        self.study = Study.build(self.config, device)
        if not self.study.has_validation:
            raise ConfigError(
                f"study {config.name}: the ground truth of {self.study.settings.space.name} has no validation "
                "accuracies, and a sweep never looks at test accuracies; choose another space or dataset"
            )
        configs = {arm.label: arm for arm in self.config.arms}
        pairs = [(configs[arm.label], arm) for arm in self.study.arms]
        self.pairs = list(zip(pairs, searched_by_arm(self.config, pairs), strict=True))
        labels = [arm.label for _, arm in pairs]
        self.baseline = pairs[labels.index(config.baseline) if config.baseline in labels else 0][1]
        self.possible: list[Arm] = []  # with each choice once
        for (base, arm), parameters in self.pairs:
            self.check_values(base, arm, parameters)
            if parameters:
                samplers.check_sampler(
                    config.sweep.sampler, distributions(parameters), f"sweep.sampler (arm {arm.label})"
                )
        self.pruner = pruners.make_pruner(config.sweep.pruner, config.seeds)
        self.wanted = trials or config.sweep.trials

    def check_values(self, base: ArmConfig, arm: Arm, parameters: Sequence[Parameter]) -> None:
        """Refuse values that a parameter does not take, before the sweep starts rather than in its middle."""
        for parameter in parameters:
            # A parameter may belong to a component that only another choice brings in.
            around = [other for other in parameters if parameter.path.startswith(f"{other.path}.")]
            variants = [{}, *({other.path: choice} for other in around for choice in other.samples())]
            for suggested in (
                {**variant, parameter.path: sample} for variant in variants for sample in parameter.samples()
            ):
                made, values = configured(self.config, base, arm, parameters, suggested)
                if parameter.path not in values:
                    continue
                try:
                    self.possible.append(build_arm(self.config, made, 0, self.study.settings.space))
                except ConfigError as error:
                    raise ConfigError(
                        f"search.{parameter.path}: {values[parameter.path]} is no value for it: {error}"
                    ) from error

    # -- storage -------------------------------------------------------------------------------------------------

    def open(self, folder: Path, place: str, worker: Worker) -> None:
        """Check and open results folder and storage. Called at the beginning of :meth:`run`.

        Raises:
            StoreError: if either belongs to another sweep, or cannot be used; neither is changed then.
        """
        check_sweep_folder(folder, self.config)
        tuned = [((base, arm), parameters) for (base, arm), parameters in self.pairs if parameters]
        names = [f"{self.config.name}/{arm.label}" for (_, arm), _ in tuned]
        wanted = {
            name: sweep_identity(self.config, self.study.settings, arm, self.baseline, parameters)
            for name, ((_, arm), parameters) in zip(names, tuned, strict=True)
        }
        direction = "minimize" if lower_is_better(self.metric) else "maximize"
        studies = open_studies(open_storage(place), wanted, direction)
        store.prepare_folder(folder)
        kept = yaml.safe_dump(self.config.model_dump(mode="json", exclude_none=True), sort_keys=False)
        write_atomically(folder / SWEEP_STUDY, kept.encode())
        self.arms = []
        for name, ((base, arm), parameters) in zip(names, tuned, strict=True):
            study, over = studies[name], distributions(parameters)
            first = {parameter.path: parameter.own for parameter in parameters if parameter.own is not None}
            study.sampler = samplers.Paired(self.config.sweep.sampler, over, self.config.seed, first)
            study.pruner = self.pruner
            number = samplers.trials_of_arm(self.config.sweep.sampler, over, self.wanted)
            self.arms.append(Swept(base, arm, parameters, TrialLedger(study, number, worker, over)))
        self.trials = Trials(self.study, folder, self.metric, self.baseline, [studies[name] for name in names])
        self.folder = folder

    # -- trials --------------------------------------------------------------------------------------------------

    def run(
        self,
        folder: Path,
        storage: str | None = None,
        workers: int = 1,
        plugins: Sequence[Path] = (),
        watcher: Watcher | None = None,
        engine: Spec | None = None,
    ) -> dict[str, optuna.Study]:
        """Run the missing trials, with all other processes on the same storage; returns each arm's Optuna study.

        Raises:
            SplitbenchError: bad input; what had ended before is kept.
        """
        self.study.check_workers(workers, plugins, self.possible, engine)
        self.watcher = watcher or Watcher()
        if storage is not None:
            check_place(storage)
        place = storage or str(folder / JOURNAL)
        self.running: dict[tuple[str, int], tuple[Swept, optuna.Trial]] = {}
        with storage_errors(place), Worker() as worker:
            self.open(folder, place, worker)
            for label, reason in self.study.skipped.items():
                self.watcher.note(f"arm {label} is skipped: {reason}")
            for (_, arm), parameters in self.pairs:
                if not parameters:
                    self.watcher.note(
                        f"arm {arm.label} has none of the parameters that are searched: it stays as it is"
                    )
            left = sum(swept.ledger.wanted - swept.ledger.finished for swept in self.arms)
            self.watcher.begin(max(left, 0))
            try:
                self.study.drive(self.tasks(), folder, workers, plugins, self.watcher, parallel=workers, engine=engine)
            except BaseException as error:
                with contextlib.suppress(Exception):  # what ended the sweep is reported, and not what it led to
                    self.give_back(error)
                raise
            self.write()
            self.write_tuned()
        return {swept.config.label: swept.ledger.study for swept in self.arms}

    def tasks(self) -> Iterator[Task | None]:
        """Yields trials to run until every arm has all of its own, other processes' included; None while it waits."""
        while True:
            for swept in self.arms:
                for number in swept.ledger.revive():
                    self.watcher.note(f"{swept.config.label}: trial {number} was left behind, and is done again")
            unsettled = [swept for swept in self.arms if not swept.ledger.settled]
            if not unsettled:
                return
            yield next(filter(None, map(self.claim, sorted(unsettled, key=lambda swept: swept.ledger.claimed))), None)

    def claim(self, swept: Swept) -> Task | None:
        trial = swept.ledger.claim()
        if trial is None:
            return None
        self.running[swept.config.label, trial.number] = swept, trial
        return Task(self.trials.stages(swept, trial), partial(self.ended, swept, trial))

    def ended(self, swept: Swept, trial: optuna.Trial, end: Ended) -> None:
        """Write the end of a trial to storage and results folder, and report it to the watcher."""
        label = swept.config.label
        self.running.pop((label, trial.number))
        if end.word == "complete":
            assert end.value is not None
            stored = swept.ledger.finish(trial, end.value)
        else:
            stored = end.word != "lost" and swept.ledger.prune(trial, end.reason)
        while self.trials.notes:
            self.watcher.note(self.trials.notes.pop())
        if stored:
            self.write()
            self.watcher.done(summary.trial_line(label, trial, end, self.metric, self.config.seeds))

    def give_back(self, error: BaseException) -> None:
        """Give running trials back, so that the next process runs them. Called when the sweep ends early.

        An end by the user, or by an error that the user can mend, does not count against the trials. Any other end,
        such as a worker out of memory, counts as a death of the process: a trial that ends the sweep again and again
        is given up.
        """
        innocent = isinstance(error, KeyboardInterrupt | SplitbenchError | SQLAlchemyError | StorageInternalError)
        innocent = innocent and not isinstance(error, EngineError)
        for swept, trial in self.running.values():
            swept.ledger.release(trial, "interrupted" if innocent else None)
        self.write()

    def write(self) -> None:
        """Write the state of the sweep beside its records."""
        write_sweep(self.folder, summary.of(self.config, self.study, self.arms, self.trials, self.wanted))

    def write_tuned(self) -> None:
        """Write the study that compares the tuned arms on seeds that no trial has used."""
        state = summary.of(self.config, self.study, self.arms, self.trials, self.wanted)
        chosen = {swept.arm: best(state, swept) for swept in state.arms}
        study = summary.tuned(self.config, self.arms, self.baseline.label, chosen, self.draws)
        if study is not None:
            write_atomically(self.folder / TUNED, yaml.safe_dump(study, sort_keys=False).encode())


def distributions(parameters: Sequence[Parameter]) -> Mapping[str, optuna.distributions.BaseDistribution]:
    return {parameter.path: parameter.distribution for parameter in parameters}


def check_sweep_metric(name: str) -> str:
    """A metric's name.

    Raises:
        ConfigError: naming those there are.
    """
    some = list(range(40))
    known = list(metrics.ranking_metrics(some, some, some, some, [0] * 40, 1.0))
    if name not in known:
        raise ConfigError(
            f"sweep.metric: unknown metric {name!r}{suggestion(name, known)}; there are: {', '.join(known)}"
        )
    return name
