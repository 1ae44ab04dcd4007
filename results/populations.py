"""Bootstrap intervals of tau over the functions that a run ranked, from the estimates beside its record.

A row of the estimates is one function: architectures that compute the same have been reduced to one before they were
ranked. An interval over functions asks what another draw of the population would show, with the same trained weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import StoreError
from results.arms import Arm
from results.bootstrap import RESAMPLES, bca_clustered, over_seeds_and_functions, tau_statistic
from results.stats import Estimate
from results.store import Run, read_estimates

if TYPE_CHECKING:
    from results.bootstrap import CountStatistic, Floats

PRIMARY = "tau[all]"
FEWEST, MOST = 20, 3_000
FEWER_RESAMPLES = 999
TOLERANCE = 1e-9


class UnusableError(Exception):
    """Why there is no interval over functions, as a sentence without its full stop."""


@dataclass(frozen=True)
class Ranked:
    """The functions of one run: their names, and tau under counts."""

    functions: tuple[str, ...]
    tau: CountStatistic


def ranked(run: Run) -> Ranked:
    """Read a run's estimates.

    Raises:
        UnusableError: if they are missing, do not give the record's tau, or rank too few functions or too many (time
            grows with their square, and the interval shrinks).
    """
    import numpy as np

    from results.metrics import lexicographic_score

    try:
        frame = read_estimates(run)
    except StoreError as error:
        raise UnusableError(f"the estimates of {run.record.arm} cannot be read: {error}") from error
    n = len(frame)
    if not FEWEST <= n <= MOST:
        raise UnusableError(f"{run.record.arm} ranks {n:,} functions, and a bootstrap takes {FEWEST} to {MOST:,}")
    columns = [frame[name].to_numpy(np.float64) for name in ("accuracy", "loss", "truth_test")]
    tau = tau_statistic(lexicographic_score(columns[0], columns[1]), columns[2])
    found, recorded = float(tau(np.ones((1, n), np.float32))[0]), run.record.metrics.get(PRIMARY)
    if recorded is None or not abs(found - recorded) <= TOLERANCE:
        raise UnusableError(f"the estimates of {run.record.arm} do not give its {PRIMARY}")
    return Ranked(tuple(map(str, frame["architecture"])), tau)


def tau_of_run(run: Run, resamples: int = RESAMPLES) -> Estimate:
    """tau[all] of one run with its BCa interval over functions; ``n`` is their number.

    Raises:
        UnusableError: as ``ranked`` does.
    """
    found = ranked(run)
    return bca_clustered(found.tau, found.functions, resamples=resamples)


def tau_of_arm(arm: Arm, resamples: int = FEWER_RESAMPLES) -> Estimate:
    """Mean tau[all] of an arm with its interval over seeds and functions; ``n`` is the number of seeds.

    Raises:
        UnusableError: as ``ranked`` does, or if the draws of one seed rank different functions.
    """
    seeds = {seed: [(1, ranked(run)) for run in runs] for seed, runs in arm.repetitions.items()}
    return _interval([_weighted(seeds[seed]) for seed in sorted(seeds)], resamples)


def difference_over_functions(first: Arm, second: Arm, resamples: int = FEWER_RESAMPLES) -> Estimate:
    """Paired difference of tau[all], first less second, with its interval over seeds and functions; both arms get the
    same functions in every resample.

    Raises:
        UnusableError: as ``tau_of_arm`` does, or if the arms of one seed rank different functions.
    """
    shared = sorted(first.repetitions.keys() & second.repetitions.keys())
    seeds = []
    for seed in shared:
        both = [(sign, run) for sign, arm in ((1, first), (-1, second)) for run in arm.repetitions[seed]]
        seeds.append(_weighted([(sign, ranked(run)) for sign, run in both]))
    return _interval(seeds, resamples)


def _weighted(runs: Sequence[tuple[int, Ranked]]) -> Ranked:
    """The mean of the runs with sign 1 less the mean of those with sign -1, as one statistic of counts."""
    if len({one.functions for _, one in runs}) > 1:
        raise UnusableError("runs of one seed ranked different functions")
    shares = [sign / sum(other == sign for other, _ in runs) for sign, _ in runs]

    def statistic(counts: Floats) -> Floats:
        total = shares[0] * runs[0][1].tau(counts)
        for share, (_, one) in zip(shares[1:], runs[1:], strict=True):
            total = total + share * one.tau(counts)
        return total

    return Ranked(runs[0][1].functions, statistic)


def _interval(seeds: Sequence[Ranked], resamples: int) -> Estimate:
    same = len({one.functions for one in seeds}) == 1
    sizes = [len(one.functions) for one in seeds]
    return over_seeds_and_functions([one.tau for one in seeds], sizes, shared=same, resamples=resamples)
