"""Scores stand-alone networks of a space, freshly initialised, by zero-cost proxies on training images.

Scoring sees no accuracy of the ground truth (it runs inside ``spaces.truth.closed``). Initial weights and a proxy's own
random numbers are drawn from a hash of the seed and the architecture, so a score depends neither on the sample nor on
the order; all networks see the same batches.
"""

from __future__ import annotations

import copy
import functools
import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splitbench.criteria.proxies.base import Network, Proxy, terms, unfit_proxy
from splitbench.harness.device import one_thread
from splitbench.harness.engines.pool import start_worker
from splitbench.harness.errors import ConfigError, DataError, SplitbenchError
from splitbench.harness.hashing import canonical_json
from splitbench.harness.part import Part
from splitbench.harness.proxy_ranking.scores import Scored, ScoreFile
from splitbench.harness.registry import Spec, build, split_spec
from splitbench.harness.seeds import Seeds
from splitbench.spaces.base import Architecture, SearchSpace
from splitbench.spaces.datasets.base import Dataset, ImageData
from splitbench.spaces.truth import closed

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
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

    @property
    def seeds(self) -> Seeds:
        space, dataset = self.built
        return Seeds(self.seed, space.name, dataset.name, 0)

    def protocol(self, proxy: Spec) -> dict[str, Any]:
        """Everything that a score depends on beside the architecture."""
        space, dataset = self.built
        return {
            "space": Part.of("spaces", self.space, "space", bound=space).described(),
            "dataset": Part.of("datasets", self.dataset, "dataset").described(),
            "images": dataset.identity(),
            "proxy": Part.of("proxies", proxy, "proxy").described(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "device": self.device,
        }

    def as_json(self) -> str:
        return canonical_json({key: getattr(self, key) for key in ("space", "dataset", "seed", "batch_size", "device")})


def label(spec: Spec) -> str:
    """What tables call a proxy: its name, with the parameters that were given."""
    name, given = split_spec(spec, "proxy")
    words = ", ".join(f"{key}={value}" for key, value in given.items())
    return f"{name}({words})" if words else name


def score_path(folder: Path, spec: Spec) -> Path:
    """Where the scores of a proxy lie in an output folder."""
    return folder / (re.sub(r"[^\w.=-]+", "-", label(spec)).strip("-") + ".jsonl")


class Scorer:
    """Scores networks in this process, on one device. Images are loaded when a proxy first asks for them."""

    def __init__(self, job: Job) -> None:
        self.job, self.space, self.seeds = job, job.bound, job.seeds
        self.device = torch.device(job.device)
        self._batches: dict[int, tuple[Tensor, Tensor]] = {}
        self._reading = 0.0  # seconds spent on batches: nobody's time

    @cached_property
    def data(self) -> ImageData:
        dataset = self.job.built[1]
        try:
            return dataset.load(self.device)
        except OSError as error:
            raise DataError(f"dataset {dataset.name}: {error}") from error

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        """The same training images [N, C, H, W] and labels [N] for every network."""
        if repetition not in self._batches:
            if len(self._batches) >= 64:
                self._batches.clear()
            start, seed = self._clock(), self.seeds.of("proxy batches")
            self._batches[repetition] = self.data.batch("train", seed, repetition, self.job.batch_size)
            self._reading += self._clock() - start
        return self._batches[repetition]

    def score(self, architecture: Architecture, proxies: Mapping[str, Proxy]) -> dict[str, Scored]:
        """What each proxy says of one network; each gets a copy of its own, with the same initial weights.

        Raises:
            SplitbenchError: naming the proxy and the architecture, if a proxy fails.
        """
        name = self.space.encode(architecture)
        with closed(), one_thread():
            start = self._clock()
            fresh = self.space.stand_alone(architecture, self.seeds.of(f"initial weights of {name}")).to(self.device)
            making = self._clock() - start
            return {key: self._score(fresh, architecture, name, key, proxy, making) for key, proxy in proxies.items()}

    def _score(
        self, fresh: Any, architecture: Architecture, name: str, key: str, proxy: Proxy, making: float
    ) -> Scored:
        """``making`` is what the network took in seconds: each proxy is billed as if it had asked for it alone."""
        start, reading = self._clock(), self._reading
        spent = [0.0, 0.0]

        def charge(forward: float, backward: float) -> None:
            spent[0] += forward
            spent[1] += backward

        seed = self.seeds.of(f"random numbers of proxies of {name}")
        network = Network(self.space, copy.deepcopy(fresh), architecture, self.batch, charge, seed)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)  # a proxy that draws from torch's own state is still a function of the seed
            try:
                values = terms(proxy, network)
            except SplitbenchError:
                raise
            except Exception as error:
                said = str(error).partition("\n")[0]
                raise SplitbenchError(
                    f"proxy {key} fails on architecture {name}: {type(error).__name__}: {said}; leave it out or mend it"
                ) from error
            seconds = making + self._clock() - start - (self._reading - reading)
        return Scored(name, tuple(values.tolist()), round(1000 * seconds, 2), *(round(count, 4) for count in spent))

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def score_files(job: Job, proxies: Sequence[Spec], folder: Path) -> dict[str, ScoreFile]:
    """The file of each proxy's scores, by label, after checking that the job can be done.

    Raises:
        ConfigError: a wrong proxy, one that cannot serve the space, or one that is named twice.
    """
    files: dict[str, ScoreFile] = {}
    for spec in proxies:
        key = label(spec)
        if key in files:
            raise ConfigError(f"proxy {key} is named twice: it is scored once")
        files[key] = ScoreFile(score_path(folder, spec), job.protocol(spec))
        if (reason := unfit_proxy(build("proxies", spec, "proxy"), job.bound)) is not None:
            raise ConfigError(f"proxy {key} cannot serve the space {job.bound.name}: {reason}; leave it out")
    return files


def score(
    job: Job,
    architectures: Sequence[Architecture],
    proxies: Sequence[Spec],
    folder: Path,
    workers: int = 1,
    plugins: Sequence[Path] = (),
    progress: Progress = lambda done, total: None,
) -> dict[str, dict[str, Scored]]:
    """Score what is missing in ``folder``, and read all of it.

    Args:
        job: networks and images.
        architectures: which networks.
        proxies: specs.
        folder: holds, or will hold, a file a proxy.
        workers: processes, one torch thread each; the files do not depend on it, but for the seconds and the order.
        plugins: files that workers import first.
        progress: told how many of how many networks are done.

    Returns:
        Proxy's label -> architecture (encoded) -> score, for these architectures in their order.

    Raises:
        SplitbenchError: a proxy that fails or cannot serve the space, or a file of another protocol.
    """
    specs, space = {label(spec): spec for spec in proxies}, job.bound
    files = score_files(job, proxies, folder)
    known = {key: file.read() for key, file in files.items()}
    wanted = {space.encode(a): a for a in architectures}
    tasks = [
        (a, missing) for name, a in wanted.items() if (missing := [key for key in specs if name not in known[key]])
    ]
    done = len(wanted) - len(tasks)
    progress(done, len(wanted))
    with ExitStack() as stack:
        writers = {key: stack.enter_context(file.writer()) for key, file in files.items()} if tasks else {}
        for found in _run(job, tasks, specs, workers, plugins):
            for key, scored in found.items():
                writers[key].append(scored)
                known[key][scored.architecture] = scored
            done += 1
            progress(done, len(wanted))
    return {key: {name: known[key][name] for name in wanted} for key in specs}


Task = tuple[Architecture, list[str]]


def _run(
    job: Job, tasks: Sequence[Task], specs: Mapping[str, Spec], workers: int, plugins: Sequence[Path]
) -> Iterator[dict[str, Scored]]:
    """The scores of each task, as they are found."""
    if workers == 1 or len(tasks) < 2:
        scorer, proxies = Scorer(job), {key: build("proxies", spec, "proxy") for key, spec in specs.items()}
        for architecture, keys in tasks:
            yield scorer.score(architecture, {key: proxies[key] for key in keys})
        return
    executor = ProcessPoolExecutor(
        min(workers, len(tasks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_worker,
        initargs=(os.getpid(), 1, list(plugins)),
    )
    try:
        text = json.dumps(dict(specs))
        futures = [executor.submit(_work, job.as_json(), text, *task) for task in tasks]
        yield from map(Future.result, as_completed(futures))
    except BrokenExecutor as error:
        raise SplitbenchError(
            "a worker process ended before its time (out of memory?); the same command goes on where this one stopped, "
            "with fewer --workers"
        ) from error
    finally:
        processes = list((executor._processes or {}).values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _work(job: str, specs: str, architecture: Architecture, keys: list[str]) -> dict[str, Scored]:
    scorer, proxies = _worker(job, specs)
    return scorer.score(architecture, {key: proxies[key] for key in keys})


@functools.lru_cache(maxsize=1)
def _worker(job: str, specs: str) -> tuple[Scorer, dict[str, Proxy]]:
    proxies = {key: build("proxies", spec, "proxy") for key, spec in json.loads(specs).items()}
    return Scorer(Job(**json.loads(job))), proxies
