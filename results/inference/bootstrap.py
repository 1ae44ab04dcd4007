"""BCa bootstrap intervals (Efron, JASA 1987) over seeds, over functions, and over both.

Over seeds the values are independent, and scipy does it. Over functions a statistic such as tau is resampled through
counts: a resample says how often each function was drawn, all rows of a function are drawn together, and a statistic
maps counts to its value for many resamples at once.

BCa rather than plain percentiles, because a rank correlation is bounded: near its bound resamples are skewed and lie to
one side of the observed value, and percentile limits would be off by as much.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from splitbench.results.inference.stats import CONFIDENCE, FEWEST, Estimate, interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]
    CountStatistic = Callable[[Floats], Floats]

RESAMPLES = 1_999
BLOCK = 512  # columns of the matrix of pairs that are held at once


def bca(
    values: Sequence[float],
    statistic: Callable[..., Any] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """BCa interval over independent values (one a seed) by ``scipy.stats.bootstrap``; equal values give their value.

    Args:
        statistic: of values along ``axis``; the mean if None.

    Raises:
        ValueError: if there are no values. One value has no interval, nor has a sample whose resamples all fall on
            one side of its statistic.
    """
    import warnings

    import numpy as np
    from scipy import stats

    if not len(values):
        raise ValueError("an interval needs at least one value")
    compute = np.mean if statistic is None else statistic
    sample = np.asarray(values, np.float64)
    observed, n = float(compute(sample, axis=-1)), len(sample)
    if n == 1:
        return Estimate(observed, None, None, n)
    if np.ptp(sample) == 0:  # no resample differs, and BCa would divide by the jackknife's spread of 0
        return Estimate(observed, observed, observed, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        limits = stats.bootstrap(
            (sample,), compute, n_resamples=resamples, confidence_level=confidence, method="BCa", rng=seed, axis=-1
        ).confidence_interval
    return _estimate(observed, float(limits.low), float(limits.high), n)


def bca_clustered(
    statistic: CountStatistic,
    clusters: int | Sequence[Hashable],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """BCa interval over clusters of rows: a resample draws clusters, and the jackknife leaves one of them out.

    Args:
        statistic: counts [resamples, rows] -> values [resamples]; the plain sample has all counts 1.
        clusters: the cluster of each row (its function), or how many rows there are if each is its own cluster.

    Returns:
        The statistic of the sample, its interval, and the number of clusters as ``n``. There are no limits where
        ``bca_limits`` knows none.

    Raises:
        ValueError: if there are fewer than two clusters.
    """
    import numpy as np

    number = _numbers(clusters)
    n = int(number.max(initial=-1)) + 1
    if n < 2:
        raise ValueError("a bootstrap over clusters needs at least two of them")
    # Whole clusters are drawn: rows of one function are no independent draws, and would make intervals too narrow.
    observed = float(statistic(np.ones((1, len(number)), np.float32))[0])
    drawn = statistic(_counts(n, resamples, seed)[:, number])
    left_out = statistic((1 - np.eye(n, dtype=np.float32))[:, number])
    return _estimate(observed, *bca_limits(drawn, observed, left_out, confidence), n)


def over_seeds_and_functions(
    statistics: Sequence[CountStatistic],
    functions: Sequence[int],
    shared: bool,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Interval of the mean over S seeds that holds for other seeds and other functions: mean +- t sqrt(s^2 / S + c).

    s is the standard deviation between seeds. Where each seed draws functions of its own, s holds their spread, c is 0,
    and this is Student's interval: resampling functions within resampled seeds would count them twice. Where all seeds
    rank the same functions, s cannot see what moves all seeds together. That is c, the mean covariance of two seeds'
    values when functions are resampled for all seeds at once. Degrees of freedom are Satterthwaite's (Biometrics
    Bulletin 1946). One seed alone has the BCa interval over its functions; two have none.

    Args:
        statistics: of each seed, counts [resamples, functions] -> values [resamples].
        functions: how many each seed ranks.
        shared: whether they are the same functions, in the same order.

    Returns:
        The mean, its interval, and S as ``n``. There are no limits where the statistic is not finite in some resample.

    Raises:
        ValueError: if there are no seeds, lengths differ, or shared populations differ in size.
    """
    import numpy as np
    from scipy import special

    n = len(statistics)
    if not n or len(functions) != n or (shared and len(set(functions)) > 1):
        raise ValueError("each seed needs a statistic and the number of its functions, the same where they are shared")
    if n == 1:
        alone = bca_clustered(statistics[0], functions[0], confidence, resamples, seed)
        return Estimate(alone.mean, alone.low, alone.high, 1)
    values = [
        float(statistic(np.ones((1, size), np.float32))[0])
        for statistic, size in zip(statistics, functions, strict=True)
    ]
    student = interval(values, confidence)
    # Populations of their own are in the spread between seeds already: to add them would count them twice.
    if not shared or n < FEWEST:
        return student
    counts = _counts(functions[0], resamples, seed)
    covariance = np.cov([statistic(counts) for statistic in statistics])
    if not np.isfinite(covariance).all():
        return Estimate(student.mean, None, None, n)
    # An estimated covariance may fall below 0 by chance; the true one of a shared population cannot.
    common = max(0.0, float((covariance.sum() - np.trace(covariance)) / (n * (n - 1))))
    between = float(np.var(values, ddof=1)) / n
    if between + common == 0:
        return student
    freedom = (between + common) ** 2 / (between**2 / (n - 1) + common**2 / (functions[0] - 1))
    half = float(special.stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(between + common)
    return _estimate(student.mean, student.mean - half, student.mean + half, n)


def mean_statistic(values: Sequence[float]) -> CountStatistic:
    """The mean [rows] under counts."""
    import numpy as np

    row = np.asarray(values, np.float64)
    return lambda counts: counts @ row / counts.sum(axis=1)


def tau_statistic(score: Sequence[float] | Floats, truth: Sequence[float] | Floats) -> CountStatistic:
    """Kendall's tau-b of score and truth [rows] under counts, equal to tau-b of the resampled rows: two copies of one
    row are a tie in both. NaN where a resample holds only one score or one truth."""
    import numpy as np
    from scipy import stats

    x, y = (stats.rankdata(column, method="dense").astype(np.float32) for column in (score, truth))

    def statistic(counts: Floats) -> Floats:
        counts = counts.astype(np.float32)
        numerator, untied_x, untied_y = (np.zeros(len(counts)) for _ in range(3))
        for start in range(0, len(x), BLOCK):
            block = slice(start, start + BLOCK)
            signs = [np.sign(column[:, None] - column[None, block]) for column in (x, y)]
            # Sums of whole numbers below 2^24 are exact in single precision; products are added up in double.
            products = (signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1]))
            for total, pairs in zip((numerator, untied_x, untied_y), products, strict=True):
                total += np.einsum("rb,rb->r", counts @ pairs, counts[:, block], dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return numerator / np.sqrt(untied_x * untied_y)

    return statistic


def bca_limits(drawn: Floats, observed: float, left_out: Floats, confidence: float) -> tuple[float, float]:
    """BCa limits from resampled, observed and jackknife values; NaN where all resamples fall on one side, where one of
    the values is not finite, or where all jackknife values are equal.

    Bias z0 is the normal quantile of the share below the observed value (ties half), acceleration a the skewness of
    the jackknife over 6; the limits are the quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of what was drawn.
    """
    import numpy as np
    from scipy import special

    if not (np.isfinite(drawn).all() and np.isfinite(left_out).all()):
        return math.nan, math.nan
    if np.ptp(drawn) == 0:
        return observed, observed
    z0 = special.ndtri((np.mean(drawn < observed) + np.mean(drawn <= observed)) / 2)
    spread = left_out.mean() - left_out
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.sum(spread**3) / (6 * np.sum(spread**2) ** 1.5)
    z = z0 + special.ndtri([(1 - confidence) / 2, (1 + confidence) / 2])
    if not (np.isfinite(z).all() and np.isfinite(a)):
        return math.nan, math.nan
    shares = special.ndtr(z0 + z / (1 - a * z))
    low, high = np.quantile(drawn, shares)
    return float(low), float(high)


def _estimate(observed: float, low: float, high: float, n: int) -> Estimate:
    defined = math.isfinite(low) and math.isfinite(high)
    return Estimate(observed, low if defined else None, high if defined else None, n)


def _numbers(clusters: int | Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """[rows] numbers of the clusters, in the order in which they first appear."""
    import numpy as np

    if isinstance(clusters, int):
        return np.arange(clusters)
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(cluster, len(known)) for cluster in clusters], np.int64)


@functools.lru_cache(maxsize=2)
def _counts(n: int, resamples: int, seed: int) -> Floats:
    """The draws depend on no data, so those of one size are kept for the next call."""
    import numpy as np

    counts = _draw(np.random.default_rng(seed), n, resamples)
    counts.setflags(write=False)
    return counts


def _draw(rng: np.random.Generator, n: int, resamples: int) -> Floats:
    """[resamples, n] how often each of n was drawn in n draws with replacement."""
    import numpy as np

    flat = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(flat.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float32)
