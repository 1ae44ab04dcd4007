"""Agreement of two orders of A architectures: rank correlations, top-heavy measures, and their rules for ties.

``score`` and ``truth`` are finite vectors [A], higher is better. None stands for an undefined value, never NaN. Where
else ties of tau are decided, and why apart: docs/statistics.md, "Ties".
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NDCG_CUT = 1000


def rank_sum(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """The sum of two rankers' ranks [A], tied architectures at the mean of their places: a new score."""
    return np.asarray(stats.rankdata(first) + stats.rankdata(second), dtype=np.float64)


def tau_b(score: Floats, truth: Floats) -> float | None:
    """Kendall's tau-b: (concordant - discordant) / sqrt((pairs - tied in score)(pairs - tied in truth))."""
    if constant(score) or constant(truth):
        return None
    x, y = _dense(score), _dense(truth)
    if len(x) == 2:  # scipy's p-value divides by n - 2
        return 1.0 if (x[0] < x[1]) == (y[0] < y[1]) else -1.0
    return float(stats.kendalltau(x, y).statistic)


def spearman(score: Floats, truth: Floats) -> float | None:
    if constant(score) or constant(truth):
        return None
    return float(stats.spearmanr(score, truth).statistic)


def weighted_tau(score: Floats, truth: Floats) -> float | None:
    """scipy's ``weightedtau`` with its defaults: additive hyperbolic weights, mean of ranking by score and by truth."""
    if constant(score) or constant(truth):
        return None
    return float(stats.weightedtau(score, truth).statistic)


def top_tau(score: Floats, truth: Floats, percent: int) -> float | None:
    """tau-b within the top ``percent`` by truth: ceil(A percent / 100) architectures, and those tied with the last."""
    top = _truly_top(truth, share(len(truth), percent))
    return tau_b(score[top], truth[top])


def precision_at(score: Floats, truth: Floats, k: int) -> float:
    """Share of the predicted top k that is truly in the top k.

    Tie rule: an architecture is truly top if fewer than k are strictly better by truth, so a perfect score gets 1.
    Ties of the score at the boundary are broken at random: the value is the exact expectation.
    """
    chance = _chance_of_place(score, k)
    return float(chance[_truly_top(truth, k)].sum() / k)


def best_rank_at(score: Floats, truth: Floats, k: int) -> float:
    """Best true rank among the predicted top min(k, A), divided by A: 1/A if the best architecture is among them.

    A true rank is 1 + the number of strictly better architectures. Ties of the score at the boundary are broken at
    random: the value is the exact expectation.
    """
    k = min(k, len(score))
    ranks = len(truth) - np.searchsorted(np.sort(truth), truth, side="right") + 1
    chance = _chance_of_place(score, k)
    certain, tied = ranks[chance == 1], np.sort(ranks[(chance > 0) & (chance < 1)])
    best = int(certain.min()) if len(certain) else len(truth)
    drawn, n = k - len(certain), len(tied)
    if not drawn:
        return best / len(truth)
    # The best of `drawn` out of n without replacement is the j-th (from 0) with C(n-1-j, drawn-1) / C(n, drawn).
    expected, probability = 0.0, drawn / n
    for j in range(n - drawn + 1):
        expected += probability * min(best, int(tied[j]))
        probability *= (n - drawn - j) / (n - 1 - j) if n - 1 - j else 0.0
    return expected / len(truth)


def ndcg(score: Floats, truth: Floats, cut: int = NDCG_CUT) -> float | None:
    """DCG of the predicted order divided by DCG of the true order; gain 2^truth - 1 (truth in percent), discount
    1 / log2(1 + place), places beyond ``cut`` (1,000, or A if that is less) count nothing.

    This is VKDNW's definition; it gives the paper's values for FLOPs on NAS-Bench-201 (.745 / .576 / .403) to .002
    only with percentages and a cut at 1,000. Two points of accuracy are a factor of four in gain, so the few best
    architectures decide. Architectures with tied scores share the mean discount of their places. None if every
    truth is 0.
    """
    gain = np.exp2(truth) - 1
    discount = np.zeros(len(truth))
    places = np.arange(min(cut, len(truth)))
    discount[: len(places)] = 1 / np.log2(places + 2)
    _, group, size = np.unique(-score, return_inverse=True, return_counts=True)
    shared = np.add.reduceat(discount, np.concatenate([[0], np.cumsum(size)[:-1]])) / size
    ideal = float(np.sort(gain)[::-1] @ discount)
    return float(gain @ shared[group]) / ideal if ideal > 0 else None


def partial_tau(score: Floats, truth: Floats, control: Floats) -> float | None:
    """(t_st - t_sc t_tc) / sqrt((1 - t_sc^2)(1 - t_tc^2)) of the three tau-b; None if the control is constant or
    orders the score or the truth perfectly."""
    st, sc, tc = tau_b(score, truth), tau_b(score, control), tau_b(truth, control)
    if st is None or sc is None or tc is None:
        return None
    left = (1 - sc**2) * (1 - tc**2)
    return (st - sc * tc) / math.sqrt(left) if left > 1e-12 else None


def leaf_taus(score: Floats, truth: Floats, leaf: npt.NDArray[np.integer]) -> tuple[float | None, float | None]:
    """tau-b restricted to the pairs in the same leaf, and to the pairs in different leaves.

    Over a set of pairs P: (concordant - discordant) / sqrt((|P| - X)(|P| - Y)), X and Y the pairs of P that are tied
    in score and in truth. Counts add up, so the pairs across leaves are all pairs less those inside: O(A log A).
    None where P is empty, or all of it is tied in score or in truth.
    """
    inside = np.zeros(4, dtype=np.int64)
    for name in np.unique(leaf):
        members = leaf == name
        inside += _pair_counts(score[members], truth[members])
    return _restricted_tau(inside), _restricted_tau(_pair_counts(score, truth) - inside)


def _pair_counts(score: Floats, truth: Floats) -> Integers:
    """[4]: pairs, pairs tied in score, pairs tied in truth, concordant less discordant pairs."""
    pairs, tied_score, tied_truth = len(score) * (len(score) - 1) // 2, _tied(score), _tied(truth)
    tau = tau_b(score, truth)
    # tau-b is this integer over the root; below 10^9 pairs rounding recovers it exactly.
    excess = 0 if tau is None else round(tau * math.sqrt(pairs - tied_score) * math.sqrt(pairs - tied_truth))
    return np.array([pairs, tied_score, tied_truth, excess], dtype=np.int64)


def _restricted_tau(counts: Integers) -> float | None:
    pairs, tied_score, tied_truth, excess = (int(count) for count in counts)
    if tied_score == pairs or tied_truth == pairs:
        return None
    return excess / (math.sqrt(pairs - tied_score) * math.sqrt(pairs - tied_truth))


def _tied(values: Floats) -> int:
    sizes = np.unique(values, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def _chance_of_place(score: Floats, k: int) -> Floats:
    """Probability [A] that each is among the k highest scores when ties are broken at random."""
    ordered = np.sort(score)
    higher = len(score) - np.searchsorted(ordered, score, side="right")
    equal = len(score) - np.searchsorted(ordered, score, side="left") - higher
    return np.clip((k - higher) / equal, 0.0, 1.0)


def _truly_top(truth: Floats, k: int) -> npt.NDArray[np.bool_]:
    top: npt.NDArray[np.bool_] = truth >= np.sort(truth)[-k]
    return top


def share(count: int, percent: int) -> int:
    """ceil(count percent / 100), without rounding errors."""
    return -(-count * percent // 100)


def constant(values: Floats) -> bool:
    """Whether the values order nothing."""
    return len(values) < 2 or bool((values == values[0]).all())


def _dense(values: Floats) -> Integers:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)
