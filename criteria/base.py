"""The parts that decide a split: criterion, partitioner and edge rule, and what they may declare about themselves.

This is the module that plugins import from: :class:`Probe` and :class:`Affinity`, what a criterion gets and gives, are
here by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from splitbench.criteria.affinity import Affinity, Groups, Matrix, Partition
from splitbench.criteria.probe import Probe
from splitbench.spaces.base import SearchSpace, SubSpace, unmet

__all__ = [
    "Affinity",
    "Criterion",
    "EdgeRule",
    "Groups",
    "Matrix",
    "Partition",
    "Partitioner",
    "Parts",
    "Probe",
    "given_leaves",
    "keeps_operations",
    "parts_of",
    "reads_truth",
    "shortlist",
    "splits",
    "unfit",
]


@dataclass(frozen=True)
class Parts:
    """What a criterion is used with unless the arm of a study says otherwise.

    A component is its name, or a mapping ``{"name": ..., **parameters}``.

    Attributes:
        partitioner: affinity -> groups.
        edge_rule: all edges' affinities and groups -> the edge to split.
        schedule: keys of the schedule that the method fixes, such as ``levels`` or ``weights``.
        only_whole_edges: whether only edges that still allow all their operations may be split, as released GM code
            has it.
        burn: share of the budget that is charged as scoring and buys nothing; of random controls.
    """

    partitioner: str | Mapping[str, object] = "balanced"
    edge_rule: str | Mapping[str, object] = "normalised_max_cut"
    schedule: Mapping[str, object] = field(default_factory=dict)
    only_whole_edges: bool = False
    burn: float = 0.0


class Criterion(Protocol):
    """Anything that can be called with a probe and an edge. Fields of a dataclass are its parameters.

    Optional: a method ``parts() -> Parts``; a class attribute ``splits`` that is False for a criterion that is
    never called because its supernet stays whole; a class attribute ``reads_truth`` that is True for an oracle
    control; a method ``unfit(space) -> str | None`` that says why it cannot serve a search space (the study then
    reports the arm as skipped); an attribute ``needs``, the capabilities of a space that it relies on
    (``separate_operations`` for :meth:`Probe.pullbacks`; none by default). See :func:`parts_of`, :func:`splits` and
    :func:`unfit`.
    """

    def __call__(self, probe: Probe, edge: int) -> Affinity: ...


def parts_of(criterion: Criterion) -> Parts:
    """The criterion's own parts; the defaults for one that names none, as a plain function."""
    own: Callable[[], Parts] | None = getattr(criterion, "parts", None)
    return own() if own is not None else Parts()


def splits(criterion: Criterion) -> bool:
    """Whether the criterion splits the supernet at all; True unless it says otherwise."""
    return bool(getattr(criterion, "splits", True))


def reads_truth(component: object) -> bool:
    """Whether it is an oracle control, which sees the ground truth; False unless it says otherwise."""
    return bool(getattr(component, "reads_truth", False))


def given_leaves(criterion: Criterion, space: SearchSpace) -> tuple[SubSpace, ...]:
    """The leaves that a criterion names itself; none for one that is asked about edges."""
    own: Callable[[SearchSpace], tuple[SubSpace, ...]] | None = getattr(criterion, "subspaces", None)
    return own(space) if own is not None else ()


def unfit(component: object, space: SearchSpace) -> str | None:
    """Why a criterion cannot serve a space; None if it can. (Of a proxy: ``proxies.base.unfit_proxy``.)"""
    own: Callable[[SearchSpace], str | None] | None = getattr(component, "unfit", None)
    return unmet(getattr(component, "needs", ()), space) or (own(space) if own is not None else None)


def keeps_operations(space: SearchSpace) -> str | None:
    """Why released code for NAS-Bench-201 cannot serve a space where operations stay in every child; None elsewhere."""
    root = space.root()
    if all(space.comparable(root, edge) == allowed for edge, allowed in enumerate(root.allowed)):
        return None
    return (
        "as_shipped draws contexts that may not use the probed edge, and no operation can be compared there; use the "
        "other variant"
    )


class Partitioner(Protocol):
    """Affinity -> groups; fewer operations than ``branching`` become one group each."""

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition: ...


class EdgeRule(Protocol):
    """All edges' affinities and partitions -> the edge to split, or several that are split at once (every combination
    of their groups becomes a child); ``candidates`` holds only edges that can be split.

    Optional: a method ``shortlist(edges, rng, level, space) -> edges`` for a rule that knows beforehand which of the
    edges it will look at; the others are then neither scored nor paid for. And an attribute ``consults``, the spec of a
    criterion of the rule's own: the candidates are then that criterion's (with its partitioner), and the groups of the
    chosen edge are the arm's. See :func:`shortlist`.
    """

    def __call__(
        self, candidates: Mapping[int, tuple[Affinity, Partition]], rng: np.random.Generator, level: int
    ) -> int | Sequence[int]: ...


def shortlist(
    rule: EdgeRule, edges: Sequence[int], rng: np.random.Generator, level: int, space: SearchSpace
) -> Sequence[int]:
    """The edges that a rule needs scores of: all of them, unless it says otherwise."""
    own: Callable[[Sequence[int], np.random.Generator, int, SearchSpace], Sequence[int]] | None = getattr(
        rule, "shortlist", None
    )
    return own(edges, rng, level, space) if own is not None else edges
