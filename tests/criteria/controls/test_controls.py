"""Controls: they read nothing of the supernet, and say what they are used with."""

import hashlib
from typing import Any, cast

import numpy as np
import pytest

from splitbench.criteria.base import Affinity, Partition, Parts, Probe, parts_of, splits
from splitbench.criteria.controls.unmeasured import Exhaustive, NoSplit, Random
from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import SubSpace


class RngOnly:
    """A probe that hands out random numbers and the subspace, and fails on anything that costs."""

    def __init__(self, subspace: SubSpace, seed: int = 0) -> None:
        self.subspace, self.seed = subspace, seed

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, *hashlib.sha256(purpose.encode()).digest()])

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a control must not ask the probe for {name}")


def probe(*allowed: tuple[int, ...], seed: int = 0) -> Probe:
    return cast(Probe, RngOnly(SubSpace(allowed), seed))


def test_none_does_not_split() -> None:
    assert not splits(NoSplit())
    with pytest.raises(TypeError, match="never called"):
        NoSplit()(probe((0, 1)), 0)


def test_random_is_a_reproducible_affinity_that_differs_between_edges_and_seeds() -> None:
    allowed = ((0, 1, 2, 3, 4), (1, 3), (0, 1, 2, 3, 4))
    first, again, other = (Random()(probe(*allowed, seed=s), 0) for s in (0, 0, 1))
    assert isinstance(first, Affinity)
    assert np.array_equal(first.dissimilarity, again.dissimilarity)
    assert not np.array_equal(first.dissimilarity, other.dissimilarity)
    assert not np.array_equal(first.dissimilarity, Random()(probe(*allowed), 2).dissimilarity)
    assert first.repetitions == 0
    assert np.isnan(first.standard_error[np.triu_indices(5, 1)]).all()
    narrow = Random()(probe(*allowed), 1)
    assert narrow.operations == (1, 3)
    assert narrow.dissimilarity.shape == (2, 2)
    assert parts_of(Random()) == Parts("random_groups", "random_edge")


def test_random_dissimilarities_are_uniform() -> None:
    values = np.concatenate(
        [Random()(probe(tuple(range(8)), seed=s), 0).dissimilarity[np.triu_indices(8, 1)] for s in range(100)]
    )
    assert abs(values.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(values))
    assert values.min() < 0.01
    assert values.max() > 0.99


def test_exhaustive_treats_all_operations_alike_and_fixes_its_edges() -> None:
    criterion = Exhaustive((0, 3))
    affinity = criterion(probe((0, 1, 4)), 0)
    assert np.array_equal(affinity.dissimilarity, 1 - np.eye(3))
    assert Partition.of(affinity, [[0], [1], [4]]).cut == 1.0
    assert criterion.parts() == Parts("singletons", {"name": "fixed", "edges": (0, 3)}, {"levels": 2})
    assert parts_of(Exhaustive()).schedule == {"levels": 1}


@pytest.mark.parametrize("edges", [(), (-1,), (2, 2)])
def test_exhaustive_refuses_bad_edges(edges: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="different edge indices"):
        Exhaustive(edges)
