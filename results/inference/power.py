"""The number of seeds that a difference between two arms needs, and the smallest difference that n seeds can show.

The power of a two-sided paired test by the noncentral t distribution (Cohen 1988), at the level that the sign-flip test
can attain with n seeds. The level is alpha / m for m arms: what Holm demands of the arm with the smallest p, so one
difference is found with this power whatever the other arms do.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from splitbench.results.inference import stats

POWER = 0.8
MOST = 100_000


def attainable_level(seeds: int, comparisons: int = 1, alpha: float = stats.ALPHA) -> float:
    """The largest p below alpha / m that a sign-flip test of n seeds can give; 0 if there is none.

    Its p are whole multiples of 2 / 2^n, or of 1 / 100,000 where flips are drawn.
    """
    exact = seeds <= stats.EXACT_UP_TO
    outcomes = 2 ** (seeds - 1) if exact else 1 + stats.RANDOM_FLIPS
    return (math.ceil(alpha / comparisons * outcomes) - 1) / outcomes


def power(effect: float, seeds: int, level: float) -> float:
    """Power of the two-sided paired t test: P(|T| > t), T noncentral with effect sqrt(n), n - 1 degrees of freedom.

    Args:
        effect: mean difference over the standard deviation of the differences.
    """
    if seeds < 2 or level <= 0:
        return 0.0
    from scipy import special

    freedom, shift = seeds - 1, abs(effect) * math.sqrt(seeds)
    limit = special.stdtrit(freedom, 1 - level / 2)
    below, above = special.nctdtr(freedom, shift, -limit), special.nctdtr(freedom, shift, limit)
    # Far from zero the distribution function underflows to NaN where it is 0.
    return float(1 - (0.0 if math.isnan(above) else above) + (0.0 if math.isnan(below) else below))


def seeds_needed(differences: Sequence[float], comparisons: int = 1, wanted: float = POWER) -> int | None:
    """The fewest seeds that find a difference of the observed size, with the observed spread, at power ``wanted``.

    Never below the fewest at which the sign-flip test can reject at all. The observed effect stands in for the true
    one, so the number is as uncertain as the difference itself. None without spread to go by (fewer than two
    differences, or none at all), or beyond 100,000 seeds.

    Args:
        comparisons: m, the arms that Holm adjusts for.
    """
    if len(differences) < 2 or comparisons < 1:
        return None
    mean, spread = statistics.fmean(differences), statistics.stdev(differences)
    if abs(mean) <= 1e-12:
        return None
    effect = math.inf if spread <= 1e-12 * abs(mean) else mean / spread

    def enough(seeds: int) -> bool:
        level = attainable_level(seeds, comparisons)
        return level > 0 and (math.isinf(effect) or power(effect, seeds, level) >= wanted)

    few = next((seeds for seeds in range(2, stats.EXACT_UP_TO + 1) if enough(seeds)), None)
    if few is not None or not enough(MOST):
        return few
    low, high = stats.EXACT_UP_TO, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable(differences: Sequence[float], comparisons: int = 1, wanted: float = POWER) -> float | None:
    """The smallest true difference that this many seeds find at power ``wanted``, with the spread of these differences.

    Returns:
        None where no outcome of so many seeds can be significant.
    """
    seeds = len(differences)
    level = attainable_level(seeds, comparisons) if seeds > 1 else 0.0
    if level <= 0:
        return None
    from scipy import optimize

    top = 1.0
    while power(top, seeds, level) < wanted:
        top *= 2
    effect = optimize.brentq(lambda effect: power(effect, seeds, level) - wanted, 0.0, top)
    return statistics.stdev(differences) * float(effect)
