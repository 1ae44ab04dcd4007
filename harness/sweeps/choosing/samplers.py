"""Samplers by name, made so that a sweep may be interrupted and so that all arms begin alike.

The values of slot k of an arm are a function of the study's seed, of k, and of the arm's results in the slots before k.
No sampler object outlives a call: every draw builds Optuna's sampler anew, with a seed hashed from (seed, k), and shows
it the arm's history with one trial a slot, in the order of slots. So neither an interruption, nor a failed attempt and
its retry, nor draws of other arms, threads or processes in between change the next values.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec
from splitbench.harness.sweeps.attempts import ORIGINAL, REASON, SETTLED, SURPLUS, WRITTEN, slot_of
from splitbench.harness.sweeps.choosing import options
from splitbench.harness.sweeps.choosing.grid import grid_size, point
from splitbench.harness.sweeps.optuna_backend import StudyBySlot, set_system_attribute

SAMPLERS: dict[str, Callable[..., BaseSampler] | None] = {
    "tpe": TPESampler,
    "random": None,
    "grid": None,
    "cmaes": CmaEsSampler,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "tpe": {"multivariate": True, "constant_liar": True, "n_startup_trials": 10},
    # A pruned trial's running mean estimates the same mean as a complete trial's value: it is worth having.
    "cmaes": {"consider_pruned_trials": True},
}


def check_sampler(spec: Spec, distributions: Mapping[str, BaseDistribution], where: str) -> None:
    """Refuse a sampler that there is not, that cannot search this space, or whose options are wrong.

    ``grid`` needs finitely many points. ``cmaes`` needs a numeric parameter with more than one value: it moves numbers
    only, and categorical parameters beside them are drawn at random.

    Args:
        spec: a bare name, or ``{name: ..., **options}``.
        distributions: an arm's search space, by path.
        where: path of the spec in the study file, for messages.

    Raises:
        ConfigError: one sentence.
    """
    name, given = options.name_and_options(spec, SAMPLERS, "sampler", where)
    settings = options.checked(SAMPLERS[name], name, given, where)
    if (maker := SAMPLERS[name]) is not None:
        options.made_of_options(maker, where, _DEFAULTS[name] | settings)
    if name == "grid":
        grid_size(distributions, where)
    if name == "cmaes":
        numeric = [
            path for path, d in distributions.items() if not isinstance(d, CategoricalDistribution) and not d.single()
        ]
        least = 2 if settings.get("use_separable_cma") else 1
        if len(numeric) < least:
            separable = " with use_separable_cma" if least == 2 else ""
            raise ConfigError(
                f"{where}: cmaes{separable} moves numbers only and needs at least {least} numeric parameters with "
                f"more than one value, but the search has {len(numeric)}; use tpe, random or grid"
            )


def trials_of_arm(spec: Spec, distributions: Mapping[str, BaseDistribution], wanted: int) -> int:
    """How many trials an arm gets of the ``wanted`` ones: a grid has no more than its points.

    Raises:
        ConfigError: as :func:`grid_size` does.
    """
    name, _ = options.name_and_options(spec, SAMPLERS, "sampler", "sweep.sampler")
    return min(wanted, grid_size(distributions)) if name == "grid" else wanted


class Paired(BaseSampler):
    """One of Optuna's samplers, with all its randomness taken from (seed, slot).

    What the named sampler leaves to independent sampling (the startup trials of TPE and CMA-ES, CMA-ES's categorical
    parameters, all of random search) is drawn from (seed, slot, parameter), with the arm left out: all arms see the
    same random configurations, and an arm that searches fewer parameters the same values of those it has.

    ``grid`` visits the points in a random order fixed by the seed, slot k the k-th point, so that parallel workers
    never try a point twice; a slot past the last point begins anew.

    ``cmaes`` keeps its state as a pickle among the trials' attributes and loads it from there: use it only with a
    storage that you trust. Its number of dimensions must not change within a study.

    Args:
        spec: a bare name, or ``{name: ..., **options}``.
        distributions: the arm's search space, by path.
        seed: the study's.
        first: the study file's own values, by path, which slot 0 tries if every parameter has one within its
            distribution; otherwise, and with ``grid``, slot 0 is drawn like the others.

    Raises:
        ConfigError: as :func:`check_sampler` does.
    """

    def __init__(
        self,
        spec: Spec,
        distributions: Mapping[str, BaseDistribution],
        seed: int,
        first: Mapping[str, Any] | None = None,
    ) -> None:
        check_sampler(spec, distributions, "sweep.sampler")
        self._name, given = options.name_and_options(spec, SAMPLERS, "sampler", "sweep.sampler")
        settings = options.checked(SAMPLERS[self._name], self._name, given, "sweep.sampler")
        self._options = _DEFAULTS.get(self._name, {}) | settings
        self._distributions = dict(distributions)
        self._seed = seed
        self._first = _within(first or {}, distributions) if self._name != "grid" else None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters with more than one value: :meth:`sample_relative` draws them together."""
        return {name: d for name, d in self._distributions.items() if not d.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of a trial, by path; what Optuna's sampler wants kept is written to the trial's attributes."""
        trials = study.get_trials(deepcopy=False)
        slot = slot_of(trials, trial.number)
        if self._name == "grid":
            return point(self._distributions, _seed(self._seed, "grid"), slot)
        if slot == 0 and self._first is not None:
            return self._first
        shown_study = StudyBySlot(study, _history(trials, trial.number))
        shown = copy.copy(trial)
        shown.number = slot
        settled = sum(t.state in SETTLED for t in shown_study.trials)
        inner = self._inner(slot, startup=settled < self._options.get("n_startup_trials", 0))
        stand_in = shown_study.as_study()
        space = inner.infer_relative_search_space(stand_in, shown)
        drawn = inner.sample_relative(stand_in, shown, space)
        for name in sorted(search_space.keys() - drawn.keys()):
            drawn[name] = inner.sample_independent(stand_in, shown, name, search_space[name])
        if shown_study.written:
            set_system_attribute(study, trial, WRITTEN, shown_study.written)
        return {name: drawn[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for a parameter that the arm's search space does not hold."""
        slot = slot_of(study.get_trials(deepcopy=False), trial.number)
        return _random(self._seed, slot, param_name, param_distribution)

    def _inner(self, slot: int, startup: bool = False) -> BaseSampler:
        maker = SAMPLERS[self._name]
        if maker is None or (self._name == "tpe" and startup):  # CMA-ES counts its startup trials itself
            return _Independent(self._seed)
        more: dict[str, Any] = {"seed": _seed(self._seed, slot)}
        if self._name == "cmaes":
            more |= {"independent_sampler": _Independent(self._seed), "warn_independent_sampling": False}
        return options.made_of_options(maker, "sweep.sampler", self._options | more)


class _Independent(RandomSampler):
    """Random sampling by (seed, slot, parameter); a trial's number is its slot here."""

    def __init__(self, seed: int) -> None:
        super().__init__(0)
        self._study_seed = seed

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return _random(self._study_seed, trial.number, param_name, param_distribution)


def _history(trials: Sequence[FrozenTrial], number: int) -> list[FrozenTrial]:
    """The slots before that of trial ``number``, each as one trial: settled, or running if it is yet to be settled."""
    attempts: dict[int, list[FrozenTrial]] = {}
    mine = number
    for trial in sorted(trials, key=lambda t: t.number):
        original = trial.system_attrs.get(ORIGINAL, trial.number)
        mine = original if trial.number == number else mine
        if trial.user_attrs.get(REASON) != SURPLUS:
            attempts.setdefault(original, []).append(trial)
    shown = []
    for slot, original in enumerate(sorted(first for first in attempts if first < mine)):
        chain = attempts[original]
        settled = [t for t in chain if t.state in SETTLED]
        trial = copy.copy(settled[-1] if settled else max(chain, key=lambda t: (len(t.params), t.number)))
        trial.number = slot
        trial.state = trial.state if settled else TrialState.RUNNING
        kept = [t.system_attrs[WRITTEN] for t in chain if WRITTEN in t.system_attrs]
        trial.system_attrs = dict(kept[-1]) if kept else {}
        trial.intermediate_values = {k: v for k, v in trial.intermediate_values.items() if math.isfinite(v)}
        shown.append(trial)
    return shown


def _seed(*words: Any) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(words).encode()).digest()[:4], "big")


def _random(seed: int, slot: int, name: str, distribution: BaseDistribution) -> Any:
    sampler = RandomSampler(_seed(seed, slot, name))
    return sampler.sample_independent(cast(Study, None), cast(FrozenTrial, None), name, distribution)


def _within(values: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any] | None:
    """The values of all parameters, or none if one is missing or out of its distribution."""
    try:
        own = {name: values[name] for name in distributions}
        # Optuna has no public test of whether a distribution holds a value, but checks those of a new trial.
        optuna.create_trial(state=TrialState.WAITING, params=own, distributions=dict(distributions))
    except (KeyError, ValueError, TypeError):
        return None
    # As Optuna will give it back: a float for a number that the study file writes as a whole one.
    return {
        name: distribution.to_external_repr(distribution.to_internal_repr(own[name]))
        for name, distribution in distributions.items()
        if not distribution.single()
    }
