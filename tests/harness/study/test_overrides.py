"""`--set`, `--arms` and `--seeds` of `splitbench run`: what they change, what they pick, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_studies import tiny

from splitbench.harness.errors import ConfigError
from splitbench.harness.study.config import parse_study
from splitbench.harness.study.overrides import parse_set, put_all
from splitbench.harness.study.portion import Portion, portion, repetitions, split_names

Command = Callable[..., tuple[int, str, str]]
ARMS: list[Any] = ["none", {"criterion": "exhaustive", "edges": [0]}, {"criterion": "random", "name": "a, b"}]


@pytest.mark.parametrize(
    ("words", "study", "changed"),
    [
        (["seeds=5"], {}, {"seeds": 5}),
        (["budget.flops=2e11"], {"budget": {"steps": 9}}, {"budget": {"flops": 200_000_000_000}}),
        (["trainer.learning_rate=.05"], {"trainer": "darts"}, {"trainer": {"name": "darts", "learning_rate": 0.05}}),
        (
            ["trainer.clip=1"],
            {},
            {"trainer": {"name": "rsps", "clip": 1}},
        ),  # of the trainer that a study has by default
        (["trainer.clip=1", "trainer=darts"], {"trainer": {"name": "rsps"}}, {"trainer": {"name": "darts", "clip": 1}}),
        (
            ["schedule.warmup=[0.1, 0.2]"],
            {"schedule": {"levels": 2}},
            {"schedule": {"levels": 2, "warmup": [0.1, 0.2]}},
        ),
        (["population.sample=9"], {"population": None}, {"population": {"sample": 9}}),
        (["arms.1.draws=3"], {"arms": ["none", "gm"]}, {"arms": ["none", {"criterion": "gm", "draws": 3}]}),
        (["modifiers.0.x=1"], {"modifiers": ["m"]}, {"modifiers": [{"name": "m", "x": 1}]}),
        (["arms=[none, gm]"], {"arms": ["none"]}, {"arms": ["none", "gm"]}),
        (["name=a=b"], {}, {"name": "a=b"}),
        (["budgte.flops=1"], {}, {"budgte": {"flops": 1}}),  # the check of the study says that there is no such key
    ],
)
def test_a_value_is_put_at_its_path(words: list[str], study: dict[str, Any], changed: dict[str, Any]) -> None:
    before = repr(study)
    assert put_all(study, parse_set(words)) == changed
    assert repr(study) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seeds"], "--set seeds: a key and its value are expected, as in --set budget.flops=2e11"),
        (["a..b=1"], "--set a..b=1: a key and its value"),
        (["seeds=1", "seeds=2"], "--set seeds: it is set twice"),
        (["seeds=[1"], "--set seeds: this is not YAML"),
        (["seeds.x=1"], "--set seeds.x: seeds is 1, which has no keys; set seeds itself"),
        (["arms.3.draws=1"], "--set arms.3.draws: arms is a list of 3, so a number from 0 to 2"),
    ],
)
def test_what_cannot_be_set_is_one_sentence(words: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        put_all(tiny(arms=ARMS), parse_set(words))


def test_names_are_split_at_commas_outside_of_brackets() -> None:
    assert split_names("none, gm(repetitions=2, variant=x),random") == [
        "none",
        "gm(repetitions=2, variant=x)",
        "random",
    ]


@pytest.mark.parametrize(("text", "found"), [("0-2,5", (0, 1, 2, 5)), ("3", (3,)), ("2, 0-2", (0, 1, 2))])
def test_seeds_are_numbers_and_spans(text: str, found: tuple[int, ...]) -> None:
    assert repetitions(text, 6) == found


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "2-1", "6", "0-6", "0-99999999999999"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--seeds {re.escape(text)}: "):
        repetitions(text, 6)


def test_a_part_keeps_the_order_of_the_study() -> None:
    study = parse_study(tiny(arms=ARMS, seeds=4))
    assert portion(study, ["a, b", "none"], "3,1") == Portion(("none", "a, b"), (1, 3))
    assert portion(study, ["exhaustive(edges=0),none"], None).arms == ("none", "exhaustive(edges=0)")
    assert portion(study, [], None) == Portion()
    assert Portion().notes(study) == []
    part, baseline = portion(study, ["exhaustive(edges=0)"], "0-2").notes(study)
    assert "1 of 3 arms, 3 of 4 seeds" in part
    assert "the baseline none is not in this part" in baseline


def test_an_unknown_arm_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"--arms: 'nome' is not an arm \(did you mean 'none'\?\)"):
        portion(parse_study(tiny(arms=ARMS)), ["nome"], None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "budgte.flops=1"], "unknown key 'budgte' (did you mean 'budget'?)"),
        (["--set", "budget.flop=1"], "unknown key 'budget.flop' (did you mean 'flops'?)"),
        (["--set", "trainer.learning_rat=1"], "has no parameter 'learning_rat' (did you mean 'learning_rate'?)"),
        (["--arms", "nome"], "did you mean 'none'?"),
        (["--seeds", "1"], "is not among the study's 1 seed, 0 to 0"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_the_command_refuses_in_one_sentence(
    splitbench: Command, tmp_path: Path, words: list[str], says: str, dry: list[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(tiny()))
    status, out, err = splitbench("run", file, "--out", tmp_path / "out", *words, *dry)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert says in err
    assert not (tmp_path / "out").exists()
