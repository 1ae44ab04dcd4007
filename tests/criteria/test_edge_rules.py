"""Edge rules on hand-made candidates."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from splitbench.criteria.base import Affinity, EdgeRule, Partition
from splitbench.criteria.edge_rules import Fixed, NormalisedMaxCut, RandomEdge, ShippedMaxCut, ShippedMinIntra
from splitbench.criteria.partitioners.cuts import Balanced
from splitbench.harness.errors import ConfigError

RNG = np.random.default_rng(0)


def candidate(n: int, dissimilarity: float) -> tuple[Affinity, Partition]:
    """An edge of ``n`` operations that are all equally far apart."""
    affinity = Affinity.assumed(tuple(range(n)), dissimilarity * (1 - np.eye(n)))
    return affinity, Balanced()(affinity, 2, RNG)


# pairs across and within groups: five operations 6 and 4, three 2 and 1, two 1 and 0
EDGES = {4: candidate(5, 0.5), 1: candidate(3, 0.7), 2: candidate(2, 0.6), 0: candidate(5, 0.4)}


@pytest.mark.parametrize(
    ("rule", "edge"),
    [
        (NormalisedMaxCut(), 1),  # .5 .7 .6 .4
        (ShippedMaxCut(), 4),  # 3.0 1.4 .6 2.4: the sum prefers five operations
        (ShippedMinIntra(), 2),  # 2.0 .7 .0 1.6: two operations have no pair within a group
        (Fixed((4, 2)), 4),
    ],
)
def test_choice(rule: EdgeRule, edge: int) -> None:
    assert rule(EDGES, RNG, 0) == edge


@pytest.mark.parametrize("rule", [NormalisedMaxCut(), ShippedMaxCut(), ShippedMinIntra()])
def test_ties_go_to_the_lowest_edge(rule: EdgeRule) -> None:
    assert rule({5: candidate(5, 0.3), 2: candidate(5, 0.3), 3: candidate(5, 0.3)}, RNG, 0) == 2


def test_normalising_makes_edges_of_different_sizes_comparable() -> None:
    """With the same dissimilarity everywhere, no edge is better: the tie goes to the lowest, whatever its size."""
    for sizes in ((5, 3, 2), (2, 3, 5), (4, 5, 3)):
        assert NormalisedMaxCut()({e: candidate(n, 0.5) for e, n in enumerate(sizes)}, RNG, 0) == 0


def test_fixed_goes_through_its_list() -> None:
    assert [Fixed((4, 0, 2))(EDGES, RNG, level) for level in range(3)] == [4, 0, 2]


@pytest.mark.parametrize(
    ("rule", "level", "message"),
    [
        (Fixed((3,)), 0, r"edge 3 cannot be split at level 0; edges that can be: 0, 1, 2, 4"),
        (Fixed((4, 4)), 2, r"edges \[4, 4\] name no edge for level 2; .* at most 2 levels"),
    ],
)
def test_fixed_says_what_is_wrong(rule: Fixed, level: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rule(EDGES, RNG, level)


@pytest.mark.parametrize("edges", [(), (-1,)])
def test_fixed_refuses_a_bad_list(edges: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="must be a list of edge indices"):
        Fixed(edges)


@pytest.mark.parametrize("rule", [NormalisedMaxCut(), ShippedMaxCut(), ShippedMinIntra(), Fixed(), RandomEdge()])
def test_no_edge_left_is_a_sentence(rule: EdgeRule) -> None:
    with pytest.raises(ConfigError, match="no edge is left that can be split at level 3"):
        rule({}, RNG, 3)


def test_random_edge_is_uniform_over_the_candidates() -> None:
    rng = np.random.default_rng(1)
    counts = Counter(RandomEdge()(EDGES, rng, 0) for _ in range(2000))
    assert set(counts) == set(EDGES)
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_random_edge_does_not_depend_on_the_order_of_the_candidates() -> None:
    turned = dict(reversed(EDGES.items()))
    rule, first, second = RandomEdge(), np.random.default_rng(2), np.random.default_rng(2)
    assert [rule(EDGES, first, 0) for _ in range(20)] == [rule(turned, second, 0) for _ in range(20)]
