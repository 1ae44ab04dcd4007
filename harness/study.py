"""A study: every arm at every seed, on one engine, with its records written as runs end.

The runs are generators that ask for stages; the driver keeps the engine busy with what all of them ask for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from splitbench.harness import config as configs
from splitbench.harness.arm import Arm, build_arm
from splitbench.harness.budget import Budget
from splitbench.harness.config import StudyConfig
from splitbench.harness.device import choose, one_thread
from splitbench.harness.driver import Driver, Task, Watcher
from splitbench.harness.earlier import fingerprint, set_aside
from splitbench.harness.engine import Engine, InProcess, WorkerPool
from splitbench.harness.errors import ConfigError, SplitbenchError, StoreError
from splitbench.harness.estimate import Evaluation
from splitbench.harness.feasible import check_budget
from splitbench.harness.pipeline import Outcome, Run
from splitbench.harness.record import make_measured, make_record, protocol
from splitbench.harness.registry import build, components, get, load_plugin, nested, resolved, split_spec
from splitbench.harness.requests import Settings
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages import StageStore
from splitbench.results import store
from splitbench.results.frame import Results, load
from splitbench.results.listing import SWEEP
from splitbench.results.record import Measured, Record
from splitbench.spaces.base import SearchSpace, refuse_running_statistics
from splitbench.spaces.datasets.base import Dataset
from splitbench.spaces.truth import closed, open_truth

STUDY_FILE = "study.yaml"


@dataclass
class Study:
    """A checked study: parts built, nothing trained yet.

    Attributes:
        config, settings: what was asked for, and what all runs share.
        arms: those that run.
        skipped: the other arms' names, and why their criteria cannot serve the space.
    """

    config: StudyConfig
    settings: Settings
    arms: list[Arm]
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, config: StudyConfig, device: str = "auto") -> Study:
        """Build and check every part.

        Raises:
            ConfigError: wrong parts or a budget that cannot work; DataError: missing or damaged data.
        """
        dataset: Dataset = build("datasets", config.dataset, "dataset")
        unbound: SearchSpace = build("spaces", config.space, "space")
        space = unbound.bind(dataset.shape, dataset.classes)
        truth = open_truth(space, dataset.name)  # fail now, not after the training
        refuse_running_statistics(space, space.supernet(0))
        chosen = choose(device)
        common: dict[str, Any] = {
            "space": bound_spec(config, unbound, space),
            "dataset": resolved("datasets", config.dataset, "dataset"),
            "images": dataset.identity(),
            "device": chosen,
            "precision": config.precision,
        }
        evaluation = Evaluation(config.evaluation.images, config.evaluation.batch_size)
        ((kind, limit),) = config.budget.given.items()
        images = evaluation.count(dataset.sizes["validation"])
        settings = Settings(
            space, common, Budget(kind, limit), evaluation, images, config.population.sample, truth.identity
        )
        with closed():
            arms = [build_arm(config, arm, i, space) for i, arm in enumerate(config.arms)]
        skipped = {arm.label: arm.unfit for arm in arms if arm.unfit is not None}
        study = cls(config, settings, [arm for arm in arms if arm.unfit is None], skipped)
        for label, reason in skipped.items():
            if label == config.baseline or not study.arms:
                raise ConfigError(f"arm {label} cannot run on the space {space.name}: {reason}; take it out")
        with closed():
            for arm in study.arms:
                check_budget(settings, arm, study.seeds(0))
        return study

    @property
    def has_validation(self) -> bool:
        """Whether the ground truth tells validation accuracies."""
        return open_truth(self.settings.space, str(self.settings.common["dataset"]["name"])).has_validation

    def runs(self) -> list[tuple[Arm, int, int]]:
        """(arm, repetition, draw) in the order in which they start: all arms of a seed before the next seed."""
        return [
            (arm, repetition, draw)
            for repetition in range(self.config.seeds)
            for arm in self.arms
            for draw in range(arm.draws)
        ]

    def seeds(self, repetition: int) -> Seeds:
        config = self.config
        return Seeds(config.seed, self.settings.space.name, str(self.settings.common["dataset"]["name"]), repetition)

    def run(
        self,
        folder: Path,
        workers: int = 1,
        plugins: Sequence[Path] = (),
        watcher: Watcher | None = None,
    ) -> None:
        """Run what is missing and write the records into ``folder``.

        Raises:
            SplitbenchError: bad input; what had ended before is kept.
        """
        self.check_workers(workers, plugins)
        watcher = watcher or Watcher()
        store.prepare(folder)
        for sentence in self.take_folder(folder):
            watcher.note(sentence)
        store.write_skipped(folder, self.skipped)
        for label, reason in self.skipped.items():
            watcher.note(f"arm {label} is skipped: {reason}")
        tasks = [
            Task(
                Run(self.settings, arm, self.seeds(repetition), draw).stages(),
                partial(self.finish, folder, watcher, arm, repetition, draw),
            )
            for arm, repetition, draw in self.runs()
        ]
        watcher.begin(len(tasks))
        self.drive(tasks, folder, workers, plugins, watcher)

    def drive(
        self,
        tasks: Iterable[Task | None],
        folder: Path,
        workers: int,
        plugins: Sequence[Path],
        watcher: Watcher,
        parallel: int | None = None,
    ) -> None:
        """Have an engine run the stages that tasks ask for, in this process or in several; ``parallel`` tasks at a
        time, or as many as suit a study."""
        alone = workers == 1
        with one_thread():
            engine: Engine
            if alone:
                engine = InProcess(StageStore(folder), lambda stage, share: watcher.running([(stage, share)]))
            else:
                engine = WorkerPool(folder, workers, plugins=plugins)
            try:
                parallel = 1 if alone else parallel or self.parallel(workers)
                Driver(folder, engine, watcher).drive(tasks, parallel)
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
        estimates = (StageStore(folder).folder(outcome.measured.key) / "estimates.parquet").read_bytes()
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
            (shared, arm.label, fingerprint(arm.config()), repetition, draw) for arm, repetition, draw in self.runs()
        }
        sentences = set_aside(folder, wanted)
        store.write_atomically(path, text.encode())
        return sentences

    def check_folder(self, folder: Path) -> Path:
        """Refuse a folder of another study; gives the path of the study that is kept in it.

        Raises:
            StoreError: if the folder is another study's, or a sweep's.
        """
        if (folder / SWEEP).exists():
            raise StoreError(f"{folder} holds a sweep, whose trials would be set aside; choose another --out")
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
            specs = [*arm.specs.items(), *([("criteria", arm.consulted.spec)] if arm.consulted else [])]
            for kind, spec in itertools.chain.from_iterable(all_specs(*one) for one in specs):
                found = components(kind)[str(spec["name"])]
                if found.loaded is not None:
                    raise ConfigError(
                        f"{kind} component {found.name!r} was registered in this process only; run with one worker, "
                        "or put it into a file and name that with --plugin"
                    )


def all_specs(kind: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A resolved spec and those inside it, with their kinds."""
    yield kind, spec
    for key, inner in nested(get(kind, str(spec["name"])).load()).items():
        yield from all_specs(inner, spec[key])


def bound_spec(config: StudyConfig, unbound: SearchSpace, space: SearchSpace) -> dict[str, Any]:
    """The space's spec with what the dataset decides (image size, classes) put in.

    Raises:
        ConfigError: if the study file says otherwise.
    """
    spec = resolved("spaces", config.space, "space")
    for key in split_spec(config.space, "space")[1]:
        if getattr(unbound, key) != getattr(space, key):
            raise ConfigError(
                f"space.{key} is {getattr(unbound, key)}, but the dataset makes it {getattr(space, key)}: leave it out"
            )
    return spec | {key: getattr(space, key) for key in spec if hasattr(space, key) and key != "name"}


def run(
    study: StudyConfig | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    plugins: Sequence[str | Path] = (),
    watcher: Watcher | None = None,
) -> Results:
    """Run a study from Python and give its results: ``splitbench.run``, where arguments and errors are described."""
    config = opened(study, plugins)
    folder = Path("runs") / config.name if out is None else Path(out)
    Study.build(config, device).run(folder, workers, [Path(p) for p in plugins], watcher)
    return load(folder)


def opened(study: StudyConfig | Mapping[str, Any] | str | Path, plugins: Sequence[str | Path]) -> StudyConfig:
    """A study file, its content or a checked study as the last, with its plugins loaded."""
    for plugin in plugins:
        load_plugin(plugin)
    if isinstance(study, Mapping):
        return configs.parse(dict(study))
    return study if isinstance(study, StudyConfig) else configs.load(study)
