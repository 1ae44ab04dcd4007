"""Populations of strings: each connected spelling of a function once, in the leaf that contains it as spelled."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitbench.harness.errors import ConfigError
from splitbench.harness.testing.small_spaces.two_cells import TwoCells
from splitbench.spaces.architectures import populations
from splitbench.spaces.architectures.populations import by_leaf, population, reference, sample_strings
from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.micro.space import Micro

MICRO = Micro()
STRINGS = [a for a in itertools.product(range(5), repeat=6) if MICRO.connected(a)]
LEAVES = [
    leaf
    for half in MICRO.root().split(0, [[0, 1], [2, 3, 4]])
    for quarter in half.split(2, [[3], [0, 1, 2, 4]])
    for leaf in quarter.split(5, [[1, 4], [0, 2, 3]])
]


def test_all_strings_are_the_connected_ones() -> None:
    rows = population(MICRO, None, 0, of="strings")
    assert [tuple(row) for row in rows.tolist()] == STRINGS
    assert len(rows) == 15_625 - 341
    assert {MICRO.function(string) for string in STRINGS} == set(map(tuple, population(MICRO, None, 0).tolist()))


def test_a_leaf_has_the_strings_that_it_contains() -> None:
    """Strings of one function may lie in different leaves; the function itself is one leaf's."""
    parts = [population(MICRO, None, 0, leaf, LEAVES[:index], "strings") for index, leaf in enumerate(LEAVES)]
    for leaf, part in zip(LEAVES, parts, strict=True):
        assert [tuple(row) for row in part.tolist()] == [string for string in STRINGS if leaf.contains(string)]
    rows, owners = by_leaf(MICRO, LEAVES, "strings")
    assert [int((owners == number).sum()) for number in range(8)] == [len(part) for part in parts]
    homes: dict[tuple[int, ...], set[int]] = {}
    for row, leaf_number in zip(rows.tolist(), owners.tolist(), strict=True):
        homes.setdefault(MICRO.function(tuple(row)), set()).add(leaf_number)
    assert max(map(len, homes.values())) > 1


def test_a_sample_is_distinct_connected_reproducible_and_uniform() -> None:
    first = population(MICRO, 300, 5, of="strings")
    assert len({tuple(row) for row in first.tolist()}) == 300
    assert {tuple(row) for row in first.tolist()} <= set(STRINGS)
    np.testing.assert_array_equal(first, population(MICRO, 300, 5, of="strings"))
    assert not np.array_equal(first, population(MICRO, 300, 6, of="strings"))
    many = np.concatenate([population(MICRO, 1000, seed, of="strings") for seed in range(40)])
    share = np.mean([string[0] == 0 for string in STRINGS])
    assert abs((many[:, 0] == 0).mean() - share) < 4 * np.sqrt(share * (1 - share) / len(many))
    assert len(population(MICRO, 10**6, 0, of="strings")) == len(STRINGS)


def test_of_a_space_too_large_to_look_at_strings_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populations, "MOST_STRINGS", 100)
    reference.cache_clear()
    space = TwoCells()
    with pytest.raises(ConfigError, match="the strings of space .* name a sample"):
        population(space, None, 0, of="strings")
    rows = population(space, 50, 1, of="strings")
    assert len({tuple(row) for row in rows.tolist()}) == 50
    assert all(space.connected(tuple(row)) for row in rows.tolist())
    first, second, *_ = space.divide(space.root(), 0, [[op] for op in space.comparable(space.root(), 0)])
    drawn = sample_strings(space, 20, np.random.default_rng(0), second, [first])
    assert len(drawn) == 20
    assert (owner([first, second], drawn) == 1).all()
    reference.cache_clear()
