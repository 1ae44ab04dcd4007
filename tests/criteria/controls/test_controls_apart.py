"""The controls that take a criterion apart: its edge with random groups, and a random edge with its groups."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from splitbench.criteria.base import Affinity, shortlist
from splitbench.criteria.edge_rules import Fixed, NormalisedMaxCut, RandomEdge
from splitbench.criteria.partitioners.cuts import Balanced, MaxCut, Shuffled
from splitbench.harness.errors import ConfigError
from splitbench.spaces.micro.space import Micro


def affinity(seed: int, operations: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Affinity:
    n = len(operations)
    upper = np.triu(np.random.default_rng(seed).random((n, n)), 1)
    return Affinity.assumed(operations, upper + upper.T)


@pytest.mark.parametrize(("name", "inner"), [("balanced", Balanced()), ("max_cut", MaxCut())])
def test_shuffled_keeps_cuts_and_sizes(name: str, inner: Balanced | MaxCut) -> None:
    for seed in range(20):
        found = inner(affinity(seed), 2, np.random.default_rng(0))
        shuffled = Shuffled(name)(affinity(seed), 2, np.random.default_rng(seed))
        assert (shuffled.cut, shuffled.raw_cut, shuffled.intra) == (found.cut, found.raw_cut, found.intra)
        assert sorted(map(len, shuffled.groups)) == sorted(map(len, found.groups))
        assert sorted(op for group in shuffled.groups for op in group) == [0, 1, 2, 3, 4]


def test_shuffled_keeps_the_edge_that_the_criterion_would_choose() -> None:
    affinities = {edge: affinity(edge) for edge in range(6)}
    chosen = NormalisedMaxCut()(
        {edge: (a, Balanced()(a, 2, np.random.default_rng(0))) for edge, a in affinities.items()},
        np.random.default_rng(0),
        0,
    )
    for seed in range(10):
        rng = np.random.default_rng(seed)
        candidates = {edge: (a, Shuffled()(a, 2, rng)) for edge, a in affinities.items()}
        assert NormalisedMaxCut()(candidates, rng, 0) == chosen


def test_shuffled_groups_are_uniform() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(Shuffled()(affinity(3), 2, rng).groups for _ in range(4_000))
    assert len(counts) == 10  # all partitions 2|3
    assert max(abs(count - 400) for count in counts.values()) < 5 * np.sqrt(400 * 0.9)


def test_rules_that_know_their_edge_have_it_alone_scored() -> None:
    edges = [1, 3, 4]
    rng = np.random.default_rng
    assert shortlist(NormalisedMaxCut(), edges, rng(0), 0, Micro()) == edges
    assert shortlist(Fixed((3, 4)), edges, rng(0), 1, Micro()) == [4]
    drawn = [shortlist(RandomEdge(), edges, rng(seed), 0, Micro()) for seed in range(50)]
    assert {edge for (edge,) in drawn} == set(edges)
    (edge,) = drawn[7]
    assert RandomEdge()({e: (affinity(e), Balanced()(affinity(e), 2, rng(0))) for e in edges}, rng(7), 0) == edge


def test_a_fixed_edge_that_cannot_be_split_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"edge 2 cannot be split at level 0; edges that can be: 1, 3"):
        shortlist(Fixed((2,)), [1, 3], np.random.default_rng(0), 0, Micro())
