"""Scores stand-alone networks of a space by zero-cost proxies: an engine computes missing scores in small stages.

The store keeps the stages that a killed run had finished. The files in ``scores`` are for readers, and a run with other
proxies or networks reuses the scores in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from splitbench.criteria.proxies.base import unfit_proxy
from splitbench.harness.engines.base import Site
from splitbench.harness.engines.driver import Task, Watcher
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.proxy_ranking.scores import ScoreFile
from splitbench.harness.registry import Spec, build, split_spec
from splitbench.harness.running.driving import drive, engine_for
from splitbench.harness.stages.base import Result, Scene, Stage
from splitbench.harness.stages.score_networks import NetworkScore, ScoreNetworks
from splitbench.harness.stores.folder import StageStore
from splitbench.spaces.base import Architecture, SearchSpace
from splitbench.spaces.datasets.base import Dataset

NETWORKS_PER_STAGE = 8
"""What a kill may lose a worker, against a file each: NAS-Bench-201 has 15,625 networks."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RankingJob:
    """Which networks are scored, and on what.

    Attributes:
        space, dataset: specs; the dataset decides image size and classes of the networks, and the augmentation.
        seed: of weights, batches, and a proxy's own random numbers.
        batch_size: of the training batches that proxies see.
        device: ``cpu`` or ``cuda``.
    """

    space: Spec
    dataset: Spec
    seed: int = 0
    batch_size: int = 64
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ConfigError(f"--batch-size {self.batch_size}: at least 2 images are needed to normalise over a batch")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed}: a seed is 0 or more")

    @cached_property
    def built(self) -> tuple[SearchSpace, Dataset]:
        """The space for the dataset's images, and the dataset (not loaded).

        Raises:
            ConfigError: if they are wrong, or do not go together.
        """
        dataset: Dataset = build("datasets", self.dataset, "dataset")
        space: SearchSpace = build("spaces", self.space, "space")
        return space.bind(dataset.shape, dataset.classes), dataset

    @property
    def bound(self) -> SearchSpace:
        return self.built[0]

    @cached_property
    def scene(self) -> Scene:
        """What the job's stages share."""
        space, dataset = self.built
        return Scene(
            space=Part.of("spaces", self.space, "space", bound=space),
            dataset=Part.of("datasets", self.dataset, "dataset"),
            images=dataset.identity(),
            device=self.device,
        )

    def stage(self, architectures: Sequence[str], proxies: Mapping[str, Part]) -> ScoreNetworks:
        """The stage that scores these networks (encoded) by these proxies (labels)."""
        return ScoreNetworks(
            scene=self.scene,
            title=f"scores of {len(architectures)} networks",
            proxies=tuple(proxies.values()),
            labels=tuple(proxies),
            architectures=tuple(architectures),
            seed=self.seed,
            batch_size=self.batch_size,
            hardware=self.device,
        )

    def protocol(self, proxy: Spec) -> dict[str, Any]:
        """Everything that a score depends on beside the architecture."""
        return {
            "space": self.scene.space.described(),
            "dataset": self.scene.dataset.described(),
            "images": self.scene.images,
            "proxy": Part.of("proxies", proxy, "proxy").described(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "device": self.device,
        }


def proxy_label(spec: Spec) -> str:
    """A proxy's label in tables: its name, with the parameters that were given."""
    name, given = split_spec(spec, "proxy")
    words = ", ".join(f"{key}={value}" for key, value in given.items())
    return f"{name}({words})" if words else name


def score_path(folder: Path, spec: Spec) -> Path:
    """The path of a proxy's scores in an output folder."""
    return folder / "scores" / (re.sub(r"[^\w.=-]+", "-", proxy_label(spec)).strip("-") + ".jsonl")


def score_files(job: RankingJob, proxies: Sequence[Spec], folder: Path) -> dict[str, ScoreFile]:
    """The file of each proxy's scores, by label, after checking that the job can be done.

    Raises:
        ConfigError: a wrong proxy, one that cannot serve the space, or one that is named twice.
    """
    files: dict[str, ScoreFile] = {}
    for spec in proxies:
        key = proxy_label(spec)
        if key in files:
            raise ConfigError(f"proxy {key} is named twice: it is scored once")
        files[key] = ScoreFile(score_path(folder, spec), job.protocol(spec))
        if (reason := unfit_proxy(build("proxies", spec, "proxy"), job.bound)) is not None:
            raise ConfigError(f"proxy {key} cannot serve the space {job.bound.name}: {reason}; leave it out")
    return files


def score(
    job: RankingJob,
    architectures: Sequence[Architecture],
    proxies: Sequence[Spec],
    folder: Path,
    workers: int = 1,
    plugins: Sequence[Path] = (),
    progress: Progress = lambda done, total: None,
    engine: Spec | None = None,
) -> dict[str, dict[str, NetworkScore]]:
    """Score what is missing in ``folder``, and read all of it.

    Args:
        job: networks and images.
        architectures: which networks.
        proxies: specs.
        folder: holds, or will hold, stages and a table of scores a proxy.
        workers: processes, one torch thread each; no score depends on it, the milliseconds do.
        plugins: files that workers import first.
        progress: called with the number of scored networks and of all networks.
        engine: runs the stages; this process for one worker and a pool for several if None.

    Returns:
        Proxy's label -> architecture (encoded) -> score, for these architectures in their order.

    Raises:
        SplitbenchError: a proxy that fails or cannot serve the space, or a table of another protocol.
    """
    files, space = score_files(job, proxies, folder), job.bound
    tally = Tally({key: file.read() for key, file in files.items()}, [space.encode(a) for a in architectures], progress)
    stages = list(tally.missing(job, {proxy_label(spec): spec for spec in proxies}))
    try:
        score_by_stages(stages, folder, workers, plugins, tally, engine)
    finally:  # another choice of proxies or networks makes other stages, and goes on from the tables
        for key in dict.fromkeys(key for stage in stages for key in stage.labels):
            files[key].write(tally.in_order(key))
    return {key: {name: tally.known[key][name] for name in tally.wanted} for key in files}


class Tally(Watcher):
    """The scores that are known so far, and the number of networks that have all of theirs.

    Args:
        known: proxy's label -> architecture -> score, to begin with.
        wanted: architectures; one that is repeated counts once.
        progress: called with the number of scored networks and of all networks.
    """

    def __init__(self, known: dict[str, dict[str, NetworkScore]], wanted: Sequence[str], progress: Progress) -> None:
        self.known, self.wanted, self.progress = known, list(dict.fromkeys(wanted)), progress
        self.scored = sum(all(name in scores for scores in known.values()) for name in self.wanted)
        self.shown = self.scored
        progress(self.scored, len(self.wanted))

    def missing(self, job: RankingJob, specs: Mapping[str, Spec]) -> Iterator[ScoreNetworks]:
        """Stages for the scores that are not known: networks that lack the same proxies, a few at a time."""
        lacking: dict[tuple[str, ...], list[str]] = {}
        for name in self.wanted:
            if keys := tuple(key for key in specs if name not in self.known[key]):
                lacking.setdefault(keys, []).append(name)
        for keys, names in lacking.items():
            parts = {key: Part.of("proxies", specs[key], "proxy") for key in keys}
            for start in range(0, len(names), NETWORKS_PER_STAGE):
                yield job.stage(names[start : start + NETWORKS_PER_STAGE], parts)

    def stage(self, stage: Stage[Any], result: Result[Any]) -> None:
        assert isinstance(stage, ScoreNetworks)
        for key, scores in zip(stage.labels, result.output, strict=True):
            self.known[key].update((scored.architecture, scored) for scored in scores)
        self.scored += len(stage.architectures)
        self.show(self.scored)

    def running(self, stages: Sequence[tuple[Stage[Any], float | None]]) -> None:
        under_way = [(len(stage.architectures), share) for stage, share in stages if isinstance(stage, ScoreNetworks)]
        self.show(self.scored + int(sum(count * (share or 0) for count, share in under_way)))

    def show(self, done: int) -> None:
        """Report progress, if more networks are done than at the last call."""
        if done > self.shown:
            self.shown = done
            self.progress(min(done, len(self.wanted)), len(self.wanted))

    def in_order(self, key: str) -> dict[str, NetworkScore]:
        """All scores of a proxy: those of this call in the order of its networks, whichever worker was first."""
        known = self.known[key]
        now = {name: known[name] for name in self.wanted if name in known}
        return {name: scored for name, scored in known.items() if name not in now} | now


def score_by_stages(
    stages: Sequence[ScoreNetworks],
    folder: Path,
    workers: int,
    plugins: Sequence[Path],
    tally: Tally,
    engine: Spec | None,
) -> None:
    """Compute missing scores on an engine: one task for each stage, since no stage needs another's result."""
    if not stages:
        return
    workers = min(workers, len(stages))
    site = Site(StageStore(folder), workers, plugins, lambda stage, share: tally.running([(stage, share)]))
    tasks = (Task(_asking(stage), lambda result: None) for stage in stages)
    drive(tasks, site, engine_for(engine, workers), tally, 2 * workers, lambda: None)


def _asking(stage: ScoreNetworks) -> Generator[list[Stage[Any]], list[Result[Any]], None]:
    yield [stage]
