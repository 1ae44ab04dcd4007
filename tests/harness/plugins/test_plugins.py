"""Packages that `splitbench new` writes work as they are, and `splitbench check` says what a component fails."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from refusals import Command, refused

from splitbench.harness import registry
from splitbench.harness.cli.app import main
from splitbench.harness.cli.components.packages import camel, template_names
from splitbench.harness.cli.components.plugins import SUITES
from splitbench.harness.registry import components
from splitbench.harness.running.study import Study
from splitbench.harness.study.config import load_study
from splitbench.harness.testing.checks import ComponentCheck, SkippedCheck
from splitbench.harness.testing.suites.by_kind import make_small, suite

KINDS = {"criterion": "my_criterion", "proxy": "my_proxy", "partitioner": "my_partitioner"}
DOCS = Path(__file__).parents[3] / "docs"


def installed(package: Path) -> str:
    """Its src folder, with the metadata beside it that installing it would leave, made from its pyproject.toml."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    metadata = package / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    return str(package / "src")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A new package of each kind, by kind."""
    folder = tmp_path_factory.mktemp("packages")
    for kind, name in KINDS.items():
        main(["new", kind, name, "--out", str(folder)])
    return {kind: folder / name for kind, name in KINDS.items()}


@pytest.fixture(scope="module")
def outside(packages: dict[str, Path]) -> Callable[..., str]:
    """Runs Python in a process of its own that finds the new packages as if they were installed; its output."""
    paths = [installed(package) for package in packages.values()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}

    def call(*words: object, folder: Path | None = None) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, words)], env=environment, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


# -- new -----------------------------------------------------------------------------------------------------------


def test_the_tests_of_new_packages_pass(packages: dict[str, Path], outside: Callable[..., str]) -> None:
    files = [package / "tests" for package in packages.values()]
    out = outside("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, folder=packages["criterion"])
    assert "6 passed" in out


def test_mypy_finds_nothing_untyped_in_new_packages(packages: dict[str, Path], tmp_path: Path) -> None:
    """Strict, as this project is checked, and with its cache; what is wrong with the types is then found."""
    top = Path(__file__).parents[3]

    def checked(*files: Path) -> str:
        words = ["-m", "mypy", "--strict", "--config-file", top / "pyproject.toml", "--no-error-summary", *files]
        done = subprocess.run([sys.executable, *map(str, words)], cwd=top, capture_output=True, text=True)
        assert done.returncode == bool(done.stdout), done.stderr
        return done.stdout

    wrong = tmp_path / "wrong.py"
    code = (packages["criterion"] / "src" / "my_criterion.py").read_text()
    wrong.write_text(code.replace("Affinity.of(operations, ", "Affinity.of(3, "))
    files = [path for package in packages.values() for path in sorted(package.glob("*/*my_*.py"))]
    assert len(files) == 6
    found = checked(*files, wrong)
    (error,) = found.splitlines()  # and no other: of Affinity the types are known, and the rest has no fault
    assert re.search(r'wrong\.py:\d+: error: Argument 1 to "of" of "Affinity" has incompatible type "int"', error)


def test_new_components_are_found_and_a_study_runs(
    packages: dict[str, Path], outside: Callable[..., str], tmp_path: Path
) -> None:
    study = yaml.safe_load((packages["criterion"] / "study.yaml").read_text())
    study |= {"budget": {"steps": 150}, "seeds": 1, "population": {"sample": 12}, "evaluation": {"images": 50}}
    study |= {"selector": {"name": "random_best", "samples": 2}, "trainer": {"name": "rsps", "batch_size": 16}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    script = """
from splitbench.harness.cli.app import main
main(["describe", "my_criterion", "--json"])
print("----")
main(["check", "my_partitioner", "--json"])
print("----")
main(["run", "study.yaml", "--workers", "1", "--json"])
"""
    described, checked, board = outside("-c", script, folder=tmp_path).split("----")
    assert [(one["kind"], one["origin"]) for one in json.loads(described)] == [("criteria", "splitbench-my-criterion")]
    (report,) = json.loads(checked)
    assert (report["ok"], report["origin"]) == (True, "splitbench-my-partitioner")
    assert {check["state"] for check in report["checks"]} == {"ok"}
    assert {row["arm"] for row in json.loads(board)["rows"]} >= {"none", "random", "my_criterion(repetitions=2)"}


def test_studies_and_commands_of_new_packages_are_right(
    packages: dict[str, Path],
    splitbench: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind, package in packages.items():
        code = (package / "src" / f"{package.name}.py").read_text()
        assert len([line for line in code.splitlines() if line.strip()]) <= 25
        monkeypatch.setattr(registry, "_registered", {})
        monkeypatch.syspath_prepend(package / "src")
        module = importlib.import_module(package.name)
        registry.register(kind, package.name)(getattr(module, package.name.title().replace("_", "")))
        Study.build(load_study(package / "study.yaml"), "cpu")
        for verb in commands((package / "README.md").read_text(), package.name):
            assert splitbench(verb, "--help")[0] == 0, verb


def commands(text: str, name: str | None = None) -> list[str]:
    """The verbs of the splitbench commands in a page; each that takes a component's name takes ``name``."""
    found = re.findall(r"^ *(?:\$ )?splitbench (\S+)(?: (\S+))?", text, re.MULTILINE)
    assert found
    for verb, first in found:
        assert name is None or verb not in ("check", "describe") or first == name
    return [verb for verb, _ in found]


def test_new_prints_what_it_wrote(splitbench: Command, tmp_path: Path) -> None:
    status, out, _ = splitbench("new", "criterion", "sharpness", "--out", tmp_path, "--json")
    written = json.loads(out)
    assert (status, written["kind"], written["folder"]) == (0, "criterion", str(tmp_path / "sharpness"))
    assert {str(p.relative_to(tmp_path / "sharpness")) for p in (tmp_path / "sharpness").rglob("*") if p.is_file()} == {
        *written["files"]
    }
    assert "tests/test_sharpness.py" in written["files"]
    assert not any("$" in (tmp_path / "sharpness" / file).read_text() for file in written["files"])


@pytest.mark.parametrize(
    ("kind", "name", "fragments"),
    [
        ("criterion", "gm", ["a criterion of this name, from splitbench", "'my_gm'"]),
        ("criterion", "grad-distance", ["cannot be called so", "'grad_distance'"]),
        ("criterion", "2nd", ["'my_2nd'"]),
        ("criterion", "class", ["'my_class'"]),
        ("criterion", "dist/ance", ["'dist_ance'"]),
        ("criterion", "écart", ["'ecart'"]),
        ("criterion", "???", ["'my_criterion'"]),
        ("criterion", "torch", ["a Python module of this name"]),
        ("partitioner", "balanced", ["a partitioner of this name"]),
        ("proxy", "none", ["would be called None", "a word of Python's own", "'my_none'"]),
        ("criterion", "true", ["would be called True", "'my_true'"]),
        ("partitioner", "false", ["would be called False", "'my_false'"]),
        ("criterion", "affinity", ["would be called Affinity", "that the new files use themselves", "'my_affinity'"]),
        ("criterion", "probe", ["would be called Probe", "'my_probe'"]),
        ("criterion", "two_alike", ["would be called TwoAlike", "'my_two_alike'"]),
        ("proxy", "network", ["would be called Network", "'my_network'"]),
        ("proxy", "DATA", ["would be called DATA", "'my_DATA'"]),
        ("partitioner", "partition", ["would be called Partition", "'my_partition'"]),
        ("criterium", "x", ["unknown kind", "did you mean"]),
        ("trainer", "x", ["no template for trainers", "criterion, proxy, partitioner"]),
        ("criterion", "taken", ["taken is there already", "nothing in it is overwritten"]),
        ("criterion", "barred", ["barred cannot be written", "choose another --out"]),
    ],
)
def test_new_refuses(splitbench: Command, tmp_path: Path, kind: str, name: str, fragments: list[str]) -> None:
    (tmp_path / "taken").mkdir()
    out = tmp_path
    if name == "barred":
        out = tmp_path / "file"
        out.write_text("mine")
    refused(splitbench("new", kind, name, "--out", out), *fragments)
    assert list((tmp_path / "taken").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} <= {"taken", "file"}


def test_names_of_the_templates_are_read_from_them() -> None:
    assert {"dataclass", "torch", "Affinity", "Probe", "Micro"} <= template_names("criterion")
    assert {"functional", "Network", "Chain", "DATA"} <= template_names("proxy")
    assert {"np", "Affinity", "Partition"} <= template_names("partitioner")
    assert "Network" not in template_names("partitioner")
    for kind, name in KINDS.items():
        assert not {camel(name), camel("my_affinity"), "OwnName"} & template_names(kind)


# -- check ---------------------------------------------------------------------------------------------------------

PLUGIN = """
import numpy as np
from splitbench.criteria.base import Affinity
from splitbench.harness.registry import register


@register("criteria", "lopsided")
def lopsided(probe, edge):
    n = len(probe.operations(edge))
    affinity = Affinity.assumed(probe.operations(edge), np.zeros((n, n)))
    affinity.dissimilarity[0, -1] += 1
    return affinity


@register("partitioners", "lopsided")
def halves(affinity, branching, rng, *, first: int = 1):
    from splitbench.criteria.base import Partition
    operations = affinity.operations
    return Partition.of(affinity, [group for group in (operations[:first], operations[first:]) if group])
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry, "_registered", {})
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def test_a_failed_check_is_a_sentence_and_status_1(splitbench: Command, plugin: Path) -> None:
    status, out, err = splitbench("check", "lopsided", "--kind", "criterion", "--plugin", plugin)
    assert (status, err) == (1, "")
    heading, *lines = out.splitlines()
    assert heading == "lopsided (criteria, from plugin.py)"
    assert all(re.match(r"  (ok|failed|skipped) +\S", line) for line in lines)
    failed = [line for line in lines if line.startswith("  failed")]
    assert any("the dissimilarity is not symmetric" in line for line in failed)
    assert any(line.startswith("  ok       micro: every pass is paid for") for line in lines)


def test_a_name_of_two_kinds_is_checked_as_both(splitbench: Command, plugin: Path) -> None:
    status, out, _ = splitbench(
        "check", "{name: lopsided, first: 2}", "--kind", "partitioners", "--plugin", plugin, "--json"
    )
    (report,) = json.loads(out)
    assert (status, report["ok"], report["parameters"]) == (0, True, {"first": 2})
    status, out, _ = splitbench("check", "lopsided", "--plugin", plugin, "--json")
    assert status == 1
    assert [(report["kind"], report["ok"]) for report in json.loads(out)] == [
        ("criteria", False),
        ("partitioners", True),
    ]


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (["gmm"], ["no component 'gmm'", "did you mean 'gm'?"]),
        (["gm", "--kind", "partitioner"], ["no component 'gm' among the partitioners"]),
        (["gm", "--kind", "criterium"], ["unknown kind", "did you mean"]),
        (["digits"], ["one of the datasets", "no conformance suite", "criteria, proxies"]),
        (["{name: gm, repetition: 2}"], ["no parameter 'repetition' (did you mean 'repetitions'?)"]),
        (["{name: gm, repetitions: 0}"], ["repetitions must be 1 or more"]),
        (["{name: gm"], ["not a mapping"]),
        (["{repetitions: 2}"], ["NAME: ", "the key 'name'"]),
        (["gm", "--plugin", "nowhere.py"], ["no such file"]),
    ],
    ids=str,
)
def test_what_cannot_be_checked(splitbench: Command, words: list[str], fragments: list[str]) -> None:
    refused(splitbench("check", *words), *fragments)


def test_every_kind_with_a_suite_has_components_and_checks() -> None:
    for kind in SUITES:
        component = next(iter(components(kind).values()))
        thing, _ = make_small(component, component.name)
        names = [check.name for check in suite(kind, thing)]
        assert names
        assert len(set(names)) == len(names)


def test_a_component_is_made_small_unless_told_otherwise() -> None:
    gm = components("criteria")["gm"]
    assert make_small(gm, "gm")[0].repetitions == 2
    assert make_small(gm, {"name": "gm", "repetitions": 3})[0].repetitions == 3
    inverted = components("criteria")["inverted"]
    assert make_small(inverted, "inverted")[1] == {"of": {"name": "gm", "repetitions": 2}}


def test_how_a_check_ends() -> None:
    def raising(error: Exception) -> Callable[[], None]:
        def run() -> None:
            raise error

        return run

    ends = [
        ComponentCheck("a", lambda: None).verdict(),
        ComponentCheck("a", raising(AssertionError("it is\n  wrong"))).verdict(),
        ComponentCheck("a", raising(SkippedCheck("no GPU"))).verdict(),
        ComponentCheck("a", raising(KeyError("x"))).verdict(),
    ]
    assert [(end.state, end.says) for end in ends] == [
        ("ok", ""),
        ("failed", "it is wrong"),
        ("skipped", "no GPU"),
        ("failed", "KeyError: 'x'"),
    ]


# -- the page ------------------------------------------------------------------------------------------------------


def test_commands_in_the_page_exist(splitbench: Command) -> None:
    for verb in commands((DOCS / "plugins.md").read_text()):
        assert splitbench(verb, "--help")[0] == 0, verb


def test_the_page_names_the_checks_that_run() -> None:
    page = " ".join((DOCS / "plugins.md").read_text().split())
    for kind in SUITES:
        component = next(c for c in components(kind).values() if c.name != "none")
        for check in suite(kind, make_small(component, component.name)[0]):
            name = re.sub(r"^(micro|chain): ", "", check.name)
            assert name in page, name
