"""Partitioners against an enumeration of their own, in exact arithmetic."""

import functools
import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chisquare

from splitbench.criteria.base import Affinity, Partitioner
from splitbench.criteria.partitioners.cuts import (
    Balanced,
    MaxCut,
    RandomGroups,
    Singletons,
    balanced_sizes,
    number_of_partitions,
    partitions_of_sizes,
)
from splitbench.harness.errors import ConfigError

Groups = tuple[tuple[int, ...], ...]
RNG = np.random.default_rng(0)


def affinity(matrix: np.ndarray, operations: tuple[int, ...] | None = None) -> Affinity:
    upper = np.triu(np.asarray(matrix, dtype=float), 1)
    return Affinity.assumed(operations or tuple(range(len(upper))), upper + upper.T)


@functools.cache
def every_partition(operations: tuple[int, ...], groups: int) -> set[Groups]:
    """By labels: each operation gets a group number, all numbers must occur."""
    found = set()
    for labels in itertools.product(range(groups), repeat=len(operations)):
        if len(set(labels)) == groups:
            members = ([op for op, label in zip(operations, labels, strict=True) if label == g] for g in range(groups))
            found.add(tuple(sorted(map(tuple, members))))
    return found


def exact_cut(a: Affinity, groups: Groups) -> Fraction:
    position = {op: i for i, op in enumerate(a.operations)}
    return sum(
        (
            Fraction(float(a.dissimilarity[position[x], position[y]]))
            for first, second in itertools.combinations(groups, 2)
            for x in first
            for y in second
        ),
        Fraction(0),
    )


def best(a: Affinity, candidates: set[Groups]) -> Groups:
    cuts = {groups: exact_cut(a, groups) for groups in candidates}
    top = max(cuts.values())
    return min(groups for groups, cut in cuts.items() if cut == top)


def matrices(n: int) -> list[np.ndarray]:
    """Generic, with many ties (small integers), with symmetry (circulant), and all equal."""
    rng = np.random.default_rng(n)
    ring = rng.random(n)
    lags = np.array([[min(abs(i - j), n - abs(i - j)) for j in range(n)] for i in range(n)])
    return [rng.random((n, n)), rng.integers(0, 3, (n, n)), ring[lags], np.full((n, n), 0.1), rng.normal(size=(n, n))]


@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("branching", [2, 3])
def test_searches_equal_brute_force(n: int, branching: int) -> None:
    operations = tuple(range(1, 2 * n, 2))  # not 0..n-1: indices must not be taken for positions
    candidates = every_partition(operations, min(branching, n))
    even = {g for g in candidates if max(map(len, g)) - min(map(len, g)) <= 1}
    for matrix in matrices(n):
        a = affinity(matrix, operations)
        for partitioner, allowed in ((Balanced(), even), (MaxCut(), candidates)):
            partition = partitioner(a, branching, RNG)
            assert partition.groups == best(a, allowed)
            assert partition.raw_cut == pytest.approx(float(exact_cut(a, partition.groups)), abs=1e-12)
            assert partition.raw_cut + partition.intra == pytest.approx(float(np.triu(a.dissimilarity).sum()))


@pytest.mark.parametrize("partitioner", [Balanced(), MaxCut()])
@pytest.mark.parametrize("n", range(2, 9))
def test_new_numbers_for_operations_change_only_the_numbers(partitioner: Partitioner, n: int) -> None:
    rng = np.random.default_rng(100 + n)
    matrix = affinity(rng.random((n, n))).dissimilarity
    order = rng.permutation(n)
    before = partitioner(affinity(matrix), 2, RNG)
    after = partitioner(affinity(matrix[np.ix_(order, order)]), 2, RNG)
    renamed = tuple(sorted(tuple(sorted(int(order[op]) for op in group)) for group in after.groups))
    assert renamed == before.groups
    assert after.raw_cut == before.raw_cut
    assert after.intra == before.intra


def test_balanced_sizes() -> None:
    assert balanced_sizes(5, 2) == (2, 3)
    assert balanced_sizes(7, 3) == (2, 2, 3)
    assert balanced_sizes(2, 3) == (1, 1)


@pytest.mark.parametrize("sizes", [(2, 3), (2, 2), (2, 2, 3), (1, 1, 4), (3,), (2, 2, 2)])
def test_every_partition_of_a_pattern_once(sizes: tuple[int, ...]) -> None:
    operations = tuple(range(sum(sizes)))
    found = list(partitions_of_sizes(operations, sizes))
    expected = {g for g in every_partition(operations, len(sizes)) if sorted(map(len, g)) == sorted(sizes)}
    assert len(found) == len(expected) == number_of_partitions(sizes)
    assert {tuple(sorted(groups)) for groups in found} == expected


def test_max_cut_is_free_in_its_sizes() -> None:
    matrix = np.full((5, 5), 0.01)
    matrix[0] = 1.0  # operation 0 is far from all others, which are alike
    assert MaxCut()(affinity(matrix), 2, RNG).groups == ((0,), (1, 2, 3, 4))
    assert {len(g) for g in Balanced()(affinity(matrix), 2, RNG).groups} == {2, 3}


@pytest.mark.parametrize("partitioner", [Singletons(), Balanced(), MaxCut(), RandomGroups(), RandomGroups((2, 3))])
def test_fewer_operations_than_branching_become_singletons(partitioner: Partitioner) -> None:
    partition = partitioner(affinity(np.ones((2, 2)), (1, 4)), 3, RNG)
    assert partition.groups == ((1,), (4,))
    assert partition.cut == 1.0


def test_singletons_whatever_the_branching() -> None:
    assert Singletons()(affinity(np.ones((5, 5))), 2, RNG).groups == ((0,), (1,), (2,), (3,), (4,))


def test_searches_that_would_not_end_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_cut: an edge allows 9 operations, and at most 8"):
        MaxCut()(affinity(np.ones((9, 9))), 2, RNG)
    with pytest.raises(ConfigError, match=r"balanced: 15 operations have 126,126 partitions into 3 groups"):
        Balanced()(affinity(np.ones((15, 15))), 3, RNG)


@pytest.mark.parametrize(("sizes", "branching"), [(None, 2), ((1, 4), 2), ((3, 2), 2), ((1, 2, 2), 2), (None, 3)])
def test_random_groups_are_uniform_over_their_pattern(sizes: tuple[int, ...] | None, branching: int) -> None:
    rng, a = np.random.default_rng(5), affinity(np.ones((5, 5)))
    counts = Counter(RandomGroups(sizes)(a, branching, rng).groups for _ in range(3000))
    pattern = sorted(sizes or balanced_sizes(5, branching))
    expected = {g for g in every_partition(a.operations, len(pattern)) if sorted(map(len, g)) == pattern}
    assert set(counts) == expected
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_random_groups_fall_back_to_balanced_where_the_pattern_does_not_fit() -> None:
    groups = RandomGroups((1, 4))(affinity(np.ones((4, 4)), (0, 2, 3, 4)), 2, np.random.default_rng(0)).groups
    assert sorted(map(len, groups)) == [2, 2]


@pytest.mark.parametrize("sizes", [(5,), (0, 5), ()])
def test_bad_sizes_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="sizes must be two or more positive integers"):
        RandomGroups(sizes)
