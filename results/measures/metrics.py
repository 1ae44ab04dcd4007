"""Ranking metrics of one population, noise ceilings, trivial baselines, and exact expectations of lucky picks.

Every ranking metric compares a score (higher is better) with the truth (stand-alone accuracy, percent) over the A
architectures of one population. Its name carries that population: ``[all]``, or a part of it chosen by the truth,
``[top50%]`` and ``[top10%]``. A score or truth that is constant ranks nothing: all metrics are then None, never NaN.

The set:

==================  ==============================================================================================
tau[all]            Kendall's tau-b
rho[all]            Spearman's rank correlation
weighted_tau[all]   Vigna's weighted tau with hyperbolic weights (WWW 2015): pairs near the top count more
tau[top50%]         tau-b within the best half by truth; ``tau[top10%]`` likewise
p@5%[all]           share of the predicted top 5% that is truly in the top 5%
br@10[all]          best true rank, divided by A, among the predicted top 10 (Ning et al., NeurIPS 2021); low is good
regret[all]         best truth less the truth of the predicted best, in points; low is good
ndcg[all]           normalised discounted cumulative gain as VKDNW has it (Tybl and Neumann, CVPR 2025)
partial_tau[...]    partial tau-b that holds FLOPs constant (Kendall, Biometrika 1942): what is learnt beyond size
tau_in_leaf[all]    tau-b over the pairs in one leaf; ``tau_cross_leaf[all]`` over the pairs in different leaves
==================  ==============================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from splitbench.results.measures import ranking

Floats = npt.NDArray[np.float64]
Metrics = dict[str, float | None]


def ranking_metrics(
    accuracy: npt.ArrayLike,
    loss: npt.ArrayLike,
    truth: npt.ArrayLike,
    flops: npt.ArrayLike,
    leaf: npt.ArrayLike,
    best_truth: float,
) -> Metrics:
    """All metrics of a supernet's estimates, and ``tau_loss[all]``: tau-b of minus the loss alone.

    Args:
        accuracy: [A] supernet top-1 on validation images, percent.
        loss: [A] cross-entropy on the same images; it breaks ties of the accuracy. NaN (diverged) is the worst.
        truth: [A] stand-alone accuracy, percent.
        flops: [A] of the stand-alone networks, in any unit: only their order counts.
        leaf: [A] number of the leaf that estimated the architecture.
        best_truth: what regret is measured from, percent (the best of the population, or of the whole space).

    Raises:
        ValueError: if lengths differ, or accuracy or truth is not finite.
    """
    accuracy, loss = np.asarray(accuracy, np.float64), np.asarray(loss, np.float64)
    if accuracy.shape != loss.shape or not np.isfinite(accuracy).all():
        raise ValueError("metrics need a finite accuracy and a loss for every architecture")
    metrics = score_metrics(lexicographic_score(accuracy, loss), truth, best_truth, flops, leaf)
    return {**metrics, "tau_loss[all]": ranking.tau_b(-_worst_if_nan(loss), np.asarray(truth, np.float64))}


TRIVIAL = ("flops", "parameters", "convolutions")
"""Sizes of the stand-alone network that every leaderboard has as baselines, where a space offers them."""


def trivial(
    sizes: Mapping[str, npt.ArrayLike], truth: npt.ArrayLike, leaf: npt.ArrayLike, best_truth: float
) -> dict[str, Metrics]:
    """The same metrics with a size of the stand-alone network as the score, by the size's name.

    Args:
        sizes: by name, [A]; ``flops`` among them.
        truth, leaf, best_truth: as in :func:`ranking_metrics`.
    """
    return {name: score_metrics(size, truth, best_truth, sizes["flops"], leaf) for name, size in sizes.items()}


def ceiling(per_seed: npt.ArrayLike, flops: npt.ArrayLike | None = None) -> Metrics:
    """What one training of the ground truth says about another: the mean of each metric over ordered pairs of seeds.

    The first seed of a pair is the score, the second the truth (top parts and regret are by the second). Only
    architectures that both seeds have count; a pair of seeds that leaves a metric undefined is left out of its mean.
    Estimates are compared with the mean over seeds, which is less noisy than one seed: a perfect estimate can
    therefore come out a little above this.

    Args:
        per_seed: [A, S] accuracy of each training, percent; NaN where missing.
        flops: [A], for the partial tau; it is left out where absent, and so are the leaf metrics.
    """
    seeds = np.asarray(per_seed, np.float64)
    by_metric: dict[str, list[float | None]] = {}
    for first in range(seeds.shape[1]):
        for second in range(seeds.shape[1]):
            both = ~np.isnan(seeds[:, first]) & ~np.isnan(seeds[:, second])
            if first == second or not both.any():
                continue
            score, truth = seeds[both, first], seeds[both, second]
            sizes = None if flops is None else np.asarray(flops, np.float64)[both]
            for name, value in score_metrics(score, truth, float(truth.max()), sizes).items():
                by_metric.setdefault(name, []).append(value)
    return {name: _mean([value for value in values if value is not None]) for name, values in by_metric.items()}


def score_metrics(
    score: npt.ArrayLike,
    truth: npt.ArrayLike,
    best_truth: float,
    flops: npt.ArrayLike | None = None,
    leaf: npt.ArrayLike | None = None,
) -> Metrics:
    """All metrics of one score [A]; those that need ``flops`` or ``leaf`` are left out where it is absent.

    Raises:
        ValueError: if lengths differ, or score or truth is not finite.
    """
    s, t = np.asarray(score, np.float64), np.asarray(truth, np.float64)
    others = [np.asarray(other) for other in (flops, leaf) if other is not None]
    if s.ndim != 1 or any(array.shape != s.shape for array in (t, *others)):
        raise ValueError(f"metrics need vectors of one length, not shapes {[a.shape for a in (s, t, *others)]}")
    if not (np.isfinite(s).all() and np.isfinite(t).all()):
        raise ValueError("metrics need finite accuracies: a score or a ground-truth value is NaN or infinite")
    computed: dict[str, Callable[[], float | None]] = {
        "tau[all]": lambda: ranking.tau_b(s, t),
        "rho[all]": lambda: ranking.spearman(s, t),
        "weighted_tau[all]": lambda: ranking.weighted_tau(s, t),
        "tau[top50%]": lambda: ranking.top_tau(s, t, 50),
        "tau[top10%]": lambda: ranking.top_tau(s, t, 10),
        "p@5%[all]": lambda: ranking.precision_at(s, t, ranking.share(len(s), 5)),
        "br@10[all]": lambda: ranking.best_rank_at(s, t, 10),
        "regret[all]": lambda: best_truth - float(t[s == s.max()].mean()),
        "ndcg[all]": lambda: ranking.ndcg(s, t),
    }
    if flops is not None:
        size = np.asarray(flops, np.float64)
        computed["partial_tau[all|flops]"] = lambda: ranking.partial_tau(s, t, size)
    if leaf is not None:
        inside, across = ranking.leaf_taus(s, t, np.asarray(leaf))
        computed |= {"tau_in_leaf[all]": lambda: inside, "tau_cross_leaf[all]": lambda: across}
    ranks_nothing = ranking.constant(s) or ranking.constant(t)
    return {name: None if ranks_nothing else compute() for name, compute in computed.items()}


def lexicographic_score(accuracy: Floats, loss: Floats) -> Floats:
    """Dense ranks [A], 0 for the worst: by accuracy, then by lower loss; equal pairs stay tied. NaN loss is worst."""
    loss = _worst_if_nan(loss)
    order = np.lexsort((-loss, accuracy))
    a, b = accuracy[order], loss[order]
    score = np.empty(len(order))
    score[order] = np.concatenate([[0], np.cumsum((a[1:] != a[:-1]) | (b[1:] != b[:-1]))])[: len(order)]
    return score


def expected_best_of(values: npt.ArrayLike, k: int) -> float:
    """Exact expectation of the best of ``k`` uniform draws, with replacement, from ``values`` [A].

    Raises:
        ValueError: if there are no values or k is below 1.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if not len(ordered) or k < 1:
        raise ValueError(f"the expected best of {k} draws from {len(ordered)} values is not defined")
    below = np.arange(len(ordered) + 1) / len(ordered)
    return float(ordered @ np.diff(below**k))


def leaf_floor(truth: npt.ArrayLike, leaf_masks: npt.ArrayLike | Sequence[npt.ArrayLike]) -> float:
    """Exact expectation of the best over leaves of one uniform, independent draw from each.

    What an oracle over leaves reaches without any search in them: the floor under every best-over-leaves number.

    Args:
        truth: [A].
        leaf_masks: [leaves, A] bool, which architectures each leaf holds (they may overlap).

    Raises:
        ValueError: if there is no leaf, or a leaf holds no architecture.
    """
    values, masks = np.asarray(truth, np.float64), np.asarray(leaf_masks, dtype=bool)
    if masks.ndim != 2 or not len(masks) or not masks.any(axis=1).all():
        raise ValueError("the leaf floor needs at least one leaf, and an architecture in every leaf")
    levels = np.unique(values)
    below = np.ones(len(levels))
    for mask in masks:
        below *= np.searchsorted(np.sort(values[mask]), levels, side="right") / mask.sum()
    return float(levels @ np.diff(below, prepend=0.0))


def _worst_if_nan(loss: Floats) -> Floats:
    return np.where(np.isnan(loss), np.inf, loss)


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
