"""Edge rules of NAS-LID, HEP-NAS and the oracle, and the HEP-NAS criterion, on hand-made candidates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from splitbench.criteria import base
from splitbench.criteria.base import Affinity, EdgeRule, Partition, Parts, Probe, shortlist
from splitbench.criteria.controls.unmeasured import Random
from splitbench.criteria.edge_rules import (
    HierarchyEdges,
    MaxIntraSimilarity,
    NormalisedMaxCut,
    OracleEdge,
    ShippedMinIntra,
)
from splitbench.criteria.partitioners.cuts import Balanced, Singletons
from splitbench.criteria.wrapping.hierarchy import Hierarchy as HierarchyCriterion
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb_macro.space import NBMacro

RNG = np.random.default_rng(0)


def candidate(n: int, dissimilarity: float, singletons: bool = False) -> tuple[Affinity, Partition]:
    """An edge of ``n`` operations that are all equally far apart."""
    affinity = Affinity.assumed(tuple(range(n)), dissimilarity * (1 - np.eye(n)))
    return affinity, (Singletons() if singletons else Balanced())(affinity, 2, RNG)


def test_max_intra_similarity_is_a_mean_over_pairs_within_groups() -> None:
    edges = {0: candidate(5, 0.4), 1: candidate(3, 0.5), 3: candidate(5, 0.3), 4: candidate(2, 0.1)}
    assert MaxIntraSimilarity()(edges, RNG, 0) == 3  # sums within are 1.6 .5 1.2 0
    assert ShippedMinIntra()(edges, RNG, 0) == 4


def test_max_intra_similarity_by_hand() -> None:
    near = Affinity.assumed((0, 1, 2, 3), np.array([[0, 1, 9, 9], [1, 0, 9, 9], [9, 9, 0, 5], [9, 9, 5, 0.0]]))
    even = Affinity.assumed((0, 1, 2, 3), 2.9 * (1 - np.eye(4)))
    pairs, triple = ((0, 1), (2, 3)), ((0,), (1, 2, 3))
    within = {0: (near, Partition.of(near, pairs)), 1: (even, Partition.of(even, pairs))}
    assert MaxIntraSimilarity()(within, RNG, 0) == 1  # (1 + 5) / 2 = 3 against 2.9
    one_group = {0: (near, Partition.of(near, triple)), 1: (even, Partition.of(even, triple))}
    assert one_group[0][1].intra == 23
    assert MaxIntraSimilarity()(one_group, RNG, 0) == 1
    assert NormalisedMaxCut()(within, RNG, 0) == 0  # the cut would choose otherwise


def test_an_edge_without_pairs_in_groups_comes_last() -> None:
    alone = {0: candidate(2, 0.0), 2: candidate(5, 0.9), 5: candidate(4, 0.1, singletons=True)}
    assert MaxIntraSimilarity()(alone, RNG, 0) == 2
    assert MaxIntraSimilarity()({4: candidate(2, 0.5), 3: candidate(5, 0.5, singletons=True)}, RNG, 0) == 3


@pytest.mark.parametrize("rule", [MaxIntraSimilarity(), OracleEdge()])
def test_ties_go_to_the_lowest_edge(rule: EdgeRule) -> None:
    assert rule({5: candidate(5, 0.3), 2: candidate(5, 0.3), 3: candidate(5, 0.3)}, RNG, 0) == 2


@pytest.mark.parametrize("rule", [MaxIntraSimilarity(), OracleEdge(), HierarchyEdges()])
def test_no_edge_left_is_a_sentence(rule: EdgeRule) -> None:
    with pytest.raises(ConfigError, match="no edge is left that can be split at level 3"):
        rule({}, RNG, 3)


def test_the_oracle_rule_consults_the_oracle_and_takes_its_largest_worth() -> None:
    assert OracleEdge().consults == {"name": "oracle", "objective": "variance"}
    assert OracleEdge("top").consults == {"name": "oracle", "objective": "top"}
    affinity, partition = candidate(5, 0.5)
    worth = {
        edge: (affinity, Partition(partition.groups, value, value, 0.0)) for edge, value in enumerate((0.1, 0.3, 0.2))
    }
    assert OracleEdge()(worth, RNG, 0) == 1


# -- hierarchy --------------------------------------------------------------------------------------------------------


def test_hierarchy_takes_all_edges_into_the_levels_node_at_once() -> None:
    rule = HierarchyEdges()
    for level, expected in enumerate([[0], [1, 2], [3, 4, 5]]):
        edges = shortlist(rule, range(6), RNG, level, Micro())
        assert edges == expected
        assert rule({edge: candidate(5, 0.1) for edge in reversed(edges)}, RNG, level) == tuple(expected)
    assert shortlist(rule, [0, 2, 3, 5], RNG, 1, Micro()) == [2]  # edge 1 cannot be split
    assert shortlist(rule, range(8), RNG, 7, NBMacro()) == [7]  # a chain has one edge a node


def test_hierarchy_says_where_it_ends() -> None:
    with pytest.raises(ConfigError, match=r"level 3 has no node .* of micro lead into 3; choose at most 3 levels"):
        shortlist(HierarchyEdges(), range(6), RNG, 3, Micro())
    with pytest.raises(ConfigError, match=r"of the edges 1, 2 into the node of level 1 none can be split"):
        shortlist(HierarchyEdges(), [0, 3], RNG, 1, Micro())


class Sees:
    """A probe that hands out its subspace and random numbers."""

    subspace = SubSpace(((0, 1, 2), (1, 3)))

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(len(purpose))


class Peeks:
    """Reads the truth, and serves no space."""

    reads_truth: ClassVar[bool] = True

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        raise AssertionError("it is never called here")

    def unfit(self, space: Any) -> str:
        return f"not for {space.name}"


@pytest.fixture
def peeks() -> Iterator[str]:
    registry.register("criteria", "peeks")(Peeks)
    yield "peeks"
    registry._registered.pop(("criteria", "peeks"))


def test_the_criterion_gives_the_affinity_of_another() -> None:
    probe = cast(Probe, Sees())
    for edge in (0, 1):
        found, expected = HierarchyCriterion(of="random")(probe, edge), Random()(probe, edge)
        assert found.operations == expected.operations
        np.testing.assert_array_equal(found.dissimilarity, expected.dissimilarity)
    assert HierarchyCriterion().parts() == Parts(
        "balanced", "hierarchy", {"levels": 3, "branching": 2, "keep": "best", "share": "steps"}
    )
    assert HierarchyCriterion(levels=2).parts().schedule["levels"] == 2


def test_the_criterion_is_what_the_other_is(peeks: str) -> None:
    gm, random, peeking = (HierarchyCriterion(of=name) for name in ("gm", "random", peeks))
    assert (gm.draws, random.draws) == (False, True)
    assert not base.reads_truth(gm)
    assert base.reads_truth(peeking)
    assert base.unfit(gm, Micro()) is None
    assert base.unfit(peeking, Micro()) == "not for micro"


def test_the_criterion_refuses_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="levels must be 1 or more, not 0"):
        HierarchyCriterion(levels=0)
    with pytest.raises(ConfigError, match=r"hierarchy.of: gm has no parameter 'repetition'"):
        HierarchyCriterion(of={"name": "gm", "repetition": 3})(cast(Probe, Sees()), 0)
    with pytest.raises(ConfigError, match=r"hierarchy.of: 'none' never splits"):
        HierarchyCriterion(of="none")(cast(Probe, Sees()), 0)
