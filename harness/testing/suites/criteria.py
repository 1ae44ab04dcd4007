"""What every criterion must hold."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from splitbench.criteria.base import Criterion, Parts, given_leaves, parts_of, splits, unfit
from splitbench.harness.registry import build
from splitbench.harness.study.config import ScheduleConfig
from splitbench.harness.testing.affinities import require_affinity, same_affinity
from splitbench.harness.testing.checks import ComponentCheck, SkippedCheck, enforce
from splitbench.harness.testing.material import images_of, require, subspaces
from splitbench.harness.testing.small_spaces.chain import NONE, OPERATIONS, Chain
from splitbench.harness.testing.suites.criterion_trials import TRAINERS, CriterionSetting, CriterionTrial, trial, valid
from splitbench.harness.testing.watching import (
    unpaid,
)
from splitbench.spaces.architectures.subspaces import require_cover
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData


class CriterionTrials:
    """A criterion's trials on one space, each run once, when the first check needs it."""

    def __init__(self, criterion: Criterion, space: SearchSpace, data: ImageData) -> None:
        self.criterion, self.space, self.data = criterion, space, data

    @functools.cached_property
    def pairs(self) -> list[tuple[CriterionSetting, CriterionTrial, CriterionTrial]]:
        """Two calls in each of six settings: paths and mixtures, the whole space and a part, first and last edge."""
        if (reason := unfit(self.criterion, self.space)) is not None:
            raise SkippedCheck(f"it says that it cannot serve {self.space.name}: {reason}")
        (root, narrow), last, (paths, mixtures) = subspaces(self.space)[:2], len(self.space.edges) - 1, TRAINERS
        where = [*itertools.product([root], TRAINERS, [0, last]), (narrow, paths, 0), (narrow, mixtures, last)]
        settings = [CriterionSetting(self.space, self.data, *rest) for rest in where]
        return [(s, trial(self.criterion, s, 0), trial(self.criterion, s, 1)) for s in settings]

    @property
    def trials(self) -> list[CriterionTrial]:
        return [call for _, *both in self.pairs for call in both]

    @property
    def finished(self) -> list[tuple[CriterionSetting, CriterionTrial, CriterionTrial]]:
        """Pairs that gave something.

        Raises:
            Skipped: if a call raised; the check that it runs says what.
        """
        if any(call.error for call in self.trials):
            raise SkippedCheck("a call ended with an error")
        return self.pairs

    def ground_truth(self) -> None:
        for call in self.trials:
            require(
                not call.truth,
                f"{call.where}: it asks for the ground truth; only an oracle control may, which declares "
                "reads_truth = True and is marked in every table",
            )

    def images(self) -> None:
        for call in self.trials:
            require(not call.parts, f"{call.where}: it asks for the images {call.parts}; a probe has training images")

    def runs(self) -> None:
        for call in self.trials:
            if call.error is not None:
                raise AssertionError(f"{call.where}: {type(call.error).__name__}: {call.error}") from call.error

    def traces(self) -> None:
        for call in self.trials:
            for sentence in call.left:
                raise AssertionError(f"{call.where}: {sentence}")

    def affinity(self) -> None:
        for setting, first, _ in self.finished:
            require_affinity(first.affinity, setting.subspace.allowed[setting.edge], first.where)

    def determinism(self) -> None:
        for _, first, second in self.finished:
            assert first.affinity is not None
            assert second.affinity is not None
            require(
                same_affinity(first.affinity, second.affinity),
                f"{first.where}: two calls differ; take random numbers from probe.rng(purpose) alone",
            )
            require(first.cost == second.cost, f"{first.where}: two calls are charged {first.cost} and {second.cost}")

    def other_seed(self) -> None:
        for setting, *_ in self.finished[::5]:
            valid(self.criterion, replace(setting, seed=4))

    def draws(self) -> None:
        if getattr(self.criterion, "draws", False):
            raise SkippedCheck("it declares draws = True")
        for setting, first, _ in self.finished[::2]:
            other = trial(self.criterion, replace(setting, draw=1))
            assert first.affinity is not None
            require(
                other.affinity is not None and same_affinity(first.affinity, other.affinity),
                f"{first.where}: another draw gives another affinity; declare draws = True, without which every draw "
                "of an arm gets the first one's affinity",
            )

    def cost(self) -> None:
        for setting, *_ in self.finished[::5]:
            call = trial(self.criterion, setting, counting=True)
            sentence = unpaid(call.cost.flops, call.flops)
            require(
                sentence is None,
                f"{call.where}: {sentence}; run the supernet through the probe alone, which charges each pass",
            )
            require(
                (call.cost.steps > 0) == (call.cost.flops > 0),
                f"{call.where}: its charge is {call.cost}, without steps",
            )

    def cuda(self) -> None:
        if not torch.cuda.is_available():
            raise SkippedCheck("torch sees no CUDA device here")
        for setting, *_ in self.finished[::5]:
            valid(self.criterion, replace(setting, device="cuda"))


def on_chains(criterion: Criterion, counts: Sequence[int], narrowed: Callable[[Chain], Iterator[tuple[SubSpace, int]]],
              refusal: bool = False) -> None:  # fmt: skip
    """Require valid affinities on subspaces of synthetic spaces with ``counts`` operations."""
    data, reasons = images_of((1, 8, 8), 10), []
    for count in counts:
        space = Chain(count)
        if (reason := unfit(criterion, space)) is not None:
            reasons.append(reason)
            continue
        for (subspace, edge), trainer in itertools.product(narrowed(space), TRAINERS):
            valid(criterion, CriterionSetting(space, data, subspace, trainer, edge), refusal)
    if len(reasons) == len(counts):
        raise SkippedCheck(f"it says that it cannot serve chain: {reasons[0]}")


def whole_space(space: Chain) -> Iterator[tuple[SubSpace, int]]:
    """The whole space, first edge."""
    yield space.root(), 0


def one_operation(space: Chain) -> Iterator[tuple[SubSpace, int]]:
    """The first edge with each of three operations alone: without weights, with weights, and ``none``."""
    for op in range(NONE + 1):
        yield space.root().only(0, [op]), 0


def dead_contexts(space: Chain) -> Iterator[tuple[SubSpace, int]]:
    """The first edge dead whatever runs on it, and a network that is cut whatever runs on it."""
    dead = space.root().only(2, [NONE])
    yield dead, 0
    yield dead.only(1, [NONE]), 0
    yield space.root().only(0, [NONE]).only(1, [NONE]), 2


def check_parts(criterion: Criterion) -> None:
    """The criterion's own parts are there, and its schedule has known keys."""
    parts = parts_of(criterion)
    require(isinstance(parts, Parts), f"{criterion}: parts() gives {type(parts).__name__}, not Parts")
    build("partitioners", parts.partitioner, f"{criterion}.partitioner")
    build("edge_rules", parts.edge_rule, f"{criterion}.edge_rule")
    strange = sorted(set(parts.schedule) - set(ScheduleConfig.model_fields))
    require(
        not strange, f"{criterion}: parts() names {strange} in its schedule; keys: {list(ScheduleConfig.model_fields)}"
    )


def check_unfit(component: object, *spaces: SearchSpace) -> None:
    """``unfit`` gives a reason or None."""
    for space in spaces:
        reason = unfit(component, space)
        require(
            reason is None or (isinstance(reason, str) and bool(reason.strip())),
            f"{component}: unfit({space.name}) gives {reason!r}, neither None nor a reason in words",
        )


def check_leaves(criterion: Criterion, space: SearchSpace) -> None:
    """A criterion that names the leaves itself covers the space, and no leaf is without functions."""
    leaves = given_leaves(criterion, space)
    require_cover(space, leaves)
    for index, leaf in enumerate(leaves):
        own = space.sample_functions(1, np.random.default_rng(0), leaf, leaves[:index])
        require(len(own) > 0, f"{criterion}: its leaf {index} on {space.name} owns no connected function")


def criterion_checks(criterion: Criterion, space: SearchSpace, data: ImageData) -> Iterator[ComponentCheck]:
    """The suite of a criterion, on ``space`` and on a synthetic one.

    Args:
        criterion: with few repetitions: it is called about a hundred times.
        space: small enough for a few hundred passes of its supernet.
        data: images that the space is bound to.
    """
    yield ComponentCheck("its own partitioner, edge rule and schedule exist", lambda: check_parts(criterion))
    if not splits(criterion):
        return
    yield ComponentCheck("unfit() gives a reason or None", lambda: check_unfit(criterion, space, Chain()))
    if unfit(criterion, space) is None and given_leaves(criterion, space):
        yield ComponentCheck(
            "the leaves that it gives hold every function once", lambda: check_leaves(criterion, space)
        )
        return
    cases = [(space, data)] + ([] if isinstance(space, Chain) else [(Chain(), images_of((1, 8, 8), 10))])
    for case in cases:
        laboratory, name = CriterionTrials(criterion, *case), case[0].name
        yield ComponentCheck(f"{name}: reads no ground truth", laboratory.ground_truth)
        yield ComponentCheck(f"{name}: sees no other images than the probe's", laboratory.images)
        yield ComponentCheck(
            f"{name}: leaves weights, hooks, images and random numbers as they were", laboratory.traces
        )
        yield ComponentCheck(f"{name}: runs with paths and mixtures", laboratory.runs)
        yield ComponentCheck(
            f"{name}: affinity symmetric, zero diagonal, finite, valid standard errors", laboratory.affinity
        )
        yield ComponentCheck(f"{name}: the same seed gives the same", laboratory.determinism)
        yield ComponentCheck(f"{name}: another seed gives a valid affinity", laboratory.other_seed)
        yield ComponentCheck(f"{name}: draws differ only if it declares them", laboratory.draws)
        yield ComponentCheck(f"{name}: every pass is paid for", laboratory.cost)
        yield ComponentCheck(f"{name}: CUDA", laboratory.cuda)
    counts = range(2, len(OPERATIONS) + 1)
    yield ComponentCheck("2 to 8 operations on an edge", lambda: on_chains(criterion, counts, whole_space))
    yield ComponentCheck("one operation on an edge", lambda: on_chains(criterion, [5], one_operation))
    yield ComponentCheck(
        "contexts with nothing but none", lambda: on_chains(criterion, [3, 5], dead_contexts, refusal=True)
    )


def check_criterion(criterion: Criterion, space: SearchSpace, data: ImageData) -> None:
    """What an arm relies on, with paths and with mixtures as contexts: all of :func:`criterion_checks`.

    Raises:
        AssertionError: with the sentence of the first check that fails.
    """
    enforce(criterion_checks(criterion, space, data))
