"""What a criterion gives for an edge, and what a partitioner makes of it: dissimilarities, and groups of operations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Affinity:
    """Dissimilarity between the operations of one edge that a split separates.

    Attributes:
        operations: the n operation indices that rows and columns stand for, ascending.
        dissimilarity: [n, n], symmetric, zero diagonal; larger means: sooner to be separated.
        standard_error: [n, n] of the mean over repetitions; NaN where fewer than two repetitions measured the pair.
        repetitions: number of (batch, context) pairs that were drawn; 0 for a criterion that measures nothing.
        worth: whole partitions and what each is worth, for a criterion that judges partitions and not pairs; the
            partitioner ``best_worth`` reads it.

    Raises:
        ValueError: if the matrices are not n x n, or the dissimilarity is not finite, symmetric, zero on its diagonal.
    """

    operations: tuple[int, ...]
    dissimilarity: Matrix
    standard_error: Matrix
    repetitions: int
    worth: tuple[tuple[Groups, float], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.operations)
        if self.dissimilarity.shape != (n, n) or self.standard_error.shape != (n, n):
            raise ValueError(
                f"an affinity of {n} operations needs {n} x {n} matrices: dissimilarity is "
                f"{self.dissimilarity.shape}, standard_error is {self.standard_error.shape}"
            )
        d = self.dissimilarity
        if not np.isfinite(d).all() or not np.allclose(d, d.T, rtol=1e-9, atol=1e-12) or d.diagonal().any():
            raise ValueError(f"a dissimilarity must be finite, symmetric and zero on its diagonal, not {d.tolist()}")

    @classmethod
    def assumed(cls, operations: tuple[int, ...], dissimilarity: Matrix) -> Affinity:
        """An affinity that nobody measured: no repetitions, and no standard error off the diagonal."""
        error = np.full_like(dissimilarity, np.nan)
        np.fill_diagonal(error, 0.0)
        return cls(operations, dissimilarity, error, 0)

    @classmethod
    def of(cls, operations: tuple[int, ...], samples: Matrix, undefined: float | None = None) -> Affinity:
        """Mean and standard error over repetitions.

        Args:
            operations: the n operation indices.
            samples: [repetitions, n, n]; NaN where a repetition could not measure a pair.
            undefined: the dissimilarity of a pair that no repetition could measure; by default the mean of all pairs
                that were measured, so that what is not known speaks neither for nor against a cut (0 if none was).
        """
        count = (~np.isnan(samples)).sum(axis=0)
        total = np.nansum(samples, axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        if undefined is None:
            known = mean[~np.eye(len(operations), dtype=bool) & (count > 0)]
            undefined = float(known.mean()) if len(known) else 0.0
        mean = np.where(count > 0, mean, undefined)
        spread = np.nansum((samples - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
        error = np.where(count > 1, np.sqrt(spread / np.maximum(count, 1)), np.nan)
        np.fill_diagonal(mean, 0.0)
        np.fill_diagonal(error, 0.0)
        return cls(operations, mean, error, len(samples))


@dataclass(frozen=True)
class Partition:
    """Groups of operations on one edge.

    Attributes:
        groups: operation indices, each group ascending, groups ordered by their first operation.
        cut: mean dissimilarity over pairs in different groups (normalised, so edges are comparable); 0 for one group.
        raw_cut: the sum over those pairs.
        intra: the sum over pairs in the same group.
    """

    groups: Groups
    cut: float
    raw_cut: float
    intra: float

    @classmethod
    def of(cls, affinity: Affinity, groups: Iterable[Iterable[int]]) -> Partition:
        """The partition of ``affinity.operations`` into ``groups`` (operation indices, any order).

        Sums are exactly rounded, so that equal partitions tie whatever the order of their operations.

        Raises:
            ValueError: if the groups do not hold every operation of the affinity exactly once.
        """
        ordered = tuple(sorted(tuple(sorted(group)) for group in groups))
        if sorted(op for group in ordered for op in group) != list(affinity.operations) or () in ordered:
            raise ValueError(f"{ordered} is not a partition of the operations {affinity.operations}")
        group_of = {op: index for index, group in enumerate(ordered) for op in group}
        cross: list[float] = []
        same: list[float] = []
        for (i, first), (j, second) in combinations(enumerate(affinity.operations), 2):
            pairs = same if group_of[first] == group_of[second] else cross
            pairs.append(float(affinity.dissimilarity[i, j]))
        raw_cut = math.fsum(cross)
        return cls(ordered, raw_cut / max(len(cross), 1), raw_cut, math.fsum(same))
