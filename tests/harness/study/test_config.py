"""Study files: what is read, and that everything wrong with one is a sentence with path, allowed values and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_studies import tiny

from splitbench.harness.errors import ConfigError
from splitbench.harness.running.study import Study
from splitbench.harness.study.config import ArmConfig, StudyConfig, load_study, parse_study

GM = {"criterion": "gm", "repetitions": 1}


def arms(*changed: Any) -> dict[str, Any]:
    return {"arms": ["none", *changed], "budget": {"steps": 5000}}


def gm(**changes: Any) -> dict[str, Any]:
    return arms({**GM, "name": "mine", **changes})


# Everything that the file alone can tell: what is changed in a good study, and the whole sentence behind its name.
BAD_FILES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (
        {"budgt": {"steps": 3}},
        "unknown key 'budgt' (did you mean 'budget'?); allowed keys: name, space, dataset, trainer, modifiers, "
        "schedule, budget, seeds, seed, population, evaluation, selector, leaf_choice, "
        "sampling, scoring, decompose, precision, baseline, arms, "
        "search, sweep",
    ),
    "unknown budget": (
        {"budget": {"step": 3}},
        "unknown key 'budget.step' (did you mean 'steps'?); allowed keys: flops, steps, examples, seconds",
    ),
    "unknown schedule key": (
        {"schedule": {"level": 1}},
        "unknown key 'schedule.level' (did you mean 'levels'?); allowed keys: levels, branching, warmup, weights, "
        "keep, share, selection",
    ),
    "unknown population key": (
        {"population": {"samples": 50}},
        "unknown key 'population.samples' (did you mean 'sample'?); allowed keys: sample, of",
    ),
    "no space": ({"space": None}, "the key 'space' is missing; a study needs space, dataset, budget and arms"),
    "no arms": ({"arms": None}, "the key 'arms' is missing; a study needs space, dataset, budget and arms"),
    "empty arms": ({"arms": []}, "arms: at least one is needed"),
    "arms are a word": ({"arms": "none"}, "arms: a list is expected, not 'none'"),
    "an arm is a number": ({"arms": ["none", 5]}, "arms.1: a mapping of keys to values is expected, not 5"),
    "an arm without criterion": (
        {"arms": ["none", {"criterio": "gm"}]},
        "the key 'arms.1.criterion' is missing; an arm needs criterion",
    ),
    "a criterion that is no name": (
        {"arms": ["none", {"criterion": {"name": "gm"}}]},
        "arms.1.criterion: a name is expected, not {'name': 'gm'}",
    ),
    "negative budget": ({"budget": {"steps": -4}}, "budget.steps: input should be greater than 0, not -4"),
    "no budget": ({"budget": {"flops": 0}}, "budget.flops: input should be greater than 0, not 0"),
    "endless budget": ({"budget": {"flops": float("inf")}}, "budget.flops: input should be a finite number, not inf"),
    "budget that is not a number": (
        {"budget": {"flops": float("nan")}},
        "budget.flops: input should be a finite number, not nan",
    ),
    "budget in words": (
        {"budget": {"flops": "2e9x"}},
        "budget.flops: input should be a valid number, unable to parse string as a number, not '2e9x'",
    ),
    "two budgets": (
        {"budget": {"steps": 4, "flops": 3}},
        "budget: give exactly one of flops, steps, examples, seconds",
    ),
    "budget without unit": ({"budget": {}}, "budget: give exactly one of flops, steps, examples, seconds"),
    "budget is a number": ({"budget": 5}, "budget: a mapping of keys to values is expected, not 5"),
    "two arms of one name": (
        {"arms": ["none", "none"]},
        "two arms are called 'none'; give one of them a name of its own",
    ),
    "unknown baseline": (
        {"arms": ["none", "random"], "baseline": "nune"},
        "the baseline 'nune' is not an arm (did you mean 'none'?); arms: none, random",
    ),
    "no arm of the default baseline": (
        {"arms": ["random", "gm"]},
        "the baseline 'none' is not an arm; arms: random, gm",
    ),
    "all warm-up": ({"schedule": {"warmup": 1}}, "schedule.warmup: input should be less than 1, not 1"),
    "negative warm-up": (
        {"schedule": {"warmup": -0.1}},
        "schedule.warmup: input should be greater than or equal to 0, not -0.1",
    ),
    "warm-up in a list, too large": (
        {"schedule": {"warmup": [2]}},
        "schedule.warmup.0: input should be less than 1, not 2",
    ),
    "warm-ups without levels": (
        {"schedule": {"warmup": [0.1, 0.1]}},
        "schedule: warmup lists 2 shares for 1 levels; give one a level",
    ),
    "warm-ups that leave nothing": (
        {"schedule": {"levels": 2, "warmup": [0.5, 0.5]}},
        "schedule: the shares of warmup and selection leave nothing for the leaves; their sum must be below 1",
    ),
    "no levels": ({"schedule": {"levels": 0}}, "schedule.levels: input should be greater than or equal to 1, not 0"),
    "one group": (
        {"schedule": {"branching": 1}},
        "schedule.branching: input should be greater than or equal to 2, not 1",
    ),
    "unknown weights": (
        {"schedule": {"weights": "inherits"}},
        "schedule.weights: input should be 'inherit' or 'restart', not 'inherits'",
    ),
    "no seeds": ({"seeds": 0}, "seeds: input should be greater than or equal to 1, not 0"),
    "half a seed": (
        {"seeds": 1.5},
        "seeds: input should be a valid integer, got a number with a fractional part, not 1.5",
    ),
    "no draws": (
        {"arms": ["none", {"criterion": "random", "draws": 0}]},
        "arms.1.draws: input should be greater than or equal to 1, not 0",
    ),
    "tiny population": (
        {"population": {"sample": 3}},
        "population.sample: input should be greater than or equal to 10, not 3",
    ),
    "few images": (
        {"evaluation": {"images": 3}},
        "evaluation.images: input should be greater than or equal to 10, not 3",
    ),
    "unknown precision": (
        {"precision": "float16"},
        "precision: input should be 'float32' or 'bfloat16', not 'float16'",
    ),
    "a name with a slash": (
        {"name": "a/b"},
        "name: letters, digits, '.', '_' and '-' are allowed, and a letter or digit at the beginning, not 'a/b'",
    ),
    "a trainer that is a number": ({"trainer": 5}, "trainer: a name is expected, not 5"),
    "a partitioner that is a number": (
        {"arms": ["none", {"criterion": "gm", "partitioner": 5}]},
        "arms.1.partitioner: a name is expected, not 5",
    ),
}


@pytest.mark.parametrize("case", list(BAD_FILES))
def test_a_bad_file_is_a_sentence(case: str) -> None:
    changes, sentence = BAD_FILES[case]
    with pytest.raises(ConfigError) as error:
        parse_study(tiny(**changes), "my.yaml")
    assert str(error.value) == f"my.yaml: {sentence}"


# What needs components, space or prices: a piece of the study, and what the sentence must contain.
BAD_STUDIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown criterion": (
        arms("gmm"),
        [
            "arms[1]",
            "unknown criteria component 'gmm' (did you mean 'gm'?)",
            "gradient_contribution, hierarchy",
        ],
    ),
    "unknown space": ({"space": "mikro"}, ["space: unknown spaces component 'mikro' (did you mean 'micro'?)", "nb201"]),
    "unknown dataset": ({"dataset": "digit"}, ["dataset: unknown datasets component 'digit' (did you mean 'digits'?)"]),
    "unknown trainer": (
        {"trainer": "rsp"},
        ["trainer: unknown trainers component 'rsp' (did you mean 'rsps'?)", "darts"],
    ),
    "unknown selector": ({"selector": "random_bst"}, ["selector: unknown selectors component", "'random_best'"]),
    "unknown leaf choice": ({"leaf_choice": "best"}, ["leaf_choice: unknown leaf_choices component", "random_leaf"]),
    "unknown partitioner of an arm": (
        gm(partitioner="balance"),
        ["arms[1] (mine).partitioner: unknown partitioners component 'balance' (did you mean 'balanced'?)", "max_cut"],
    ),
    "unknown edge rule of an arm": (gm(edge_rule="fix"), ["arms[1] (mine).edge_rule", "'fix' (did you mean 'fixed'?)"]),
    "unknown trainer of an arm": (gm(trainer="drats"), ["arms[1] (mine).trainer", "(did you mean 'darts'?)"]),
    "misspelt key of an arm": (
        gm(partitoner="balanced"),
        [
            "arms[1] (mine): unknown key 'partitoner' (did you mean 'partitioner'?)",
            "edge_rule",
            "the criterion gm takes: var",
        ],
    ),
    "misspelt parameter": (gm(repetition=3), ["unknown key 'repetition' (did you mean 'repetitions'?)"]),
    "parameter of a criterion without": (
        arms({"criterion": "random", "sizes": [1, 4]}),
        ["criterion random takes: burn"],
    ),
    "parameter of a wrong type": (gm(repetitions="x"), ["arms[1] (mine).repetitions: input should be a valid integer"]),
    "parameter out of range": (
        gm(repetitions=0),
        ["arms[1] (mine): criterion gm: repetitions must be 1 or more, not 0"],
    ),
    "unknown variant": (
        gm(variant="x"),
        ["arms[1] (mine).variant: input should be 'corrected' or 'as_shipped', not 'x'"],
    ),
    "parameter of a trainer": (
        {"trainer": {"name": "rsps", "lr": 3}},
        ["trainer: rsps has no parameter 'lr'", "it takes: batch_size, learning_rate"],
    ),
    "trainer without name": (
        {"trainer": {"batch_size": 4}},
        ["trainer: a component is a name or a mapping with the key 'name'"],
    ),
    "partitioner without name": (
        gm(partitioner={"sizes": [1, 4]}),
        ["arms[1] (mine).partitioner: a component is a name or"],
    ),
    "batch of one": (
        {"trainer": {"name": "rsps", "batch_size": 1}},
        ["trainer.batch_size", "at least 2 images, not 1"],
    ),
    "unknown key of an arm's schedule": (
        gm(schedule={"level": 2}),
        [
            "arms[1] (mine).schedule: unknown key 'level' (did you mean 'levels'?)",
            "levels, branching, warmup, weights, keep, selection",
        ],
    ),
    "levels of an arm": (
        gm(schedule={"levels": 0}),
        ["arms[1] (mine).schedule: levels: input should be greater than or"],
    ),
    "warm-ups of an arm": (
        gm(schedule={"levels": 2, "warmup": [0.6, 0.5]}),
        [
            "arms[1] (mine).schedule: the shares of warmup and selection leave nothing for the leaves; their sum must "
            "be below 1"
        ],
    ),
    "an edge that is not there": (
        arms({"criterion": "exhaustive", "edges": [9]}),
        ["arm exhaustive(edges=9): edge rule fixed: edge 9 cannot be split", "0, 1, 2, 3, 4, 5"],
    ),
    "an edge twice": (
        arms({"criterion": "exhaustive", "edges": [0, 0]}),
        ["edges must be a list of different edge indices"],
    ),
    "more levels than edges named": (
        arms({"criterion": "exhaustive", "edges": [0], "schedule": {"levels": 2}}),
        ["edges [0] name no edge for level 1"],
    ),
    "a selector without alpha": (
        {"selector": "argmax_alpha"},
        ["the trainer learns none", "the trainer darts, or the selector"],
    ),
    "no samples": ({"selector": {"name": "random_best", "samples": 0}}, ["selector.samples: at least 1 architecture"]),
    "images of another shape": (
        {"space": "nb201"},
        ["space nb201 takes square colour images", "choose cifar10 or cifar100"],
    ),
    "parameters of a dataset": (
        {"dataset": {"name": "digits", "size": 4}},
        ["dataset: digits has no parameter 'size'"],
    ),
    "a budget that selection eats up": (
        {"budget": {"steps": 16}},
        [
            "arm none: the budget of 16 steps is too small for its schedule",
            "4 are spent, 16 are kept back for selection",
            "raise budget.steps",
        ],
    ),
    "a budget of less than a step": (
        {"budget": {"flops": 10}},
        ["too small for its schedule", "3 flops are left for a supernet, and one step takes up to"],
    ),
    "a budget too small for many leaves": (
        {"budget": {"steps": 150}, "arms": ["none", {"criterion": "exhaustive", "edges": [0, 1]}]},
        [
            "arm exhaustive(edges=0+1): the budget of 150 steps is too small",
            "nothing is left for 25 supernets",
            "take fewer levels",
        ],
    ),
}


@pytest.mark.parametrize("case", list(BAD_STUDIES))
def test_a_study_that_cannot_work_is_a_sentence_before_anything_is_trained(case: str) -> None:
    changes, pieces = BAD_STUDIES[case]
    with pytest.raises(ConfigError) as error:
        Study.build(parse_study(tiny(**changes)), "cpu")
    sentence = str(error.value)
    assert "\n" not in sentence
    for piece in pieces:
        assert piece in sentence, sentence


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("space: [micro\narms: x", "this is not YAML in line 2: "),
        ("- micro\n", "a study file is a mapping with the keys space, dataset, budget and arms"),
        ("", "a study file is a mapping with the keys space, dataset, budget and arms"),
        (
            "space: !!python/object/apply:os.system ['true']",
            "this is not YAML in line 1: could not determine a constructor",
        ),
    ],
)
def test_a_file_that_is_no_study_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_study(path)
    assert str(error.value).startswith(f"{path}: {sentence}")


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, sentence in (
        ("nothing", "there is no such study file"),
        (".", "folder"),
        ("binary", "not text in UTF-8"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            load_study(tmp_path / name)


def test_a_file_says_its_name_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tiny(seeds=0)))
    with pytest.raises(ConfigError, match=r"mine.yaml: seeds: input should be greater than or equal to 1, not 0"):
        load_study(path)


def test_numbers_as_yaml_reads_them_and_short_forms(tmp_path: Path) -> None:
    """YAML 1.1 reads 2e14 as a word; a bare name is short for a mapping; the file's name is the study's."""
    path = tmp_path / "my first study.yaml"
    path.write_text(
        "space: {name: micro}\ndataset: digits\nbudget: {flops: 2e14}\n"
        "arms: [none, {criterion: gm, repetitions: 5, draws: 2}]\n"
    )
    study = load_study(path)
    assert study.name == "my-first-study"
    assert study.budget.given == {"flops": 2e14}
    assert (study.trainer, study.selector, study.baseline, study.seeds) == ("rsps", "random_best", "none", 3)
    assert [arm.criterion_spec for arm in study.arms] == [{"name": "none"}, {"name": "gm", "repetitions": 5}]
    assert study.arms[1].draws == 2


@pytest.mark.parametrize(
    ("arm", "label"),
    [
        ({"criterion": "gm"}, "gm"),
        ({"criterion": "gm", "name": "mine"}, "mine"),
        ({"criterion": "exhaustive", "edges": [0, 2]}, "exhaustive(edges=0+2)"),
        ({"criterion": "gm", "partitioner": {"name": "max_cut"}}, "gm(partitioner=max_cut)"),
        ({"criterion": "gm", "schedule": {"levels": 2}, "repetitions": 3}, "gm(repetitions=3, levels=2)"),
    ],
)
def test_an_arm_is_called_by_what_differs_from_the_defaults(arm: dict[str, Any], label: str) -> None:
    assert ArmConfig(**arm).label == label


def test_a_checked_study_survives_its_own_file() -> None:
    study = parse_study(tiny(arms=["none", {**GM, "schedule": {"levels": 2}}]))
    again = StudyConfig.model_validate(yaml.safe_load(yaml.safe_dump(study.model_dump(mode="json", exclude_none=True))))
    assert again == study


# --- schedules of arms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "shares"),
    [({}, [0.15, 0.15]), ({"levels": 1}, [0.3]), ({"warmup": 0.1}, [0.05, 0.05]), ({"warmup": [0.1, 0.2]}, [0.1, 0.2])],
)
def test_an_arm_changes_the_studys_schedule(own: dict[str, Any], shares: list[float]) -> None:
    study = parse_study(tiny(schedule={"levels": 2, "warmup": 0.3}, **gm(schedule=own)))
    schedule = Study.build(study, "cpu").arms[1].schedule
    assert schedule.shares == pytest.approx(shares)
    assert schedule.weights == "inherit"


def test_windows_are_plain_sums_of_the_shares() -> None:
    """Stages are hashed by them, so they are the same to the last bit under every Python: three tenths are no 0.3."""
    study = parse_study(tiny(schedule={"levels": 3, "warmup": [0.1, 0.1, 0.1]}))
    assert study.schedule.windows == [(0.0, 0.1), (0.1, 0.2), (0.2, 0.30000000000000004)]


def test_shares_of_other_levels_are_kept_in_sum() -> None:
    """The study lists a share for each of two levels; exhaustive on one edge has one level with both."""
    study = parse_study(
        tiny(schedule={"levels": 2, "warmup": [0.1, 0.2]}, **arms({"criterion": "exhaustive", "edges": [0]}))
    )
    assert Study.build(study, "cpu").arms[1].schedule.shares == pytest.approx([0.3])


def test_parts_come_from_arm_study_and_criterion() -> None:
    arms = ["none", {**GM, "edge_rule": "random_edge"}, {"criterion": "exhaustive", "edges": [2]}]
    study = parse_study(tiny(arms=arms, budget={"steps": 5000}, leaf_choice="random_leaf"))  # fmt: skip
    _, second, third = Study.build(study, "cpu").arms
    names = {kind: part.name for kind, part in second.parts.items()}
    assert names == {
        "criteria": "gm", "partitioners": "balanced", "edge_rules": "random_edge", "trainers": "rsps",
        "selectors": "random_best", "leaf_choices": "random_leaf",
    }  # fmt: skip
    assert third.parts["partitioners"].name == "singletons"
    assert third.parts["edge_rules"].written() == {"name": "fixed", "edges": (2,)}
    assert second.parts["trainers"].parameters["batch_size"] == 32
