"""The criterion given: what it answers, what it refuses, and that leaves are checked to be a partition."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from splitbench.criteria.base import Partition, Probe, given_leaves, parts_of, unfit
from splitbench.criteria.controls.given import Given
from splitbench.criteria.controls.unmeasured import Random
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import build
from splitbench.harness.testing import images_of
from splitbench.harness.testing.checks import enforce
from splitbench.harness.testing.small_spaces.chain import Chain
from splitbench.harness.testing.small_spaces.two_cells import TwoCells
from splitbench.harness.testing.suites.criteria import criterion_checks
from splitbench.spaces.architectures.subspaces import owner, require_cover, uncovered
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.micro.space import Micro

MICRO = Micro()
ALL = [0, 1, 2, 3, 4]
HALVES = [[[0], *[ALL] * 5], [[1, 2, 3, 4], *[ALL] * 5]]


class Free:
    """A probe that fails on anything that costs."""

    def __init__(self, space: SearchSpace, subspace: SubSpace | None = None) -> None:
        self.space, self.subspace = space, subspace or space.root()


def affinity_of(criterion: Given, edge: int, subspace: SubSpace | None = None) -> Any:
    return criterion(cast(Probe, Free(MICRO, subspace)), edge)


def partition_of(criterion: Given, edge: int = 0) -> Partition:
    parts = parts_of(criterion)
    partitioner = build("partitioners", parts.partitioner)
    found = partitioner(affinity_of(criterion, edge), parts.schedule["branching"], np.random.default_rng(0))
    assert isinstance(found, Partition)
    return found


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([[0], [1, 2, 3, 4]], ((0,), (1, 2, 3, 4))),
        ([["avg_pool_3x3", "none"], ["nor_conv_3x3", 1, "nor_conv_1x1"]], ((0, 4), (1, 2, 3))),
        ([[4], [0], [3], [2], [1]], ((0,), (1,), (2,), (3,), (4,))),
    ],
)
def test_the_groups_are_those_told_by_index_or_name(groups: Any, expected: Any) -> None:
    criterion = build("criteria", {"name": "given", "edge": 2, "groups": groups})
    assert partition_of(criterion, 2).groups == expected
    assert partition_of(criterion, 2).cut == 1.0
    assert parts_of(criterion).edge_rule == {"name": "fixed", "edges": (2,)}
    assert parts_of(criterion).schedule == {"levels": 1, "branching": len(groups)}
    assert unfit(criterion, MICRO) is None
    assert given_leaves(criterion, MICRO) == ()


def test_nothing_is_measured_and_other_edges_have_one_group() -> None:
    criterion = Given(edge=0, groups=((0,), (1, 2), (3, 4)))
    affinity = affinity_of(criterion, 0)
    assert affinity.repetitions == 0
    assert np.isnan(affinity.standard_error[~np.eye(5, dtype=bool)]).all()
    expected = np.ones((5, 5))
    for group in ((0,), (1, 2), (3, 4)):
        expected[np.ix_(group, group)] = 0
    np.testing.assert_array_equal(affinity.dissimilarity, expected)
    assert not affinity_of(criterion, 3).dissimilarity.any()
    narrow = affinity_of(criterion, 0, MICRO.root().only(0, [1, 2, 4]))
    np.testing.assert_array_equal(narrow.dissimilarity, [[0, 0, 1], [0, 0, 1], [1, 1, 0]])
    assert narrow.worth == ((((1, 2), (4,)), 1.0),)


def test_the_leaves_are_those_told_by_index_name_or_file(tmp_path: Path) -> None:
    file = tmp_path / "leaves.json"
    file.write_text(json.dumps(HALVES))
    words = [[["none"], *[ALL] * 5], [["nor_conv_3x3", 1, 2, "avg_pool_3x3"], *[ALL] * 5]]
    expected = MICRO.root().split(0, [[0], [1, 2, 3, 4]])
    for leaves in (HALVES, words, str(file)):
        criterion = build("criteria", {"name": "given", "leaves": leaves})
        assert given_leaves(criterion, MICRO) == expected
        assert hash(criterion) is not None
    with pytest.raises(TypeError, match="no edge is ever scored"):
        affinity_of(criterion, 0)


def test_a_criterion_that_scores_names_no_leaves() -> None:
    assert given_leaves(Random(), MICRO) == ()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "give edge and groups"),
        ({"edge": 0}, "give edge and groups"),
        ({"groups": [[0], [1]]}, "give edge and groups"),
        ({"edge": 0, "leaves": HALVES}, "give edge and groups"),
        ({"leaves": "no-such-file.json"}, "no-such-file.json cannot be read"),
        ({"leaves": [[0, 1]]}, "two or more leaves"),
        ({"leaves": [[[0]], [[]]]}, "two or more leaves"),
        ({"leaves": [[[0]], [[1.5]]]}, "two or more leaves"),
    ],
)
def test_what_is_no_partition_of_any_space_is_refused(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        build("criteria", {"name": "given", **parameters})


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "leaves.json").write_text("[[0], [")
    with pytest.raises(ConfigError, match="no JSON file"):
        Given(leaves=str(tmp_path / "leaves.json"))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"edge": 6, "groups": [[0], [1]]}, "edge 6 is none of micro, whose edges are 0 to 5"),
        ({"edge": 0, "groups": [[0], [1, 2, 3]]}, "not a partition of the operations"),
        ({"edge": 0, "groups": [[0, 1], [1, 2, 3, 4]]}, "not a partition of the operations"),
        ({"edge": 0, "groups": [ALL]}, "groups must be two or more"),
        ({"edge": 0, "groups": [[0], [1, 2, 3, 5]]}, "5 is no operation of edge 0; there are: 0 none, 1 skip_connect"),
        ({"edge": 0, "groups": [["nonw"], [1, 2, 3, 4]]}, r"no operation of edge 0 \(did you mean 'none'\?\)"),
        ({"edge": 0, "groups": [[0, "none"], [1, 2, 3, 4]]}, "each once"),
        ({"leaves": [leaf[:5] for leaf in HALVES]}, r"leaves\[0\] lists the operations of 5 edges, and micro has 6"),
        ({"leaves": [HALVES[0], [[1, 2, 3], *[ALL] * 5]]}, "no leaf holds the architecture 400000"),
        ({"leaves": [HALVES[0], [[0, 1, 2, 3, 4], *[ALL] * 5]]}, "both hold the architecture 000000"),
        ({"leaves": [HALVES[0], HALVES[0]]}, r"leaves\[0\] and leaves\[1\] both hold"),
    ],
)
def test_what_is_no_partition_of_this_space_is_said_in_a_sentence(parameters: dict[str, Any], sentence: str) -> None:
    criterion = build("criteria", {"name": "given", **parameters})
    with pytest.raises(ConfigError, match=sentence):
        criterion.subspaces(MICRO)
    assert unfit(criterion, MICRO) is not None


# -- leaves cover the space -------------------------------------------------------------------------------------------


def test_the_uncovered_architecture_is_what_enumeration_finds() -> None:
    rng = np.random.default_rng(0)
    root = SubSpace(((0, 1, 2), (0, 1), (0, 1, 2, 3), (0, 1)))
    everything = np.array(list(itertools.product(*root.allowed)))
    missing = 0
    for _ in range(200):
        leaves = [
            SubSpace(
                tuple(
                    tuple(sorted(rng.choice(own, rng.integers(1, len(own) + 1), False).tolist()))
                    for own in root.allowed
                )
            )
            for _ in range(rng.integers(1, 25))
        ]
        outside = everything[owner(leaves, everything) < 0]
        expected = tuple(outside[0].tolist()) if len(outside) else None
        assert uncovered(root, leaves) == expected
        missing += expected is not None
    assert 20 < missing < 180


def tree(space: SearchSpace, rng: np.random.Generator, splits: int) -> list[SubSpace]:
    """The leaves of a random tree."""
    leaves = [space.root()]
    for _ in range(splits):
        leaf = leaves.pop(int(rng.integers(len(leaves))))
        edge = int(rng.integers(len(space.edges)))
        operations = list(space.comparable(leaf, edge))
        if len(operations) < 2:
            leaves.append(leaf)
            continue
        rng.shuffle(operations)
        leaves += space.divide(leaf, edge, [sorted(operations[:1]), sorted(operations[1:])])
    return leaves


@pytest.mark.parametrize("space", [MICRO, Chain(4), TwoCells()], ids=lambda space: space.name)
def test_the_leaves_of_any_tree_are_a_partition_and_with_one_missing_they_are_none(space: SearchSpace) -> None:
    """In two_cells ``none`` stays in every child, so that the leaves overlap."""
    rng = np.random.default_rng(1)
    for splits in range(1, 12):
        leaves = tree(space, rng, splits)
        require_cover(space, leaves)
        if len(leaves) > 1:
            with pytest.raises(ConfigError, match="no leaf holds"):
                require_cover(space, leaves[1:])
            with pytest.raises(ConfigError, match="both hold"):
                require_cover(space, [*leaves, leaves[0]])


@pytest.mark.parametrize(
    "criterion",
    [Given(edge=0, groups=((0,), ("skip_connect", 2), (3, 4))), Given(leaves=HALVES)],
    ids=["groups", "leaves"],
)
def test_conformance(criterion: Given) -> None:
    enforce(criterion_checks(criterion, MICRO, images_of((1, 8, 8), 10)))
