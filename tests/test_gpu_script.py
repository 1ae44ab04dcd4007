"""bench/gpu.sh ends in time with a summary, whatever its steps do; bench/gpu_packages.py finds out what is missing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

TOP = Path(__file__).parents[1]
SCRIPT = TOP / "bench" / "gpu.sh"
STEPS = ["packages", "device", "environment", "tests", "throughput", "study"]


def gpu(tmp_path: Path, *words: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
    """The script, with a Python that is a shell script, if one is given."""
    environment = {key: value for key, value in os.environ.items() if key not in ("OUT", "PYTHONPATH")}
    environment |= {"PYTHON": sys.executable}
    if python is not None:
        (tmp_path / "python").write_text(f"#!/bin/sh\n{python}\n")
        (tmp_path / "python").chmod(0o755)
        environment["PYTHON"] = str(tmp_path / "python")
    command = ["bash", str(SCRIPT), "--out", str(tmp_path / "out"), "--keep", str(tmp_path / "keep"), *words]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)


def steps(tmp_path: Path) -> dict[str, dict[str, Any]]:
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    return {step["step"]: step for step in summary["steps"]}


@pytest.mark.parametrize("name", ["gpu.sh", "wheels.sh"])
def test_the_scripts_are_programs(name: str) -> None:
    path = TOP / "bench" / name
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    assert f"bench/{name}" in done.stdout
    assert "set -" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minute", "3"], "there is no option --minute; there are: --minutes, --wheels"),
        (["--minutes"], "--minutes needs a value"),
        (["--minutes", "soon"], "--minutes soon: give a number"),
        (["--minutes", "0.1"], "it takes at least 10 seconds"),
        (["--study", "none.yaml"], "none.yaml: there is no such file"),
    ],
)
def test_wrong_usage_is_a_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    done = gpu(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_it_ends_in_time_although_every_step_hangs(tmp_path: Path) -> None:
    done = gpu(tmp_path, "--minutes", "0.17", python="trap '' INT; sleep 600")
    assert done.returncode == 1
    found = steps(tmp_path)
    assert list(found) == STEPS
    assert found["packages"]["outcome"].startswith("cut off after")
    assert found["study"]["outcome"] == "skipped: no time is left"


def test_steps_that_fail_stop_no_other(tmp_path: Path) -> None:
    done = gpu(tmp_path, python='echo "no such module"; exit 3')
    assert done.returncode == 1
    found = steps(tmp_path)
    assert list(found) == STEPS
    assert {name: step["status"] for name, step in found.items() if name != "tests"} == dict.fromkeys(
        [name for name in STEPS if name != "tests"], 3
    )
    assert found["tests"]["outcome"] == "skipped: pytest is not there; carry its wheel"
    assert (tmp_path / "out" / "log.txt").read_text().count("no such module") >= 5


# -- packages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def packages() -> Any:
    """bench/gpu_packages.py as a module."""
    spec = importlib.util.spec_from_file_location("bench_gpu_packages", TOP / "bench" / "gpu_packages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def carry(folder: Path, name: str, version: str, *requires: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        lines = "".join(f"Requires-Dist: {one}\n" for one in requires)
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\n{lines}\nA text.\n"
        )


def test_wheels_of_what_is_missing_or_too_old_are_chosen(packages: Any, tmp_path: Path) -> None:
    """With all that they need: a core that fits the old package only is replaced with it."""
    carry(
        tmp_path,
        "absent",
        "2.0",
        "absent_core==2.1",
        "numpy>=1",
        "no_windows; sys_platform == 'win32'",
        "more; extra == 'x'",
    )
    carry(tmp_path, "absent_core", "2.1")
    carry(tmp_path, "numpy", "1.0")
    plan = packages.Plan(tmp_path)
    plan.need(Requirement("absent>=1.5"))
    assert list(plan.chosen) == ["absent", "absent-core"]
    assert plan.missing == []


def test_what_nobody_has_is_named(packages: Any, tmp_path: Path) -> None:
    carry(tmp_path, "absent", "1.0", "deeper>=3")
    plan = packages.Plan(tmp_path)
    for text in ("absent", "numpy>=999", "torch>=2.6", "absent>=2"):
        plan.need(Requirement(text))
    assert list(plan.chosen) == ["absent"]
    assert [one.partition(" (")[0] for one in plan.missing] == ["deeper>=3", "numpy>=999", "absent>=2"]


def test_splitbench_is_there_without_an_install(tmp_path: Path) -> None:
    """From a checkout whose links did not come along: with entry points, and without torch for what only reads."""
    prepare = [sys.executable, str(TOP / "bench" / "gpu_packages.py"), str(tmp_path / "site"), str(tmp_path)]
    done = subprocess.run(prepare, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is needed" in done.stdout
    code = "import json, splitbench; from importlib.metadata import distribution as d;"
    code += "print(json.dumps([splitbench.__file__, len(d('splitbench').entry_points)]))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    place, points = json.loads(done.stdout)
    assert Path(place).parent == tmp_path / "site" / "splitbench"
    assert points > 60
