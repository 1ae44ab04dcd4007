"""The oracle control: partitions judged by the ground truth, for a ceiling that no measured criterion can see."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from splitbench.criteria.base import Affinity, Groups, Parts, Probe
from splitbench.criteria.partitioners.cuts import MOST_OPERATIONS, partitions
from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import SearchSpace

Floats = npt.NDArray[np.float64]
Worth = Callable[[Groups], float]

MOST_ARCHITECTURES = 2_000_000  # strings of a space, each looked at for every edge
TOP = 0.01


def rank_eta_squared(values: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of the variance of the ranks of ``values`` that lies between the groups that ``labels`` name.

    eta^2 = sum over groups of n_g (mean rank of g - mean rank)^2, divided by the sum over all of (rank - mean rank)^2;
    equal values share their average rank. It is the Kruskal-Wallis H, corrected for ties, over A - 1.

    Args:
        values: [A], finite.
        labels: [A], integers or strings.

    Returns:
        0 (groups tell nothing) to 1; 0 where all values are equal, or there are none.

    Raises:
        ValueError: if lengths differ, or a value is not finite.
    """
    v, named = np.asarray(values, dtype=np.float64), np.asarray(labels)
    if v.ndim != 1 or v.shape != named.shape or not np.isfinite(v).all():
        raise ValueError(f"eta squared needs finite values [A] and a label each, not shapes {v.shape}, {named.shape}")
    distinct, member = np.unique(named, return_inverse=True)
    deviations = _rank_deviations(v)
    return _between(_totals(member, len(distinct)), _totals(member, len(distinct), deviations), deviations)


@dataclass(frozen=True)
class Oracle:
    """The ground truth's own verdict on every partition of an edge: a control, and no method.

    Over the distinct connected functions that the probed subspace allows, by their true test accuracy, the worth of a
    partition of the edge's operations into two or more groups is

    - ``variance``: the share of the variance of the accuracies' ranks that lies between the groups
      (:func:`rank_eta_squared`);
    - ``top``: how far the best of the functions gather in one group: the largest, over groups, of the group's share of
      the top 1 % less its share of all functions. Functions tied with the last of the top 1 % belong to it.

    The dissimilarity of two operations is the absolute difference of their functions' mean accuracies, in points. An
    operation that no function has (where the rest of the subspace cuts it off) takes the mean of all functions; it adds
    nothing to a group. A function stands with what its reduced form has on the edge: ``none`` where the edge is dead.
    Functions with an operation that stays in every child are left out: no partition separates them.

    Attributes:
        objective: what a partition is worth.
    """

    reads_truth: ClassVar[bool] = True
    version: ClassVar[int] = 1

    objective: Literal["variance", "top"] = "variance"

    def parts(self) -> Parts:
        return Parts(partitioner="best_worth", edge_rule="normalised_max_cut")

    def unfit(self, space: SearchSpace) -> str | None:
        """Why not every partition, or not every architecture, of the space can be looked at."""
        root = space.root()
        if not space.can_list:
            return "its functions cannot be listed, and the oracle judges partitions by all of them"
        if (most := max(map(len, root.allowed))) > MOST_OPERATIONS:
            return f"an edge has {most} operations, and the oracle judges all partitions of {MOST_OPERATIONS} at most"
        if root.size > MOST_ARCHITECTURES:
            return f"it has {root.size:.1e} strings, and the oracle looks up {MOST_ARCHITECTURES:,} at most"
        return None

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        """Raises ConfigError if the edge allows more than ``MOST_OPERATIONS`` operations."""
        operations = probe.operations(edge)
        n = len(operations)
        if n > MOST_OPERATIONS:
            raise ConfigError(
                f"criterion oracle: edge {edge} allows {n} operations, and all partitions of at most {MOST_OPERATIONS} "
                "are judged; use another criterion"
            )
        functions = probe.space.functions(probe.subspace)
        functions = functions[np.isin(functions[:, edge], operations)]
        accuracy = probe.truth().test(functions)
        member = np.searchsorted(operations, functions[:, edge])
        affinity = Affinity.assumed(operations, _mean_differences(accuracy, member, n))
        worth_of = (_variance if self.objective == "variance" else _top)(accuracy, member, n)
        worth = []
        for k in range(2, n + 1):
            for positions in partitions(range(n), k):
                groups = tuple(tuple(operations[i] for i in group) for group in positions)
                worth.append((groups, worth_of(positions)))
        return Affinity(operations, affinity.dissimilarity, affinity.standard_error, affinity.repetitions, tuple(worth))


def _totals(member: npt.NDArray[np.intp], n: int, values: Floats | None = None) -> Floats:
    """Sum of ``values`` (their number without) over the members of each of n groups: [n]."""
    return np.bincount(member, values, minlength=n).astype(np.float64)


def _rank_deviations(values: Floats) -> Floats:
    """Average ranks less their mean: [A], multiples of one half, so that their sums are exact."""
    return np.asarray(stats.rankdata(values)) - (len(values) + 1) / 2


def _between(counts: Floats, sums: Floats, deviations: Floats) -> float:
    """Between-group share of the squares, from each group's size and sum of deviations."""
    total = float(deviations @ deviations)
    parts = [float(s) ** 2 / float(n) for n, s in zip(counts, sums, strict=True) if n]
    return math.fsum(parts) / total if total else 0.0


def _mean_differences(accuracy: Floats, member: npt.NDArray[np.intp], n: int) -> Floats:
    groups = [accuracy[member == i] for i in range(n)]
    overall = math.fsum(accuracy) / max(len(accuracy), 1)  # exactly rounded, so that equal means differ by exactly 0
    means = np.array([math.fsum(group) / len(group) if len(group) else overall for group in groups])
    return np.asarray(np.abs(means[:, None] - means))


def _variance(accuracy: Floats, member: npt.NDArray[np.intp], n: int) -> Worth:
    deviations = _rank_deviations(accuracy)
    counts, sums = _totals(member, n), _totals(member, n, deviations)

    def worth(groups: Groups) -> float:
        return _between(_merged(counts, groups), _merged(sums, groups), deviations)

    return worth


def _top(accuracy: Floats, member: npt.NDArray[np.intp], n: int) -> Worth:
    kept = math.ceil(TOP * len(accuracy))
    best = accuracy >= np.sort(accuracy)[-kept] if kept else np.zeros(0, dtype=bool)
    counts, tops = _totals(member, n), _totals(member[best], n)

    def worth(groups: Groups) -> float:
        shares = _merged(tops, groups) / max(tops.sum(), 1) - _merged(counts, groups) / max(counts.sum(), 1)
        return float(shares.max())

    return worth


def _merged(values: Floats, groups: Groups) -> Floats:
    return np.array([values[list(group)].sum() for group in groups])
