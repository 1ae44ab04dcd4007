"""`splitbench gate` on real runs: planted bugs at the same seeds, all exit statuses, and the steps of the action."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from splitbench.results.gating import gate

ROOT = Path(__file__).parents[3]
Command = Callable[..., tuple[int, str, str]]
SMALL: dict[str, Any] = {
    "budget": {"steps": 120},
    "seeds": 8,
    "population": {"sample": 100},
    "arms": ["none", "random"],
}


@pytest.fixture(scope="module")
def planted() -> ModuleType:
    """The script that holds the bugs."""
    spec = importlib.util.spec_from_file_location("gate_planted", ROOT / "bench" / "gate_planted.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def intact(planted: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study without a bug, and its baseline beside it."""
    folder: Path = tmp_path_factory.mktemp("gate") / "intact"
    planted.run(folder, planted.study(0, **SMALL))
    gate.update(folder, folder.with_name("baseline.json"), (), "splitbench gate")
    return folder


def test_unchanged_code_passes(splitbench: Command, planted: ModuleType, intact: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    planted.run(again, planted.study(0, **SMALL), "nothing", intact)  # measured anew
    status, out, _ = splitbench("gate", again, "--baseline", intact.with_name("baseline.json"))
    assert (status, out.splitlines()[0]) == (0, "no regression: 4 metrics compared, 4 non-inferior")


@pytest.mark.parametrize(
    ("bug", "seeds", "caught"),
    [
        ("fifth", 4, {("none", "mean estimate %")}),
        ("fifth-charged", 3, {("none", "budget spent")}),
        ("shuffled", 7, {("random", "tau[all]")}),
        ("decay", 5, {("none", "mean estimate %")}),
        ("half", 7, {("none", "tau[all]"), ("none", "tau[all] of its estimates")}),
        ("leaf", 3, {("", "ceiling tau[all]"), ("", "(flops) tau[all]")}),
    ],
)
def test_planted_bugs_are_regressions(
    splitbench: Command, planted: ModuleType, intact: Path, tmp_path: Path, bug: str, seeds: int, caught: set[Any]
) -> None:
    """The first seeds of the baseline, as many as the bug takes; without the split arm where it does not matter."""
    folder, arms = tmp_path / bug, SMALL["arms"] if bug in ("shuffled", "half") else ["none"]
    planted.run(folder, planted.study(0, **{**SMALL, "arms": arms, "seeds": seeds}), bug, intact)
    status, out, _ = splitbench("gate", folder, "--baseline", intact.with_name("baseline.json"), "--json")
    report = json.loads(out)
    assert (status, report["status"]) == (1, 1)
    assert caught <= {(check["arm"], check["name"]) for check in report["checks"] if check["failed"]}


def test_files_and_statuses(splitbench: Command, intact: Path, tmp_path: Path) -> None:
    baseline, xml, md = tmp_path / "new" / "b.json", tmp_path / "out" / "gate.xml", tmp_path / "gate.md"
    status, out, _ = splitbench("gate", intact, "--baseline", baseline, "--update", "--metric", "tau[all]")
    assert (status, out.splitlines()[-1]) == (0, f"wrote {baseline}")
    command = json.loads(baseline.read_text())["provenance"]["command"]
    assert command.endswith("--update --metric 'tau[all]'")
    assert splitbench("gate", intact, "--baseline", baseline, "--junit", xml, "--summary", md)[0] == 0
    assert len(ET.parse(xml).getroot().findall(".//testcase")) > 2
    assert md.read_text().startswith("### splitbench gate: no regression: 2 metrics compared, 2 non-inferior")

    status, _, err = splitbench("gate", intact, "--baseline", tmp_path / "none.json")
    assert (status, "--update" in err) == (2, True)
    status, _, err = splitbench("gate", intact, "--baseline", baseline, "--metric", "rho[all]")
    assert (status, "does not hold 'rho[all]'" in err) == (2, True)
    status, _, err = splitbench("gate", intact, "--baseline", baseline, "--update", "--junit", xml)
    assert (status, "leave out --junit" in err) == (2, True)
    assert splitbench("gate", intact)[0] == 2
    assert splitbench("gate", tmp_path / "nothing", "--baseline", baseline)[0] == 2

    other = json.loads(baseline.read_text())
    other["tables"][0]["conditions"]["budget"] = {"steps": 60.0}
    baseline.write_text(json.dumps(other))
    status, out, _ = splitbench("gate", intact, "--baseline", baseline)
    assert (status, "budget.steps 60.0 -> 120.0" in out) == (3, True)


def test_the_verb_needs_no_torch(intact: Path) -> None:
    baseline = intact.with_name("baseline.json")
    code = (
        "import sys; from splitbench.harness.cli.app import main\n"
        f"main(['gate', {str(intact)!r}, '--baseline', {str(baseline)!r}])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return found


def test_the_action_is_a_composite_action() -> None:
    found = action()
    assert found["runs"]["using"] == "composite"
    assert {"study", "baseline", "python-version", "run-arguments", "gate-arguments"} <= found["inputs"].keys()
    for step in found["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert "run" not in step or step["shell"] == "bash"
    used = {word.split("}}")[0].strip() for word in (ROOT / "action.yml").read_text().split("${{")[1:]}
    assert {name.removeprefix("inputs.") for name in used if name.startswith("inputs.")} == found["inputs"].keys()


@pytest.mark.parametrize(
    ("arguments", "expected"), [("", 0), ("--metric 'mean estimate %' --metric tau[all]", 0), ("--metric rho[all]", 2)]
)
def test_the_actions_gate_step_runs(intact: Path, tmp_path: Path, arguments: str, expected: int) -> None:
    (step,) = [step for step in action()["runs"]["steps"] if step.get("id") == "gate"]
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "splitbench"
    command.write_text(f'#!/bin/bash\nexec {sys.executable} -m splitbench "$@"\n')
    command.chmod(0o755)
    results = tmp_path / "results"
    results.symlink_to(intact)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RESULTS": str(results),
        "BASELINE": str(intact.with_name("baseline.json")),
        "ARGUMENTS": arguments,
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    for name in ("gate.md", "gate.xml"):
        (intact / name).unlink(missing_ok=True)
    # As the service calls it: bash with errexit and pipefail.
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == expected, done.stderr
    assert f"status={expected}" in (tmp_path / "output").read_text().splitlines()
    said = (tmp_path / "summary.md").read_text()
    assert said.startswith("### splitbench gate: no regression" if expected == 0 else "splitbench gate ended with")
