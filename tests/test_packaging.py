"""What is installed, what README and docs promise, and what CI insists on."""

import importlib.metadata
import inspect
import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from splitbench.harness.cli import app
from splitbench.harness.cli.components.data import app as data_app
from splitbench.harness.registry import KINDS, components
from splitbench.harness.study import config, grid

pytest_plugins = ["pytester"]

TOP = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text())
README = (TOP / "README.md").read_text()
PAGES = sorted([TOP / "README.md", *(TOP / "docs").glob("*.md")])
BUILT_IN = [(kind, name) for kind in KINDS for name, c in components(kind).items() if c.origin == "splitbench"]
PACKAGES = {"harness", "criteria", "spaces", "results"}


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# -- components ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_every_entry_point_loads_and_says_what_it_is(kind: str, name: str) -> None:
    component = components(kind)[name]
    first = (inspect.getdoc(component.load()) or "").partition("\n")[0]
    assert first.endswith(".")
    assert component.summary == first  # read from the source, without importing it


def test_built_in_components_come_through_the_same_door() -> None:
    declared = {
        (group.removeprefix("splitbench."), name)
        for group, points in PROJECT["project"]["entry-points"].items()
        for name in points
    }
    assert declared == set(BUILT_IN), "install again: the entry points have changed"
    assert {"criteria", "partitioners", "edge_rules", "trainers", "selectors", "leaf_choices", "spaces"} <= {
        kind for kind, _ in declared
    }


# -- the distribution ----------------------------------------------------------------------------------------------


def test_data_files_are_packaged() -> None:
    listed = {
        path
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in TOP.joinpath(*(package.split(".")[1:] or ("src", "splitbench"))).glob(pattern)
    }
    needed = [
        "src/splitbench/py.typed",
        "harness/quickstart.yaml",
        "spaces/micro/table.parquet",
        "spaces/micro/table.json",
    ]
    assert {TOP / path for path in needed} <= listed
    tracked = {path for package in PACKAGES for path in (TOP / package).rglob("*") if path.is_file()}
    published = TOP / "results" / "published"
    code = {path for path in tracked if path.suffix in (".py", ".pyc") or published in path.parents}
    assert tracked - code == listed - {TOP / "src" / "splitbench" / "py.typed"}


def test_the_links_serve_the_checkout_and_the_build_names_its_packages() -> None:
    face = TOP / "src" / "splitbench"
    links = {path.name for path in face.iterdir() if path.is_symlink()}
    assert links == PACKAGES
    assert all((face / name).resolve() == TOP / name for name in links)
    assert "find" not in PROJECT["tool"]["setuptools"].get("packages", {})


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_a_folder_is_no_package_of_its_own(name: str) -> None:
    """Python finds it under its bare name from the project folder: a second copy, with a registry of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"ImportError: import splitbench.{name}: under the name '{name}' this would be a second copy" in done.stderr


def test_nothing_of_ours_is_imported_by_a_bare_name() -> None:
    bare = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(sorted(PACKAGES))})\b", re.MULTILINE)
    ours = [*PACKAGES, "tests", "bench", "docs"]
    files = [path for name in ours for kind in ("py", "tmpl", "md") for path in (TOP / name).rglob(f"*.{kind}")]
    assert len(files) > 300
    assert [path for path in (*files, TOP / "README.md") if bare.search(path.read_text())] == []


def test_the_public_face_needs_no_torch() -> None:
    code = (
        "import sys, splitbench; from splitbench import register, run, load, sweep;"
        "print('torch' in sys.modules);"
        "from splitbench import Affinity; assert Affinity.__name__ == 'Affinity'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_is_installed_is_in_the_ranges() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for text in [*PROJECT["project"]["dependencies"], *extras["dev"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(importlib.metadata.version(wanted.name), prereleases=True), text


def test_constraints_pin_torch_within_the_ranges() -> None:
    lines = (TOP / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert pins["torch"] == "2.13.0"
    extras = PROJECT["project"]["optional-dependencies"]
    ranges = {r.name: r for r in map(Requirement, [*PROJECT["project"]["dependencies"], *extras["dev"]])}
    for name, version in pins.items():
        assert ranges[name].specifier.contains(version), name


def test_the_quickstart_study_is_the_packages() -> None:
    path = TOP / "studies" / "quickstart.yaml"
    assert path.resolve() == TOP / "harness" / "quickstart.yaml"
    study = config.load_study(path)
    assert {arm.criterion for arm in study.arms} >= {"none", "random", "exhaustive", "gm"}
    assert (study.name, study.seeds) == ("quickstart", 3)


@pytest.mark.parametrize("path", sorted((TOP / "studies").glob("*.yaml")), ids=lambda path: path.name)
def test_committed_studies_are_called_like_their_files(path: Path) -> None:
    assert grid.load_study_or_grid(path, {}, str(path)).name == path.stem


# -- README and docs -----------------------------------------------------------------------------------------------


def test_readme_opens_with_the_two_commands() -> None:
    assert blocks(README, "")[0].split("\n")[:2] == ["make quickstart", "make test"]


def test_readmes_verbs_exist() -> None:
    verbs = {name or function.__name__ for name, function in _commands(app.app)}
    data_verbs = {name or function.__name__ for name, function in _commands(data_app)}
    for page in PAGES:
        for verb, second in re.findall(
            r"^(?:\.venv/bin/)?splitbench ([\w-]+)(?: (\w+))?", page.read_text(), re.MULTILINE
        ):
            assert verb in verbs | {"data"}, page.name
            assert verb != "data" or second in data_verbs, page.name


def _commands(typer_app: Any) -> list[tuple[str | None, Any]]:
    return [(command.name, command.callback) for command in typer_app.registered_commands]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
    for study in re.findall(r"studies/[\w.-]+\.yaml", page.read_text()):
        assert (TOP / study).exists(), study


@pytest.mark.parametrize("page", [TOP / "README.md", TOP / "docs" / "study-files.md"], ids=lambda page: page.name)
def test_study_files_in_the_docs_are_valid(page: Path) -> None:
    found = [yaml.safe_load(block) for block in blocks(page.read_text(), "yaml")]
    assert found
    for study in found:
        whole = {"space": "micro", "dataset": "digits", "budget": {"steps": 100}, "arms": ["none", "gm"]} | study
        if "grid" in study:
            assert grid.parse_grid(whole).cells
            continue
        for index, arm in enumerate(config.parse_study(whole).arms):
            if arm.criterion_spec.keys() != {"name"} or arm.partitioner:
                from splitbench.harness.study.arm import build_arm
                from splitbench.spaces.micro.space import Micro

                assert build_arm(config.parse_study(whole), arm, index, Micro()).label == arm.label


def test_readmes_criterion_runs(tmp_path: Path) -> None:
    (plugin,) = blocks(README, "python")
    assert len([line for line in plugin.splitlines() if line.strip()]) <= 20
    (tmp_path / "mine.py").write_text(plugin)
    arm = yaml.safe_load(re.findall(r"`- (\{criterion: gradient_length.*?\})`", README)[0])
    study = {
        "space": "micro",
        "dataset": "digits",
        "trainer": {"name": "rsps", "batch_size": 8},
        "budget": {"steps": 200},
        "seeds": 1,
        "baseline": "gradient_length(repetitions=3)",
        "population": {"sample": 10},
        "evaluation": {"images": 10},
        "selector": {"name": "random_best", "samples": 1},
        "arms": [arm],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    command = [sys.executable, "-m", "splitbench", "run", "mine.yaml", "--plugin", "mine.py", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(TOP), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "[1/1] gradient_length(repetitions=3), seed 1: tau[all]" in done.stderr


@pytest.mark.parametrize(
    ("page", "title", "most"),
    [
        ("trainers.md", "fair.py", 70),
        ("trainers.md", "smoothing.py", 40),
        ("spaces.md", "mine.py", 50),
        ("engines.md", "fresh.py", 30),
    ],
)
def test_plugins_of_the_docs_are_as_short_as_promised(page: str, title: str, most: int) -> None:
    """tests/test_docs_commands.py runs them."""
    text = (TOP / "docs" / page).read_text()
    (code,) = re.findall(rf'^```python title="{title}"\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    assert 0 < len([line for line in code.splitlines() if line.strip()]) <= most


# -- CI ------------------------------------------------------------------------------------------------------------


def test_ci_runs_readmes_test_command_on_real_data() -> None:
    script = TOP / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.splitlines()[-1].startswith("exec make test ")
    assert "SPLITBENCH_REQUIRE_DATA=1" in text


def test_ci_runs_what_depends_on_arithmetic_under_other_instruction_sets() -> None:
    assert "make portable </dev/null" in (TOP / ".ci" / "run").read_text().splitlines()
    recipe = re.findall(r"^portable:.*\n((?:\t.*\n)+)", (TOP / "Makefile").read_text(), re.MULTILINE)[0]
    for aten, onednn in (("default", "SSE41"), ("avx2", "AVX2")):
        wanted = f"ATEN_CPU_CAPABILITY={aten} ONEDNN_MAX_CPU_ISA={onednn} OMP_NUM_THREADS=1 "
        assert [line for line in recipe.splitlines() if line.strip().startswith(wanted) and "-m portable" in line]


@pytest.mark.portable
def test_torch_uses_the_instruction_set_that_it_is_told_to() -> None:
    """Or the runs of `make portable` would be one run three times."""
    import torch

    told = os.environ.get("ATEN_CPU_CAPABILITY")
    if told is None or platform.machine() != "x86_64":
        pytest.skip("torch was told of no instruction set, or this CPU has none of those names")
    assert torch.backends.cpu.get_cpu_capability() == told.upper()


def test_a_skipped_test_of_real_data_fails_where_data_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest((TOP / "tests" / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = real_data: real\n  gpu: gpu\n")
    pytester.makepyfile(
        """
        import pytest

        def test_unmarked(real_data): ...

        @pytest.mark.real_data
        @pytest.mark.skip("not today")
        def test_marked(): ...

        @pytest.mark.gpu
        @pytest.mark.real_data
        @pytest.mark.skip("there is no GPU")
        def test_gpu(): ...

        @pytest.mark.skip("something else")
        def test_other(): ...
        """
    )
    monkeypatch.delenv("SPLITBENCH_DATA", raising=False)
    monkeypatch.delenv("SPLITBENCH_REQUIRE_DATA", raising=False)
    pytester.runpytest_inprocess("-p", "no:xdist").assert_outcomes(skipped=4)
    monkeypatch.setenv("SPLITBENCH_REQUIRE_DATA", "1")
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    outcomes = result.parseoutcomes()
    assert outcomes.get("skipped") == 2
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 2
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines_random(["*a test of real data was skipped: *set SPLITBENCH_DATA to it*"])


def test_no_path_of_a_machine_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout: it looks at the tracked files")
    machine = re.compile(rb"/(work|tmp|root|home|farm|opt)/[\w.]")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = TOP / name
        if name.startswith("tests/") or not path.is_file():
            continue
        data = path.read_bytes()
        if b"\0" not in data:  # in what is compressed, anything may stand
            found += [f"{name}: {match.group().decode()}" for match in machine.finditer(data)]
    assert found == []
