"""Published leaf floors of NAS-Bench-201's splits, from leaves that a study file could give.

Ly-Manson et al. (AutoML 2024) split the first three edges into two groups each, and give the best of the eight leaves.
What chance gives there, the floor, is over strings: disconnected ones and all spellings of a function count.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from splitbench.criteria.base import given_leaves
from splitbench.criteria.controls.given import Given
from splitbench.results.measures.metrics import leaf_floor
from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.base import SubSpace
from splitbench.spaces.nb201.space import NB201

pytestmark = [pytest.mark.real_data, pytest.mark.usefixtures("real_data")]
SPACE = NB201()
ALL = (0, 1, 2, 3, 4)
DATASETS = ("cifar10", "cifar100", "imagenet16")
Tree = tuple[tuple[int, ...], Sequence[tuple[int, ...]], Sequence[tuple[int, ...]]]
"""Of the root, its two children and their four: the first group on edges 0, 1 and 2; the others are the second."""


def halves(group: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return group, tuple(op for op in ALL if op not in group)


def leaves_of(tree: Tree) -> list[list[tuple[int, ...]]]:
    first, second, third = tree
    found: list[list[tuple[int, ...]]] = []
    for i, a in enumerate(halves(first)):
        for j, b in enumerate(halves(second[i])):
            found += [[a, b, c, ALL, ALL, ALL] for c in halves(third[2 * i + j])]
    return found


def given(tree: Tree) -> tuple[SubSpace, ...]:
    return given_leaves(Given(leaves=leaves_of(tree)), SPACE)


def floor(leaves: Sequence[SubSpace], dataset: str) -> float:
    """Over all 15,625 strings."""
    strings = np.array(list(itertools.product(ALL, repeat=6)))
    owners = owner(leaves, strings)
    truth = SPACE.ground_truth(dataset).test(strings)
    return leaf_floor(truth, [owners == number for number in range(len(leaves))])


SKIP_OR_POOL, CONV_1, CONV_3 = (1, 4), (2,), (3,)
BALANCED: Tree = (SKIP_OR_POOL, [SKIP_OR_POOL] * 2, [SKIP_OR_POOL] * 4)


def test_the_floor_of_the_balanced_split_is_the_published_one() -> None:
    """Skip and pooling against the rest on all three edges, the partition of gradient norm: 92.86, 69.33, 42.64."""
    leaves = given(BALANCED)
    assert sorted({leaf.size for leaf in leaves}) == [1000, 1500, 2250, 3375]
    assert [round(floor(leaves, dataset), 2) for dataset in DATASETS] == [92.86, 69.33, 42.64]


def test_the_floor_of_gradient_matching_is_among_trees_of_its_description() -> None:
    """The 3x3 convolution alone on edges 0 and 1, then one of the convolutions: 16 trees, and 93.48 is published."""
    trees: list[Tree] = [(CONV_3, [CONV_3] * 2, third) for third in itertools.product((CONV_1, CONV_3), repeat=4)]
    floors = [round(floor(given(tree), "cifar10"), 2) for tree in trees]
    assert {leaf.size for leaf in given(trees[0])} == {125, 500, 2000, 8000}
    assert (min(floors), max(floors)) == (93.44, 93.53)
    assert 93.48 in floors


@pytest.mark.parametrize("dataset", DATASETS)
def test_leaf_floors_equal_brute_force(dataset: str) -> None:
    """Every draw of one string a leaf, on leaves thinned to three strings each: 3^8 equally likely draws."""
    leaves, rng = given((CONV_3, [CONV_1, CONV_3], [CONV_3, CONV_1, SKIP_OR_POOL, (0,)])), np.random.default_rng(0)
    strings = np.array(list(itertools.product(ALL, repeat=6)))
    owners = owner(leaves, strings)
    few = np.concatenate([rng.choice(np.flatnonzero(owners == number), 3, replace=False) for number in range(8)])
    truth = SPACE.ground_truth(dataset).test(strings[few])
    masks = [owners[few] == number for number in range(8)]
    best = [max(draw) for draw in itertools.product(*(truth[mask] for mask in masks))]
    assert leaf_floor(truth, masks) == pytest.approx(np.mean(best), abs=1e-10)
