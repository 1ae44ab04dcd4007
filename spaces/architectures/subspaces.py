"""Which leaf an architecture belongs to, where leaves may overlap."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Architecture, SearchSpace, SubSpace


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


def require_cover(space: SearchSpace, leaves: Sequence[SubSpace]) -> None:
    """Refuse leaves that are no partition of a space's architectures (strings, connected or not).

    Two leaves may have strings in common only where every split would give them some: where what both allow on some
    edge is nothing but operations that stay in every child (:meth:`SearchSpace.comparable`). The first leaf owns those.

    Raises:
        ConfigError: naming two leaves and an architecture that both hold, or an architecture that none holds.
    """
    root = space.root()
    stays = [set(allowed) - set(space.comparable(root, edge)) for edge, allowed in enumerate(root.allowed)]
    for (i, first), (j, second) in itertools.combinations(enumerate(leaves), 2):
        common = [set(a) & set(b) for a, b in zip(first.allowed, second.allowed, strict=True)]
        if all(both - kept for both, kept in zip(common, stays, strict=True)):
            shared = tuple(min(both - kept) for both, kept in zip(common, stays, strict=True))
            raise ConfigError(
                f"leaves[{i}] and leaves[{j}] both hold the architecture {space.encode(shared)}; leaves must be "
                "disjoint: take it out of one of them"
            )
    if (missing := uncovered(root, leaves)) is not None:
        raise ConfigError(
            f"no leaf holds the architecture {space.encode(missing)}; together the leaves must hold the whole space: "
            "add it to one of them"
        )


def uncovered(root: SubSpace, leaves: Sequence[SubSpace]) -> Architecture | None:
    """The first string of ``root`` that lies in none of the leaves; None if they hold all of it."""

    @functools.cache
    def search(edge: int, left: frozenset[int]) -> Architecture | None:
        """The rest of such a string from ``edge`` on, of the leaves that allow everything before."""
        if not left:
            return tuple(operations[0] for operations in root.allowed[edge:])
        if edge == len(root.allowed):
            return None
        for op in root.allowed[edge]:
            rest = search(edge + 1, frozenset(leaf for leaf in left if op in leaves[leaf].allowed[edge]))
            if rest is not None:
                return (op, *rest)
        return None

    return search(0, frozenset(range(len(leaves))))
