"""Intervals of rank statistics over functions, however many there are.

Up to ``WHOLE`` functions they are BCa, of exact statistics. Beyond, time would grow with the square of their number:
tau and rho are then expanded to first order in how often each function was drawn (what that leaves out of the spread is
of the order of one over the number of functions), and limits are percentiles.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from splitbench.results.inference.bootstrap import bca_clustered, tau_statistic
from splitbench.results.inference.count_statistics import linear_spearman, linear_tau, spearman_statistic
from splitbench.results.inference.stats import CONFIDENCE, Estimate

if TYPE_CHECKING:
    from splitbench.results.inference.bootstrap import CountStatistic, Floats

Name = TypeVar("Name", bound=Hashable)

FEWEST, WHOLE = 20, 1_000
RESAMPLES, FEWER_RESAMPLES = 999, 500
BLOCK = 50  # resamples that are held at once


def over_functions(
    statistics: Mapping[Name, CountStatistic],
    function: npt.ArrayLike,
    observed: Mapping[Name, float],
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[Name, Estimate]:
    """Statistics with their intervals over functions; all rows of a function are drawn together.

    Args:
        statistics: by name, of counts of the rows; all get the same resamples.
        function: [rows] the function of each.
        observed: by the same names, of all rows, once each.

    Returns:
        By name the observed value, its limits, and the number of functions as ``n``. There are no limits below
        ``FEWEST`` functions, nor where a resample leaves the statistic undefined.
    """
    number = np.unique(np.asarray(function), return_inverse=True)[1]
    n = int(number.max(initial=-1)) + 1
    if n < FEWEST:
        return {name: Estimate(observed[name], None, None, n) for name in statistics}
    if n <= WHOLE:
        return {
            name: _about(observed[name], bca_clustered(statistic, number.tolist(), confidence, RESAMPLES, seed))
            for name, statistic in statistics.items()
        }
    rng = np.random.default_rng(seed)
    drawn: dict[Name, list[Floats]] = {name: [] for name in statistics}
    for _ in range(FEWER_RESAMPLES // BLOCK):
        flat = rng.integers(n, size=(BLOCK, n)) + n * np.arange(BLOCK)[:, None]
        counts = np.bincount(flat.ravel(), minlength=BLOCK * n).reshape(BLOCK, n).astype(np.float64)[:, number]
        for name, statistic in statistics.items():
            drawn[name].append(statistic(counts))
    return {name: _percentiles(observed[name], np.concatenate(values), confidence, n) for name, values in drawn.items()}


def tau(score: Floats, truth: Floats, functions: int) -> CountStatistic:
    """Kendall's tau-b of [rows] under counts: exact for few functions, to first order in the counts for many."""
    return tau_statistic(score, truth) if functions <= WHOLE else linear_tau(score, truth)


def rho(score: Floats, truth: Floats, functions: int) -> CountStatistic:
    """Spearman's correlation likewise."""
    return spearman_statistic(score, truth) if functions <= WHOLE else linear_spearman(score, truth)


def _about(observed: float, estimate: Estimate) -> Estimate:
    return Estimate(observed, estimate.low, estimate.high, estimate.n)


def _percentiles(observed: float, values: Floats, confidence: float, n: int) -> Estimate:
    if not np.isfinite(values).all():
        return Estimate(observed, None, None, n)
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Estimate(observed, low, high, n)
