"""Pruners of a sweep: a trial stops when its interval cannot win, and the interval is right as often as it says."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec
from splitbench.harness.sweeps.choosing.pruners import Interval, make_pruner, upper_bound

BEST = (0.10, 0.20, 0.30)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def reported(differences: Sequence[float], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    """A trial whose seeds gave these differences, as running means."""
    means = {k: float(np.mean(differences[:k])) for k in range(1, len(differences) + 1)}
    value = means[len(means)] if state is TrialState.COMPLETE else None
    return optuna.create_trial(value=value, state=state, intermediate_values=means)


def study_of(*trials: Sequence[float], seeds: int = 3, direction: str = "maximize") -> optuna.Study:
    """A study of trials with these differences; those of fewer seeds were pruned."""
    study = optuna.create_study(direction=direction)
    for differences in trials:
        study.add_trial(reported(differences, TrialState.COMPLETE if len(differences) == seeds else TrialState.PRUNED))
    return study


def stops(study: optuna.Study, differences: Sequence[float], pruner: optuna.pruners.BasePruner | None = None) -> bool:
    trial = study.ask()
    for k in range(1, len(differences) + 1):
        trial.report(float(np.mean(differences[:k])), k)
    study.pruner = pruner or Interval(3)
    found = trial.should_prune()
    study.tell(trial, state=TrialState.FAIL)
    return found


def below(*deltas: float) -> list[float]:
    """Differences that are this much off the best trial's."""
    return [best + delta for best, delta in zip(BEST, deltas, strict=False)]


# Quantiles of Student's t at 0.95: 6.313752 (1), 2.919986 (2), 2.353363 (3), 1.943180 (6). Medians of chi-squared:
# 1.386294 (2), 3.356694 (4).


def test_the_bound_of_a_trial_alone_is_students() -> None:
    # mean -0.15, squares 0.005 with 1 degree of freedom, 1/2 - 1/3 = 1/6
    bound = upper_bound(np.array([-0.2, -0.1]), [], 3, 0.95)
    assert bound == pytest.approx(-0.15 + 6.313752 * math.sqrt(0.005 / 6), abs=1e-6)
    assert upper_bound(np.array([-0.2]), [], 3, 0.95) is None


def test_one_seed_is_judged_by_the_scatter_of_the_others() -> None:
    # squares 0.02 with 2 degrees of freedom: variance 0.02 / 1.386294
    others = [np.array([-0.3, -0.4, -0.5])]
    bound = upper_bound(np.array([-0.2]), others, 3, 0.95)
    assert bound == pytest.approx(-0.2 + 2.919986 * math.sqrt(0.02 / 1.386294 * 2 / 3), abs=1e-6)


def test_the_own_variance_and_the_median_of_the_others_are_weighted_by_their_degrees_of_freedom() -> None:
    one = np.array([-0.3, -0.4, -0.5])
    bound = upper_bound(np.array([-0.2, -0.1]), [one], 3, 0.95)
    variance = (0.005 + 2 * 0.02 / 1.386294) / 3
    assert bound == pytest.approx(-0.15 + 2.353363 * math.sqrt(variance / 6), abs=1e-6)
    # The middle of three by degrees of freedom (2, 4, 2), which count for 4 in all; the wild one moves nothing.
    others = [one, np.array([0.0, 0.1, 0.0, 0.1, 0.05]), np.array([-5.0, 0.0, 5.0])]
    middle = max(0.01 / 3.356694, 0.02 / 1.386294)
    expected = -0.2 + 1.943180 * math.sqrt((0.02 + 4 * middle) / 6 * (1 / 3 - 1 / 5))
    assert upper_bound(np.array([-0.1, -0.2, -0.3]), others, 5, 0.95) == pytest.approx(expected, abs=1e-6)
    assert upper_bound(np.array([-0.1, -0.2, -0.3]), [*others[:2], 100 * others[2]], 5, 0.95) == pytest.approx(expected)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_trial_stops_where_its_interval_ends_below_the_best(direction: str) -> None:
    sign = 1 if direction == "maximize" else -1

    def signed(differences: Sequence[float]) -> list[float]:
        return [sign * one for one in differences]

    half = 2.919986 * math.sqrt(0.02 / 1.386294 * 2 / 3)
    study = study_of(signed(below(-0.3, -0.4, -0.5)), signed(BEST), direction=direction)
    assert not stops(study, signed(below(-half + 1e-5)))
    assert stops(study, signed(below(-half - 1e-5)))
    assert not stops(study, signed(below(half + 0.3)))
    alone = study_of(signed(BEST), direction=direction)
    assert not stops(alone, signed(below(-0.2, -0.1)))
    assert stops(alone, signed(below(-0.4, -0.3)))


def test_pruned_trials_tell_of_the_scatter_and_failed_ones_do_not() -> None:
    study = study_of(BEST, below(-0.40, -0.41))
    assert stops(study, below(-0.3))
    study = study_of(BEST)
    study.add_trial(reported(below(-0.40, -0.41), TrialState.FAIL))
    assert not stops(study, below(-0.3))


def test_the_best_is_compared_by_seed_and_the_earliest_of_equals() -> None:
    # The same mean in another order: 0.575 below the one's first seed, 0.825 below the other's. The squares of their
    # difference are 0.125, so that 2.92 * sqrt(0.125 / 1.386 * 2 / 3) = 0.716 decides.
    rising, falling = (0.125, 0.25, 0.375), (0.375, 0.25, 0.125)
    assert not stops(study_of(rising, falling), [-0.45])
    assert stops(study_of(falling, rising), [-0.45])


def test_nothing_stops_without_a_complete_trial_or_anything_to_estimate_the_scatter_by() -> None:
    assert not stops(study_of(below(-0.3, -0.3)), below(-9, -9))
    assert not stops(study_of(BEST), below(-9))
    assert not stops(study_of(BEST, below(-0.4)), below(-9))
    # Equal to the best at every seed: nothing about the scatter either.
    assert not stops(study_of(BEST, BEST), below(-9))


def test_nothing_stops_after_its_last_seed_or_before_the_first_that_may() -> None:
    study = study_of(BEST, below(-0.3, -0.31, -0.29))
    assert stops(study, below(-9))
    assert stops(study, below(-9, -9))
    assert not stops(study, below(-9, -9, -9))
    assert not stops(study, below(-9), Interval(3, min_seeds=2))
    assert stops(study, below(-9, -9), Interval(3, min_seeds=2))
    assert not stops(study, [])


def test_a_tie_goes_on() -> None:
    for best in (BEST, (0.0, 0.0, 0.0), (0.1, 0.1, 0.1), (1 / 3, 1 / 7, 1 / 9)):
        study = study_of(best, [one - 0.2 for one in best], [one + 1e-17 for one in best])
        assert not stops(study, best[:1])
        assert not stops(study, best[:2])
        assert not stops(study_of(best), best[:2])


def test_rounding_decides_no_tie() -> None:
    """The same differences, their running means added up in another order."""
    rng = np.random.default_rng(0)
    for best in rng.normal(0.1, 0.2, (30, 3)).tolist():
        study = study_of(best, [one - 0.5 for one in best])
        trial = study.ask()
        trial.report(best[0], 1)
        trial.report(best[0] + (best[1] - best[0]) / 2, 2)
        study.pruner = Interval(3, confidence=0.5)
        assert not trial.should_prune()


def test_a_larger_confidence_stops_less() -> None:
    study = study_of(BEST, below(-0.3, -0.4, -0.5))
    found = [stops(study, below(-0.25), Interval(3, confidence=c)) for c in (0.5, 0.8, 0.9, 0.95, 0.99)]
    assert found == [True, True, True, False, False]


def test_values_that_are_no_numbers_stop_nothing_and_hide_nothing() -> None:
    study = study_of(BEST, below(-0.3, -0.4, -0.5))
    for wrong in (math.nan, math.inf, -math.inf):
        assert not stops(study, [wrong])
        assert not stops(study, [-9.0, wrong])
    assert stops(study, below(-9))
    study.add_trial(reported([math.nan, 0.1], TrialState.PRUNED))
    study.add_trial(optuna.create_trial(value=9.0, intermediate_values={1: 9.0, 3: 9.0}))  # a seed is missing
    study.add_trial(optuna.create_trial(value=9.0, intermediate_values={1: 9.0, 2: 9.0}))  # not all seeds ran
    study.add_trial(optuna.create_trial(state=TrialState.PRUNED))
    assert stops(study, below(-9))
    assert not stops(study, below(-0.2))


# -- how often the interval is wrong ---------------------------------------------------------------------------------


@dataclass
class Tally:
    """What a simulated sweep came to: looks at sane settings, those whose interval missed, runs and winners lost."""

    looks: int = 0
    missed: int = 0
    runs: int = 0
    winner_lost: int = 0
    regret: float = 0.0


def sweep(rng: np.random.Generator, seeds: int, wild: float, tally: Tally, trials: int = 30) -> None:
    """30 settings in random order, 3 of 10 of them absurd: 0.3 to 0.6 below the best, with a scatter ``wild``.

    The others are 0 to 0.3 below, most of them near the best, with a scatter of 0.02 to 0.05 between seeds.
    """
    absurd = rng.random(trials) < 0.3
    absurd[0] = False  # the study file's own values
    effect = np.where(absurd, -rng.uniform(0.3, 0.6, trials), -0.3 * rng.random(trials) ** 2)
    scatter = np.where(absurd, wild, rng.uniform(0.02, 0.05, trials))
    values = effect[:, None] + scatter[:, None] * rng.standard_normal((trials, seeds))
    means = values.mean(axis=1)
    best, ran = -1, dict.fromkeys(range(trials), 0)
    for one in range(trials):
        for k in range(1, seeds + 1):
            ran[one] = k
            if k == seeds or best < 0:
                continue
            others = [values[i, :n] - values[best, :n] for i, n in ran.items() if n > 1 and i not in (one, best)]
            bound = upper_bound(values[one, :k] - values[best, :k], others, seeds, 0.95)
            if bound is None:
                continue
            if not absurd[one]:
                tally.looks += 1
                tally.missed += bool(means[one] - means[best] > bound)
            if bound < 0:
                break
        if ran[one] == seeds and (best < 0 or means[one] > means[best]):
            best = one
    tally.runs += sum(ran.values())
    tally.winner_lost += bool(means.max() > means[best])
    tally.regret += float(means.max() - means[best])


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("wild", [0.03, 0.25])
def test_the_interval_misses_as_rarely_as_it_says_and_saves_runs(seeds: int, wild: float) -> None:
    tally, sweeps = Tally(), 40
    for seed in range(sweeps):
        sweep(np.random.default_rng(seed), seeds, wild, tally)
    error = math.sqrt(0.05 * 0.95 / tally.looks)
    assert tally.missed / tally.looks <= 0.05 + 2 * error
    assert tally.winner_lost / sweeps <= 0.05 * (seeds - 1) + 2 * math.sqrt(0.05 * (seeds - 1) / sweeps)
    assert tally.regret / sweeps < 0.002
    assert tally.runs < 0.65 * sweeps * 30 * seeds


# -- by name ---------------------------------------------------------------------------------------------------------


def test_pruners_come_by_name() -> None:
    made: optuna.pruners.BasePruner = make_pruner("interval", 5).inner
    assert isinstance(made, Interval)
    assert (made.seeds, made.confidence, made.min_seeds) == (5, 0.95, 1)
    made = make_pruner({"name": "interval", "confidence": 0.9, "min_seeds": 2}, 4).inner
    assert isinstance(made, Interval)
    assert (made.seeds, made.confidence, made.min_seeds) == (4, 0.9, 2)
    kinds = {
        "median": optuna.pruners.MedianPruner,
        "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "none": optuna.pruners.NopPruner,
    }
    for name, kind in kinds.items():
        assert isinstance(make_pruner(name, 3).inner, kind)
    made = make_pruner({"name": "percentile", "percentile": 25}, 3).inner
    assert isinstance(made, optuna.pruners.PercentilePruner)


@pytest.mark.parametrize(
    ("spec", "runs"),
    [
        ("none", [3, 3, 3, 3, 3, 3]),
        ({"name": "median", "n_startup_trials": 2}, [3, 3, 1, 1, 1, 1]),
        ({"name": "percentile", "percentile": 25.0, "n_startup_trials": 2}, [3, 3, 1, 1, 1, 1]),
        ({"name": "successive_halving", "reduction_factor": 2}, [3, 1, 1, 1, 1, 1]),
        ("interval", [3, 2, 1, 1, 1, 1]),
    ],
    ids=str,
)
def test_each_pruner_stops_worse_and_worse_trials(spec: Spec, runs: list[int]) -> None:
    assert runs_of(spec) == runs


def test_hyperband_stops_trials_of_its_strict_bracket_only() -> None:
    runs = runs_of("hyperband", 40)
    assert set(runs) == {1, 3}
    assert runs_of({"name": "hyperband", "reduction_factor": 4}, 6) == [3, 1, 1, 1, 1, 1]  # one bracket


def runs_of(spec: Spec, trials: int = 6, attempts: int = 1) -> list[int]:
    """How many seeds each trial runs, every one 0.1 below the one before, with a pruner that is asked between them.

    All attempts but the last fail after a first seed that all would envy.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = optuna.create_study(study_name="s", direction="maximize", pruner=make_pruner(spec, 3))
        runs = []
        for number in range(trials):
            trial = study.ask()
            history: list[int] = []
            for _ in range(1, attempts):
                trial.report(9.0, 1)
                trial.should_prune()
                study.tell(trial, state=TrialState.FAIL)
                history = [*history, trial.number]
                attributes = {"failed_trial": history[0], "retry_history": history}
                study.add_trial(optuna.create_trial(state=TrialState.WAITING, system_attrs=attributes))
                trial = study.ask()
            differences = np.array([0.01, -0.02, 0.01] if number else [0, 0, 0]) - 0.1 * number
            for k in range(1, 4):
                value = float(differences[:k].mean())
                trial.report(value, k)
                if k < 3 and trial.should_prune():
                    study.tell(trial, state=TrialState.PRUNED)
                    break
            else:
                study.tell(trial, value)
            runs.append(k)
    return runs


def test_what_a_pruner_keeps_is_with_the_trial_and_read_again() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("successive_halving", 9))
    trial = study.ask()
    for step in range(1, 5):
        trial.report(0.1 * step, step)
        assert not trial.should_prune()
    assert study.trials[0].system_attrs == {"completed_rung_0": 0.1, "completed_rung_1": 0.4}
    worse = study.ask()
    worse.report(0.05, 1)
    assert worse.should_prune()
    assert study.trials[1].system_attrs == {"completed_rung_0": 0.05}


def test_failed_attempts_and_surplus_trials_are_no_competitors() -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner("successive_halving", 9))
    for reason in ("", "interrupted", "surplus"):
        trial = study.ask()
        trial.report(9.0, 1)
        assert not trial.should_prune()
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=TrialState.FAIL)
    trial = study.ask()
    trial.report(0.1, 1)
    assert not trial.should_prune()
    better = study.ask()
    better.report(0.2, 1)
    assert not better.should_prune()  # and those that run compete
    worse = study.ask()
    worse.report(0.15, 1)
    assert worse.should_prune()


def test_hyperbands_bracket_follows_the_slot() -> None:
    """A trial's first seed decides in the strict bracket alone: the pattern of slots is that of their brackets."""
    plain, retried = runs_of("hyperband", 20), runs_of("hyperband", 20, attempts=3)
    assert set(plain[1:]) == {1, 3}
    assert plain == retried


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("intervals", ": unknown pruner 'intervals' (did you mean 'interval'?); there are: interval, median, "),
        ({"name": "interval", "confidense": 1}, ": interval has no option 'confidense' (did you mean 'confidence'?)"),
        ({"name": "interval", "seeds": 3}, ": interval has no option 'seeds'"),
        ({"name": "interval", "confidence": 1.0}, ": the confidence of the interval is from 0.5 to below 1, not 1.0"),
        ({"name": "interval", "confidence": math.nan}, ": the confidence of the interval is from 0.5 to below 1"),
        ({"name": "interval", "min_seeds": 0}, ".min_seeds: input should be greater than or equal to 1, not 0"),
        ("percentile", ": percentile needs the option 'percentile'; it takes: percentile, n_startup_trials, "),
        ({"name": "percentile", "percentile": 120}, ": Percentile must be between 0 and 100"),
        ({"name": "none", "x": 1}, ": none has no option 'x'; it takes: none"),
        ({"name": "median", "n_startup_trials": "few"}, ".n_startup_trials: input should be a valid integer"),
        ({"name": "successive_halving", "min_resource": "all"}, ".min_resource: input should be"),
        ({"name": "hyperband", "reduction_factor": 1}, ".reduction_factor: input should be greater than or equal"),
        ({"name": "hyperband", "min_resource": 4, "max_resource": 2}, ": hyperband's min_resource is 4 seeds, beyond"),
        (["interval"], ": a component is a name or a mapping with the key 'name', not "),
    ],
)
def test_wrong_pruners_are_a_sentence(spec: Spec, message: str) -> None:
    with pytest.raises(ConfigError) as told:
        make_pruner(spec, 3)
    assert str(told.value).startswith(f"sweep.pruner{message}")
    assert "\n" not in str(told.value)


def test_hyperbands_least_resource_is_checked_against_the_studys_seeds() -> None:
    make_pruner({"name": "hyperband", "min_resource": 4}, 4)
    with pytest.raises(ConfigError, match=r"^sweep.pruner: hyperband's min_resource is 4 seeds, beyond .* has 3$"):
        make_pruner({"name": "hyperband", "min_resource": 4}, 3)
