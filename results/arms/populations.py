"""Bootstrap intervals of tau over the functions that a run ranked, from the estimates beside its record.

A row of the estimates is one function: architectures that compute the same have been reduced to one before they were
ranked. An interval over functions asks what another draw of the population would show, with the same trained weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitbench.harness.errors import StoreError
from splitbench.results.arms.arms import PRIMARY, ArmRuns
from splitbench.results.inference.bootstrap import RESAMPLES, bca_clustered, over_seeds_and_functions, tau_statistic
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.loading import StoredRun, read_estimates
from splitbench.results.records.population_names import STRINGS

if TYPE_CHECKING:
    from splitbench.results.inference.bootstrap import CountStatistic, Floats

FEWEST, MOST = 20, 3_000
FEWER_RESAMPLES = 999
TOLERANCE = 1e-9


class UnusableError(Exception):
    """Why there is no interval over functions, as a sentence without its full stop."""


@dataclass(frozen=True)
class RankedRun:
    """The functions of one run: their names, and tau under counts."""

    functions: tuple[str, ...]
    tau: CountStatistic


@dataclass(frozen=True)
class Estimated:
    """The scores of a run's functions by its supernet, and their truth: names, scores and truths [functions].

    A score orders by accuracy and, within equal accuracy, by less loss; truth is test accuracy in %.
    """

    functions: tuple[str, ...]
    score: Floats
    truth: Floats


def score_and_truth(run: StoredRun) -> Estimated:
    """Read a run's estimates, and check that its record's size of the population and tau[all] follow from them.

    Raises:
        StoreError: if the file is missing, or is not the one that the record names.
        UnusableError: if the record's numbers are not those of the file, so that they are of other architectures.
    """
    import numpy as np

    from splitbench.results.measures import metrics, ranking

    record, frame = run.record, read_estimates(run)
    n = len(frame)
    if n != record.population_size:
        raise UnusableError(f"{n:,} architectures have estimates, and the population is {record.population_size:,}")
    accuracy, loss, truth = (frame[name].to_numpy(np.float64) for name in ("accuracy", "loss", "truth_test"))
    score = metrics.lexicographic_score(accuracy, loss)
    tau, recorded = ranking.tau_b(score, truth), record.metrics.get(PRIMARY)
    if (tau is None or recorded is None) and tau is not recorded:
        raise UnusableError(f"the record's {PRIMARY} is {recorded}, and its {n:,} estimates give {tau}")
    if tau is not None and recorded is not None and not abs(tau - recorded) <= TOLERANCE:
        raise UnusableError(f"the record's {PRIMARY} is {recorded:.6g}, and its {n:,} estimates give {tau:.6g}")
    return Estimated(tuple(map(str, frame["architecture"])), score, truth)


def read_ranked(run: StoredRun) -> RankedRun:
    """Read a run's estimates for resampling.

    Raises:
        UnusableError: if they are missing, do not give the record's tau, or rank too few functions or too many (time
            grows with their square, and the interval shrinks).
    """
    arm, n = run.record.arm, run.record.population_size
    if STRINGS in run.record.population:
        raise UnusableError(f"{arm} ranks strings, and those of one function are no independent draws")
    if not FEWEST <= n <= MOST:
        raise UnusableError(f"{arm} ranks {n:,} functions, and a bootstrap takes {FEWEST} to {MOST:,}")
    try:
        estimated = score_and_truth(run)
    except StoreError as error:
        raise UnusableError(f"the estimates of {arm} cannot be read: {error}") from error
    except UnusableError as problem:
        raise UnusableError(f"{arm}: {problem}") from problem
    if run.record.metrics.get(PRIMARY) is None:
        raise UnusableError(f"{arm} has no {PRIMARY}")
    return RankedRun(estimated.functions, tau_statistic(estimated.score, estimated.truth))


def tau_of_run(run: StoredRun, resamples: int = RESAMPLES) -> Estimate:
    """tau[all] of one run with its BCa interval over functions; ``n`` is their number.

    Raises:
        UnusableError: as ``ranked`` does, or if tau is not defined in some resample.
    """
    resampled = read_ranked(run)
    return _with_limits(bca_clustered(resampled.tau, resampled.functions, resamples=resamples))


def tau_of_arm(arm: ArmRuns, resamples: int = FEWER_RESAMPLES) -> Estimate:
    """Mean tau[all] of an arm with its interval over seeds and functions; ``n`` is the number of seeds.

    Raises:
        UnusableError: as ``tau_of_run`` does, or if the draws of one seed rank different functions.
    """
    seeds = {seed: [(1, read_ranked(run)) for run in runs] for seed, runs in arm.repetitions.items()}
    return _interval([_weighted(seeds[seed]) for seed in sorted(seeds)], resamples)


def difference_over_functions(first: ArmRuns, second: ArmRuns, resamples: int = FEWER_RESAMPLES) -> Estimate:
    """Paired difference of tau[all], first less second, with its interval over seeds and functions; both arms get the
    same functions in every resample.

    Raises:
        UnusableError: as ``tau_of_arm`` does, or if the arms of one seed rank different functions.
    """
    shared = sorted(first.repetitions.keys() & second.repetitions.keys())
    seeds = []
    for seed in shared:
        both = [(sign, run) for sign, arm in ((1, first), (-1, second)) for run in arm.repetitions[seed]]
        seeds.append(_weighted([(sign, read_ranked(run)) for sign, run in both]))
    return _interval(seeds, resamples)


def _weighted(runs: Sequence[tuple[int, RankedRun]]) -> RankedRun:
    """The mean of the runs with sign 1 less the mean of those with sign -1, as one statistic of counts."""
    if len({run.functions for _, run in runs}) > 1:
        raise UnusableError("runs of one seed ranked different functions")
    shares = [sign / sum(other == sign for other, _ in runs) for sign, _ in runs]

    def statistic(counts: Floats) -> Floats:
        total = shares[0] * runs[0][1].tau(counts)
        for share, (_, run) in zip(shares[1:], runs[1:], strict=True):
            total = total + share * run.tau(counts)
        return total

    return RankedRun(runs[0][1].functions, statistic)


def _interval(seeds: Sequence[RankedRun], resamples: int) -> Estimate:
    same = len({seed.functions for seed in seeds}) == 1
    sizes = [len(seed.functions) for seed in seeds]
    return _with_limits(over_seeds_and_functions([seed.tau for seed in seeds], sizes, shared=same, resamples=resamples))


def _with_limits(estimate: Estimate) -> Estimate:
    if estimate.low is None:
        raise UnusableError(
            f"the resampled values of {PRIMARY} give none: in some resample no two scores differ, or all values lie on "
            "one side"
        )
    return estimate
