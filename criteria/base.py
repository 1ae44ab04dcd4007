"""What a criterion gets (a probe) and gives (an affinity), and what partitioners and edge rules make of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from splitbench.criteria.proxies.base import Proxy, Scores
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace, unmet
from splitbench.spaces.truth import GroundTruth

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


class Probe(Protocol):
    """The only way for a criterion to touch a supernet; every pass is charged to the arm's scoring phase.

    Repetition r gives the same batch for every edge and operation, and the same context for every operation of an
    edge, whatever the criterion: all comparisons are paired.
    """

    @property
    def space(self) -> SearchSpace:
        """The search space (topology, counts); no ground truth."""

    @property
    def subspace(self) -> SubSpace:
        """What the probed supernet still allows."""

    def operations(self, edge: int) -> tuple[int, ...]:
        """The operations of ``edge`` to compare, ascending: those that a split separates. An affinity's operations are
        exactly these. Where some stay in every child (as ``none`` on the edges of DARTS), they are fewer than
        ``subspace.allowed[edge]``; contexts and mixtures still run all."""

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of this node of the split tree and this purpose, the same in every arm (and new in every draw
        of an arm that has draws). Each call starts the stream anew: name the edge in the purpose where edges differ."""

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        """Training images [N, C, H, W] with training augmentation, and labels [N]."""

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        """What runs on the other edges: a path for single-path trainers, a mixture for others.

        Args:
            edge: the probed edge; its own entry is whatever was drawn.
            repetition: which context.
            connected: redraw until every one of :meth:`operations` that puts something on the edge leaves input and
                output connected;
                otherwise only the drawn architecture itself is connected, as released code has it.
        """

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        """Gradient of the cross-entropy for all weights that the edge's operations share, with ``operation`` alone
        on ``edge`` (weight 1): flat [P], zeros for weights that did not run; None if all of it is zero,
        or if the operation cuts the input off from the output (nothing runs then, and nothing is charged).
        Of operations that are slices of one weight: the slice that all operations allowed on the edge use.

        ``outer=False`` leaves out the first layer, the last normalisation and the classifier.
        """

    def lengths(self, edge: int, outer: bool = True) -> Sequence[int]:
        """Entries of each shared parameter tensor (or shared slice of one), in the order of :meth:`gradient`; they sum
        to P. Costs nothing."""

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        """Logits [N, classes] with ``operation`` alone on ``edge``; forward only."""

    def features(self, edge: int, operation: int, repetition: int, context: Choice) -> list[Tensor]:
        """What each cell, and each layer between cells, puts out with ``operation`` alone on ``edge``: each
        [N, C, H, W], from input to output; forward only."""

    def pullbacks(self, edge: int, repetition: int, context: Choice) -> list[Tensor | None]:
        """What each of :meth:`operations` sends back to the input of ``edge`` when all run as one mixture.

        One forward and one backward pass give all of them. With y = sum of w_o o(x) on the edge, entry o is
        w_o J_o^T dL/dy, flat, over all cells and images; None if it is zero or the operation has no module. A path as
        context gives all operations the same weight, a mixture its own.

        Raises:
            SplitbenchError: where operations have no modules of their own; declare needs = ("separate_operations",).
        """

    def whole(self) -> Mixture:
        """The supernet with everything it allows: the trainer's own mixture, or equal weights for one that has none."""

    def accuracy(self, choice: Choice, images: int | None = None) -> tuple[float, float]:
        """Top-1 accuracy in percent and cross-entropy on fixed, unaugmented validation images.

        Args:
            choice: a path or a mixture.
            images: how many, from the front of their fixed order; all by default.
        """

    def score(self, proxy: Proxy, choice: Choice, repetition: int, initial: bool = False) -> Scores:
        """The terms [k] of a zero-cost proxy on the batch of ``repetition``; ``combined`` (criteria.proxies.base) makes
        one number of them.

        Args:
            proxy: the proxy.
            choice: a path or a mixture of the supernet.
            repetition: which batch.
            initial: on the weights that the supernet started from, not on those it has now.
        """

    def truth(self) -> GroundTruth:
        """The ground truth. For criteria that declare ``reads_truth``: the oracle controls, and nobody else.

        Raises:
            ConfigError: for any other criterion.
        """


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
