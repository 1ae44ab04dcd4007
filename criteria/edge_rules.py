"""Edge rules: which of the edges that can be split is split, given every edge's affinity and partition.

Ties go to the lowest edge. Rules that read partitions compare what the partitioner found, so the same rule with
another partitioner may choose another edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from criteria.base import Affinity, Partition
from harness.errors import ConfigError

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

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(_edges(candidates, level), key=lambda edge: candidates[edge][1].cut)


@dataclass(frozen=True)
class ShippedMaxCut:
    """The edge with the largest sum of dissimilarities between groups.

    So GM-NAS is released for NAS-Bench-201 and Once-for-All. It favours edges with more operations, since they have
    more pairs to sum over.
    """

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(_edges(candidates, level), key=lambda edge: candidates[edge][1].raw_cut)


@dataclass(frozen=True)
class ShippedMinIntra:
    """The edge with the smallest sum of dissimilarities within groups.

    So GM-NAS is released for the DARTS space and ProxylessNAS. It is not the rule of the paper: it favours edges with
    few operations (fewer pairs within groups), and edges whose operations all agree, where a split gains least.
    """

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return min(_edges(candidates, level), key=lambda edge: candidates[edge][1].intra)


@dataclass(frozen=True)
class Fixed:
    """The edges of a list, one a level, whatever was measured.

    Attributes:
        edges: ``edges[level]`` is split at that level of the tree, in every branch.
    """

    edges: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not self.edges or min(self.edges) < 0:
            raise ConfigError(
                f"edge rule fixed: edges must be a list of edge indices from 0, one a level, not {list(self.edges)}; "
                "name at least one edge"
            )

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        """Raises ConfigError if the list has no edge for this level, or its edge cannot be split."""
        return self.shortlist(_edges(candidates, level), rng, level)[0]

    def shortlist(self, edges: Sequence[int], rng: np.random.Generator, level: int) -> list[int]:
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

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return self.shortlist(_edges(candidates, level), rng, level)[0]

    def shortlist(self, edges: Sequence[int], rng: np.random.Generator, level: int) -> list[int]:
        """The drawn edge alone: a random edge is not paid for by scoring the others."""
        return [edges[int(rng.integers(len(edges)))]] if edges else []
