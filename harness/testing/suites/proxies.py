"""What every zero-cost proxy must hold."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from splitbench.criteria.base import unfit
from splitbench.criteria.proxies.base import Network, Proxy, Scores, combined
from splitbench.harness.budget import Cost, Meter
from splitbench.harness.testing.checks import ComponentCheck, SkippedCheck, enforce
from splitbench.harness.testing.material import images_of, random_architectures, random_mixture, require
from splitbench.harness.testing.small_spaces.chain import Chain
from splitbench.harness.testing.suites.criteria import check_unfit
from splitbench.harness.testing.watching import (
    LayerFlops,
    NotingProbe,
    Snapshot,
    hooks,
    images_changed,
    noted,
    random_state,
    scrambled,
    strange_parts,
    unpaid,
)
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Architecture, Choice, SearchSpace
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.truth import closed

TRAINER = Rsps(batch_size=16)


@dataclass(frozen=True)
class ScoredTwice:
    """A network scored twice in a row by one probe, and what happened.

    Attributes:
        where: for messages.
        values: what the proxy itself returned, each time.
        terms: the same as arrays [k].
        error: what it raised.
        cost: the charge of both.
        flops: what torch counted in layers for both, if it was to.
        left: what it left behind.
    """

    where: str
    values: list[object]
    terms: list[Scores]
    error: Exception | None
    cost: Cost
    flops: int
    left: list[str]


def choices(space: SearchSpace) -> dict[str, Choice]:
    """Three connected paths, one that is cut (if the space has such), one with least on it, and the whole mixture."""
    rng, drawn = np.random.default_rng(3), random_architectures(space, 200)
    paths: list[Architecture] = [space.sample(rng) for _ in range(3)]
    paths.append(min((a for a in drawn if space.connected(a)), key=space.macs))
    paths += [a for a in drawn if not space.connected(a)][:1]
    cut = {path: "" if space.connected(path) else " (cut)" for path in paths}
    return {f"path {path}{cut[path]}": path for path in paths} | {"mixture": random_mixture(space, space.root())}


def score_through_probe(
    proxy: Proxy, space: SearchSpace, data: ImageData, name: str, choice: Choice, number: int = 0,
    counting: bool = False, device: str = "cpu",
) -> ScoredTwice:  # fmt: skip
    """Score a choice through the harness's own probe; each ``number`` has its own global random numbers."""
    images, asked = noted(data, device)
    supernet, meter = space.supernet(0).to(device), Meter()
    state = TRAINER.open(Job(space, space.root(), supernet, images, 0, Meter())).tensors()
    probe = NotingProbe(space, space.root(), supernet, images, TRAINER, state, 3, 0, meter)
    before, hooked = Snapshot.of(supernet), hooks(supernet)
    values: list[object] = []

    def noting(network: Network) -> float | tuple[float, ...]:
        value = proxy(network)
        values.append(value)
        return value

    if hasattr(proxy, "needs"):
        noting.needs = proxy.needs  # type: ignore[attr-defined]
    terms, error, counter = [], None, LayerFlops()
    with scrambled(number) as start:
        with closed(), counter if counting else contextlib.nullcontext():
            try:
                terms = [probe.score(noting, choice, 0) for _ in range(2)]
            except Exception as raised:
                error = raised
        moved = random_state() != start
    left = [f"it changes the supernet's {name}" for name in before.differences(supernet)[:1]]
    if any(hooks(module) != hooked for module in (supernet, *probe.copies)):
        left.append("it leaves a hook on the network; remove each that it registers")
    if images_changed(images, data):
        left.append("it writes to the images or labels of the network's batches")
    if moved:
        left.append("it draws or seeds global random numbers; take them from network.generator() alone")
    if strange := strange_parts(asked):
        left.append(f"it asks for the images {strange}")
    where = f"{proxy} on {space.name}, {name}"
    return ScoredTwice(where, values, terms, error, meter.cost, counter.total, left)


class ProxyTrials:
    """A proxy's scores on one space, each measured once, when the first check needs it."""

    def __init__(self, proxy: Proxy, space: SearchSpace, data: ImageData) -> None:
        self.proxy, self.space, self.data = proxy, space, data

    @functools.cached_property
    def all(self) -> list[ScoredTwice]:
        if (reason := unfit(self.proxy, self.space)) is not None:
            raise SkippedCheck(f"it says that it cannot serve {self.space.name}: {reason}")
        return [score_through_probe(self.proxy, self.space, self.data, *each) for each in choices(self.space).items()]

    @property
    def finished(self) -> list[ScoredTwice]:
        """Raises Skipped if a call raised; the check that it runs says what."""
        if any(call.error for call in self.all):
            raise SkippedCheck("a call ended with an error")
        return self.all

    def runs(self) -> None:
        for call in self.all:
            if call.error is not None:
                raise AssertionError(f"{call.where}: {type(call.error).__name__}: {call.error}") from call.error

    def traces(self) -> None:
        for call in self.all:
            for sentence in call.left:
                raise AssertionError(f"{call.where}: {sentence}")

    def numbers(self) -> None:
        for call in self.finished:
            for value, terms in zip(call.values, call.terms, strict=True):
                parts = value if isinstance(value, tuple) else (value,)
                require(
                    bool(parts) and all(isinstance(part, int | float) for part in parts),
                    f"{call.where}: gives {value!r}, neither a float nor a tuple of floats",
                )
                require(bool(np.isfinite(terms).all()), f"{call.where}: gives {value!r}, which is not finite")
        sizes = {len(terms) for call in self.finished for terms in call.terms}
        require(len(sizes) == 1, f"{self.proxy}: gives {sorted(sizes)} terms, not the same number for every network")

    def pool(self) -> None:
        terms = np.stack([call.terms[0] for call in self.finished])
        for pool in (terms, terms[:1]):
            scores = combined(self.proxy, pool)
            require(
                np.shape(scores) == (len(pool),) and bool(np.isfinite(scores).all()),
                f"{self.proxy}: combine() of {len(pool)} networks gives {scores!r}, not one finite score each",
            )

    def determinism(self) -> None:
        for call, (name, choice) in zip(self.finished, choices(self.space).items(), strict=True):
            again = score_through_probe(self.proxy, self.space, self.data, name, choice, 1)
            for other in (call.terms[1], *again.terms):
                require(
                    np.array_equal(call.terms[0], other),
                    f"{call.where}: two calls give {call.terms[0].tolist()} and {other.tolist()}; take random numbers "
                    "from network.generator() alone, and put back what you change",
                )
            require(call.cost == again.cost, f"{call.where}: the same calls are charged {call.cost} and {again.cost}")

    def cost(self) -> None:
        for _, (name, choice) in zip(self.finished, choices(self.space).items(), strict=True):
            call = score_through_probe(self.proxy, self.space, self.data, name, choice, counting=True)
            sentence = unpaid(call.cost.flops, call.flops)
            require(
                sentence is None,
                f"{call.where}: {sentence}; run the network by calling it, and give gradient() its passes",
            )

    def cuda(self) -> None:
        if not torch.cuda.is_available():
            raise SkippedCheck("torch sees no CUDA device here")
        for _, (name, choice) in zip(self.finished, choices(self.space).items(), strict=True):
            call = score_through_probe(self.proxy, self.space, self.data, name, choice, device="cuda")
            if call.error is not None:
                raise AssertionError(f"{call.where}: {type(call.error).__name__}: {call.error}") from call.error
            require(
                bool(np.isfinite(call.terms).all()), f"{call.where}: gives {call.terms} on CUDA, which is not finite"
            )


def proxy_checks(proxy: Proxy, space: SearchSpace, data: ImageData) -> Iterator[ComponentCheck]:
    """The suite of a proxy, on ``space`` and on a synthetic one: paths, cut ones as well, and mixtures."""
    yield ComponentCheck("unfit() gives a reason or None", lambda: check_unfit(proxy, space, Chain()))
    cases = itertools.chain([(space, data)], [] if isinstance(space, Chain) else [(Chain(), images_of((1, 8, 8), 10))])
    for case in cases:
        laboratory, name = ProxyTrials(proxy, *case), case[0].name
        yield ComponentCheck(
            f"{name}: leaves weights, hooks, images and random numbers as they were", laboratory.traces
        )
        yield ComponentCheck(f"{name}: runs on paths, cut paths and mixtures", laboratory.runs)
        yield ComponentCheck(f"{name}: finite numbers", laboratory.numbers)
        yield ComponentCheck(f"{name}: a pool of networks has one score each", laboratory.pool)
        yield ComponentCheck(f"{name}: the same seed gives the same", laboratory.determinism)
        yield ComponentCheck(f"{name}: every pass is paid for", laboratory.cost)
        yield ComponentCheck(f"{name}: CUDA", laboratory.cuda)


def check_proxy(proxy: Proxy, space: SearchSpace, data: ImageData) -> None:
    """All of :func:`proxy_checks`.

    Raises:
        AssertionError: with the sentence of the first check that fails.
    """
    enforce(proxy_checks(proxy, space, data))
