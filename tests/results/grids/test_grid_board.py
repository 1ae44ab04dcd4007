"""The index of a grid: differences cell by cell, ranks by hand, and nothing averaged that is not comparable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from json_keys import written_keys
from synthetic_records import Writer, arm_records, make_failure

from splitbench.harness.cli.app import main
from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.grids import grid_sheets
from splitbench.results.grids.grid_board import Index, index, ranks_of
from splitbench.results.grids.grids import GridFolder, read_grid, refuse_grid, write_grid
from splitbench.results.records.store import write_failure
from splitbench.results.words import render

PAGE = Path(__file__).parents[3] / "docs" / "leaderboard.md"
NONE = [0.50, 0.52, 0.51, 0.49, 0.50, 0.53, 0.51]
AXES: dict[str, tuple[Any, ...]] = {"budget.flops": (5e10, 2e11), "trainer": ("rsps", "darts")}
MEANS = {
    "flops=5e10--trainer=rsps": {"none": 0.0, "gm": -0.1, "random": 0.1},
    "flops=5e10--trainer=darts": {"none": 0.0, "gm": 0.2, "random": 0.1},
    "flops=2e11--trainer=rsps": {"none": 0.0, "gm": 0.1, "random": 0.1},
    "flops=2e11--trainer=darts": {"none": 0.0, "gm": 0.1, "random": -0.1},
}
"""Cell -> arm -> its difference to ``none``, the same in all seeds."""


def shifted(difference: float) -> list[float | None]:
    return [tau + difference for tau in NONE]


def grid_of(write: Writer, cells: dict[str, dict[str, float]], more: tuple[str, ...] = ()) -> GridFolder:
    """A grid's folder with synthetic records; ``more`` cells are not run. tau of a cell is shifted as a whole, too."""
    values = [
        {"budget.flops": flops, "trainer": trainer} for flops in AXES["budget.flops"] for trainer in AXES["trainer"]
    ]
    named = dict(zip([*MEANS, *more], values, strict=False))
    for place, (cell, arms) in enumerate(cells.items()):
        records = [
            record
            for arm, difference in arms.items()
            for record in arm_records(arm, shifted(difference - place / 10), reads_truth=arm == "oracle")
        ]
        folder = write(*records, folder=f"grid/{cell}")
    grid = GridFolder(folder.parent, "toy", AXES, named)
    write_grid(grid)
    return grid


def test_grid_json_keeps_the_order_of_axes_and_cells(write: Writer) -> None:
    grid = grid_of(write, MEANS)
    assert read_grid(grid.folder) == grid
    assert list(grid.axes) == ["budget.flops", "trainer"]
    assert read_grid(grid.folder / "flops=5e10--trainer=rsps") is None
    for content in ("{", "[]", '{"schema_version": 1, "study": "x"}'):
        (grid.folder / "grid.json").write_text(content)
        with pytest.raises(StoreError, match=r"grid\.json is damaged"):
            read_grid(grid.folder)
    (grid.folder / "grid.json").write_text('{"schema_version": 2}')
    with pytest.raises(StoreError, match="written by a newer splitbench"):
        read_grid(grid.folder)


def test_ranks_are_taken_inside_of_cells_and_averaged(write: Writer) -> None:
    """By hand: gm 3, 1, 1.5, 1; random 1, 2, 1.5, 3; none 2, 3, 3, 2. (tau of the last cells is lower for all.)"""
    found = index(grid_of(write, MEANS))
    assert found.ranks is not None
    assert dict(zip(found.ranks.arms, found.ranks.ranks, strict=True)) == {"gm": 1.625, "random": 1.875, "none": 2.5}
    assert found.ranks.cells == tuple(MEANS)
    along = {
        axis: {value: dict(zip(own.arms, own.ranks, strict=True)) for value, own in values}
        for axis, values in found.along.items()
    }
    assert along == {
        "budget.flops": {
            5e10: {"gm": 2.0, "random": 1.5, "none": 2.5},
            2e11: {"gm": 1.25, "random": 2.25, "none": 2.5},
        },
        "trainer": {
            "rsps": {"gm": 2.25, "random": 1.25, "none": 2.5},
            "darts": {"gm": 1.0, "random": 2.5, "none": 2.5},
        },
    }
    assert all(own.arms == found.ranks.arms for values in found.along.values() for _, own in values)


def test_equal_values_share_the_mean_of_their_places() -> None:
    assert ranks_of({"a": 0.5, "b": 0.1 + 0.2, "c": 0.3, "d": 0.1}) == {"a": 1, "b": 2.5, "c": 2.5, "d": 4}


def rows(found: Index) -> dict[str, list[str]]:
    """The cells of the index table by the cell's name."""
    (table, *_) = grid_sheets.grid_sheet(found).tables
    return {row[0]: list(row[1:]) for row in table.rows}


def test_the_index_has_each_cells_own_differences_and_verdicts(write: Writer) -> None:
    grid = grid_of(write, MEANS)
    found = index(grid)
    assert found.arms == ("gm", "none", "random")
    assert rows(found)["flops=5e10--trainer=darts"] == [
        "5e10", "darts", "+0.200 [+0.200, +0.200] better", "baseline", "+0.100 [+0.100, +0.100] better",
    ]  # fmt: skip
    for cell in found.cells:
        (board,) = leaderboards(grid.folder / cell.name).boards
        assert cell.board == board
    text = render.sheet_markdown(grid_sheets.grid_sheet(found))
    assert "averaged over 4 of 4 cells" in text
    assert "budget.flops 2e11 (2 cells)" in text
    assert not re.search(r"0\.51\b", text), "tau itself is not shown across cells"


def test_only_arms_that_are_complete_in_every_cell_are_ranked(write: Writer) -> None:
    first, second = list(MEANS)[:2]
    found = grid_of(
        write, {cell: arms | {"oracle": 0.3} for cell, arms in MEANS.items()} | {second: {"none": 0.0, "gm": 0.1}}
    )
    write(*arm_records("late", [0.5], expected_runs=2), folder=f"grid/{first}")
    write_failure(found.folder / first, make_failure("broken"))
    (found.folder / second / "skipped.json").write_text('{"random": "it needs more"}')
    shown = index(found)
    assert shown.ranks is not None
    assert shown.ranks.arms == ("gm", "none")
    assert shown.left_out == ("broken", "late", "oracle", "random")
    table = dict(zip(("budget", "trainer", *shown.arms), rows(shown)[first], strict=True))
    assert table["late"] == "incomplete: 1 of 2"
    assert table["broken"] == "failed: 1 of 3"
    assert table["oracle"].startswith("+0.300")
    assert dict(zip(("budget", "trainer", *shown.arms), rows(shown)[second], strict=True))["random"] == "skipped"


def test_cells_without_a_table_say_why(write: Writer) -> None:
    names = list(MEANS)
    grid = grid_of(write, {names[0]: MEANS[names[0]]})
    write_failure(grid.folder / names[1], make_failure("gm"))
    (grid.folder / names[2] / "records").mkdir(parents=True)
    found = index(grid)
    assert [cell.reason for cell in found.cells] == [
        "", "all of its 1 runs failed: gm, seed 1, train root: the supernet has diverged", "not run yet", "not run yet",
    ]  # fmt: skip
    assert rows(found)[names[3]] == ["2e11", "darts", "-", "-", "-"]
    assert found.ranks is None, "the ranks of a single cell are its leaderboard's"
    assert found.along == {}
    text = render.sheet_markdown(grid_sheets.grid_sheet(found))
    assert "No mean ranks: a single cell has results." in text
    assert "Mean ranks over cells" not in text
    assert f"{names[3]}: not run yet" in text


def test_a_grid_without_results_is_one_sentence(tmp_path: Path) -> None:
    grid = GridFolder(tmp_path, "toy", {"seed": (1,)}, {"seed=1": {"seed": 1}})
    with pytest.raises(StoreError, match="no cell of the grid has results yet"):
        index(grid)


def test_the_page_lists_every_key_of_the_json(write: Writer) -> None:
    grid = grid_of(write, MEANS)
    (grid.folder / next(iter(MEANS)) / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    (grid.folder / next(iter(MEANS)) / "records" / "bad.json").write_text("{")
    write(*arm_records("late", [0.5], expected_runs=2), folder=f"grid/{next(iter(MEANS))}")
    data = json.loads(json.dumps(grid_sheets.grid_json(index(grid)), allow_nan=False))
    section = PAGE.read_text().partition("\nIts JSON:\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    documented = {key for line in lines for key in re.findall("`([^`]+)`", line.split("|")[1])}
    written = {
        re.sub(r"\.values\.[a-z.]+$", ".values.AXIS", key) if key.startswith("cells[].values") else key
        for key in written_keys(data)
        if ".verdict." not in key
    }
    assert written | {"mean_ranks", "cells[].arms[].verdict"} == documented


def test_verbs_say_what_to_name_instead(write: Writer, capfd: pytest.CaptureFixture[str]) -> None:
    grid = grid_of(write, MEANS)
    first = next(iter(MEANS))

    def told(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capfd.readouterr()

    with pytest.raises(ConfigError, match=f"name its folder, as {re.escape(str(grid.folder / first))}"):
        refuse_grid(grid.folder, "compare")
    for words in (
        ["compare", grid.folder, "none", "gm"],
        ["gate", grid.folder, "--baseline", grid.folder / "gate.json", "--update"],
        ["leaderboard", grid.folder, "--format", "html"],
        ["leaderboard", grid.folder, "--format", "csv"],
        ["leaderboard", grid.folder, "--cell", first[:-1]],
        ["leaderboard", grid.folder / first, "--cell", first],
    ):
        status, out, err = told(*words)
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert first in err
    assert told("leaderboard", grid.folder, "--cell", first)[1] == told("leaderboard", grid.folder / first)[1]
    assert "# toy: micro on digits" in told("leaderboard", grid.folder / first)[1]
    assert "# Grid toy" in told("leaderboard", grid.folder)[1]
    assert json.loads(told("leaderboard", grid.folder, "--json")[1])["grid"] == "toy"
    for form in ("text", "md", "json"):
        status, out, _ = told("leaderboard", grid.folder, "--format", form, "--out", grid.folder / "shown")
        assert (status, out) == (0, "")
        assert first in (grid.folder / "shown").read_text()


def test_an_index_needs_no_torch_and_no_numpy(write: Writer) -> None:
    grid = grid_of(write, MEANS)
    code = (
        "import sys; from splitbench.harness.cli.app import main; main(['leaderboard', sys.argv[1]]);"
        "assert not {'torch', 'numpy', 'scipy', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(grid.folder)], check=True, stdout=subprocess.DEVNULL)
