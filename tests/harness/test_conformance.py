"""The built-in criteria and trainers pass the conformance suites that plugins use, and broken ones do not.

(The spaces' suite runs in tests/spaces/test_base.py.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from criteria.base import Affinity, Criterion, Parts, Probe
from criteria.controls import Exhaustive, NoSplit, Random
from criteria.gm import GradientMatching
from harness.budget import Cost
from harness.testing import check_criterion, check_space, check_trainer, images_of
from harness.trainers.base import Session, Trainer
from harness.trainers.darts import Darts
from harness.trainers.rsps import Rsps, RspsSession
from spaces.base import Architecture, Choice, Flops, SearchSpace, SubSpace
from spaces.micro.space import Micro
from spaces.nb201.space import NB201
from spaces.nb_macro.space import NBMacro

MICRO, DIGITS = Micro(), images_of((1, 8, 8), 10)
SPACES = {
    "micro": (MICRO, DIGITS),
    "nb201": (NB201(channels=2, cells=1, image_size=8), images_of((3, 8, 8), 10)),
    "nb_macro": (NBMacro(channels=2, image_size=8), images_of((3, 8, 8), 10)),
}


@pytest.mark.parametrize("trainer", [Rsps(batch_size=8), Darts(batch_size=8)], ids=["rsps", "darts"])
@pytest.mark.parametrize("space", list(SPACES))
def test_trainers(trainer: Trainer, space: str) -> None:
    same_every_step = isinstance(trainer, Darts) and space != "micro"
    check_trainer(trainer, *SPACES[space], steps=6 if same_every_step else 20)


@pytest.mark.parametrize(
    "criterion",
    [NoSplit(), Random(), Exhaustive(), GradientMatching(repetitions=2), GradientMatching("as_shipped", 1)],
    ids=["none", "random", "exhaustive", "gm", "gm_as_shipped"],
)
@pytest.mark.parametrize("space", list(SPACES))
def test_criteria(criterion: Criterion, space: str) -> None:
    check_criterion(criterion, *SPACES[space])


# --- broken components are found --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unpaid(Rsps):
    """Says that steps are cheaper than they are."""

    def costs(self, space: SearchSpace, subspace: SubSpace, seed: int, first: int) -> Iterator[Cost]:
        return (replace(cost, flops=cost.flops // 2) for cost in super().costs(space, subspace, seed, first))


@dataclass(frozen=True)
class Forgetful(Rsps):
    """Loses its momentum when it is stopped."""

    def open(self, job: Any) -> Session:  # type: ignore[override]
        class Lost(RspsSession):
            def load(self, tensors: Mapping[str, Tensor]) -> None:
                pass

        return Lost(self, job)


@dataclass(frozen=True)
class Wandering(Rsps):
    """Draws contexts from the whole space."""

    def context(self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: Any) -> Choice:
        return tuple(0 for _ in space.edges)


@pytest.mark.parametrize(
    ("trainer", "complaint"),
    [
        (Unpaid(batch_size=8), r"costs\(\) says .* for step 0, and the session is charged"),
        (Forgetful(batch_size=8), r"after load\(tensors\(\)\) the"),
        (Wandering(batch_size=8), r"context\(\) gives .* which is not of"),
    ],
)
def test_broken_trainers_are_found(trainer: Trainer, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_trainer(trainer, MICRO, DIGITS, steps=6)


def of_matrix(probe: Probe, edge: int, matrix: Any) -> Affinity:
    return Affinity.assumed(probe.subspace.allowed[edge], matrix)


def unseeded(probe: Probe, edge: int) -> Affinity:
    n = len(probe.subspace.allowed[edge])
    upper = np.triu(np.random.default_rng().random((n, n)), 1)
    return of_matrix(probe, edge, upper + upper.T)


def all_operations(probe: Probe, edge: int) -> Affinity:
    n = len(probe.space.operations(edge))
    return Affinity.assumed(tuple(range(n)), 1.0 - np.eye(n))


def trains(probe: Probe, edge: int) -> Affinity:
    with torch.no_grad():
        next(iter(probe._supernet.parameters())).add_(1.0)  # type: ignore[attr-defined]
    return all_operations(probe, edge)


def a_matrix(probe: Probe, edge: int) -> Any:
    return np.eye(5)


@dataclass(frozen=True)
class NoSuchPart:
    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return all_operations(probe, edge)

    def parts(self) -> Parts:
        return Parts(partitioner="balancd")


@pytest.mark.parametrize(
    ("criterion", "complaint"),
    [
        (unseeded, r"two calls differ; take random numbers from probe.rng"),
        (all_operations, r"compares operations \(0, 1, 2, 3, 4\), and the edge allows \(1, 2, 3, 4\)"),
        (trains, "it changes the supernet's"),
        (a_matrix, "gives ndarray, not an Affinity"),
    ],
)
def test_broken_criteria_are_found(criterion: Any, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_criterion(criterion, MICRO, DIGITS)


def test_a_criterion_with_an_unknown_part_is_found() -> None:
    with pytest.raises(Exception, match="unknown partitioners component 'balancd' .did you mean 'balanced'"):
        check_criterion(NoSuchPart(), MICRO, DIGITS)


@dataclass(frozen=True)
class FreeBackward(Micro):
    def flops(self, choice: Choice) -> Flops:
        return Flops(super().flops(choice).forward, 0)


@dataclass(frozen=True)
class AllStrings(Micro):
    def function(self, architecture: Architecture) -> Architecture:
        return architecture


@pytest.mark.parametrize(
    ("space", "complaint"), [(FreeBackward(), "torch counts"), (AllStrings(), r"functions\(\) of .* are not its 15284")]
)
def test_broken_spaces_are_found(space: SearchSpace, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_space(space, (1, 8, 8))
