"""Partitioners that see operations as a weighted graph, as points on a line, or as whole partitions with a worth.

``spectral`` and ``min_cut`` need similarities. They take max(D) - D over the pairs of the edge: never negative whatever
the scale of D (1 - D would be, for squared differences), and the same after adding a constant to every pair. The pair
that is furthest apart has similarity 0.

Searches are exact, and where two partitions are equally good the lexicographically first one wins, unless a class says
otherwise. Fewer operations than ``branching`` become one group each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, pairwise
from typing import ClassVar

import networkx  # type: ignore[import-untyped]
import numpy as np

from splitbench.criteria.base import Affinity, Groups, Matrix, Partition
from splitbench.criteria.partitioners.cuts import MOST_OPERATIONS, balanced_sizes, partitions
from splitbench.harness.errors import ConfigError

_DIGITS = 9  # of eigenvalues, coordinates and objectives: what differs by less is rounding, and counts as equal


@dataclass(frozen=True)
class Spectral:
    """Normalised spectral clustering (Ng, Jordan and Weiss, NeurIPS 2001), its k-means solved exactly.

    With S the similarities, G the diagonal matrix of their row sums and L = G^-1/2 (G - S) G^-1/2 (an operation that
    is like no other has a row of zeros), each operation is its row of the eigenvectors of the k smallest eigenvalues,
    scaled to length 1. Of all partitions into k = ``branching`` groups, the one with the smallest sum of squared
    distances to the group means is taken. Eigenvectors of the k-th eigenvalue count together, all of them or none:
    which of them a solver puts first is chance. NAS-LID has spectral clustering as one of its groupings.
    """

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        """Raises ConfigError if there are more than ``MOST_OPERATIONS`` operations."""
        n = len(affinity.operations)
        if n > MOST_OPERATIONS:
            raise ConfigError(
                f"partitioner spectral: an edge allows {n} operations, and at most {MOST_OPERATIONS} are searched "
                "exhaustively; use the partitioner balanced, min_cut or singletons instead"
            )
        k = min(branching, n)
        squares = _squared_distances(_similarity(affinity), k)

        def spread(groups: Groups) -> float:
            """The sum over groups of squared distances to their mean: over pairs, divided by the group's size."""
            parts = [squares[i, j] / len(group) for group in groups for i, j in combinations(group, 2)]
            return round(math.fsum(parts), _DIGITS)

        best = min(partitions(range(n), k), key=lambda groups: (spread(groups), groups))
        return _named(affinity, best)


@dataclass(frozen=True)
class Gap:
    """Operations on a line, cut at its ``branching`` - 1 widest gaps.

    A dissimilarity that is the distance between numbers, |x_i - x_j|, gives these numbers back. Of any other, the line
    is the first coordinate of classical multidimensional scaling (Torgerson, Psychometrika 1952): the top eigenvector
    of -1/2 J D^2 J, with D^2 entry by entry and J = I - 1/n. Where several are on top equally, it is the projection of
    the first operation onto them.
    """

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        n = len(affinity.operations)
        positions = _line(affinity.dissimilarity)
        length = np.ptp(positions) or 1.0
        order = sorted(range(n), key=lambda i: (round(float(positions[i] / length), _DIGITS), i))
        gaps = [round(float((positions[j] - positions[i]) / length), _DIGITS) for i, j in pairwise(order)]
        candidates = (
            (math.fsum(gaps[cut] for cut in cuts), _pieces(order, cuts))
            for cuts in combinations(range(n - 1), min(branching, n) - 1)
        )
        return _named(affinity, min(candidates, key=lambda candidate: (-candidate[0], candidate[1]))[1])


@dataclass(frozen=True)
class MinCut:
    """The minimum cut of the similarity graph (Stoer and Wagner, J. ACM 1997), all group sizes allowed.

    For more than two groups, the group with the cheapest minimum cut is cut again and again, which costs at most
    2 - 2/k times the optimum of k groups (Saran and Vazirani, SIAM J. Comput. 1995). A cut is a sum over pairs, and
    1|4 cuts four pairs where 2|3 cuts six: the minimum usually sets one operation apart, the least similar one.

    Sums are exact, for any number of operations. Of equally cheap cuts the algorithm's first is taken, operations
    in ascending order: always the same one, not always the lexicographically first.
    """

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        n = len(affinity.operations)
        weights = [[Fraction(value) for value in row] for row in _similarity(affinity).tolist()]
        groups: list[tuple[int, ...]] = [tuple(range(n))]
        while len(groups) < min(branching, n):
            cuts = {group: _minimum_cut(group, weights) for group in sorted(groups) if len(group) > 1}
            cut = min(cuts, key=lambda group: cuts[group][0])
            groups.remove(cut)
            groups.extend(cuts[cut][1])
        return _named(affinity, groups)


@dataclass(frozen=True)
class BestWorth:
    """The partition that the criterion itself judges best; ``cut`` and ``raw_cut`` carry its worth.

    It serves criteria that judge whole partitions (``Affinity.worth``). ``intra`` stays the sum of dissimilarities
    within groups.

    Attributes:
        balanced: whether only groups as equal in size as possible are considered, instead of all sizes.
    """

    balanced: bool = False

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        """Raises ConfigError if the affinity has no worth, or none of a partition into that many groups."""
        n = len(affinity.operations)
        if n == 1:
            return Partition.of(affinity, [affinity.operations])
        sizes = balanced_sizes(n, branching)
        if not affinity.worth:
            raise ConfigError(
                "partitioner best_worth: the criterion measures pairs of operations and gives no worth of whole "
                "partitions; use the partitioner balanced, or a criterion that judges partitions, such as oracle"
            )
        ordered = [(tuple(sorted(tuple(sorted(group)) for group in groups)), worth) for groups, worth in affinity.worth]
        allowed = [
            (groups, worth)
            for groups, worth in ordered
            if len(groups) == len(sizes) and (not self.balanced or sorted(map(len, groups)) == list(sizes))
        ]
        if not allowed:
            raise ConfigError(
                f"partitioner best_worth: the criterion judges no partition of the operations {affinity.operations} "
                f"into {len(sizes)} groups{' of equal size' if self.balanced else ''}; use another branching"
            )
        groups, worth = min(allowed, key=lambda candidate: (-candidate[1], candidate[0]))
        return replace(Partition.of(affinity, groups), cut=worth, raw_cut=worth)


def _similarity(affinity: Affinity) -> Matrix:
    """max(D) - D off the diagonal, 0 on it: [n, n], exactly symmetric."""
    upper = np.triu_indices(len(affinity.operations), 1)
    pairs = affinity.dissimilarity[upper]
    similarity = np.zeros_like(affinity.dissimilarity)
    similarity[upper] = pairs.max(initial=-np.inf) - pairs
    return similarity + similarity.T


def _named(affinity: Affinity, groups: Sequence[Sequence[int]]) -> Partition:
    """The partition that has these positions in its groups."""
    return Partition.of(affinity, ([affinity.operations[i] for i in group] for group in groups))


def _projector(values: Matrix, vectors: Matrix, chosen: float) -> Matrix:
    """Onto the eigenvectors whose eigenvalue is ``chosen`` or below: [n, n]."""
    basis = vectors[:, values <= chosen + 10.0**-_DIGITS]
    return basis @ basis.T


def _squared_distances(similarity: Matrix, k: int) -> Matrix:
    """Between the rows, scaled to length 1, of the eigenvectors of the k smallest eigenvalues: [n, n].

    They come from the projector onto these eigenvectors, whose entries are the rows' inner products: it does not
    depend on signs and rotations of eigenvectors. No row is zero, since each component of the graph adds an eigenvector
    of eigenvalue 0 that is positive on all of it.
    """
    degrees = similarity.sum(axis=1)
    roots = np.sqrt(np.divide(1.0, degrees, out=np.zeros_like(degrees), where=degrees > 0))
    laplacian = roots[:, None] * (np.diag(degrees) - similarity) * roots
    values, vectors = np.linalg.eigh(laplacian)
    inner = _projector(values, vectors, values[k - 1])
    lengths = np.sqrt(inner.diagonal())
    squares: Matrix = np.maximum(2.0 - 2.0 * inner / np.outer(lengths, lengths), 0.0)
    return squares


def _line(dissimilarity: Matrix) -> Matrix:
    """Positions [n] of the operations on a line, up to direction and scale."""
    n, scale = len(dissimilarity), float(np.abs(dissimilarity).max()) or 1.0
    scaled = dissimilarity / scale
    end = int(scaled.max(axis=1).argmax())  # an operation of the furthest pair lies at an end of the line
    positions: Matrix = scaled[end]
    if np.allclose(np.abs(positions[:, None] - positions), scaled, rtol=0.0, atol=10.0**-_DIGITS):
        return positions
    centring = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(centring @ scaled**2 @ centring / 2)  # negated: the top comes first
    top = _projector(values, vectors, values[0])
    first: Matrix = top[:, int((top.diagonal() > 10.0**-_DIGITS).argmax())]
    return first


def _pieces(order: Sequence[int], cuts: Sequence[int]) -> Groups:
    """``order`` cut behind each place in ``cuts``; groups ascending, by their first member."""
    ends = [0, *(cut + 1 for cut in cuts), len(order)]
    return tuple(sorted(tuple(sorted(order[start:end])) for start, end in pairwise(ends)))


def _minimum_cut(group: Sequence[int], weights: Sequence[Sequence[Fraction]]) -> tuple[Fraction, Groups]:
    """Weight and sides of the cheapest cut of the graph on ``group``."""
    graph = networkx.Graph()
    graph.add_nodes_from(group)
    graph.add_weighted_edges_from((i, j, weights[i][j]) for i, j in combinations(group, 2))
    weight, sides = networkx.stoer_wagner(graph)
    return weight, tuple(sorted(tuple(sorted(side)) for side in sides))
