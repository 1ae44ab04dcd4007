"""`splitbench break-even`: its table, JSON and picture, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_records import ESTIMATES, arm_records, make_measured

from splitbench.results.records.store import write_run

Call = Callable[..., tuple[int, str, str]]

TAUS: dict[str, dict[float, list[float | None]]] = {
    "none": {1e10: [0.50, 0.52, 0.54], 4e10: [0.60, 0.62, 0.64]},
    "gm": {1e10: [0.46, 0.48, 0.50], 4e10: [0.611, 0.63, 0.649]},
}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for arm, own in TAUS.items():
        for budget, taus in own.items():
            changes = {"protocol": f"p{budget:.0f}", "budget": {"kind": "flops", "limit": budget, "spent": budget}}
            for record in arm_records(arm, taus, **changes):
                write_run(tmp_path / f"{budget:g}", record, make_measured(), ESTIMATES)
    return [tmp_path / "1e+10", tmp_path / "4e+10"]


def test_the_table_says_from_which_budget_on(splitbench: Call, folders: list[Path]) -> None:
    status, out, err = splitbench("break-even", *folders)
    assert (status, err) == (0, "")
    (row,) = (line for line in out.splitlines() if line.startswith("| gm "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == ["gm", "3", "-0.040 [-0.040, -0.040]", "+0.010 [+0.008, +0.012]"]
    # the mean is 0 at u = .8 of the way; half the interval is 4.303 x .001 u / sqrt(3), so the set is u = .04 / (.05 +-
    # .00248), and a budget is 4 ** u times the lowest
    assert cells[4:] == ["3.03e+10", "2.88e+10 to 3.21e+10"]
    assert splitbench("break-even", folders[0].parent)[1] == out


def test_json_and_a_picture(splitbench: Call, folders: list[Path], tmp_path: Path) -> None:
    for name, start in (("a.svg", b"<?xml"), ("a.png", b"\x89PNG")):
        status, out, _ = splitbench("break-even", *folders, "--json", "--out", tmp_path / "pictures" / name)
        assert status == 0
        assert (tmp_path / "pictures" / name).read_bytes().startswith(start)
        assert json.loads(out)["rows"][0]["break_even"] == pytest.approx(1e10 * 4**0.8)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--out", "a.pdf"], "--out a.pdf: the file's ending names its format; there are: .svg, .png"),
        (["--arm", "gmm"], "there is no arm 'gmm' beside the baseline (did you mean 'gm'?)"),
        (["--fit-up-to", "1e10"], "nothing can be predicted: arm 'gm' is not predicted: 1 of 2 budgets"),
    ],
)
def test_wrong_usage_ends_with_2(splitbench: Call, folders: list[Path], words: list[str], reason: str) -> None:
    status, out, err = splitbench("break-even", *folders, *words)
    assert (status, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1


def test_one_budget_is_refused(splitbench: Call, folders: list[Path]) -> None:
    status, _, err = splitbench("break-even", folders[0])
    assert status == 2
    assert "there is one budget alone (1e+10)" in err


def test_it_imports_no_torch(folders: list[Path]) -> None:
    script = f"""
import sys
from splitbench.harness.cli.app import main
main(["break-even", *{list(map(str, folders))!r}])
print(*sorted({{"torch", "numpy", "scipy", "pandas", "matplotlib"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "3.03e+10" in done.stdout
    assert done.stderr.split() == []
