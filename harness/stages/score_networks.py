"""The stage of zero-cost scores: proxies on a few stand-alone networks of a space, freshly initialised.

Initial weights and a proxy's own random numbers are drawn from a hash of the seed and the architecture, so a score
depends neither on the networks beside it nor on their order; all networks see the same training batches.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from splitbench.criteria.proxies.base import Network, Proxy, terms
from splitbench.harness.budget import Cost
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.hashing import NOT_HASHED
from splitbench.harness.part import Part
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext, write_note
from splitbench.harness.stores.base import PROGRESS
from splitbench.spaces.base import Architecture, SearchSpace
from splitbench.spaces.datasets.base import ImageData

COLUMNS = ("architecture", "terms", "milliseconds", "forward", "backward")
NOTE_SECONDS = 1.0


@dataclass(frozen=True)
class NetworkScore:
    """The score of one network by one proxy.

    Attributes:
        architecture: as the space encodes it.
        terms: what the proxy returned, a number or several; NaN where it has no answer.
        milliseconds: time of the score, with building the network (and the proxy's own copy of it).
        forward, backward: passes that were charged, in images of the network's own size.
    """

    architecture: str
    terms: tuple[float, ...]
    milliseconds: float
    forward: float
    backward: float

    def row(self) -> list[Any]:
        """Plain JSON, with ``"nan"``, ``"inf"`` and ``"-inf"`` as words, since JSON has no such numbers."""
        terms = [term if math.isfinite(term) else str(term) for term in map(float, self.terms)]
        return [self.architecture, terms, self.milliseconds, _short(self.forward), _short(self.backward)]

    @classmethod
    def of_row(cls, row: Any) -> NetworkScore:
        """The inverse of :meth:`row`.

        Raises:
            ValueError: if the row does not hold a score.
        """
        if not (isinstance(row, list) and len(row) == len(COLUMNS) and isinstance(row[1], list) and row[1]):
            raise ValueError("not a score")
        return cls(str(row[0]), tuple(map(float, row[1])), float(row[2]), float(row[3]), float(row[4]))

    def line(self) -> str:
        """:meth:`row` as one line of text."""
        return json.dumps(self.row(), separators=(",", ":"))

    def flops(self, space: SearchSpace) -> float:
        """FLOPs of the passes that were charged."""
        architecture = space.decode(self.architecture)
        return space.sizes(architecture)["flops"] * self.forward + space.flops(architecture).backward * self.backward


@dataclass(frozen=True, kw_only=True)
class ScoreNetworks(Stage[tuple[tuple[NetworkScore, ...], ...]]):
    """Scores some networks by some proxies, without reading the ground truth.

    The output is a tuple of scores [architectures] for each proxy. All of a score but its milliseconds is a function of
    the inputs. One stage has several proxies, since building a network often costs more than scoring it.

    Attributes:
        proxies: which.
        labels: what messages call them.
        architectures: as the space encodes them.
        seed: of weights, batches, and a proxy's own random numbers.
        batch_size: of the training batches that proxies see.
        hardware: kind of the scene's device, ``cpu`` or ``cuda``; hashed, so that scores of the two are kept apart.
    """

    kind: ClassVar[str] = "score_networks"
    version: ClassVar[int] = 1
    gives: ClassVar[Any] = tuple[tuple[NetworkScore, ...], ...]
    reads_images: ClassVar[bool] = False  # not before a proxy asks for them: some never do

    proxies: tuple[Part, ...]
    labels: tuple[str, ...] = field(metadata=NOT_HASHED)
    architectures: tuple[str, ...]
    seed: int
    batch_size: int
    hardware: str

    def work(self, context: StageContext, folder: Path) -> tuple[tuple[tuple[NetworkScore, ...], ...], Cost]:
        scorer = self.scorer(context)
        proxies = {label: part.build() for label, part in zip(self.labels, self.proxies, strict=True)}
        scores: dict[str, list[NetworkScore]] = {label: [] for label in proxies}
        flops, images = 0.0, 0.0
        noted = time.monotonic()
        for done, name in enumerate(self.architectures, start=1):
            for label, scored in scorer.score(context.space.decode(name), proxies).items():
                scores[label].append(scored)
                flops, images = flops + scored.flops(context.space), images + scored.forward
            if time.monotonic() - noted > NOTE_SECONDS:
                noted = time.monotonic()
                write_note(folder / PROGRESS, done / len(self.architectures))
        cost = Cost(round(flops), math.ceil(images / self.batch_size), math.ceil(images))
        return tuple(map(tuple, scores.values())), cost

    def scorer(self, context: StageContext) -> Scorer:
        """A :class:`Scorer` for the networks of this stage."""
        seeds = Seeds(self.seed, context.space.name, context.dataset.name, 0)
        return Scorer(context.space, lambda: context.data, seeds, self.batch_size, context.device)

    @classmethod
    def encode(cls, output: tuple[tuple[NetworkScore, ...], ...]) -> Any:
        return [[scored.row() for scored in scores] for scores in output]

    @classmethod
    def decode(cls, data: Any) -> tuple[tuple[NetworkScore, ...], ...]:
        return tuple(tuple(map(NetworkScore.of_row, rows)) for rows in data)


class Scorer:
    """Scores networks in this process, on one device.

    Args:
        space: bound to the dataset's images.
        data: gives the images; called when a proxy first asks for them.
        seeds: of weights, batches, and a proxy's own random numbers.
        batch_size: of the training batches that proxies see.
        device: where networks and images are.
    """

    def __init__(
        self, space: SearchSpace, data: Callable[[], ImageData], seeds: Seeds, batch_size: int, device: torch.device
    ) -> None:
        self.space, self.data, self.seeds, self.batch_size, self.device = space, data, seeds, batch_size, device
        self._batches: dict[int, tuple[Tensor, Tensor]] = {}
        self._reading = 0.0  # seconds spent on loading batches: charged to no proxy

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        """The same training images [N, C, H, W] and labels [N] for every network."""
        if repetition not in self._batches:
            if len(self._batches) >= 64:
                self._batches.clear()
            start, seed = self._clock(), self.seeds.of("proxy batches")
            self._batches[repetition] = self.data().batch("train", seed, repetition, self.batch_size)
            self._reading += self._clock() - start
        return self._batches[repetition]

    def score(self, architecture: Architecture, proxies: Mapping[str, Proxy]) -> dict[str, NetworkScore]:
        """The scores of one network by each proxy; each gets a copy of its own, with the same initial weights.

        Raises:
            SplitbenchError: naming the proxy and the architecture, if a proxy fails.
        """
        name = self.space.encode(architecture)
        start = self._clock()
        fresh = self.space.stand_alone(architecture, self.seeds.of(f"initial weights of {name}")).to(self.device)
        making = self._clock() - start
        return {key: self._score(fresh, architecture, name, key, proxy, making) for key, proxy in proxies.items()}

    def _score(
        self, fresh: Any, architecture: Architecture, name: str, key: str, proxy: Proxy, making: float
    ) -> NetworkScore:
        """``making`` is the time of building the network, in seconds: each proxy is charged all of it, as if alone."""
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
        return NetworkScore(
            name, tuple(values.tolist()), round(1000 * seconds, 2), *(round(count, 4) for count in spent)
        )

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _short(count: float) -> float | int:
    return int(count) if count == int(count) else count
