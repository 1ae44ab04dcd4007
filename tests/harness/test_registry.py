"""Components are found by name, wherever they come from; what is wrong with one is said in a sentence."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_studies import record_bytes, tiny

import splitbench
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.registry import (
    KINDS,
    Component,
    build,
    components,
    get,
    load_plugin,
    parameters,
    plural,
    register,
)
from splitbench.harness.running.study import Study
from splitbench.harness.study.config import parse_study
from splitbench.harness.trainers.rsps import Rsps

BUILT_IN = {
    "criteria": {"none", "random", "exhaustive", "gm"},
    "partitioners": {"singletons", "balanced", "max_cut", "random_groups"},
    "edge_rules": {"normalised_max_cut", "shipped_max_cut", "shipped_min_intra", "fixed", "random_edge"},
    "trainers": {"rsps", "darts"},
    "selectors": {"all", "random_best", "argmax_alpha"},
    "leaf_choices": {"best_estimate", "random_leaf"},
    "spaces": {"micro", "nb201", "nb_macro"},
    "datasets": {"digits", "cifar10", "cifar100"},
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


# --- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(BUILT_IN))
def test_built_in_components_come_through_entry_points(kind: str) -> None:
    found = components(kind)
    assert BUILT_IN[kind] <= set(found)
    assert list(found) == sorted(found)
    for name in BUILT_IN[kind]:
        component = found[name]
        assert component.origin == "splitbench"
        assert component.loaded is None
        assert callable(component.load())
        assert component.summary == (component.load().__doc__ or "").partition("\n")[0]
        assert component.summary.endswith((".", ":"))
        assert component.identity == f"{name}-{vars(component.load())['version']}", (
            "a built-in component declares its own version"
        )


@pytest.mark.parametrize(
    ("word", "kind"),
    [("criterion", "criteria"), ("Criteria", "criteria"), ("edge-rule", "edge_rules"), ("leaf choice", "leaf_choices"),
     ("proxy", "proxies"), ("space", "spaces")],
)  # fmt: skip
def test_a_kind_is_known_in_singular_and_plural(word: str, kind: str) -> None:
    assert plural(word) == kind


def test_an_unknown_kind_is_a_sentence() -> None:
    with pytest.raises(
        ConfigError, match="unknown kind of component 'criterias' .did you mean 'criteria'..; kinds: crit"
    ):
        plural("criterias")


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [("criteria", "gmm", "gm"), ("criteria", "exhaustiv", "exhaustive"), ("trainers", "rsp", "rsps"),
     ("spaces", "nb_201", "nb201"), ("datasets", "cifar-10", "cifar10"), ("partitioners", "balance", "balanced")],
)  # fmt: skip
def test_did_you_mean(kind: str, typed: str, meant: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(kind, typed, "here")
    sentence = str(error.value)
    assert sentence.startswith(f"here: unknown {kind} component '{typed}' (did you mean '{meant}'?); there are: ")
    assert all(name in sentence for name in BUILT_IN[kind])
    assert "--plugin FILE.py" in sentence


def test_nothing_near_suggests_nothing() -> None:
    with pytest.raises(ConfigError) as error:
        get("criteria", "xylophone")
    assert "did you mean" not in str(error.value)


# --- registering ------------------------------------------------------------------------------------------------------


def test_a_registered_component_is_built_like_any_other() -> None:
    @register("trainer", "mine")
    @dataclass(frozen=True)
    class Mine(Rsps):
        """My trainer."""

        patience: int = 3

    component = get("trainers", "mine")
    assert (component.summary, component.origin) == ("My trainer.", "test_registry.py")
    assert build("trainers", {"name": "mine", "patience": "4"}).patience == 4
    part = Part.of("trainers", "mine")
    assert part.parameters["patience"] == 3
    assert part.identity != "mine-1"  # the file is hashed: a plugin has no version


def test_a_collision_names_both_origins() -> None:
    with pytest.raises(ConfigError) as error:
        register("criteria", "gm")(lambda probe, edge: None)
    sentence = str(error.value)
    assert sentence.startswith(
        "two criteria components are called 'gm': splitbench.criteria.gm:GradientMatching from splitbench and "
    )
    assert "test_registry.py" in sentence
    assert sentence.endswith("uninstall or rename one of them")
    assert get("criteria", "gm").origin == "splitbench"


def test_a_collision_of_two_distributions_names_both() -> None:
    installed = dict(registry._installed())
    registry._add(installed, Component("criteria", "same", "my_package:A", "first"))
    with pytest.raises(ConfigError, match="my_package:A from first and other:B from second"):
        registry._add(installed, Component("criteria", "same", "other:B", "second"))


def test_registering_the_same_again_is_not_a_collision() -> None:
    """As it happens when a cell of a notebook runs twice."""

    def mine(probe: Any, edge: int) -> None: ...

    register("criteria", "twice")(mine)
    register("criteria", "twice")(mine)
    assert get("criteria", "twice").load() is mine


@pytest.mark.parametrize("fault", ["import missing_module_xyz", "raise RuntimeError('on fire')", "x = (", ""])
def test_a_distribution_that_fails_to_import_is_a_sentence(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"faulty_{len(fault)}"
    (tmp_path / f"{name}.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    component = Component("criteria", "faulty", f"{name}:Thing", "some-package")
    with pytest.raises(
        ConfigError, match=f"criteria component 'faulty' from some-package cannot be loaded from {name}"
    ):
        component.load()


# --- plugin files -----------------------------------------------------------------------------------------------------

CRITERION = '''
import numpy as np
import torch
from splitbench.criteria.base import Affinity
from splitbench.harness.registry import register


@register("criteria", "{name}")
def by_output(probe, edge, *, repetitions: int = 1, power: float = 1.0):
    """Operations whose logits differ."""
    operations = probe.operations(edge)
    samples = []
    for r in range(repetitions):
        context = probe.context(edge, r)
        logits = torch.stack([probe.output(edge, op, r, context) for op in operations])
        distances = torch.cdist(logits.flatten(1), logits.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        samples.append(distances.double().numpy() ** power)
    return Affinity.of(operations, np.array(samples))
'''


def plugin_file(folder: Path, name: str, text: str = CRITERION) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text.replace("{name}", name))
    return path


def test_a_plugin_criterion_is_at_most_twenty_lines() -> None:
    assert len(CRITERION.strip().splitlines()) <= 20


def test_a_plugin_criterion_runs_in_a_study_and_on_workers(tmp_path: Path) -> None:
    """A function with two parameters in a file: charged, recorded, and the same records from two worker processes.

    Takes 20 s or more: the workers import torch.
    """
    plugin = plugin_file(tmp_path, "by_output_a")
    study = tiny(arms=["none", {"criterion": "by_output_a", "repetitions": 2}], budget={"steps": 140})
    found = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        splitbench.run(study, folder, device="cpu", workers=workers, plugins=[plugin])
        found[workers] = record_bytes(folder)
    assert found[1] == found[2]
    assert len(found[1]) == 4
    (record,) = [json.loads(data) for name, data in found[1].items() if name.startswith("by") and name.endswith("json")]
    assert record["cost"]["scoring"]["steps"] == 2 * 6 * 5
    assert record["config"]["arm"]["criteria"]["repetitions"] == 2
    assert record["config"]["arm"]["criteria"]["power"] == 1.0
    assert len(record["tree"]["children"]) == 2


def test_a_component_of_this_process_alone_cannot_run_on_workers(tmp_path: Path) -> None:
    @register("criteria", "here_only")
    def here_only(probe: Any, edge: int) -> None: ...

    study = Study.build(parse_study(tiny(arms=["none", "here_only"])), "cpu")
    with pytest.raises(
        ConfigError, match="'here_only' was registered in this process only; run with one worker, or put"
    ):
        study.run(tmp_path, workers=2)
    assert not list(tmp_path.iterdir())


def test_a_plugin_is_loaded_once(tmp_path: Path) -> None:
    plugin = plugin_file(tmp_path, "by_output_b")
    load_plugin(plugin)
    first = get("criteria", "by_output_b").load()
    load_plugin(plugin)
    assert get("criteria", "by_output_b").load() is first
    assert get("criteria", "by_output_b").summary == "Operations whose logits differ."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (faulty.py, line 1)"),
        ("\n1 / 0", "ZeroDivisionError: division by zero (faulty.py, line 2)"),
        ("def again():\n    again()\nagain()", "RecursionError: maximum recursion depth exceeded"),
        ("raise ValueError('x' * 100_000)", f"ValueError: {'x' * 300}... (100000 characters) (faulty.py, line 1)"),
        (
            "import sys\nsys.exit(0)",
            "it ends the program by sys.exit(0); raise an exception instead (faulty.py, line 2)",
        ),
        ("def x(:", "SyntaxError: "),
        ("x = 1", "it registers no component; decorate one with splitbench.harness.registry.register"),
    ],
)
def test_a_plugin_that_fails_is_a_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    plugin = plugin_file(tmp_path, "faulty", text)
    with pytest.raises(ConfigError) as error:
        load_plugin(plugin)
    assert str(error.value).startswith(f"--plugin {plugin}: {complaint}")
    assert len(str(error.value)) < 700


def test_a_missing_plugin_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--plugin .*nothing.py: there is no such file"):
        load_plugin(tmp_path / "nothing.py")


def test_a_plugin_that_collides_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"two criteria components are called 'gm': .* from splitbench and .*gm.py"):
        load_plugin(plugin_file(tmp_path, "gm"))


def test_two_plugins_of_one_name_collide(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    load_plugin(plugin_file(tmp_path, "by_output_c"))
    with pytest.raises(ConfigError, match="two criteria components are called 'by_output_c'"):
        load_plugin(plugin_file(tmp_path / "other", "by_output_c"))


# --- parameters -------------------------------------------------------------------------------------------------------


@register("criteria", "function_of_three")
def function_of_three(probe: Any, edge: int, *, needed: int, rate: float = 0.5, names: tuple[str, ...] = ()) -> Any:
    return needed, rate, names


FUNCTION_OF_THREE = registry._registered.pop(("criteria", "function_of_three"))


@pytest.fixture
def three() -> str:
    registry._registered[("criteria", "function_of_three")] = FUNCTION_OF_THREE
    return "function_of_three"


def test_parameters_of_a_function_are_its_keyword_arguments(three: str) -> None:
    assert list(parameters(get("criteria", three))) == ["needed", "rate", "names"]
    built = build("criteria", {"name": three, "needed": "3", "names": ["a", "b"]})
    assert built(None, 0) == (3, 0.5, ("a", "b"))
    written = Part.of("criteria", {"name": three, "needed": 3}).written()
    assert written == {"name": three, "needed": 3, "rate": 0.5, "names": ()}


def test_parameters_of_a_plain_class_are_its_arguments() -> None:
    @register("partitioners", "plain")
    class Plain:
        def __init__(self, size: int, *, kind: str = "a") -> None:
            self.size, self.kind = size, kind

    assert list(parameters(get("partitioners", "plain"))) == ["size", "kind"]
    assert Part.of("partitioners", {"name": "plain", "size": "2"}).parameters["size"] == 2
    with pytest.raises(ConfigError, match=r"here\.size: input should be a valid integer.*, not 'two'"):
        build("partitioners", {"name": "plain", "size": "two"}, "here")
    with pytest.raises(ConfigError, match="here: plain needs the parameter 'size'; it takes: size, kind"):
        build("partitioners", "plain", "here")


GM = "it takes: variant, repetitions, distance"
INTEGER = "input should be a valid integer"
UNREADABLE = f"{INTEGER}, unable to parse string as an integer"


@pytest.mark.parametrize(
    ("kind", "spec", "sentence"),
    [
        (
            "criteria",
            {"name": "gm", "repetitons": 3},
            f": gm has no parameter 'repetitons' (did you mean 'repetitions'?); {GM}",
        ),
        ("criteria", {"name": "none", "edges": 3}, ": none has no parameter 'edges'; it takes: none"),
        ("criteria", {"name": "gm", "repetitions": "many"}, f".repetitions: {UNREADABLE}, not 'many'"),
        ("criteria", {"name": "gm", "variant": "X"}, ".variant: input should be 'corrected' or 'as_shipped', not 'X'"),
        (
            "criteria",
            {"name": "gm", "repetitions": 0},
            ": criterion gm: repetitions must be 1 or more, not 0; 100 is usual",
        ),
        ("trainers", {"name": "rsps", "batch_size": "a"}, f".batch_size: {UNREADABLE}, not 'a'"),
        ("criteria", {"name": "function_of_three", "needed": "x"}, f".needed: {UNREADABLE}, not 'x'"),
        (
            "criteria",
            "function_of_three",
            ": function_of_three needs the parameter 'needed'; it takes: needed, rate, names",
        ),
        ("criteria", {"rate": 3}, ": a component is a name or a mapping with the key 'name', not {'rate': 3}"),
    ],
)
@pytest.mark.usefixtures("three")
def test_wrong_parameters_are_a_sentence(kind: str, spec: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(kind, spec, "here")
    assert str(error.value) == f"here{sentence}"


def test_a_spec_is_resolved_with_all_defaults_in_any_spelling() -> None:
    """Stages are hashed by it, so a default that is written down is the same stage."""
    short = Part.of("criteria", "gm")
    assert short == Part.of("criteria", {"name": "gm", "repetitions": 100, "variant": "corrected"})
    assert short == Part.of("criteria", {"name": "gm", "repetitions": "100"})
    assert short != Part.of("criteria", {"name": "gm", "repetitions": 99})
    assert list(short.described()) == ["name", "fingerprint", "variant", "repetitions", "distance"]


def test_partials_keep_their_parameters(three: str) -> None:
    assert isinstance(build("criteria", {"name": three, "needed": 1}), functools.partial)


def test_every_kind_has_a_registry() -> None:
    assert all(isinstance(components(kind), dict) for kind in KINDS)
