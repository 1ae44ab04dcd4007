"""Geometry of partitions: their agreement, how they divide the ground truth, and their stability.

A partition of the A distinct connected functions of a space is a vector of leaf numbers [A]: every function lies in
exactly one leaf. Nothing here knows how a partition came about. None stands for an undefined value, never NaN.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from splitbench.results.measures import ranking
from splitbench.results.measures.metrics import expected_best_of, leaf_floor

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# -- two partitions ----------------------------------------------------------------------------------------------------


def ari(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Adjusted Rand index of two labelings of the same things (Hubert and Arabie, 1985): 1 for the same partition, 0
    on average for two that are independent given their group sizes."""
    from sklearn.metrics import adjusted_rand_score  # a second to import, and only wanted here

    return float(adjusted_rand_score(np.asarray(first), np.asarray(second)))


def same_partition(first: npt.ArrayLike, second: npt.ArrayLike) -> bool:
    """Whether two labelings are one partition, whatever its groups are called."""
    a, b = np.asarray(first), np.asarray(second)
    together = len(np.unique(np.stack([a, b]), axis=1).T)
    return together == len(np.unique(a)) == len(np.unique(b))


# -- a partition and the ground truth ----------------------------------------------------------------------------------


def eta_squared(values: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of the variance of ``values`` [A] that lies between the groups of ``labels`` [A]: 0 to 1; 0 where all
    values are equal."""
    groups, v = np.unique(np.asarray(labels), return_inverse=True)[1], np.asarray(values, np.float64)
    deviations = v - v.mean()
    total = float(deviations @ deviations)
    sums, sizes = np.bincount(groups, deviations), np.bincount(groups)
    return float((sums**2 / sizes).sum()) / total if total else 0.0


def share_of_rank_variance(values: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The same share for the ranks of ``values`` [A]; equal values share their average rank."""
    return eta_squared(stats.rankdata(np.asarray(values, np.float64)), labels)


def concentration(values: npt.ArrayLike, labels: npt.ArrayLike, percent: int = 1) -> float:
    """Largest share of the best ``percent`` by ``values`` [A] that one group holds: ceil(A percent / 100) of them, and
    those tied with the last."""
    v = np.asarray(values, np.float64)
    best = v >= np.sort(v)[-ranking.share(len(v), percent)]
    return float(np.unique(np.asarray(labels)[best], return_counts=True)[1].max() / best.sum())


def against_truth(truth: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """Everything that a partition [A] says of stand-alone test accuracies [A], percent, over the whole population."""
    named, values = np.asarray(labels), np.asarray(truth, np.float64)
    leaves = np.unique(named)
    return {
        "leaves": float(len(leaves)),
        "eta2[all]": eta_squared(values, named),
        "rank_eta2[all]": share_of_rank_variance(values, named),
        "top1%_concentration[all]": concentration(values, named),
        "leaf_floor[all]": leaf_floor(values, [named == leaf for leaf in leaves]),
        "best_of_k[all]": expected_best_of(values, len(leaves)),
    }


# -- affinities --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeasuredAffinity:
    """An affinity that was measured on one edge: [n, n] mean dissimilarities and their standard errors (NaN where
    unknown)."""

    dissimilarity: Floats
    standard_error: Floats

    @property
    def pairs(self) -> Floats:
        """Dissimilarities of the n (n - 1) / 2 pairs of operations."""
        return self.dissimilarity[np.triu_indices(len(self.dissimilarity), 1)]

    @property
    def separation(self) -> float | None:
        """Spread over noise: the standard deviation of the pairs' dissimilarities, over the root mean square of their
        standard errors. About 1 if the pairs differ by nothing but independent noise.

        Only pairs with a standard error count; None if fewer than two have one, or all of them are zero.
        """
        errors = self.standard_error[np.triu_indices(len(self.standard_error), 1)]
        known = ~np.isnan(errors)
        noise = math.sqrt(float((errors[known] ** 2).mean())) if known.sum() > 1 else 0.0
        return float(self.pairs[known].std(ddof=1)) / noise if noise else None


@dataclass(frozen=True)
class Probing:
    """The result of one scoring of the root.

    Attributes:
        edges: the edge that was chosen, or several.
        groups: chosen edge -> the group of each of its operations [n].
        labels: [A], the child of the root that holds each function.
        affinities: edge name -> what was measured there; edges that were not scored are absent.
    """

    edges: tuple[int, ...]
    groups: Mapping[int, Labels]
    labels: Labels
    affinities: Mapping[str, MeasuredAffinity]


@dataclass(frozen=True)
class Agreement:
    """How far two scorings of the root agree.

    Attributes:
        same_edge: 1 or 0.
        groups_ari: of the operations' groups on the chosen edge (the mean over several); None if the edges differ.
        functions_ari: of the functions, by the child that holds them.
        affinity_rho: Spearman's correlation of the dissimilarities of all pairs of operations on all edges that both
            scored; None if there are none, or they are constant.
    """

    same_edge: float
    groups_ari: float | None
    functions_ari: float
    affinity_rho: float | None

    @classmethod
    def of(cls, first: Probing, second: Probing) -> Agreement:
        agree = first.edges == second.edges
        aris = [ari(first.groups[edge], second.groups[edge]) for edge in first.edges] if agree else []
        common = [edge for edge in first.affinities if edge in second.affinities]
        pairs = [
            np.concatenate([np.zeros(0), *(side.affinities[edge].pairs for edge in common)]) for side in (first, second)
        ]
        return cls(
            float(agree),
            math.fsum(aris) / len(aris) if aris else None,
            ari(first.labels, second.labels),
            ranking.spearman(*pairs),
        )


# -- a study's arms ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """An arm's partition in one repetition and draw, and its probings.

    Attributes:
        arm, repetition, draw: which one.
        labels: [A], the leaf of each function.
        leaves: for each leaf number, edge -> the operations it allows, in words.
        words: the splits from the root down: ``{"path", "edge", "groups"}``; one each where several edges were split.
        probings: of the root by different batches and contexts, the arm's own first; none if nothing was measured.
        initial: of the root at its initial weights; None if nothing was measured, or they are the arm's own.
    """

    arm: str
    repetition: int
    draw: int
    labels: Labels
    leaves: tuple[Mapping[str, Sequence[str]], ...]
    words: tuple[Mapping[str, Any], ...]
    probings: tuple[Probing, ...] = ()
    initial: Probing | None = None

    @property
    def sizes(self) -> list[int]:
        """The number of functions in each leaf."""
        return [int(n) for n in np.bincount(self.labels, minlength=len(self.leaves))]


@dataclass(frozen=True)
class Averaged:
    """A mean over keys (repetitions, or pairs of them) of means within a key (over draws and probings); undefined
    values are left out, and a mean of nothing is None."""

    mean: float | None
    by: Mapping[Hashable, float | None]

    @classmethod
    def of(cls, samples: Iterable[tuple[Hashable, float | None]]) -> Averaged:
        by: dict[Hashable, list[float]] = {}
        for key, value in samples:
            by.setdefault(key, []).extend([] if value is None else [value])
        means = {key: mean_or_none(values) for key, values in by.items()}
        return cls(mean_or_none(value for value in means.values() if value is not None), means)


def mean_or_none(values: Iterable[float]) -> float | None:
    """The mean; None of no values."""
    known = list(values)
    return math.fsum(known) / len(known) if known else None


def pairs_of(first: Sequence[Split], second: Sequence[Split]) -> list[tuple[Split, Split]]:
    """Whose partitions are compared in one repetition: draw by draw where two arms have as many draws (their random
    numbers are then the same), else each with each."""
    if len(first) == len(second):
        return list(zip(first, second, strict=True))
    return list(itertools.product(first, second))


def matrix(arms: Sequence[Sequence[Split]]) -> list[list[Averaged]]:
    """ARI of all pairs of arms, by repetition; an arm is 1 with itself. Each arm is its splits in order of draws."""
    full: dict[tuple[int, int], Averaged] = {}
    for i, j in itertools.combinations_with_replacement(range(len(arms)), 2):
        samples = [
            (repetition, 1.0 if i == j else ari(a.labels, b.labels))
            for repetition, splits in by_repetition(arms[i]).items()
            for a, b in pairs_of(splits, by_repetition(arms[j])[repetition])
        ]
        full[i, j] = full[j, i] = Averaged.of(samples)
    return [[full[i, j] for j in range(len(arms))] for i in range(len(arms))]


def identical(arms: Sequence[Sequence[Split]]) -> list[list[str]]:
    """Arms that choose one and the same partition in every repetition (and draw): lists of two or more names."""
    classes: list[list[Sequence[Split]]] = []
    for arm in arms:
        for alike in classes:
            first, second = by_repetition(alike[0]), by_repetition(arm)
            if all(same_partition(a.labels, b.labels) for r in first for a, b in pairs_of(first[r], second[r])):
                alike.append(arm)
                break
        else:
            classes.append([arm])
    return [[arm[0].arm for arm in alike] for alike in classes if len(alike) > 1]


def by_repetition(splits: Sequence[Split]) -> dict[int, list[Split]]:
    splits_of: dict[int, list[Split]] = {}
    for split in splits:
        splits_of.setdefault(split.repetition, []).append(split)
    return splits_of


def scoring_stability(splits: Sequence[Split]) -> dict[str, list[tuple[Hashable, Agreement]]]:
    """How far an arm's scorings of the root agree.

    Returns:
        ``batches``: pairs of its probings, by repetition. ``seeds``: its own scorings in two repetitions, draw by draw,
        by pair of repetitions. ``initial``: its own scoring against that of the initial weights, by repetition.
    """
    probed = [split for split in splits if split.probings]
    return {
        "batches": [
            (split.repetition, Agreement.of(first, second))
            for split in probed
            for first, second in itertools.combinations(split.probings, 2)
        ],
        "seeds": [
            ((a.repetition, b.repetition), Agreement.of(a.probings[0], b.probings[0]))
            for a, b in itertools.combinations(probed, 2)
            if a.draw == b.draw and a.repetition != b.repetition
        ],
        "initial": [
            (split.repetition, Agreement.of(split.probings[0], split.initial))
            for split in probed
            if split.initial is not None
        ],
    }


def separations(splits: Sequence[Split]) -> dict[str, list[tuple[Hashable, float | None]]]:
    """Edge -> :attr:`MeasuredAffinity.separation` of every probing of an arm, with its repetition."""
    shares: dict[str, list[tuple[Hashable, float | None]]] = {}
    for split in splits:
        for probing in split.probings:
            for edge, measured in probing.affinities.items():
                shares.setdefault(edge, []).append((split.repetition, measured.separation))
    return shares
