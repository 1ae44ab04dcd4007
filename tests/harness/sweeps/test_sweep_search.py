"""What a sweep searches: the study file's part, which arm has which parameter, and the arm that values make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from tiny_studies import tiny

from splitbench.criteria.partitioners.cuts import Balanced
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.harness.study.arm import Arm, build_arm
from splitbench.harness.study.config import ArmConfig, StudyConfig, parse_study
from splitbench.harness.study.search import Range
from splitbench.harness.sweeps.accepted_numbers import Declared, annotation, number_type
from splitbench.harness.sweeps.configured_arm import configuration_label, configured
from splitbench.harness.sweeps.search_parameters import Parameter, searched_by_arm
from splitbench.spaces.micro.space import Micro

GM = {"criterion": "gm", "repetitions": 1}

BAD: dict[str, tuple[Any, str]] = {
    "no mapping": (["trainer.learning_rate"], "paths of parameters and what they are searched over are expected"),
    "nothing": ({}, "no parameter is named"),
    "no path": ({"trainer..lr": [1]}, "'trainer..lr' is no path of a parameter"),
    "a number": ({"a": 3}, "a: a list of choices, {log: [low, high]} or {range: [low, high]} is expected, not 3"),
    "no choice": ({"a": []}, "a: the list of choices is empty"),
    "twice": ({"a": [1, 2, 1]}, "a: the choice 1 stands there twice"),
    "infinite": ({"a": [1.0, float("inf")]}, "a: finite numbers are expected, not inf"),
    "unknown scale": (
        {"a": {"lg": [1, 2]}},
        "a: unknown key 'lg' (did you mean 'log'?); allowed keys: log, range, step",
    ),
    "two scales": ({"a": {"log": [1, 2], "range": [1, 2]}}, "a: give either log: [low, high] or range: [low, high]"),
    "three ends": ({"a": {"log": [1, 2, 3]}}, "a: log takes the two ends [low, high], not [1, 2, 3]"),
    "text": ({"a": {"range": ["low", 2]}}, "a: finite numbers are expected, not 'low'"),
    "empty": ({"a": {"log": [0.1, 0.01]}}, "a: the range from 0.1 to 0.01 is empty; the first end is the lower one"),
    "a point": ({"a": {"range": [2, 2]}}, "a: the range from 2 to 2 is empty"),
    "log of zero": ({"a": {"log": [0, 1]}}, "a: a logarithmic range begins above 0, not at 0"),
    "log in steps": ({"a": {"log": [1, 8], "step": 1}}, "a: a logarithmic range has no step; list the choices instead"),
    "large step": ({"a": {"range": [0, 1], "step": 2}}, "a: a step from 0 to 1 lies between 0 and 1, not 2"),
    "step beyond the end": (
        {"a": {"range": [16, 30], "step": 8}},
        "a: a range from 16 in steps of 8 does not end at 30; end it at 24 or 32",
    ),
    "step beyond the end, below 1": (
        {"a": {"range": [0.1, 0.5], "step": 0.3}},
        "a: a range from 0.1 in steps of 0.3 does not end at 0.5; end it at 0.4 or 0.7",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_search_is_a_sentence(case: str) -> None:
    search, words = BAD[case]
    with pytest.raises(ConfigError) as error:
        parse_study(tiny(search=search), "my.yaml")
    assert str(error.value).startswith(f"my.yaml: search: {words}")


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"trials": 0}, "sweep.trials: input should be greater than or equal to 1, not 0"),
        ({"samplr": "tpe"}, "unknown key 'sweep.samplr' (did you mean 'sampler'?)"),
    ],
)
def test_a_bad_sweep_is_a_sentence(sweep: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_study(tiny(sweep=sweep), "my.yaml")
    assert str(error.value).startswith(f"my.yaml: {words}")


def test_a_search_is_kept_as_it_was_written() -> None:
    search = {"a.b": {"log": [0.1, 1.0]}, "c": {"range": [0.0, 1.0], "step": 0.25}, "d": [1, "x", {"name": "y"}]}
    study = parse_study(tiny(search=search))
    assert study.search is not None
    assert study.search["a.b"] == Range(low=0.1, high=1.0, log=True)
    assert study.model_dump(mode="json")["search"] == search
    assert parse_study(study.model_dump(mode="json", exclude_none=True)) == study


@pytest.mark.parametrize(("ends", "step"), [([0.5, 0.95], 0.05), ([0.1, 0.7], 0.1), ([0, 1e-3], 1e-4), ([16, 32], 8)])
def test_a_step_divides_its_range_but_for_rounding(ends: list[float], step: float) -> None:
    study = parse_study(tiny(search={"a": {"range": ends, "step": step}}))
    assert study.search == {"a": Range(low=ends[0], high=ends[1], step=step)}


def built(study: StudyConfig) -> list[tuple[ArmConfig, Arm]]:
    space = Micro()
    return [(arm, build_arm(study, arm, i, space)) for i, arm in enumerate(study.arms)]


def parameters(search: dict[str, Any], *arms: Any, **changes: Any) -> list[tuple[Parameter, ...]]:
    study = parse_study(tiny(arms=list(arms) or ["none", GM], search=search, **changes))
    return searched_by_arm(study, built(study))


def test_each_arm_has_the_parameters_that_have_an_effect_on_it() -> None:
    search = {
        "trainer.learning_rate": {"log": [0.01, 1]},
        "schedule.levels": [1, 2],
        "criterion.repetitions": {"range": [1, 8]},
        "partitioner": ["balanced", "max_cut"],
        "selector.samples": [4, 8],
    }
    none, gm, other = parameters(search, "none", GM, {"criterion": "random"})
    assert [one.path for one in none] == ["trainer.learning_rate", "selector.samples"]
    assert [one.path for one in gm] == list(search)
    assert [one.path for one in other] == [path for path in search if path != "criterion.repetitions"]


def test_distributions_follow_the_parameters_types_and_scales() -> None:
    search = {
        "trainer.learning_rate": {"log": [0.01, 1]},
        "trainer.weight_decay": {"range": [0, 0.01], "step": 0.005},
        "trainer.batch_size": {"log": [8, 64]},
        "trainer.momentum": ["0.5", 0.9, 0],
        "criterion.repetitions": {"range": [1, 9], "step": 2},
        "schedule.weights": ["inherit", "restart"],
    }
    found = {one.path: one for one in parameters(search)[1]}
    assert {path: one.distribution for path, one in found.items()} == {
        "trainer.learning_rate": FloatDistribution(0.01, 1, log=True),
        "trainer.weight_decay": FloatDistribution(0, 0.01, step=0.005),
        "trainer.batch_size": IntDistribution(8, 64, log=True),
        "trainer.momentum": CategoricalDistribution([0.5, 0.9, 0.0]),
        "criterion.repetitions": IntDistribution(1, 9, step=2),
        "schedule.weights": CategoricalDistribution(["inherit", "restart"]),
    }
    own = {path: one.own for path, one in found.items()}
    assert own == {
        "trainer.learning_rate": 0.1,
        "trainer.weight_decay": 5e-4,
        "trainer.batch_size": 32,
        "trainer.momentum": 0.9,
        "criterion.repetitions": 1,
        "schedule.weights": "inherit",
    }


@pytest.fixture
def plugins() -> Iterator[None]:
    """What a test registers goes with it."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def test_a_parameter_without_a_value_has_the_type_of_its_annotation() -> None:
    """``images: int | None = None``."""
    arm = {"criterion": "perturbation"}
    one = parameters({"criterion.images": {"range": [10, 100]}}, "none", arm)[1][0]
    assert (one.distribution, one.own, one.samples()) == (IntDistribution(10, 100), None, [10, 55, 100])
    listed = parameters({"criterion.images": [None, "1e2", 50.0]}, "none", arm)[1][0]
    assert {name: (type(name), given) for name, given in listed.over.items()} == {  # type: ignore[union-attr]
        "None": (str, None),
        100: (int, 100),
        50: (int, 50),
    }
    assert listed.own == "None"


def test_a_parameter_of_a_component_that_another_choice_brings_in_has_its_type_there() -> None:
    search = {"selector": ["all", "random_best"], "selector.samples": {"range": [2, 20]}}
    for arm in parameters(search, selector="all"):
        assert (arm[1].distribution, arm[1].own, arm[1].samples()) == (IntDistribution(2, 20), None, [2, 11, 20])
    made, values = arm_of(search, {"selector": "random_best", "selector.samples": 7}, GM, selector="all")
    assert made["selector"] == {"name": "random_best", "samples": 7}
    assert values == {"selector": "random_best", "selector.samples": 7}
    search["selector.samples"] = {"range": [2, 20.5]}
    with pytest.raises(ConfigError) as error:
        parameters(search, selector="all")
    assert str(error.value) == "search.selector.samples: whole numbers are expected, not 2, 20.5"
    listed = parameters({"selector": ["all", "random_best"], "selector.samples": ["4", 8.0]}, selector="all")[0][1]
    assert [(type(name), name) for name in listed.samples()] == [(int, 4), (int, 8)]


def test_a_range_of_floats_where_the_study_has_a_whole_number_or_a_list() -> None:
    search = {"trainer.learning_rate": {"range": [0, 1]}, "schedule.warmup": {"range": [0.1, 0.4]}}
    trainer = {"name": "rsps", "batch_size": 32, "learning_rate": 1}
    rate, warmup = parameters(search, trainer=trainer, schedule={"warmup": [0.3]})[1]
    assert (rate.distribution, rate.own) == (FloatDistribution(0, 1), 1.0)
    assert (warmup.distribution, warmup.own) == (FloatDistribution(0.1, 0.4), None)


def test_components_that_differ_in_their_numbers_have_no_common_range(plugins: None) -> None:
    @dataclass(frozen=True)
    class Counting(Balanced):
        size: int = 2

    @dataclass(frozen=True)
    class Sharing(Balanced):
        size: float = 0.5

    registry.register("partitioners", "counting")(Counting)
    registry.register("partitioners", "sharing")(Sharing)
    search = {"partitioner": ["counting", "sharing"], "partitioner.size": {"range": [1, 2]}}
    with pytest.raises(ConfigError) as error:
        parameters(search)
    assert str(error.value) == (
        "search.partitioner.size: counting takes whole numbers only, and sharing any; list its choices instead of a "
        "range"
    )


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"criterion.renormalise": {"range": [0, 1]}}, "it is False and no number"),
        ({"criterion.metric": {"range": [0, 1]}}, "it is accuracy and no number"),
        ({"partitioner": {"range": [0, 1]}}, "it is "),
        ({"partitioner": ["balanced", "shuffled"], "partitioner.of": {"range": [0, 1]}}, "shuffled takes no number"),
        ({"partitioner": ["balanced", "balancd"], "partitioner.of": [1]}, "unknown partitioners component 'balancd'"),
    ],
)
def test_what_takes_no_number_has_no_range(search: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        parameters(search, "none", {"criterion": "perturbation", "partitioner": "balanced"})
    path, _, said = str(error.value).partition(": ")
    assert path.removeprefix("search.") in search
    assert said.startswith(words)
    assert (
        "unknown" in words
        or said.endswith("and no number; list its choices instead of a range")
        or (said == "shuffled takes no number; list its choices instead of a range")
    )


def function(*, few: int | None = None, share: Annotated[float, "below 1"] = 1, free=3, what: Any = None) -> None:  # type: ignore[no-untyped-def]
    """A component as a function; one of its parameters has no annotation."""


class Plain:
    """A component as a class of its own; one annotation exists only for the type checker."""

    def __init__(self, few: int | None = None, other: OnlyForTheTypeChecker = 0.5) -> None:  # type: ignore[name-defined]  # noqa: F821
        self.few, self.other = few, other


@pytest.mark.parametrize("thing", [function, Plain])
def test_annotations_of_functions_and_classes_are_read(thing: Any) -> None:
    component = registry.Component("selectors", "it", "here:it", "this process", thing)
    found = {
        name: number_type(Declared("it", annotation(component, one), one.default), None)
        for name, one in registry.parameters(component).items()
    }
    expected = {"few": int, "share": float, "free": int, "what": float}
    assert found == (expected if thing is function else {"few": int, "other": float})


@pytest.mark.parametrize(
    ("type_", "own", "default", "expected"),
    [
        (int, 0.5, None, int),
        (float | None, 1, 1, float),
        (Annotated[int, "few"] | None, None, None, int),
        (Literal[1, 2], None, None, int),
        (Literal["a", 2], None, None, int),
        (np.int64, None, None, int),
        (NewType("Count", int), None, None, int),
        (bool | None, 1, 1, None),
        (str, None, 1, None),
        (tuple[int, ...] | None, None, None, None),
        (Literal["a", "b"], None, None, None),
        (int | float, None, 2, int),
        (int | float | str, "auto", "auto", float),
        (Any, 3, 0.5, int),
        (Any, None, 3, int),
        (Any, True, 3, None),
        (object, "word", 3, None),
        (Any, None, None, float),
    ],
)
def test_which_numbers_a_type_takes(type_: Any, own: Any, default: Any, expected: Any) -> None:
    assert number_type(Declared("it", type_, default), own) is expected


@pytest.mark.parametrize(
    ("over", "integer", "samples"),
    [
        (Range(low=2, high=20), False, [2, 8.875, 20]),  # 11 is whole
        (Range(low=0, high=20_000), False, [0, 246.9, 20_000]),  # four digits of what is larger are whole
        (Range(low=4000, high=8000), False, [4000, 6000, 8000]),  # of all of it
        (Range(low=0.01, high=1, log=True), False, [0.01, 0.505, 1]),
        (Range(low=1, high=9, step=2), True, [1, 5, 9]),
        (Range(low=1, high=9, step=2), False, [1, 5, 9]),
        (Range(low=0, high=4, step=0.5), False, [0, 0.5, 4]),
        (Range(low=1, high=2), True, [1, 2]),
        (Range(low=8, high=64, log=True), True, [8, 36, 64]),
    ],
)
def test_a_range_is_tried_at_its_ends_and_inside(over: Range, integer: bool, samples: list[Any]) -> None:
    found = Parameter("a.b", over, integer, None).samples()
    assert found == samples
    assert {type(one) for one in found} == {int if integer else float}


UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": (
        {"trainer.learning_rat": [1]},
        "search.trainer.learning_rat: no arm has this parameter (did you mean 'trainer.learning_rate'?); there are: "
        "trainer.batch_size, trainer.learning_rate,",
    ),
    "short": ({"trainer.lr": [1]}, "search.trainer.lr: no arm has this parameter"),
    "part": ({"trainr.momentum": [1]}, "search.trainr.momentum: no arm has this parameter (did you mean 'trainer.mom"),
    "inside a number": ({"trainer.momentum.x": [1]}, "search.trainer.momentum.x: no arm has this parameter"),
    "shared": ({"budget.steps": [1]}, "search.budget.steps: budget is what all arms are compared on, so it is not"),
    "space": ({"space.channels": [8]}, "search.space.channels: space is what all arms are compared on"),
    "criterion": ({"criterion": ["gm"]}, "search.criterion: an arm is its criterion"),
    "fraction": (
        {"schedule.levels": {"range": [1, 2.5]}},
        "search.schedule.levels: whole numbers are expected, not 1, 2.5",
    ),
    "range of words": (
        {"schedule.weights": {"range": [1, 2]}},
        "search.schedule.weights: it is inherit and no number; list its choices instead of a range",
    ),
    "the same twice": ({"trainer.momentum": ["0.9", 0.9]}, "search.trainer.momentum: two of the choices are the same"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_no_arm_has_is_a_sentence(case: str) -> None:
    search, words = UNKNOWN[case]
    with pytest.raises(ConfigError) as error:
        parameters(search)
    assert str(error.value).startswith(words)


def test_no_arm_that_splits_has_no_schedule() -> None:
    with pytest.raises(ConfigError, match="no arm of the study splits the supernet, so schedule has no effect"):
        parameters({"schedule.levels": [1, 2]}, "none")


def arm_of(search: dict[str, Any], suggested: dict[str, Any], arm: Any, **changes: Any) -> tuple[dict[str, Any], Any]:
    """The arm that values make, as a mapping, and what runs."""
    study = parse_study(tiny(arms=["none", arm], search=search, **changes))
    pairs = built(study)
    made, values = configured(study, *pairs[1], searched_by_arm(study, pairs)[1], suggested)
    build_arm(study, made, 1, Micro())
    return made.model_dump(exclude_defaults=True), values


def test_values_become_an_arm_that_differs_in_nothing_else() -> None:
    search = {
        "trainer.learning_rate": {"log": [0.01, 1]},
        "schedule.levels": [1, 2],
        "criterion.repetitions": [1, 2],
        "partitioner": ["balanced", {"name": "shuffled", "of": "max_cut"}],
        "trainer.weight_decay": {"log": [1e-6, 1e-2]},
    }
    suggested = {
        "trainer.learning_rate": 0.0123456,
        "schedule.levels": 2,
        "criterion.repetitions": 2,
        "partitioner": "shuffled[of=max_cut]",
    }
    made, values = arm_of(search, suggested, GM)
    assert made == {
        "criterion": "gm",
        "repetitions": 2,
        "name": "gm(repetitions=1) [learning_rate=0.01235, levels=2, repetitions=2, partitioner=shuffled[of=max_cut]]",
        "partitioner": {"name": "shuffled", "of": "max_cut"},
        "schedule": {"levels": 2},
        "trainer": {"name": "rsps", "batch_size": 32, "learning_rate": 0.01235},
    }
    assert values == {**suggested, "trainer.learning_rate": 0.01235}


def test_rounding_stays_inside_the_range() -> None:
    one = Parameter("trainer.learning_rate", Range(low=0.0123456, high=0.9876543, log=True), False, None)
    assert one.shown(0.1234567) == 0.1235
    assert one.shown(0.0123456) == 0.01235
    low = Parameter("trainer.learning_rate", Range(low=0.0123446, high=0.9876543, log=True), False, None)
    assert low.shown(0.0123446) == 0.0123446  # not .01234
    assert one.shown(0.9876543) == 0.9876543  # not .9877


def test_a_nested_component_and_its_parameter() -> None:
    search = {"criterion.proxy": ["synflow", "snip"]}
    study = parse_study(
        tiny(arms=["none", {"criterion": "zero_cost", "proxy": "snip"}], search={**search, "trainer.clip": [5]})
    )
    pairs = built(study)
    parameter = searched_by_arm(study, pairs)[1][0]
    assert parameter.own == "snip"
    made, _ = configured(study, *pairs[1], (parameter,), {"criterion.proxy": "synflow"})
    assert made.criterion_spec == {"name": "zero_cost", "proxy": "synflow"}


def test_a_parameter_of_the_component_that_is_not_chosen_has_no_effect() -> None:
    search = {"trainer": ["rsps", "darts"], "trainer.architecture_learning_rate": {"log": [1e-4, 1e-2]}}
    made, values = arm_of(search, {"trainer": "rsps", "trainer.architecture_learning_rate": 0.001}, GM)
    assert made["trainer"] == "rsps"
    assert values == {"trainer": "rsps"}
    made, values = arm_of(search, {"trainer": "darts", "trainer.architecture_learning_rate": 0.001}, GM)
    assert made["trainer"] == {"name": "darts", "architecture_learning_rate": 0.001}
    assert values == {"trainer": "darts", "trainer.architecture_learning_rate": 0.001}


def test_labels_are_as_short_as_they_can_be() -> None:
    assert configuration_label("gm", {}) == "gm"
    assert (
        configuration_label("gm", {"trainer.learning_rate": 0.25, "schedule.levels": 2})
        == "gm [learning_rate=0.25, levels=2]"
    )
    both = {"trainer.samples": 1, "selector.samples": 2}
    assert configuration_label("gm", both) == "gm [trainer.samples=1, selector.samples=2]"
