"""Pruners by name, and the one that stops a trial when its interval cannot win.

A pruner sees one trial for each slot, numbered by slot. Its decision is a function of the slots' values alone: neither
failed attempts nor the number of a retry change which trials are stopped.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.pruners import (
    BasePruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import chdtri, stdtrit

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec
from splitbench.harness.sweeps.attempts import newest_by_slot, slot_of
from splitbench.harness.sweeps.choosing import options
from splitbench.harness.sweeps.optuna_backend import HyperbandBySlot, StudyBySlot, set_system_attribute

PRIOR = 4  # degrees of freedom, at most, that the scatter of other trials counts for


class Interval(BasePruner):
    r"""Stops a trial when, after k of its S seeds, its interval no longer reaches the best complete trial.

    A trial reports the running mean of its first k differences by seed at step k, so that the differences come back as
    :math:`k m_k - (k-1) m_{k-1}`. Let :math:`\delta_s` be the trial's difference minus that of the best complete trial
    at seed s (the sign turned where less is better) and :math:`\bar\delta_k` its mean over the k seeds run. If the
    order of seeds carries no information, the mean over all S seeds differs from :math:`\bar\delta_k` by a term of mean
    0 and variance :math:`\sigma^2 (1/k - 1/S)`, as the mean of a finite population differs from that of a sample of it
    drawn without replacement (Cochran, Sampling Techniques, 1977, chapter 2). The trial is stopped if

    .. math:: \bar\delta_k + t_{c,\nu}\, \hat\sigma \sqrt{1/k - 1/S} < 0

    with the quantile of Student's t at the one-sided confidence c: at each look, the interval misses the trial's mean
    over all seeds with probability about 1 - c. A trial is never stopped after its last seed, because of values that
    are not finite, or while the scatter is not known or no trial is complete.

    :math:`\hat\sigma^2` is the trial's own variance shrunk towards that of the others (the moderated variance of Smyth,
    Statistical Applications in Genetics and Molecular Biology 3(1), 2004, with a prior of fixed weight):

    .. math:: \hat\sigma^2 = \frac{\sum_{s \le k} (\delta_s - \bar\delta_k)^2 + \nu_0 s_0^2}{k - 1 + \nu_0},
              \qquad \nu = k - 1 + \nu_0

    where :math:`s_0^2` is the median, weighted by degrees of freedom, over the finished trials i with at least two
    seeds, of their sum of squares about their own mean divided by the median of :math:`\chi^2` with :math:`k_i - 1`
    degrees of freedom, and :math:`\nu_0` is the sum of their :math:`k_i - 1`, but at most 4. The best trial and those
    equal to it at every seed are left out.

    What is assumed, and where it is approximate: seeds are exchangeable and the differences about normal; the settings
    scatter alike, as far as the median can tell (settings that scatter much more, as those that hardly train do, move
    it little, but would have a mean pooled over all made so wide that far less is stopped; their own interval is too
    short while k is small); all :math:`\delta` share the best trial's scatter, so that they hold less information than
    :math:`\nu_0` counts, which is one reason to bound it by 4; and S - 1 looks are taken, each at confidence c.

    Args:
        seeds: S, the seeds of a complete trial.
        confidence: c, one-sided, from 0.5 to below 1.
        min_seeds: no trial is stopped before it has run so many.

    Raises:
        ConfigError: if a number is out of range.
    """

    def __init__(self, seeds: int, confidence: float = 0.95, min_seeds: int = 1) -> None:
        if not 0.5 <= confidence < 1:
            raise ConfigError(f"the confidence of the interval is from 0.5 to below 1, not {confidence}")
        if seeds < 1 or min_seeds < 1:
            raise ConfigError(f"seeds and min_seeds are 1 or more, not {seeds} and {min_seeds}")
        self.seeds = seeds
        self.confidence = confidence
        self.min_seeds = min_seeds

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial after what it has reported."""
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        own, best = _by_seed(trial), self._best(trials, sign)
        if own is None or best is None or not self.min_seeds <= len(own) < self.seeds:
            return False
        known = [values for t in trials if t.number != trial.number and (values := _by_seed(t)) is not None]
        # Differences come back from running means, with rounding errors.
        slack = 1e-9 * max(float(np.max(np.abs(values))) for values in (own, *known))
        deltas = [values - best[: len(values)] for values in known if 2 <= len(values) <= self.seeds]
        others = [delta for delta in deltas if np.max(np.abs(delta)) > slack]
        delta = sign * (own - best[: len(own)])
        bound = upper_bound(delta, others, self.seeds, self.confidence)
        return bound is not None and bound < -slack

    def _best(self, trials: Sequence[FrozenTrial], sign: float) -> np.ndarray | None:
        """The differences by seed of the best trial that ran all seeds, the earliest of equals."""
        complete = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
        known = [(sign * (t.value or 0.0), -t.number, values) for t in complete if (values := _by_seed(t)) is not None]
        whole = [entry for entry in known if len(entry[2]) == self.seeds and math.isfinite(entry[0])]
        return max(whole, key=lambda entry: entry[:2])[2] if whole else None


def upper_bound(delta: np.ndarray, others: Sequence[np.ndarray], seeds: int, confidence: float) -> float | None:
    """The one-sided upper confidence bound of the mean over all seeds; the formula is :class:`Interval`'s.

    Args:
        delta: differences to the best trial in the seeds run, shape (k,).
        others: the same of other trials, each of at least two seeds.
        seeds: S, at least k.
        confidence: one-sided.

    Returns:
        The bound in the unit of ``delta``, or None where there is nothing to estimate the scatter by.
    """
    k = len(delta)
    prior, weight = _typical(others)
    freedom = k - 1 + weight
    if freedom == 0:
        return None
    variance = (_squares(delta) + weight * prior) / freedom
    return float(delta.mean() + stdtrit(freedom, confidence) * math.sqrt(variance * (1 / k - 1 / seeds)))


def _typical(others: Sequence[np.ndarray]) -> tuple[float, int]:
    """The median variance of the other trials, and the degrees of freedom it counts for."""
    if not others:
        return 0.0, 0
    freedom = np.array([len(delta) - 1 for delta in others])
    variances = np.array([_squares(delta) for delta in others]) / chdtri(freedom, 0.5)
    order = np.argsort(variances, kind="stable")
    reached = np.cumsum(freedom[order])
    middle = order[np.searchsorted(reached, reached[-1] / 2, side="right")]
    return float(variances[middle]), min(int(reached[-1]), PRIOR)


def _squares(delta: np.ndarray) -> float:
    return float(np.sum((delta - delta.mean()) ** 2))


def _by_seed(trial: FrozenTrial) -> np.ndarray | None:
    """The differences by seed behind the running means; None unless the steps are 1, 2, .. k and all are finite."""
    means = trial.intermediate_values
    if not means or sorted(means) != list(range(1, len(means) + 1)):
        return None
    sums = np.array([step * means[step] for step in sorted(means)], dtype=float)
    return np.diff(sums, prepend=0.0) if np.all(np.isfinite(sums)) else None


class BySlot(BasePruner):
    """A pruner that is shown the newest trial of each slot, numbered by slot.

    What ``inner`` wants kept with the trial that it is asked about is written to that trial's system attributes.
    """

    def __init__(self, inner: BasePruner) -> None:
        self.inner = inner

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether ``inner`` stops the trial."""
        trials = study.get_trials(deepcopy=False)
        shown_study = StudyBySlot(study, newest_by_slot(trials))
        shown = copy.copy(trial)
        shown.number = slot_of(trials, trial.number)
        stopped = self.inner.prune(shown_study.as_study(), shown)
        for key, value in shown_study.written.items():
            set_system_attribute(study, trial, key, value)
        return stopped


PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "interval": Interval,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "successive_halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandBySlot,
    "none": NopPruner,
}


def make_pruner(spec: Spec, seeds: int) -> BySlot:
    """The pruner that a spec names, for trials of at most ``seeds`` seeds, each of them a step.

    Optuna's pruners get the options as they are, except that the least resource of ``successive_halving`` is one seed
    and the greatest of ``hyperband`` all seeds where the study file says nothing else: Optuna would guess them.

    Args:
        spec: a bare name, or ``{name: ..., **options}``.
        seeds: of a complete trial.

    Raises:
        ConfigError: a pruner that there is not, or wrong options, in one sentence.
    """
    where = "sweep.pruner"
    name, given = options.name_and_options(spec, PRUNERS, "pruner", where)
    settings: dict[str, Any] = options.checked(PRUNERS[name], name, given, where)
    if name == "interval":
        settings["seeds"] = seeds
    if name == "successive_halving":
        settings = {"min_resource": 1} | settings
    if name == "hyperband":
        settings = {"max_resource": seeds} | settings
        least, greatest = settings.get("min_resource", 1), settings["max_resource"]
        if greatest != "auto" and greatest < least:
            raise ConfigError(
                f"{where}: hyperband's min_resource is {least} seeds, beyond its max_resource of {greatest}; a trial "
                f"has {seeds}"
            )
    return BySlot(options.made_of_options(PRUNERS[name], where, settings))
