"""Rank statistics under counts, for bootstraps: what each is where row i of the data appears counts[i] times.

Each maker takes score and truth [rows] (higher is better) and gives counts [resamples, rows] -> values [resamples],
NaN where that is not defined. Kendall's tau has its exact one in ``splitbench.results.inference.bootstrap``.

The linear ones are first-order expansions around one of each row: the sums that a statistic is made of are homogeneous
in the counts c, of degree d, so that a sum S becomes S + sum_i (c_i - 1) dS/dc_i, and sum_i dS/dc_i = d S.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitbench.results.measures.concordance import concordance
from splitbench.results.measures.ranking import share

if TYPE_CHECKING:
    from splitbench.results.inference.bootstrap import CountStatistic

Floats = npt.NDArray[np.floating[Any]]

KEPT = 1_000  # rows from which on precision looks at four times the share that it asks for, and no further


def spearman_statistic(score: Floats, truth: Floats) -> CountStatistic:
    """Spearman's correlation: Pearson's of the ranks, tied rows at the mean of their places. Exact."""
    columns = [_Groups(score), _Groups(truth)]

    def statistic(counts: Floats) -> Floats:
        weights = counts.astype(np.float64)
        middle = (weights.sum(axis=1)[:, None] + 1) / 2
        ranks = []
        for column in columns:
            inside = column.sums(weights)
            ranks.append((np.cumsum(inside, axis=1) - (inside - 1) / 2)[:, column.group] - middle)
        x, y = ranks
        return _ratio((weights * x * y).sum(axis=1), (weights * x * x).sum(axis=1), (weights * y * y).sum(axis=1))

    return statistic


def precision_statistic(score: Floats, truth: Floats, percent: int) -> CountStatistic:
    """Share of the predicted top ``percent`` that is truly there, as
    :func:`splitbench.results.measures.ranking.precision_at`;
    ties of the score at the boundary are broken at random, in expectation. Exact; of many rows only the upper part is
    looked at, and a resample whose top would reach beyond it is NaN.
    """
    n = len(score)
    keep = min(n, max(KEPT, 4 * share(n, percent)))
    predicted, true = (np.flatnonzero(column >= np.sort(column)[-keep]) for column in (score, truth))
    groups = _Groups(-score[predicted])
    order = true[np.argsort(-truth[true], kind="stable")]

    def statistic(counts: Floats) -> Floats:
        total = counts.sum(axis=1, dtype=np.float64)
        k = np.ceil(total * percent / 100 - 1e-6)[:, None]  # counts are whole: this undoes rounding errors and no more
        drawn = np.cumsum(counts[:, order], axis=1, dtype=np.float64)
        last = (drawn < k).sum(axis=1)
        weights = counts[:, predicted].astype(np.float64, copy=False)
        equal = groups.sums(weights)
        reached = np.cumsum(equal, axis=1)
        chance = np.clip((k - reached + equal) / np.maximum(equal, 1), 0, 1)[:, groups.group]
        top = truth[predicted][None] >= truth[order][np.minimum(last, len(order) - 1)][:, None]
        share_found = (weights * chance * top).sum(axis=1) / k[:, 0]
        beyond = (last == len(order)) | (reached[:, -1] < k[:, 0])
        return np.where(beyond, np.nan, share_found)

    return statistic


def linear_tau(score: Floats, truth: Floats) -> CountStatistic:
    """Kendall's tau-b, N / sqrt(X Y), each of the three a sum over ordered pairs of c_i c_j v_ij."""
    sums = np.stack([concordance(score, truth), _untied(score), _untied(truth)]).astype(np.float64)
    return _linear(2 * sums, sums.sum(axis=1))


def linear_spearman(score: Floats, truth: Floats) -> CountStatistic:
    """Spearman's correlation, S_xy / sqrt(S_xx S_yy), with S_xy = sum_i c_i A_i B_i and A_i = sum_j c_j sgn(x_i - x_j),
    twice the distance of i's rank from the middle; B_i is that of y."""
    x, y = _Groups(score), _Groups(truth)
    a, b = x.signs(np.ones(len(score))), y.signs(np.ones(len(truth)))

    def slopes(p: _Groups, q: _Groups, a: Floats, b: Floats) -> Floats:
        return a * b - p.signs(b) - q.signs(a)  # sgn is odd: what others gain from row i is minus what it gains

    rows = np.stack([slopes(x, y, a, b), slopes(x, x, a, a), slopes(y, y, b, b)])
    return _linear(rows, np.array([a @ b, a @ a, b @ b]))


def _linear(slopes: Floats, sums: Floats) -> CountStatistic:
    """The first of three sums over the root of the two others, each to first order: slopes [3, rows], sums [3]."""

    def statistic(counts: Floats) -> Floats:
        return _ratio(*(slopes @ counts.T.astype(np.float64, copy=False) + (sums - slopes.sum(axis=1))[:, None]))

    return statistic


def _ratio(upper: Floats, first: Floats, second: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(upper / np.sqrt(first * second))


class _Groups:
    """Rows of equal value, in ascending order of the value."""

    def __init__(self, values: Floats) -> None:
        _, self.group = np.unique(values, return_inverse=True)
        self._order = np.argsort(self.group, kind="stable")
        self._starts = np.flatnonzero(np.diff(self.group[self._order], prepend=-1))

    def sums(self, weights: Floats) -> Floats:
        """[resamples, rows] -> [resamples, groups]."""
        return np.asarray(np.add.reduceat(weights[:, self._order], self._starts, axis=1))

    def signs(self, weights: Floats) -> Floats:
        """[rows] sum_j weights_j sgn(value_i - value_j)."""
        inside = self.sums(np.asarray(weights)[None])[0]
        below = np.cumsum(inside) - inside
        return np.asarray((2 * below + inside - inside.sum())[self.group])


def _untied(column: Floats) -> npt.NDArray[np.int64]:
    """[rows] how many rows have another value."""
    _, group, size = np.unique(column, return_inverse=True, return_counts=True)
    return np.asarray(len(column) - size[group], dtype=np.int64)
