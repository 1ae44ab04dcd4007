"""Edge rules: which of the edges that can be split is split, given every edge's affinity and partition.

Ties go to the lowest edge. Rules that read partitions compare what the partitioner found, so the same rule with
another partitioner may choose another edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np

from splitbench.criteria.base import Affinity, Partition
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec
from splitbench.spaces.base import SearchSpace

Candidates = Mapping[int, tuple[Affinity, Partition]]


def _edges(candidates: Candidates, level: int) -> list[int]:
    """The candidates, ascending; a sentence if there are none."""
    if not candidates:
        raise ConfigError(
            f"schedule.levels: no edge is left that can be split at level {level}; choose at most {level} levels"
        )
    return sorted(candidates)


@dataclass(frozen=True)
class NormalisedMaxCut:
    """The edge with the largest mean dissimilarity between groups.

    The mean over pairs, unlike the sum, compares edges with different numbers of operations and groups fairly.
    """

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(_edges(candidates, level), key=lambda edge: candidates[edge][1].cut)


@dataclass(frozen=True)
class ShippedMaxCut:
    """The edge with the largest sum of dissimilarities between groups.

    So GM-NAS is released for NAS-Bench-201 and Once-for-All. It favours edges with more operations, since they have
    more pairs to sum over.
    """

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(_edges(candidates, level), key=lambda edge: candidates[edge][1].raw_cut)


@dataclass(frozen=True)
class ShippedMinIntra:
    """The edge with the smallest sum of dissimilarities within groups.

    So GM-NAS is released for the DARTS space and ProxylessNAS. It is not the rule of the paper: it favours edges with
    few operations (fewer pairs within groups), and edges whose operations all agree, where a split gains least.
    """

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return min(_edges(candidates, level), key=lambda edge: candidates[edge][1].intra)


@dataclass(frozen=True)
class MaxIntraSimilarity:
    """The edge whose groups hold the most similar operations: largest mean similarity over pairs within groups.

    NAS-LID (AAAI 2023) in the mean, where its paper has the sum. Similarity is a constant less the dissimilarity, so
    this is the smallest mean dissimilarity. An edge of single operations has no pair within a group and nothing to
    compare: it comes last, or edges with few operations would always win, as in ``shipped_min_intra``.
    """

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        def mean(edge: int) -> float:
            partition = candidates[edge][1]
            pairs = sum(math.comb(len(group), 2) for group in partition.groups)
            return partition.intra / pairs if pairs else math.inf

        return min(_edges(candidates, level), key=mean)


@dataclass(frozen=True)
class ShippedMaxInterSimilarity:
    """The edge with the largest sum of similarities between groups, a similarity being 1 - dissimilarity.

    So NAS-LID is released (its paper maximises the similarity within groups). Among edges with equally many
    operations it is the edge whose groups differ least, where a split gains least.
    """

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(_edges(candidates, level), key=lambda edge: inter_similarity(candidates[edge][1]))


def inter_similarity(partition: Partition) -> float:
    """Sum of 1 - dissimilarity over the pairs of operations in different groups."""
    pairs = sum(len(first) * len(second) for first, second in combinations(partition.groups, 2))
    return pairs - partition.raw_cut


@dataclass(frozen=True)
class Fixed:
    """The edges of a list, one a level, whatever was measured.

    Attributes:
        edges: ``edges[level]`` is split at that level of the tree, in every branch.
    """

    edges: tuple[int, ...] = (0,)

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.edges or min(self.edges) < 0:
            raise ConfigError(
                f"edge rule fixed: edges must be a list of edge indices from 0, one a level, not {list(self.edges)}; "
                "name at least one edge"
            )

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        """Raises ConfigError if the list has no edge for this level, or its edge cannot be split."""
        return self.shortlist(_edges(candidates, level), rng, level)[0]

    def shortlist(
        self, edges: Sequence[int], rng: np.random.Generator, level: int, space: SearchSpace | None = None
    ) -> list[int]:
        """The level's edge alone: only it is scored."""
        if level >= len(self.edges):
            raise ConfigError(
                f"edge rule fixed: edges {list(self.edges)} name no edge for level {level}; "
                f"name one edge a level, or choose at most {len(self.edges)} levels"
            )
        edge = self.edges[level]
        if edge not in edges:
            raise ConfigError(
                f"edge rule fixed: edge {edge} cannot be split at level {level}; "
                f"edges that can be: {', '.join(map(str, edges)) or 'none'}; put one of them at place {level} of edges"
            )
        return [edge]


@dataclass(frozen=True)
class RandomEdge:
    """An edge drawn uniformly from those that can be split."""

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return self.shortlist(_edges(candidates, level), rng, level)[0]

    def shortlist(
        self, edges: Sequence[int], rng: np.random.Generator, level: int, space: SearchSpace | None = None
    ) -> list[int]:
        """The drawn edge alone: a random edge is not paid for by scoring the others."""
        return [edges[int(rng.integers(len(edges)))]] if edges else []


@dataclass(frozen=True)
class HierarchyEdges:
    """All edges into one node of the cell at once, node by node from input to output (HEP-NAS, AAAI 2025).

    A node with h such edges gets a child for each combination of their groups: 2^h for two groups an edge.
    """

    version: ClassVar[int] = 1

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> tuple[int, ...]:
        return tuple(_edges(candidates, level))

    def shortlist(self, edges: Sequence[int], rng: np.random.Generator, level: int, space: SearchSpace) -> list[int]:
        """Of ``edges``, those into the level's node; raises ConfigError if there is no such node, or no such edge."""
        nodes = space.hierarchies()
        if level >= len(nodes):
            raise ConfigError(
                f"edge rule hierarchy: level {level} has no node to split at, since the edges of {space.name} lead "
                f"into {len(nodes)}; choose at most {len(nodes)} levels"
            )
        chosen = [edge for edge in edges if edge in nodes[level]]
        if not chosen:
            raise ConfigError(
                f"edge rule hierarchy: of the edges {', '.join(map(str, nodes[level]))} into the node of level {level} "
                "none can be split; choose fewer levels, or another edge rule"
            )
        return chosen


@dataclass(frozen=True)
class OracleEdge:
    """The edge where the ground truth separates operations best; the groups stay those of the arm's criterion.

    A control: what the choice of the edge can be worth. The candidates are those of the criterion ``oracle``, whose
    cut is the worth of its best partition.

    Attributes:
        objective: of that criterion.
    """

    objective: Literal["variance", "top"] = "variance"

    version: ClassVar[int] = 1

    @property
    def consults(self) -> Spec:
        """The criterion that the candidates come from."""
        return {"name": "oracle", "objective": self.objective}

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(_edges(candidates, level), key=lambda edge: candidates[edge][1].cut)
