"""Graph partitioners against enumerations and solvers of their own."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import eigh

from splitbench.criteria.base import Affinity, Groups, Partitioner
from splitbench.criteria.partitioners.graphs import BestWorth, Gap, MinCut, Spectral
from splitbench.harness.errors import ConfigError

RNG = np.random.default_rng(0)


def affinity(matrix: np.ndarray, operations: tuple[int, ...] | None = None) -> Affinity:
    upper = np.triu(np.asarray(matrix, dtype=float), 1)
    return Affinity.assumed(operations or tuple(range(len(upper))), upper + upper.T)


def on_a_line(positions: list[float], operations: tuple[int, ...] | None = None) -> Affinity:
    x = np.array(positions)
    return affinity(np.abs(x[:, None] - x), operations)


def blocks(*sizes: int, within: float = 0.1, between: float = 1.0, noise: float = 0.0) -> np.ndarray:
    """Operations in consecutive groups, near each other within and far apart between."""
    label = np.repeat(np.arange(len(sizes)), sizes)
    far = np.where(label[:, None] == label, within, between)
    return far + noise * np.random.default_rng(3).random(far.shape)


@functools.cache
def every_partition(n: int, groups: int) -> tuple[Groups, ...]:
    """Of positions, by labels: each gets a group number, all numbers must occur."""
    found = set()
    for labels in itertools.product(range(groups), repeat=n):
        if len(set(labels)) == groups:
            found.add(tuple(sorted(tuple(i for i in range(n) if labels[i] == g) for g in range(groups))))
    return tuple(sorted(found))


def positions_of(a: Affinity, groups: Groups) -> Groups:
    return tuple(tuple(a.operations.index(op) for op in group) for group in groups)


def similarity(a: Affinity) -> np.ndarray:
    s = a.dissimilarity.max() - a.dissimilarity
    np.fill_diagonal(s, 0.0)
    return s


ALL = [Spectral(), Gap(), MinCut(), BestWorth(), BestWorth(balanced=True)]


def judged(a: Affinity, worth: float = 0.0) -> Affinity:
    """With the same worth for every partition, in operations."""
    n = len(a.operations)
    partitions = [groups for k in range(2, n + 1) for groups in every_partition(n, k)] if n <= 6 else []
    named = (tuple(tuple(a.operations[i] for i in group) for group in groups) for groups in partitions)
    return replace(a, worth=tuple((groups, worth) for groups in named))


# -- spectral ---------------------------------------------------------------------------------------------------------


def embedded(a: Affinity, k: int) -> np.ndarray:
    """By the random-walk route: generalised eigenvectors of (G - S) v = lambda G v, scaled back by G^1/2."""
    s = similarity(a)
    degrees = s.sum(axis=1)
    _, vectors = eigh(np.diag(degrees) - s, np.diag(degrees))
    rows = (np.sqrt(degrees)[:, None] * vectors)[:, :k]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def k_means_objective(points: np.ndarray, groups: Groups) -> float:
    return sum(float(((points[list(g)] - points[list(g)].mean(axis=0)) ** 2).sum()) for g in groups)


@pytest.mark.parametrize("n", range(3, 9))
@pytest.mark.parametrize("branching", [2, 3])
def test_spectral_finds_the_best_k_means_of_the_embedding(n: int, branching: int) -> None:
    operations = tuple(range(1, 2 * n, 2))  # not 0..n-1: indices must not be taken for positions
    for seed in range(3):
        a = affinity(np.random.default_rng([n, seed]).random((n, n)), operations)
        points = embedded(a, branching)
        objectives = {groups: k_means_objective(points, groups) for groups in every_partition(n, branching)}
        found = positions_of(a, Spectral()(a, branching, RNG).groups)
        assert objectives[found] == pytest.approx(min(objectives.values()), abs=1e-8)
        assert list(objectives.values()).count(min(objectives.values())) == 1


@pytest.mark.parametrize("sizes", [(2, 3), (1, 4), (4, 4), (2, 2, 3), (3, 2, 3)])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_spectral_recovers_blocks(sizes: tuple[int, ...], noise: float) -> None:
    ends = np.cumsum(sizes)
    expected = tuple(tuple(range(e - s, e)) for e, s in zip(ends, sizes, strict=True))
    assert Spectral()(affinity(blocks(*sizes, noise=noise)), len(sizes), RNG).groups == expected


def test_spectral_by_hand() -> None:
    """A path of four operations, 0 - 1 - 2 - 3: the middle is where it is cut, whatever the maximum is."""
    path = 1 - (np.eye(4, k=1) + np.eye(4, k=-1))
    for scale, shift in ((1, 0), (7, 3), (0.01, -2)):
        assert Spectral()(affinity(scale * path + shift), 2, RNG).groups == ((0, 1), (2, 3))


def test_spectral_does_not_depend_on_the_basis_of_equal_eigenvalues() -> None:
    """Three equal blocks of two in two groups: the second eigenvalue is double.

    Any two blocks may stay together, and no solver's choice of eigenvectors decides which: in every order of the
    operations it is the first of the three partitions.
    """
    block, place = np.repeat([0, 1, 2], 2), np.tile([0, 1], 3)
    matrix = np.where(block[:, None] == block, 0.1, np.where(place[:, None] == place, 0.8, 1.0))
    values = eigh(np.diag(similarity(affinity(matrix)).sum(axis=1)) - similarity(affinity(matrix)))[0]
    assert np.isclose(values[0], 0.0, atol=1e-12)
    assert np.isclose(values[1], values[2])
    assert values[2] < values[3] - 0.1
    rng = np.random.default_rng(4)
    for _ in range(20):
        order = rng.permutation(6)
        pairs = [tuple(np.flatnonzero(block[order] == b).tolist()) for b in range(3)]
        whole = [tuple(sorted([pair, tuple(i for i in range(6) if i not in pair)])) for pair in pairs]
        assert Spectral()(affinity(matrix[np.ix_(order, order)]), 2, RNG).groups == min(whole)


def test_spectral_keeps_an_operation_that_is_like_no_other_apart() -> None:
    matrix = blocks(1, 4, within=0.2, between=0.9)  # similarities .7 within, 0 between: the graph has two components
    assert Spectral()(affinity(matrix), 2, RNG).groups == ((0,), (1, 2, 3, 4))


# -- gap --------------------------------------------------------------------------------------------------------------


def widest_gaps(positions: np.ndarray, k: int) -> Groups:
    """Cut the sorted numbers behind the k - 1 widest gaps."""
    order = np.argsort(positions)
    wide = np.sort(np.argsort(-np.diff(positions[order]))[: k - 1])
    return tuple(sorted(tuple(sorted(map(int, part))) for part in np.split(order, wide + 1)))


@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("branching", [2, 3, 4])
def test_gap_cuts_the_widest_gaps_of_a_line(n: int, branching: int) -> None:
    operations = tuple(range(1, 2 * n, 2))
    for seed in range(10):
        x = np.random.default_rng([n, seed]).normal(size=n)
        a = on_a_line(list(x), operations)
        assert positions_of(a, Gap()(a, branching, RNG).groups) == widest_gaps(x, min(branching, n))


@pytest.mark.parametrize("n", range(3, 9))
def test_gap_of_other_dissimilarities_uses_the_first_coordinate_of_classical_scaling(n: int) -> None:
    for seed in range(5):
        points = np.random.default_rng([n, seed]).normal(size=(n, 3)) * [3, 1, 0.5]
        distances = np.linalg.norm(points[:, None] - points, axis=2)
        centred = points - points.mean(axis=0)
        first = np.linalg.svd(centred)[2][0]  # principal component: the same coordinate for Euclidean distances
        for k in (2, 3):
            assert Gap()(affinity(distances), k, RNG).groups == widest_gaps(centred @ first, min(k, n))


def test_gap_by_hand() -> None:
    a = on_a_line([5.0, 0.0, 1.0, 9.0, 5.5], (0, 2, 3, 4, 7))  # in order: 2 3 . . . 0 7 . . 4
    assert Gap()(a, 2, RNG).groups == ((0, 4, 7), (2, 3))
    assert Gap()(a, 3, RNG).groups == ((0, 7), (2, 3), (4,))
    assert Gap()(a, 2, RNG).cut == pytest.approx((5 + 4 + 5.5 + 4.5 + 9 + 8) / 6)


@pytest.mark.parametrize(
    ("positions", "branching", "groups"),
    [
        ([0.1, 0.2, 0.3, 0.4], 2, ((0,), (1, 2, 3))),  # gaps that are equal but for rounding
        ([0.4, 0.3, 0.2, 0.1], 2, ((0,), (1, 2, 3))),
        ([0.2, 0.1, 0.3, 0.4], 2, ((0, 1), (2, 3))),  # in order 1 0 2 3: 0,1 | 2,3 is before 0,1,2 | 3 and 0,2,3 | 1
        ([0.1, 0.2, 0.3, 0.4], 3, ((0,), (1,), (2, 3))),
        ([0.0, 0.0, 0.0, 1.0], 3, ((0,), (1, 2), (3,))),  # operations in one place
        ([0.3, 0.3 - 1e-15, 0.3 + 1e-15, 1.3], 3, ((0,), (1, 2), (3,))),  # or nearly
        ([2.0, 2.0, 2.0], 2, ((0,), (1, 2))),  # no gap at all
    ],
)
def test_equal_gaps_go_to_the_first_partition(positions: list[float], branching: int, groups: Groups) -> None:
    assert Gap()(on_a_line(positions), branching, RNG).groups == groups


def test_gap_where_no_direction_is_longest() -> None:
    assert Gap()(affinity(np.ones((5, 5))), 2, RNG).groups == ((0,), (1, 2, 3, 4))
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])  # both directions are equally long; the first operation's own
    distances = np.linalg.norm(square[:, None] - square, axis=2)  # leads along the diagonal: 0 . 1,3 . 2
    assert Gap()(affinity(distances), 2, RNG).groups == ((0,), (1, 2, 3))


# -- minimum cut ------------------------------------------------------------------------------------------------------


def cut_weight(a: Affinity, groups: Groups) -> float:
    s = similarity(a)
    return sum(float(s[i, j]) for g, h in itertools.combinations(groups, 2) for i in g for j in h)


@pytest.mark.parametrize("n", range(2, 9))
def test_min_cut_is_the_cheapest_of_all_cuts(n: int) -> None:
    rng, operations = np.random.default_rng(n), tuple(range(1, 2 * n, 2))
    for matrix in (rng.random((n, n)), rng.integers(0, 3, (n, n)), rng.normal(size=(n, n)) ** 2, np.ones((n, n))):
        a = affinity(matrix, operations)
        weights = {groups: cut_weight(a, groups) for groups in every_partition(n, 2)}
        found = MinCut()(a, 2, RNG)
        assert weights[positions_of(a, found.groups)] == pytest.approx(min(weights.values()), abs=1e-12)
        assert MinCut()(a, 2, np.random.default_rng(9)) == found


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("n", range(3, 9))
def test_min_cut_goes_on_with_the_group_that_is_cheapest_to_cut(n: int, clear: bool) -> None:
    noise = np.random.default_rng(20 + n).random((n, n))
    a = affinity(blocks(n // 2, n - n // 2, between=9.0) + noise if clear else noise)
    steps = [MinCut()(a, k, RNG).groups for k in range(1, n + 1)]
    assert steps[0] == (tuple(range(n)),)
    assert steps[-1] == tuple((i,) for i in range(n))
    if clear:
        assert steps[1] == (tuple(range(n // 2)), tuple(range(n // 2, n)))
    for before, after in itertools.pairwise(steps):
        finer = [
            tuple(sorted([*(g for g in before if g != whole), part, tuple(i for i in whole if i not in part)]))
            for whole in before
            for size in range(1, len(whole))
            for part in itertools.combinations(whole, size)
        ]
        assert after == min(finer, key=lambda groups: cut_weight(a, groups))


def test_min_cut_usually_isolates_one_operation_and_finds_blocks_only_if_they_are_clear() -> None:
    assert MinCut()(affinity(blocks(3, 3, within=0.1, between=1.0)), 2, RNG).groups == ((0, 1, 2), (3, 4, 5))
    unclear = blocks(3, 3, within=0.1, between=0.6)
    unclear[0, 4:] = 1.0  # similarities .9 within, .4 between but for two pairs: 0 is cut at 2.2, the blocks at 2.8
    assert MinCut()(affinity(unclear), 2, RNG).groups == ((0,), (1, 2, 3, 4, 5))
    rng = np.random.default_rng(0)
    alone = [min(map(len, MinCut()(affinity(rng.random((5, 5))), 2, RNG).groups)) == 1 for _ in range(100)]
    assert np.mean(alone) > 0.8


# -- best worth -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(2, 7))
@pytest.mark.parametrize("branching", [2, 3])
@pytest.mark.parametrize("balanced", [False, True])
def test_best_worth_takes_the_best_of_its_number_of_groups(n: int, branching: int, balanced: bool) -> None:
    rng, operations = np.random.default_rng(n), tuple(range(1, 2 * n, 2))
    empty = judged(affinity(rng.random((n, n)), operations))
    for values in (rng.random(len(empty.worth)), rng.integers(0, 2, len(empty.worth))):  # generic, and with ties
        worth = [(groups, float(v)) for (groups, _), v in zip(empty.worth, values, strict=True)]
        allowed = [
            (groups, v)
            for groups, v in worth
            if len(groups) == min(branching, n) and (not balanced or max(map(len, groups)) - min(map(len, groups)) <= 1)
        ]
        top = max(v for _, v in allowed)
        shuffled = [(tuple(g[::-1] for g in groups[::-1]), v) for groups, v in worth]  # in any order
        rng.shuffle(shuffled)  # type: ignore[arg-type]
        found = BestWorth(balanced)(replace(empty, worth=tuple(shuffled)), branching, RNG)
        assert found.groups == min(groups for groups, v in allowed if v == top)
        assert found.cut == found.raw_cut == top


def test_best_worth_keeps_the_sum_within_groups() -> None:
    a = judged(affinity(np.ones((4, 4))))
    a = replace(a, worth=tuple((g, float(g == ((0, 1), (2, 3)))) for g, _ in a.worth))
    assert BestWorth()(a, 2, RNG).intra == 2.0


def test_best_worth_needs_a_worth() -> None:
    with pytest.raises(ConfigError, match="measures pairs of operations and gives no worth of whole partitions"):
        BestWorth()(affinity(np.ones((4, 4))), 2, RNG)
    only_three = replace(affinity(np.ones((3, 3))), worth=((((0,), (1,), (2,)), 1.0),))
    with pytest.raises(ConfigError, match=r"judges no partition of the operations \(0, 1, 2\) into 2 groups"):
        BestWorth()(only_three, 2, RNG)


# -- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partitioner", ALL)
def test_fewer_operations_than_branching_become_singletons(partitioner: Partitioner) -> None:
    for n in range(1, 5):
        a = judged(affinity(np.random.default_rng(n).random((n, n)), tuple(range(2, 2 + n))))
        assert partitioner(a, 5, RNG).groups == tuple((op,) for op in a.operations)


@pytest.mark.parametrize("partitioner", ALL[:3])
@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("branching", [2, 3])
def test_new_numbers_for_operations_change_only_the_numbers(partitioner: Partitioner, n: int, branching: int) -> None:
    rng = np.random.default_rng(100 + n)
    matrix = affinity(rng.random((n, n))).dissimilarity
    order = rng.permutation(n)
    before = partitioner(affinity(matrix), branching, RNG)
    after = partitioner(affinity(matrix[np.ix_(order, order)]), branching, RNG)
    renamed = tuple(sorted(tuple(sorted(int(order[op]) for op in group)) for group in after.groups))
    assert renamed == before.groups


@pytest.mark.parametrize("partitioner", ALL)
def test_equal_operations_give_a_partition_and_no_error(partitioner: Partitioner) -> None:
    for value in (0.0, 1.0):
        groups = partitioner(judged(affinity(np.full((5, 5), value))), 2, RNG).groups
        assert len(groups) == 2
        assert sorted(op for group in groups for op in group) == [0, 1, 2, 3, 4]


def test_spectral_refuses_a_search_that_would_not_end() -> None:
    with pytest.raises(ConfigError, match=r"spectral: an edge allows 9 operations, and at most 8"):
        Spectral()(affinity(np.ones((9, 9))), 2, RNG)


@pytest.mark.parametrize("partitioner", [Gap(), MinCut()])
def test_those_that_search_nothing_take_any_number_of_operations(partitioner: Partitioner) -> None:
    a = on_a_line([*np.linspace(0, 1, 8), *np.linspace(10, 11, 8)])
    assert partitioner(a, 2, RNG).groups == (tuple(range(8)), tuple(range(8, 16)))
