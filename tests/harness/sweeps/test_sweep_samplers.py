"""Samplers of a sweep: what a slot tries follows from the seed, the slot and the history, and from nothing else."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec
from splitbench.harness.sweeps.attempts import slot_of
from splitbench.harness.sweeps.choosing import samplers
from splitbench.harness.sweeps.choosing.grid import grid_size

Space = Mapping[str, BaseDistribution]
RATE = FloatDistribution(1e-4, 1.0, log=True)
DECAY = FloatDistribution(0.0, 0.1)
LEVELS = IntDistribution(1, 4)
PARTS = CategoricalDistribution(["max_cut", "balanced", "spectral"])
SMALL = {"rate": RATE, "decay": DECAY}
WHOLE = {**SMALL, "levels": LEVELS, "parts": PARTS}
FINITE = {"levels": LEVELS, "parts": PARTS, "share": FloatDistribution(0.1, 0.3, step=0.1)}
SPECS: list[Spec] = [
    {"name": "tpe", "n_startup_trials": 4},
    {"name": "tpe", "n_startup_trials": 4, "group": True},
    {"name": "tpe", "n_startup_trials": 4, "multivariate": False},
    {"name": "cmaes", "popsize": 4},
    {"name": "cmaes", "popsize": 4, "with_margin": True},
    "random",
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def value_of(params: Mapping[str, Any]) -> float:
    """Best at a rate of 0.03, no decay, 2 levels and the spectral partitioner."""
    rate, decay, levels = params.get("rate", 0.03), params.get("decay", 0.0), params.get("levels", 2)
    parts = {"max_cut": 0.2, "balanced": 0.5}.get(params.get("parts", "spectral"), 0.0)
    return -((math.log10(rate) - math.log10(0.03)) ** 2) - 50 * decay**2 - 0.1 * abs(levels - 2) - parts


def study_of(spec: Spec, space: Space, seed: int = 7, first: Mapping[str, Any] | None = None) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=samplers.Paired(spec, space, seed, first))


def finish(study: optuna.Study, trial: optuna.Trial) -> None:
    """Every third slot is pruned after one seed, and one cannot run at all."""
    value = value_of(trial.params)
    slot = slot_of(study.get_trials(deepcopy=False), trial.number)
    if slot == 3:
        study.tell(trial, state=TrialState.PRUNED)
    elif slot % 3 == 2:
        trial.report(value - 0.01, 1)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, value)


def run(study: optuna.Study, space: Space, trials: int) -> None:
    for _ in range(trials):
        finish(study, study.ask(dict(space)))


def fail(study: optuna.Study, trial: FrozenTrial, keep: bool = True) -> None:
    """Leave a trial behind as a killed worker does, and queue its retry in Optuna's own words."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params if keep else {},
            distributions=trial.distributions if keep else {},
            system_attrs={
                **trial.system_attrs,
                "failed_trial": trial.system_attrs.get("failed_trial", trial.number),
                "retry_history": [*trial.system_attrs.get("retry_history", []), trial.number],
            },
        )
    )


def by_slot(study: optuna.Study) -> list[dict[str, Any]]:
    settled = [t for t in study.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    ranks = {slot_of(study.trials, t.number): t.params for t in settled}
    assert sorted(ranks) == list(range(len(settled)))
    return [ranks[slot] for slot in sorted(ranks)]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_same_history_and_slot_give_the_same_values_whatever_was_asked_before(spec: Spec) -> None:
    one, other = study_of(spec, WHOLE), study_of(spec, WHOLE)
    run(one, WHOLE, 12)
    for _ in range(12):
        elsewhere = optuna.create_study(sampler=other.sampler)
        elsewhere.ask(WHOLE)
        run(other, WHOLE, 1)
    assert by_slot(one) == by_slot(other)
    assert len({tuple(params.values()) for params in by_slot(one)}) == 12


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("keep", [True, False])
def test_a_resumed_sweep_tries_what_an_uninterrupted_one_does(spec: Spec, keep: bool, tmp_path: Path) -> None:
    """Killed after it was asked for, or (with nothing to keep) before its first value was written."""

    def opened() -> optuna.Study:
        return optuna.create_study(
            study_name="s",
            storage=JournalStorage(JournalFileBackend(str(tmp_path / "journal"))),
            direction="maximize",
            sampler=samplers.Paired(spec, WHOLE, 7, None),
            load_if_exists=True,
        )

    whole = study_of(spec, WHOLE)
    run(whole, WHOLE, 14)
    run(opened(), WHOLE, 5)
    for _ in range(2):  # the retry is killed as well
        opened().ask(WHOLE)
        study = opened()
        fail(study, study.trials[-1], keep)
    run(opened(), WHOLE, 4)
    study = opened()
    abandoned = study._storage.create_new_trial(study._study_id)
    fail(study, study._storage.get_trial(abandoned), keep)
    run(opened(), WHOLE, 5)
    assert [t.state for t in opened().trials].count(TrialState.FAIL) == 3
    assert by_slot(opened()) == by_slot(whole)


def test_slots_in_flight_are_seen_the_same_whichever_attempt_runs_them() -> None:
    one, other = study_of(SPECS[0], WHOLE), study_of(SPECS[0], WHOLE)
    for study in (one, other):
        run(study, WHOLE, 6)
        study.ask(WHOLE)
    fail(other, other.trials[-1])
    early = optuna.Trial(other, other._storage.create_new_trial(other._study_id))  # while the retry still waits
    in_flight = optuna.Trial(one, one._storage.create_new_trial(one._study_id))
    tried = [[trial._suggest(path, WHOLE[path]) for path in WHOLE] for trial in (early, in_flight)]
    assert tried[0] == tried[1]
    retried = other.ask(WHOLE)
    assert retried.params == one.trials[6].params
    assert other.ask(WHOLE).params == one.ask(WHOLE).params
    # The constant liar: with slot 6 not yet known to run, slot 7 would try something else.
    alone = study_of(SPECS[0], WHOLE)
    run(alone, WHOLE, 6)
    alone._storage.create_new_trial(alone._study_id)
    assert alone.ask(WHOLE).params != one.trials[7].params


def test_a_slot_does_not_look_at_those_after_it() -> None:
    one, other = study_of(SPECS[0], WHOLE), study_of(SPECS[0], WHOLE)
    run(one, WHOLE, 7)
    run(other, WHOLE, 6)
    other._storage.create_new_trial(other._study_id)
    for _ in range(3):  # another process is faster, and lucky
        other.tell(other.ask(WHOLE), 1.0)
    fail(other, other.trials[6], keep=False)
    assert other.ask(WHOLE).params == by_slot(one)[6]


def test_surplus_trials_leave_no_mark_on_what_is_tried() -> None:
    one, other = study_of(SPECS[0], WHOLE), study_of(SPECS[0], WHOLE)
    run(one, WHOLE, 12)
    for _ in range(12):
        surplus = other.ask(WHOLE)
        surplus.set_user_attr("reason", "surplus")
        other.tell(surplus, state=TrialState.FAIL)
        run(other, WHOLE, 1)
    assert by_slot(one) == by_slot(other)


@pytest.mark.parametrize("name", ["tpe", "cmaes", "random"])
def test_arms_of_different_dimension_share_their_random_configurations(name: str) -> None:
    spec = name if name == "random" else {"name": name, "n_startup_trials": 8}
    wide, narrow = study_of(spec, WHOLE), study_of(spec, SMALL)
    run(wide, WHOLE, 8)
    for slot in range(8):
        trial = narrow.ask(SMALL)
        narrow.tell(trial, -1.0 * slot)
    shared = [{path: params[path] for path in SMALL} for params in by_slot(wide)]
    assert by_slot(narrow) == shared
    assert len({params["rate"] for params in shared}) == 8
    twins = {"one": DECAY, "two": DECAY}
    alike = study_of(spec, twins).ask(twins).params
    assert alike["one"] != alike["two"]
    again = study_of(spec, SMALL, seed=8)
    assert again.ask(SMALL).params != shared[0]


@pytest.mark.parametrize("name", ["tpe", "cmaes", "random"])
def test_slot_0_is_the_study_files_own_values_where_they_lie_in_the_search(name: str) -> None:
    own = {"rate": 0.05, "decay": 0.0, "levels": 1, "parts": "balanced", "unsearched": 3}
    study = study_of(name, WHOLE, first=own)
    fail(study, study._storage.get_trial(study._storage.create_new_trial(study._study_id)))
    first, second = study.ask(WHOLE), study.ask(WHOLE)
    assert first.params == {path: own[path] for path in WHOLE}
    drawn = study_of(name, WHOLE)
    assert [drawn.ask(WHOLE).params for _ in range(2)][1] == second.params
    for wrong in ({"rate": 2.0}, {"parts": "gap"}, {"levels": "many"}):
        assert study_of(name, WHOLE, first=own | wrong).ask(WHOLE).params == drawn.trials[0].params
    assert study_of(name, WHOLE, first={"rate": 0.05}).ask(WHOLE).params == drawn.trials[0].params


def test_a_grid_is_covered_once_with_asks_in_between_failures_and_surplus() -> None:
    study = study_of("grid", FINITE, first={"levels": 1, "parts": "max_cut", "share": 0.1})
    size = grid_size(FINITE)
    assert size == 4 * 3 * 3
    assert samplers.trials_of_arm("grid", FINITE, 100) == size
    assert samplers.trials_of_arm({"name": "grid"}, FINITE, 5) == samplers.trials_of_arm("tpe", FINITE, 5) == 5
    flying: list[optuna.Trial] = []
    for turn in range(size):
        flying.append(study.ask(FINITE))
        if turn == 7:
            fail(study, study.trials[flying.pop(0).number])
            flying.append(study.ask(FINITE))
        if len(flying) > 3:
            trial = flying.pop(turn % 3)
            study.tell(trial, 0.0)
    for trial in flying:
        study.tell(trial, 0.0)
    tried = [tuple(params[path] for path in FINITE) for params in by_slot(study)]
    assert len(tried) == len(set(tried)) == size
    assert tried != sorted(tried)
    assert study.ask(FINITE).params == by_slot(study)[0]  # a slot too many begins anew
    assert {type(one) for one in study.trials[0].params.values()} == {int, str, float}


def test_threads_that_ask_at_once_try_no_point_of_a_grid_twice() -> None:
    study = study_of("grid", FINITE)
    with ThreadPoolExecutor(4) as pool:
        tried = list(pool.map(lambda _: tuple(sorted(study.ask(FINITE).params.items())), range(36)))
    assert len(set(tried)) == 36


def test_a_grid_too_large_to_list_is_no_work() -> None:
    space = {"a": IntDistribution(1, 10**9), "b": IntDistribution(0, 10**9, step=10), "c": LEVELS}
    assert grid_size(space) == 10**9 * (10**8 + 1) * 4
    study = study_of("grid", space)
    assert len({tuple(study.ask(space).params.values()) for _ in range(20)}) == 20
    assert grid_size({}) == grid_size({"one": FloatDistribution(0.5, 0.5)}) == 1


def test_tpe_finds_better_values_than_random_search() -> None:
    best = {}
    for name in ("tpe", "random"):
        studies = [study_of(name, WHOLE, seed) for seed in range(5)]
        for study in studies:
            for _ in range(30):
                trial = study.ask(WHOLE)
                study.tell(trial, value_of(trial.params))
        best[name] = sum(study.best_value for study in studies) / len(studies)
    assert best["tpe"] > best["random"] + 0.05


def test_cmaes_moves_numbers_towards_the_best_and_draws_categories_at_random() -> None:
    space = {**SMALL, "parts": PARTS}
    study = study_of({"name": "cmaes", "popsize": 4}, space, 1)
    for _ in range(60):
        trial = study.ask(space)
        study.tell(trial, value_of({path: trial.params[path] for path in SMALL}))
    late = [t for t in study.trials if t.number >= 40]
    assert all(abs(math.log10(t.params["rate"]) - math.log10(0.03)) < 0.8 for t in late)
    assert {t.params["parts"] for t in late} == {"max_cut", "balanced", "spectral"}
    assert study.best_value > -0.01


@pytest.mark.parametrize("spec", ["tpe", {"name": "cmaes", "popsize": 4, "lr_adapt": True}, *SPECS], ids=str)
def test_no_warning_of_optunas_reaches_the_user(spec: Spec) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("optuna")
    study = study_of(spec, WHOLE)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            samplers.check_sampler(spec, WHOLE, "sweep.sampler")
            run(study, WHOLE, 12)
    finally:
        logger.removeHandler(handler)
    assert lines == []


@pytest.mark.parametrize(
    ("spec", "space", "message"),
    [
        ("tp", SMALL, "w: unknown sampler 'tp' (did you mean 'tpe'?); there are: tpe, random, grid, cmaes"),
        ({"n_startup_trials": 3}, SMALL, "w: a component is a name or a mapping with the key 'name', not "),
        ({"name": "tpe", "n_startup": 3}, SMALL, "w: tpe has no option 'n_startup' (did you mean 'n_startup_trials'?)"),
        ({"name": "tpe", "seed": 3}, SMALL, "w: tpe has no option 'seed'"),
        ({"name": "tpe", "gamma": 3}, SMALL, "w: tpe has no option 'gamma'"),
        ({"name": "random", "speed": 3}, SMALL, "w: random has no option 'speed'; it takes: none"),
        ({"name": "tpe", "n_startup_trials": "few"}, SMALL, "w.n_startup_trials: input should be a valid integer"),
        ({"name": "tpe", "n_ei_candidates": 0}, SMALL, "w.n_ei_candidates: input should be greater than or equal to 1"),
        ({"name": "tpe", "group": True, "multivariate": False}, SMALL, "w: ``group`` option can only be enabled"),
        ({"name": "cmaes", "popsize": 1}, SMALL, "w.popsize: input should be greater than or equal to 2"),
        ({"name": "cmaes", "with_margin": True, "lr_adapt": True}, SMALL, "w: It is prohibited to pass"),
        ("cmaes", {"parts": PARTS, "one": IntDistribution(2, 2)}, "w: cmaes moves numbers only and needs at least 1"),
        ({"name": "cmaes", "use_separable_cma": True}, {"rate": RATE}, "w: cmaes with use_separable_cma moves numbers"),
        ("grid", SMALL, "w: grid needs finitely many values, but rate is a range of floats without a step"),
    ],
)
def test_wrong_samplers_are_a_sentence(spec: Spec, space: Space, message: str) -> None:
    with pytest.raises(ConfigError) as told:
        samplers.check_sampler(spec, space, "w")
    assert str(told.value).startswith(message)
    assert "\n" not in str(told.value)
    with pytest.raises(ConfigError, match="^sweep.sampler"):
        samplers.Paired(spec, space, 0, None)


def test_one_number_is_enough_for_cmaes() -> None:
    space = {"rate": RATE, "parts": PARTS}
    samplers.check_sampler("cmaes", space, "w")
    study = study_of("cmaes", space)
    run(study, space, 8)
    assert len({params["rate"] for params in by_slot(study)}) == 8
