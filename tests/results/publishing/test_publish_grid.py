"""Publishing a grid: cells that are whole, an index over them, break-evens; as it grows, and anew in place."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_records import Writer, arm_records

from splitbench.harness.errors import SplitbenchError
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.grids.grids import GridFolder, read_grid, write_grid
from splitbench.results.publishing.publish import publish

BUDGETS = {"flops=1e10": 1e10, "flops=4e10": 4e10, "flops=2e11": 2e11}
TAUS = {"flops=1e10": (0.50, -0.03), "flops=4e10": (0.60, 0.02), "flops=2e11": (0.65, 0.04)}


def run_cell(write: Writer, cell: str, seeds: int = 4) -> None:
    budget = {"kind": "flops", "limit": BUDGETS[cell], "spent": BUDGETS[cell]}
    tau, gain = TAUS[cell]
    none = [tau + 0.01 * seed for seed in range(4)]
    gm = [value + gain + 0.002 * seed for seed, value in enumerate(none)]
    own = {"budget": budget, "expected_runs": 4, "protocol": cell.replace("=", "").replace(".", "")}
    write(*arm_records("none", none, **own), *arm_records("gm", gm[:seeds], **own), folder=f"grid/{cell}")


@pytest.fixture
def grid(write: Writer, tmp_path: Path) -> Path:
    """Two cells are whole, one has not been run."""
    for cell in list(BUDGETS)[:2]:
        run_cell(write, cell)
    folder = next(path.parent for path in tmp_path.rglob("flops=1e10"))
    axes = {"budget.flops": tuple(BUDGETS.values())}
    write_grid(GridFolder(folder, "toy", axes, {cell: {"budget.flops": value} for cell, value in BUDGETS.items()}))
    (folder / "grid.yaml").write_text("name: toy\n")
    return folder


def test_whole_cells_are_published_with_an_index_and_break_evens(grid: Path, tmp_path: Path) -> None:
    said: list[str] = []
    target = publish(grid, tmp_path / "published", said.append)
    assert target == tmp_path / "published" / "toy"
    assert said == [f"{grid}: the cell flops=2e11 is left out: it has not been run"]
    there = read_grid(target)
    assert there is not None
    assert (list(there.cells), there.axes) == (["flops=1e10", "flops=4e10"], {"budget.flops": (1e10, 4e10)})
    for cell in there.cells:
        assert leaderboards(target / cell) == leaderboards(grid / cell)
        assert (target / cell / "leaderboard.html").exists()
        assert not (target / cell / "records").exists()
    assert "flops=4e10" in (target / "grid.md").read_text()
    assert "| gm " in (target / "break-even.md").read_text()
    assert (target / "break-even.svg").read_bytes().startswith(b"<?xml")
    assert (target / "grid.yaml").exists()


def test_it_grows_and_is_made_anew_in_place(grid: Path, write: Writer, tmp_path: Path) -> None:
    target = publish(grid, tmp_path / "published")
    run_cell(write, "flops=2e11")
    publish(grid, tmp_path / "published")
    there = read_grid(target)
    assert there is not None
    assert list(there.cells) == list(BUDGETS)
    before = {path: path.read_bytes() for path in sorted(target.rglob("*")) if path.is_file()}
    assert publish(target, tmp_path / "published") == target
    assert {path: path.read_bytes() for path in sorted(target.rglob("*")) if path.is_file()} == before


def test_a_cell_that_is_not_whole_is_left_out(grid: Path, write: Writer, tmp_path: Path) -> None:
    run_cell(write, "flops=2e11", seeds=3)
    said: list[str] = []
    target = publish(grid, tmp_path / "published", said.append)
    assert len(said) == 1
    assert "the cell flops=2e11 is left out: " in said[0]
    assert "the arm gm is incomplete" in said[0]
    assert not (target / "flops=2e11").exists()


def test_a_grid_without_a_whole_cell_is_not_published(tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    folder.mkdir()
    write_grid(GridFolder(folder, "toy", {"seeds": (1,)}, {"seeds=1": {"seeds": 1}}))
    with pytest.raises(SplitbenchError, match=r"no cell of it is whole \(it has not been run\)"):
        publish(folder, tmp_path / "published")
