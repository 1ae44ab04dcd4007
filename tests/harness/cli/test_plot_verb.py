"""`splitbench plot`: which files it writes, and what it says of the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_records import ESTIMATES, arm_records, make_measured
from synthetic_sweeps import searching

from splitbench.results.records.store import write_run
from splitbench.results.sweeps.sweep import write_sweep as write_sweep

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    taus: dict[str, list[float | None]] = {"none": [0.5, 0.6, 0.5], "gm": [0.4, 0.7, 0.4], "gm(x=1)": [0.3, 0.4, 0.2]}
    for arm, own in taus.items():
        for record in arm_records(arm, own):
            write_run(tmp_path / "some", record, make_measured(), ESTIMATES)
    return tmp_path / "some"


def test_everything_that_the_folder_can_give(splitbench: Call, folder: Path) -> None:
    status, out, err = splitbench("plot", folder)
    assert status == 0
    paths = [Path(line) for line in out.splitlines()]
    assert all(path.parent == folder / "plots" and path.stat().st_size > 1000 for path in paths)
    kinds = {path.name.split("--")[0].split(".")[0] for path in paths}
    assert kinds == {"ranking", "pareto", "critical_difference", "scatter"}
    assert {path.suffix for path in paths} == {".svg", ".png"}
    reasons = err.splitlines()
    assert sum(line.startswith("anytime is left out: ") for line in reasons) == 1
    assert sum(line.startswith("stability is left out: ") for line in reasons) == 1
    assert sum(line.startswith("tree is left out: ") for line in reasons) == 3  # one an arm
    before = {path: path.read_bytes() for path in paths}
    assert splitbench("plot", folder)[0] == 0
    assert {path: path.read_bytes() for path in paths} == before


def test_one_kind_in_one_form(splitbench: Call, folder: Path, tmp_path: Path) -> None:
    out_folder = tmp_path / "pictures"
    words = ("--kind", "scatter", "--arm", "gm(x=1)", "--format", "png", "--out", out_folder, "--json")
    status, out, _ = splitbench("plot", folder, *words)
    found = json.loads(out)
    assert status == 0
    (file,) = found["files"]
    assert (file["kind"], file["arm"]) == ("scatter", "gm(x=1)")
    assert Path(file["path"]).read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in out_folder.iterdir()] == [Path(file["path"]).name]
    assert not (folder / "plots").exists()
    assert found["left_out"] == []


def test_another_metric(splitbench: Call, folder: Path) -> None:
    status, _, _ = splitbench("plot", folder, "--kind", "ranking", "--metric", "rho[all]", "--format", "svg")
    assert status == 0
    assert "rho[all] of the supernet" in (folder / "plots" / "ranking.svg").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--kind", "anytime"), "anytime cannot be drawn: it needs tables that differ in their budgets alone"),
        (("--kind", "ranking", "--kind", "tree"), "tree cannot be drawn: arm 'gm' has no split"),
        (("--kind", "tre"), "--kind tre: there is no such kind"),
        (("--arm", "gn"), "there is no arm 'gn'"),
        (("--format", "pdf"), "--format pdf: unknown format; there are: svg, png, both"),
        (("--cost", "euro"), "--cost euro: unknown cost; there are: flops, seconds"),
        (("--metric", "tau[alle]"), "--metric tau[alle]: no record has it"),
        (("--kind", "scatter", "--repetition", "9"), "has no repetition 9; it has 0, 1, 2"),
    ],
)
def test_what_cannot_be_is_one_sentence(splitbench: Call, folder: Path, words: tuple[str, ...], sentence: str) -> None:
    status, out, err = splitbench("plot", folder, *words)
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not (folder / "plots").exists()


def test_no_folder(splitbench: Call, tmp_path: Path) -> None:
    status, _, err = splitbench("plot", tmp_path / "none")
    assert status == 2
    assert "there is no such results folder" in err


def test_a_sweep_beside_its_trials(splitbench: Call, tmp_path: Path) -> None:
    """Most trials are pruned, and so incomplete: that is told once."""
    for index in range(30):
        taus: list[float | None] = [0.4, 0.5, 0.6] if index % 5 == 0 else [0.4]
        for record in arm_records(f"gm [x={index}]", taus, expected_runs=3):
            write_run(tmp_path / "some", record, make_measured(), ESTIMATES)
    write_sweep(tmp_path / "some", searching(2, 3, 9))
    status, out, err = splitbench("plot", tmp_path / "some", "--format", "svg")
    assert status == 0
    names = [Path(line).name for line in out.splitlines()]
    assert names == ["tuning.svg", "slices.svg", "importance.svg"]
    told = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(told) == 2
    assert "24 trials of the sweep are in no picture of means" in told[1]
    for kind in ("ranking", "pareto", "scatter", "affinity", "tree"):
        assert f"{kind} is left out: it shows arms, and these are trials of a sweep; ask with --kind" in err
    for kind in ("ranking", "pareto"):
        status, out, _ = splitbench("plot", tmp_path / "some", "--kind", kind, "--format", "svg")
        assert (status, Path(out.strip()).name) == (0, f"{kind}.svg")
    words = ("--kind", "scatter", "--arm", "gm [x=0]", "--format", "svg")
    status, out, _ = splitbench("plot", tmp_path / "some", *words)
    assert (status, len(out.splitlines())) == (0, 1)
    assert Path(out.strip()).name.startswith("scatter--gm")


def test_a_sweep_without_records(splitbench: Call, tmp_path: Path) -> None:
    write_sweep(tmp_path, searching(2, 2, 6))
    status, out, err = splitbench("plot", tmp_path, "--json")
    found = json.loads(out)
    assert status == 0
    assert {file["kind"] for file in found["files"]} == {"tuning", "slices", "importance"}
    assert found["warnings"] == []
    assert "tree is left out: the folder holds no record" in err
    status, out, err = splitbench("plot", tmp_path, "--kind", "ranking")
    assert (status, out) == (2, "")
    assert "ranking cannot be drawn: the folder holds no record" in err


def test_a_folder_without_a_sweep(splitbench: Call, folder: Path) -> None:
    status, out, err = splitbench("plot", folder, "--kind", "tuning")
    assert (status, out) == (2, "")
    assert "tuning cannot be drawn: the folder holds no sweep, which `splitbench sweep` makes" in err


def test_it_never_imports_torch(folder: Path) -> None:
    program = (
        "import sys\n"
        "from splitbench.harness.cli.app import main\n"
        "try:\n    main(['plot', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'matplotlib', 'numpy', 'pandas'} & sys.modules.keys(), 'help is slow'\n"
        f"main(['plot', {str(folder)!r}, '--format', 'svg'])\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
