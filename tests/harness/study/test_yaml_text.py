"""YAML as study files have it: keys once, numbers as people write them, nothing that takes long or looks like a bug."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_studies import tiny

from splitbench.harness.errors import ConfigError
from splitbench.harness.study.config import parse_study
from splitbench.harness.study.yaml_text import read_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seeds: 12\nname: t\nseeds: 2", "wrong in line 3: the key 'seeds' stands there a second time, after"),
        ("arms: [none]\n\narms: [random]", "wrong in line 3: the key 'arms' stands there a second time, after line 1"),
        ("trainer:\n  name: rsps\n  'name': sgd", "wrong in line 3: the key 'name' stands there a second time"),
        ("arms:\n- {criterion: gm, draws: 1, draws: 2}", "wrong in line 2: the key 'draws'"),
        (BOMB, "the value in line 6 holds more than 100,000 values; use fewer aliases of aliases"),
        ("a: &a [*a]", "the anchor in line 1 contains an alias of itself; write it out"),
        ("[" * 3000, "nested too deeply; at most 100 levels"),
        ("[" * 200 + "]" * 200, "nested too deeply; at most 100 levels"),
        ("a: 1\nb: !!int ''", "wrong in line 2: '' cannot be read as int"),
        ("b: !!float abc", "wrong in line 1: 'abc' cannot be read as float"),
        ("b: !!timestamp 2001-99-99", "wrong in line 1: '2001-99-99' cannot be read as timestamp"),
        (f"b: {'9' * 5000}", "(5,002 characters) cannot be read as int"),
        ("a: \x00", "this is not YAML"),
        ("a: !!python/object:os.system x", "this is not YAML in line 1: could not determine a constructor"),
    ],
)  # fmt: skip
def test_what_no_file_may_say_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_yaml(text, "my.yaml")
    assert sentence in str(error.value)
    assert str(error.value).startswith("my.yaml: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_numbers_and_dates_are_what_they_look_like() -> None:
    found = read_yaml("[4e1, 2e0, 1e-1, 1.0e+30, 2E14, -3e2, 2001-99-99, 2001-01-01, 1e, e5]", "")
    assert found == [40, 2, 0.1, 1e30, 2 * 10**14, -300, "2001-99-99", "2001-01-01", "1e", "e5"]
    assert [type(value) for value in found[:3]] == [int, int, float]


def test_aliases_and_merges_are_as_ever() -> None:
    text = "a: &a {name: rsps, batch_size: 32}\nb: *a\nc: {<<: *a, batch_size: 64}"
    found = read_yaml(text, "")
    assert found["b"] == found["a"]
    assert found["c"] == {"name": "rsps", "batch_size": 64}


def test_whole_numbers_may_have_an_exponent_wherever_they_stand() -> None:
    arms = ["none", {"criterion": "random", "draws": "2e0"}]
    study = parse_study(tiny(population={"sample": "4e1"}, seeds="1e1", budget={"steps": "6e1"}, arms=arms))
    assert (study.population.sample, study.seeds, study.arms[1].draws, study.budget.steps) == (40, 10, 2, 60)
    with pytest.raises(ConfigError, match=r"seeds: input should be a valid integer.*not 1.5"):
        parse_study(tiny(seeds="15e-1"))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"arms": ["none", {"criterion": "gm", "name": "a\ud800"}]}, r"arms.1.name: 'a\ud800'"),
        ({"trainer": {"name": "rsps", "\ud800": 1}}, r"a key of trainer: '\ud800'"),
    ],
)
def test_half_a_character_is_told_before_anything_is_trained(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_study(tiny(**changes), "my.yaml")
    assert str(error.value) == f"my.yaml: {place} holds half a character; write it in full"


def test_thousands_of_digits_do_not_fill_the_sentence() -> None:
    with pytest.raises(ConfigError) as error:
        parse_study(tiny(seeds=10**4000))
    assert len(str(error.value)) < 300
