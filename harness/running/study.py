"""A study: every arm at every seed, on one engine, with its records written as runs end.

The runs are generators that ask for stages; the driver keeps the engine busy with what all of them ask for.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from splitbench.harness.budget import Budget
from splitbench.harness.device import choose, one_thread
from splitbench.harness.engines.driver import Driver, Task, Watcher
from splitbench.harness.engines.engine import Engine, InProcess, WorkerPool
from splitbench.harness.errors import ConfigError, SplitbenchError, StoreError
from splitbench.harness.part import Part
from splitbench.harness.registry import build, components, load_plugin, split_spec
from splitbench.harness.running.failing import failure_of, is_the_runs, one_line
from splitbench.harness.running.finished import Finished
from splitbench.harness.running.folder_lock import Lock
from splitbench.harness.running.set_aside import set_aside
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.dry_run import Rehearser
from splitbench.harness.runs.protocol import Outcome, Run
from splitbench.harness.runs.record import arm_mark, make_measured, make_record, protocol
from splitbench.harness.runs.step_prices import supernet_of
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.base import Scene, Stage
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study import config as configs
from splitbench.harness.study.arm import Arm, build_arm
from splitbench.harness.study.config import EvaluationConfig, StudyConfig
from splitbench.harness.study.portion import Portion
from splitbench.harness.supernets.estimate import Evaluation
from splitbench.harness.supernets.normalisation import BATCH, RUNNING, normalisations
from splitbench.results.grids.grids import GRID, home
from splitbench.results.records import store
from splitbench.results.records.failures import Failure
from splitbench.results.records.listing import SWEEP
from splitbench.results.records.record import Measured, Record
from splitbench.spaces.base import SearchSpace, Supernet
from splitbench.spaces.datasets.base import Dataset
from splitbench.spaces.supernet import refuse_running_statistics
from splitbench.spaces.truth import closed, open_truth

STUDY_FILE = "study.yaml"


@dataclass
class Study:
    """A checked study: parts built, nothing trained yet.

    Attributes:
        config, settings: what was asked for, and what all runs share.
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
        dataset: Dataset = build("datasets", config.dataset, "dataset")
        unbound: SearchSpace = build("spaces", config.space, "space")
        space = unbound.bind(dataset.shape, dataset.classes)
        truth = open_truth(space, dataset.name)  # fail now, not after the training
        check_bound(config, unbound, space)
        network = supernet_of(space)
        if config.evaluation.batch_norm != RUNNING:
            refuse_running_statistics(space, network)
        scene = Scene(
            space=Part.of("spaces", config.space, "space", bound=space),
            dataset=Part.of("datasets", config.dataset, "dataset"),
            images=dataset.identity(),
            precision=config.precision,
            device=choose(device),
        )
        evaluation = evaluation_of(config.evaluation, dataset, space, network)
        ((kind, limit),) = config.budget.given.items()
        images = evaluation.count(dataset.sizes["validation"])
        settings = Settings(
            space,
            dataset.name,
            scene,
            Budget(kind, limit),
            evaluation,
            images,
            config.population.sample,
            truth.identity,
            config.sampling,
            config.population.of,
        )
        arms = []
        for index, arm_config in enumerate(config.arms):
            with closed(), naming(arm_config.label):
                arms.append(build_arm(config, arm_config, index, space))
        skipped = {arm.label: arm.unfit for arm in arms if arm.unfit is not None}
        study = cls(config, settings, [arm for arm in arms if arm.unfit is None], skipped, portion or Portion())
        for label, reason in skipped.items():
            if label == config.baseline or not study.arms:
                raise ConfigError(f"arm {label} cannot run on the space {space.name}: {reason}; take it out")
        if not study.runs():
            raise ConfigError(f"--arms: none of these runs on the space {space.name}: {'; '.join(skipped.values())}")
        for arm in study.arms:
            with closed(), naming(arm.label):
                study.rehearser.rehearse(arm, study.seeds(0))
        return study

    def notes(self) -> list[str]:
        """What whoever starts the study should know of its budget."""
        budget, found = self.settings.budget, []
        if budget.kind == "seconds":
            found.append(
                "a budget in seconds is neither shared nor equal: how far a training comes depends on what else the "
                "machine does, and selection comes on top; prefer flops"
            )
            return found
        for arm in self.arms:
            rehearsal = self.rehearser.rehearse(arm, self.seeds(0))
            measurement = budget.amount(rehearsal.measurement)
            if measurement > budget.limit:
                shams, without = ("", "") if not arm.decompose else (" and training shams", ", or no decompose,")
                found.append(
                    f"ranking the population{shams} takes {measurement / budget.limit:.1f} times as much as an arm's "
                    f"whole budget ({measurement:.2g} {budget.kind} a run, charged to no arm); a smaller "
                    f"population.sample or evaluation.images{without} would end the study sooner"
                )
                break
        return found

    @functools.cached_property
    def rehearser(self) -> Rehearser:
        """Finds what cannot work, before anything is trained."""
        return Rehearser(self.settings)

    @property
    def has_validation(self) -> bool:
        """Whether the ground truth tells validation accuracies."""
        return open_truth(self.settings.space, self.settings.dataset).has_validation

    def runs(self) -> list[tuple[Arm, int, int]]:
        """(arm, repetition, draw) of the part that is run, in the order in which they start: all arms of a seed before
        the next seed."""
        return [run for run in self.all_runs() if self.portion.holds(run[0].label, run[1])]

    def all_runs(self) -> list[tuple[Arm, int, int]]:
        """Those of the whole study."""
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
    ) -> tuple[Failure, ...]:
        """Run what is missing and write the records into ``folder``; gives the runs that failed.

        A run that fails costs itself alone: why is written in the place of its record, and the others go on. Runs that
        had failed before are tried again.

        Raises:
            SplitbenchError: bad input, a folder that another process works in, and what no run is to blame for (a full
                disk, missing data, workers that die); what had ended before is kept.
        """
        self.check_workers(workers, plugins)
        watcher = watcher or Watcher()
        for arm, repetition, draw in self.runs():
            with naming(arm.label):
                self.rehearser.rehearse(arm, self.seeds(repetition), draw)
        self.check_folder(folder)  # before a folder of something else gets as much as an empty one for records
        store.prepare(folder)
        with Lock(folder).held(watcher.note) as lock:
            for sentence in [*self.notes(), *self.portion.notes(self.config), *self.take_folder(folder)]:
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
            self.drive(tasks, folder, workers, plugins, watcher, check=lock.check)
        return tuple(failures)

    def task(
        self, folder: Path, watcher: Watcher, failures: list[Failure], arm: Arm, repetition: int, draw: int
    ) -> Task:
        """One run for the driver; if it fails, why is written, and added to ``failures``."""

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

    def drive(
        self,
        tasks: Iterable[Task | None],
        folder: Path,
        workers: int,
        plugins: Sequence[Path],
        watcher: Watcher,
        parallel: int | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Have an engine run the stages that tasks ask for, in this process or in several; ``parallel`` tasks at a
        time, or as many as suit a study. ``check`` is called before anything is begun or written."""
        alone, stages = workers == 1, home(folder)
        with one_thread():
            engine: Engine
            if alone:
                engine = InProcess(StageStore(stages), lambda stage, share: watcher.running([(stage, share)]))
            else:
                engine = WorkerPool(stages, workers, plugins=plugins)
            try:
                parallel = 1 if alone else parallel or self.parallel(workers)
                Driver(stages, engine, watcher, check).drive(tasks, parallel)
            except BrokenExecutor as error:
                raise SplitbenchError(
                    "a worker process ended without a word, as it does when memory runs out; what had ended is kept: "
                    "run the same command again, with fewer --workers if it happens again"
                ) from error
            finally:
                engine.close()

    def finish(self, folder: Path, watcher: Watcher, arm: Arm, repetition: int, draw: int, outcome: Outcome) -> None:
        """Write a run's record, and tell of it."""
        watcher.run(*self.write(folder, arm, repetition, draw, outcome))

    def write(self, folder: Path, arm: Arm, repetition: int, draw: int, outcome: Outcome) -> tuple[Record, Measured]:
        """Write a run's record; gives it, and what the run took."""
        record = make_record(self.config, self.settings, arm, repetition, draw, outcome)
        measured = make_measured(outcome, 1, torch.__version__)
        estimates = (StageStore(home(folder)).folder(outcome.measured.key) / "estimates.parquet").read_bytes()
        store.write_run(folder, record, measured, estimates)
        return record, measured

    def parallel(self, workers: int) -> int:
        """How many runs to have under way: one seed's runs wait for the warm-up that they share, and the next seeds'
        keep the workers busy meanwhile; not all of them, so that a study's first results come early."""
        return sum(arm.draws for arm in self.arms) + 2 * workers

    def take_folder(self, folder: Path) -> list[str]:
        """Keep the study beside its records. A folder belongs to one study, as its file is now; what an earlier one
        left is set aside, in sentences that are returned.

        Raises:
            StoreError: if the folder is another study's or a newer version's; nothing is changed then.
        """
        path = self.check_folder(folder)
        text = yaml.safe_dump(self.config.model_dump(mode="json", exclude_none=True), sort_keys=False)
        shared = protocol(self.config, self.settings)
        wanted = {
            (shared, arm.label, arm_mark(arm.config()), repetition, draw) for arm, repetition, draw in self.all_runs()
        }
        sentences = set_aside(folder, wanted)
        store.write_atomically(path, text.encode())
        return sentences

    def check_folder(self, folder: Path) -> Path:
        """Refuse a folder of another study; gives the path of the study that is kept in it.

        Raises:
            StoreError: if the folder is another study's, a sweep's or a grid's.
        """
        if (folder / SWEEP).exists():
            raise StoreError(f"{folder} holds a sweep, whose trials would be set aside; choose another --out")
        if (folder / GRID).exists():
            raise StoreError(f"{folder} holds a grid of studies; choose another --out")
        path = folder / STUDY_FILE
        if path.exists():
            try:
                name = (yaml.safe_load(path.read_text()) or {}).get("name")
            except (yaml.YAMLError, AttributeError, OSError):
                name = None
            if name not in (None, self.config.name):
                raise StoreError(f"{folder} holds the study {name!r}, not {self.config.name!r}; choose another --out")
        return path

    def check_workers(self, workers: int, plugins: Sequence[Path], more: Sequence[Arm] = ()) -> None:
        """Components that only this process knows, in the study's arms or in ``more``, cannot run in workers."""
        if workers < 1:
            raise ConfigError(f"--workers {workers}: at least 1 is needed")
        if workers == 1 or plugins:
            return
        for arm in [*self.arms, *more]:
            asked = [arm.consulted.criterion] if arm.consulted else []
            parts = [*arm.parts.values(), *arm.modifier_parts, *asked]
            for part in itertools.chain.from_iterable(part.all() for part in parts):
                found = components(part.kind)[part.name]
                if found.loaded is not None:
                    raise ConfigError(
                        f"{part.kind} component {found.name!r} was registered in this process only; run with one "
                        "worker, or put it into a file and name that with --plugin"
                    )


@contextlib.contextmanager
def naming(arm: str) -> Iterator[None]:
    """What a component raises before anything runs (it may be anything) becomes a sentence with its arm and place.

    Raises:
        ConfigError: in the place of any error that is not one of splitbench's own.
    """
    try:
        yield
    except SplitbenchError:
        raise
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"arm {arm}: {one_line(f'{type(error).__name__}: {error}')} ({where.filename}, line {where.lineno}); mend "
            "that component, or take the arm out"
        ) from error


def check_bound(config: StudyConfig, unbound: SearchSpace, space: SearchSpace) -> None:
    """Refuse a study file that says otherwise than the dataset (image size, classes).

    Raises:
        ConfigError: naming the key.
    """
    for key in split_spec(config.space, "space")[1]:
        if getattr(unbound, key) != getattr(space, key):
            raise ConfigError(
                f"space.{key} is {getattr(unbound, key)}, but the dataset makes it {getattr(space, key)}: leave it out"
            )


def evaluation_of(config: EvaluationConfig, dataset: Dataset, space: SearchSpace, network: Supernet) -> Evaluation:
    """How the estimates of a study are measured.

    Raises:
        ConfigError: for statistics of normalisations that the space's networks do not have.
    """
    if config.batch_norm != BATCH and not normalisations(network):
        raise ConfigError(
            f"evaluation.batch_norm: networks of the space {space.name} have no batch normalisation, so "
            f"{config.batch_norm} would be the same as {BATCH}; leave it out"
        )
    calibration = min(config.calibration or 0, dataset.sizes["train"])
    return Evaluation(config.images, config.batch_size, config.batch_norm, calibration)


def opened(study: StudyConfig | Mapping[str, Any] | str | Path, plugins: Sequence[str | Path]) -> StudyConfig:
    """A study file, its content or a checked study as the last, with its plugins loaded."""
    for plugin in plugins:
        load_plugin(plugin)
    if isinstance(study, Mapping):
        return configs.parse(dict(study))
    return study if isinstance(study, StudyConfig) else configs.load(study)
