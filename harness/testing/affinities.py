"""What an affinity must be, and affinities for partitioners and edge rules to work on."""

from __future__ import annotations

import numpy as np

from splitbench.criteria.base import Affinity, Partition
from splitbench.criteria.partitioners.cuts import partitions
from splitbench.harness.testing.material import require


def require_affinity(affinity: object, operations: tuple[int, ...], where: str) -> None:
    """Raise AssertionError unless it is a valid affinity of ``operations``.

    Its constructor has looked at it as well, but arrays can be written to afterwards.
    """
    require(isinstance(affinity, Affinity), f"{where}: gives {type(affinity).__name__}, not an Affinity")
    assert isinstance(affinity, Affinity)
    require(
        tuple(affinity.operations) == operations,
        f"{where}: compares operations {affinity.operations}, and the edge allows {operations}",
    )
    d, error, n = affinity.dissimilarity, affinity.standard_error, len(operations)
    for name, matrix in (("dissimilarity", d), ("standard_error", error)):
        require(
            isinstance(matrix, np.ndarray) and matrix.shape == (n, n) and np.issubdtype(matrix.dtype, np.floating),
            f"{where}: {name} is not a float array of shape {(n, n)}",
        )
    require(bool(np.isfinite(d).all()), f"{where}: a dissimilarity is not finite: {d.tolist()}")
    require(np.allclose(d, d.T, rtol=1e-9, atol=1e-12), f"{where}: the dissimilarity is not symmetric: {d.tolist()}")
    require(not d.diagonal().any(), f"{where}: the dissimilarity is not zero on its diagonal: {d.diagonal().tolist()}")
    require(
        bool((np.isnan(error) | (np.isfinite(error) & (error >= 0))).all()),
        f"{where}: a standard error is negative or infinite (NaN says that it is unknown): {error.tolist()}",
    )
    require(
        np.allclose(error, error.T, equal_nan=True) and not error.diagonal().any(),
        f"{where}: the standard errors are not symmetric with a zero diagonal: {error.tolist()}",
    )
    require(
        isinstance(affinity.repetitions, int) and affinity.repetitions >= 0,
        f"{where}: repetitions is {affinity.repetitions!r}, not a count",
    )
    for groups, value in affinity.worth:
        require(
            sorted(op for group in groups for op in group) == list(operations) and all(groups),
            f"{where}: worth names {groups}, which is not a partition of {operations}",
        )
        require(bool(np.isfinite(value)), f"{where}: worth says {value} of {groups}, which is not finite")


def same_affinity(first: Affinity, second: Affinity) -> bool:
    """Whether two affinities are equal, bit for bit."""
    return first.worth == second.worth and all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=True)
        for name in ("dissimilarity", "standard_error")
    )


def affinities(operations: tuple[int, ...], seed: int = 0) -> list[Affinity]:
    """Affinities of any kind between ``operations``: random, all equal, all zero, in two clear groups.

    Each says what every partition into two or three groups is worth, for partitioners that read that.
    """
    n, rng = len(operations), np.random.default_rng((seed, *operations))
    upper = np.triu(rng.random((n, n)), 1)
    halves = np.arange(n) % 2
    matrices = [upper + upper.T, 1.0 - np.eye(n), np.zeros((n, n)), (halves[:, None] != halves).astype(float)]
    equal = Affinity.assumed(operations, 1.0 - np.eye(n))
    worth = tuple(
        (Partition.of(equal, groups).groups, float(rng.random()))
        for k in (2, 3)
        for groups in partitions(operations, k)
    )
    error = np.full((n, n), 0.1)
    np.fill_diagonal(error, 0.0)
    return [Affinity(operations, matrix, error, 3, worth) for matrix in matrices]
