"""What a supernet can be asked to run: an architecture, or a mixture of what a subspace allows.

An architecture is one operation index an edge. A subspace is what is still allowed on each edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

Architecture = tuple[int, ...]
Rows = npt.NDArray[np.integer]
"""Architectures, one a row: [A, edges], int8 (int16 where an edge has more than 127 operations)."""


@dataclass(frozen=True)
class SubSpace:
    """The operations still allowed on each edge; the root allows all of them.

    Attributes:
        allowed: for each edge, the allowed operation indices, ascending.
    """

    allowed: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for edge, operations in enumerate(self.allowed):
            if not operations or list(operations) != sorted(set(operations)):
                raise ValueError(f"edge {edge}: allowed operations must be ascending and not empty: {operations}")

    @property
    def size(self) -> int:
        """Number of architectures (strings, not functions)."""
        return math.prod(len(operations) for operations in self.allowed)

    def contains(self, architecture: Architecture) -> bool:
        return all(op in operations for op, operations in zip(architecture, self.allowed, strict=True))

    def mask(self, architectures: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Which rows of ``architectures`` [A, edges] lie in this subspace: bool [A]."""
        inside = np.ones(len(architectures), dtype=bool)
        for edge, operations in enumerate(self.allowed):
            inside &= np.isin(architectures[:, edge], operations)
        return inside

    def split(self, edge: int, groups: Sequence[Sequence[int]]) -> tuple[SubSpace, ...]:
        """One child a group: the same subspace with only that group's operations on ``edge``.

        Raises:
            ValueError: if the groups are not a partition of the operations allowed on the edge.
        """
        if sorted(op for group in groups for op in group) != list(self.allowed[edge]):
            raise ValueError(f"{groups} is not a partition of {self.allowed[edge]} on edge {edge}")
        return tuple(self.only(edge, group) for group in groups)

    def only(self, edge: int, operations: Iterable[int]) -> SubSpace:
        """This subspace with just ``operations`` on ``edge``."""
        return SubSpace((*self.allowed[:edge], tuple(sorted(operations)), *self.allowed[edge + 1 :]))

    def draw(self, rng: np.random.Generator) -> Architecture:
        """One uniform architecture, connected or not."""
        return tuple(operations[int(rng.integers(len(operations)))] for operations in self.allowed)


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of operations on every edge: what DARTS and its kin run.

    Attributes:
        active: the operations that run (and are paid for).
        weights: [edges, most operations on an edge]; entries of inactive operations are ignored.
    """

    active: SubSpace
    weights: Tensor


Choice = Architecture | Mixture


def named_operations(choice: Choice) -> tuple[tuple[int, ...], ...]:
    """Edge by edge, the operations that a choice names, whether or not they run."""
    return choice.active.allowed if isinstance(choice, Mixture) else tuple((op,) for op in choice)


def with_operation(context: Choice, edge: int, operation: int) -> Choice:
    """The context with ``operation`` alone on ``edge``, at weight 1."""
    if not isinstance(context, Mixture):
        return (*context[:edge], operation, *context[edge + 1 :])
    weights = context.weights.clone()
    weights[edge] = 0
    weights[edge, operation] = 1
    return Mixture(context.active.only(edge, [operation]), weights)


def as_rows(architectures: Sequence[Architecture], edges: int) -> Rows:
    """Architectures as an array [A, edges] of the smallest type that holds them."""
    most = max((max(a) for a in architectures), default=0)
    rows: Rows = np.array(architectures, dtype=np.int8 if most < 128 else np.int16)
    return rows.reshape(-1, edges)
