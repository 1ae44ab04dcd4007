"""Which leaf an architecture belongs to, where leaves may overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from splitbench.spaces.base import SubSpace


def owner(subspaces: Sequence[SubSpace], architectures: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """For each row of ``architectures`` [A, edges], the index of the first subspace that contains it: [A], -1 for none.

    Operations that stay in every child make leaves overlap; an architecture that uses none of the separated ones lies
    in several, and is trained, ranked and counted in the first.
    """
    first = np.full(len(architectures), -1, dtype=np.int64)
    for index in reversed(range(len(subspaces))):
        first[subspaces[index].mask(architectures)] = index
    return first


def overlap(first: SubSpace, second: SubSpace) -> bool:
    """Whether two subspaces have a string in common."""
    return all(set(a) & set(b) for a, b in zip(first.allowed, second.allowed, strict=True))


def overlapping(subspace: SubSpace, others: Sequence[SubSpace]) -> tuple[SubSpace, ...]:
    """Those of ``others`` that have a string in common with ``subspace``: none where splits are partitions."""
    return tuple(other for other in others if overlap(subspace, other))
