"""A difference of Kendall's tau to no split, as what each part of a split costs and brings.

Four estimates of the same functions, each by the same seed:

======  ============================================================================================================
none    one supernet with the whole budget
free    a sham: the arm's tree and leaf lengths, were scoring free, but every node trains on the whole space
charged the same sham with the steps that were really run
arm     the arm itself
======  ============================================================================================================

tau-b is a sum over pairs, g(i, j) = sgn(s_i - s_j) sgn(t_i - t_j) / sqrt((P - T_s)(P - T_t)) with P pairs, of which T
are tied; so it is the part within leaves plus the part across leaves, exactly. The steps of the path are:

- **training lost** = tau(free) - tau(none): the leaves' shorter trainings,
- **bill** = tau(charged) - tau(free): what scoring took away,
- **relief within leaves** = within(arm) - within(charged): what the separation of weights brings,
- **across leaves** = across(arm) - across(charged): how well the leaves' estimates compare with each other, of which
  **calibration** comes from the leaves' offsets alone: across(charged with each leaf moved to the arm's mean accuracy
  there) - across(charged).

They add up to tau(arm) - tau(none). On another path (relief first, say) single terms would differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splitbench.results.measures.metrics import lexicographic_score
from splitbench.results.measures.ranking import Floats, Integers, constant

_ROWS = 512  # of the pairs' matrix at a time


@dataclass(frozen=True)
class EstimateSet:
    """One set of estimates of A architectures.

    Attributes:
        accuracy: [A] top-1 on validation images, percent.
        loss: [A] cross-entropy on them; it breaks ties of the accuracy.
    """

    accuracy: Floats
    loss: Floats

    @property
    def score(self) -> Floats:
        """What the estimates rank by, [A]."""
        return lexicographic_score(self.accuracy, self.loss)


def pair_sums(score: Floats, truth: Floats, leaf: Integers) -> tuple[float, float] | None:
    """tau-b as a sum over the pairs within leaves, and one over the pairs across them.

    Args:
        score, truth: [A], higher is better.
        leaf: [A], the leaf of each.

    Returns:
        Both; None if score or truth is constant.
    """
    if constant(score) or constant(truth):
        return None
    within = across = tied_score = tied_truth = 0
    for start in range(0, len(score), _ROWS):
        rows = slice(start, start + _ROWS)
        upper = np.arange(len(score))[None] > np.arange(len(score))[rows, None]
        by_score = np.sign(score[rows, None] - score[None])
        by_truth = np.sign(truth[rows, None] - truth[None])
        same = leaf[rows, None] == leaf[None]
        agreed = (by_score * by_truth)[upper]
        inside = same[upper]
        within += int(agreed[inside].sum())
        across += int(agreed[~inside].sum())
        tied_score += int((by_score[upper] == 0).sum())
        tied_truth += int((by_truth[upper] == 0).sum())
    pairs = len(score) * (len(score) - 1) // 2
    norm = math.sqrt((pairs - tied_score) * (pairs - tied_truth))
    return within / norm, across / norm


def decompose(
    none: EstimateSet, free: EstimateSet, charged: EstimateSet, arm: EstimateSet, truth: Floats, leaf: Integers
) -> dict[str, float] | None:
    """The terms, and what they are made of.

    Args:
        none, free, charged, arm: estimates of the same A architectures.
        truth: [A] stand-alone accuracies.
        leaf: [A], the leaf of each.

    Returns:
        ``training_lost``, ``bill``, ``relief``, ``across``, ``calibration`` (a part of ``across``), the four tau
        ``tau_none``, ``tau_free``, ``tau_charged``, ``tau_arm``, and ``difference``; None if one of them is undefined.
    """
    sums = [pair_sums(each.score, truth, leaf) for each in (none, free, charged, arm)]
    moved = pair_sums(with_offsets(charged, arm, leaf).score, truth, leaf)
    if any(each is None for each in sums) or moved is None:
        return None
    (none_in, none_out), (free_in, free_out), (charged_in, charged_out), (arm_in, arm_out) = (s for s in sums if s)
    tau_none, tau_free, tau_charged, tau_arm = (
        none_in + none_out,
        free_in + free_out,
        charged_in + charged_out,
        arm_in + arm_out,
    )
    return {
        "training_lost": tau_free - tau_none,
        "bill": tau_charged - tau_free,
        "relief": arm_in - charged_in,
        "across": arm_out - charged_out,
        "calibration": moved[1] - charged_out,
        "difference": tau_arm - tau_none,
        "tau_none": tau_none,
        "tau_free": tau_free,
        "tau_charged": tau_charged,
        "tau_arm": tau_arm,
    }


def with_offsets(charged: EstimateSet, arm: EstimateSet, leaf: Integers) -> EstimateSet:
    """The sham's estimates with each leaf moved to the mean accuracy that the arm has there."""
    accuracy = charged.accuracy.copy()
    for index in np.unique(leaf):
        inside = leaf == index
        accuracy[inside] += arm.accuracy[inside].mean() - charged.accuracy[inside].mean()
    return EstimateSet(accuracy, charged.loss)
