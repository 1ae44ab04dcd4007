"""A study: every arm at every seed, on one engine, with its records written as runs end.

Each run is a generator that asks for stages; the driver submits the stages of several runs to the engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from splitbench.harness.engines.base import Site
from splitbench.harness.engines.driver import Task, Watcher
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, load_plugin
from splitbench.harness.running.building import arms_of, naming, settings_of
from splitbench.harness.running.driving import check_engine_can_serve, drive, engine_for
from splitbench.harness.running.failing import failure_of, is_the_runs
from splitbench.harness.running.finished import Finished
from splitbench.harness.running.folder_lock import FolderLock
from splitbench.harness.running.study_folder import check_study_folder, take_study_folder
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.dry_run import Rehearser
from splitbench.harness.runs.protocol import Outcome, Run
from splitbench.harness.runs.record import make_measured, make_record
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.measure import ESTIMATES
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study import config as configs
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import StudyConfig
from splitbench.harness.study.portion import Portion
from splitbench.results.grids.grids import home
from splitbench.results.records import store
from splitbench.results.records.failures import Failure
from splitbench.results.records.record import Measured, Record
from splitbench.spaces.truth import closed, open_truth


@dataclass
class Study:
    """A checked study: parts built, nothing trained yet.

    Attributes:
        config, settings: the study file, and what all runs share.
        arms: those that run.
        skipped: the other arms' names, and why their criteria cannot serve the space.
        portion: the part of the study that is run.
    """

    config: StudyConfig
    settings: Settings
    arms: list[Arm]
    skipped: dict[str, str] = field(default_factory=dict)
    portion: Portion = field(default_factory=Portion)

    @classmethod
    def build(cls, config: StudyConfig, device: str = "auto", portion: Portion | None = None) -> Study:
        """Build and check every part.

        Raises:
            ConfigError: wrong parts or a budget that cannot work; DataError: missing or damaged data.
        """
        settings = settings_of(config, device)
        arms = arms_of(config, settings.space)
        skipped = {arm.label: arm.unfit for arm in arms if arm.unfit is not None}
        study = cls(config, settings, [arm for arm in arms if arm.unfit is None], skipped, portion or Portion())
        for label, reason in skipped.items():
            if label == config.baseline or not study.arms:
                raise ConfigError(f"arm {label} cannot run on the space {settings.space.name}: {reason}; take it out")
        if not study.runs():
            raise ConfigError(
                f"--arms: none of these runs on the space {settings.space.name}: {'; '.join(skipped.values())}"
            )
        for arm in study.arms:
            with closed(), naming(arm.label):
                study.rehearser.rehearse(arm, study.seeds(0))
        return study

    def notes(self) -> list[str]:
        """Warnings about the study's budget, a sentence each. Called before the study starts, and by a dry run."""
        budget, sentences = self.settings.budget, []
        if budget.kind == "seconds":
            sentences.append(
                "a budget in seconds is neither shared nor equal: how far a training comes depends on what else the "
                "machine does, and selection comes on top; prefer flops"
            )
            return sentences
        for arm in self.arms:
            rehearsal = self.rehearser.rehearse(arm, self.seeds(0))
            measurement = budget.amount(rehearsal.measurement)
            if measurement > budget.limit:
                shams, without = ("", "") if not arm.decompose else (" and training shams", ", or no decompose,")
                sentences.append(
                    f"ranking the population{shams} takes {measurement / budget.limit:.1f} times as much as an arm's "
                    f"whole budget ({measurement:.2g} {budget.kind} a run, charged to no arm); a smaller "
                    f"population.sample or evaluation.images{without} would end the study sooner"
                )
                break
        return sentences

    @functools.cached_property
    def rehearser(self) -> Rehearser:
        """Makes dry runs of the arms, to find what cannot work before anything is trained."""
        return Rehearser(self.settings)

    @property
    def has_validation(self) -> bool:
        """Whether the ground truth has validation accuracies."""
        return open_truth(self.settings.space, self.settings.dataset).has_validation

    def runs(self) -> list[tuple[Arm, int, int]]:
        """(arm, repetition, draw) of the part that is run, in the order in which they start: all arms of a seed before
        the next seed."""
        return [run for run in self.all_runs() if self.portion.holds(run[0].label, run[1])]

    def all_runs(self) -> list[tuple[Arm, int, int]]:
        """(arm, repetition, draw) of the whole study, in the same order."""
        return [
            (arm, repetition, draw)
            for repetition in range(self.config.seeds)
            for arm in self.arms
            for draw in range(arm.draws)
        ]

    def seeds(self, repetition: int) -> Seeds:
        config = self.config
        return Seeds(config.seed, self.settings.space.name, self.settings.dataset, repetition)

    def run(
        self,
        folder: Path,
        workers: int = 1,
        plugins: Sequence[Path] = (),
        watcher: Watcher | None = None,
        engine: Spec | None = None,
    ) -> tuple[Failure, ...]:
        """Run what is missing and write the records into ``folder``; returns the runs that failed.

        When a run fails, the reason is written in the place of its record, and the other runs continue. Runs that
        failed before are tried again.

        Args:
            folder: the results folder.
            workers: how many stages run at a time.
            plugins: files that other processes import first.
            watcher: receives progress.
            engine: what runs the stages; ``local`` for one worker and ``pool`` for several, if it is not named.

        Raises:
            SplitbenchError: bad input, a folder that another process works in, and errors that no run causes (a full
                disk, missing data, an engine that cannot go on); runs that had ended before are kept.
        """
        self.check_workers(workers, plugins, engine=engine)
        watcher = watcher or Watcher()
        for arm, repetition, draw in self.runs():
            with naming(arm.label):
                self.rehearser.rehearse(arm, self.seeds(repetition), draw)
        check_study_folder(self.config, folder)  # before another's folder gets as much as an empty one for records
        store.prepare_folder(folder)
        with FolderLock(folder).held(watcher.note) as lock:
            for sentence in [*self.notes(), *self.portion.notes(self.config), *take_study_folder(self, folder)]:
                watcher.note(sentence)
            store.write_skipped(folder, self.skipped)
            for label, reason in self.skipped.items():
                watcher.note(f"arm {label} is skipped: {reason}")
            failures: list[Failure] = []
            runs, finished = self.runs(), Finished(self.config, self.settings, folder)
            watcher.begin(len(runs))
            tasks = []
            for run in runs:
                if (done := finished.of(*run)) is not None:
                    watcher.run(*done)
                else:
                    tasks.append(self.task(folder, watcher, failures, *run))
            self.drive(tasks, folder, workers, plugins, watcher, check=lock.check, engine=engine)
        return tuple(failures)

    def task(
        self, folder: Path, watcher: Watcher, failures: list[Failure], arm: Arm, repetition: int, draw: int
    ) -> Task:
        """One run as a task for the driver; if it fails, the reason is written and added to ``failures``."""

        def fail(error: BaseException, stage: Stage[Any] | None) -> bool:
            if not is_the_runs(error):
                return False
            about = (stage.kind, stage.title) if stage else None
            failures.append(failure_of(self.config, self.settings, arm, repetition, draw, error, about))
            store.write_failure(folder, failures[-1])
            watcher.fail(failures[-1])
            return True

        return Task(
            Run(self.settings, arm, self.seeds(repetition), draw).stages(),
            partial(self.finish, folder, watcher, arm, repetition, draw),
            fail,
        )

    def check_workers(
        self, workers: int, plugins: Sequence[Path], more: Sequence[Arm] = (), engine: Spec | None = None
    ) -> None:
        """Refuse an engine that cannot run the study's arms, and ``more``, before anything is written."""
        check_engine_can_serve([*self.arms, *more], engine_for(engine, workers), workers, plugins)

    def drive(
        self,
        tasks: Iterable[Task | None],
        folder: Path,
        workers: int,
        plugins: Sequence[Path],
        watcher: Watcher,
        parallel: int | None = None,
        check: Callable[[], None] = lambda: None,
        engine: Spec | None = None,
    ) -> None:
        """Run tasks on an engine, ``parallel`` of them at a time (:meth:`parallel` says how many if None). ``check`` is
        called before stages are submitted and before results are written."""
        site = Site(StageStore(home(folder)), workers, plugins, lambda stage, share: watcher.running([(stage, share)]))
        drive(tasks, site, engine_for(engine, workers), watcher, parallel or self.parallel(workers), check)

    def finish(self, folder: Path, watcher: Watcher, arm: Arm, repetition: int, draw: int, outcome: Outcome) -> None:
        """Write a run's record, and notify the watcher."""
        watcher.run(*self.write(folder, arm, repetition, draw, outcome))

    def write(self, folder: Path, arm: Arm, repetition: int, draw: int, outcome: Outcome) -> tuple[Record, Measured]:
        """Write a run's record; returns it, and the seconds and memory that the run took."""
        record = make_record(self.config, self.settings, arm, repetition, draw, outcome)
        measured = make_measured(outcome, torch.__version__)
        estimates = StageStore(home(folder)).open(outcome.measured.key, ESTIMATES).read_bytes()
        store.write_run(folder, record, measured, estimates)
        return record, measured

    def parallel(self, workers: int) -> int:
        """The number of runs at a time. All runs of one seed wait for the warm-up that they share, and some of the next
        seed's keep the workers busy meanwhile; with all runs at once, the first records would come late."""
        return sum(arm.draws for arm in self.arms) + 2 * workers


def open_study(study: StudyConfig | Mapping[str, Any] | str | Path, plugins: Sequence[str | Path]) -> StudyConfig:
    """A study file, its content or a checked study as the last, with its plugins loaded."""
    for plugin in plugins:
        load_plugin(plugin)
    if isinstance(study, Mapping):
        return configs.parse_study(dict(study))
    return study if isinstance(study, StudyConfig) else configs.load_study(study)
