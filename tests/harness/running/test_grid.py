"""Grids of studies in one file: their cells, the stages that they share, and running a cell or a part at a time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_studies import Executed, Notes, record_bytes, run_tiny, tiny

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.running.study import Study
from splitbench.harness.study import grid as grids
from splitbench.harness.study.config import parse_study
from splitbench.results.grids.grid_words import cell_names
from splitbench.results.grids.grids import home, read_grid

Command = Callable[..., tuple[int, str, str]]
SMALL: dict[str, Any] = {
    "trainer": {"name": "rsps", "batch_size": 16},
    "population": {"sample": 12},
    "evaluation": {"images": 20},
    "selector": {"name": "random_best", "samples": 2},
    "arms": [
        "none",
        {"criterion": "exhaustive", "edges": [0], "partitioner": "max_cut", "name": "halves"},
        {"criterion": "random", "name": "chance"},
    ],
}
AXES: dict[str, Any] = {
    "budget.steps": [40, 50, 60],
    "trainer": [{"name": "rsps", "batch_size": 16}, {"name": "rsps", "batch_size": 8}],
}
CELLS = [f"steps={steps}--trainer=rsps-batch_size={size}" for steps in (40, 50, 60) for size in (16, 8)]


def gridded(axes: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return tiny(**SMALL | changes) | {"grid": AXES if axes is None else axes}


# --- the file ---------------------------------------------------------------------------------------------------------


def test_cells_are_the_studies_that_their_values_make() -> None:
    grid = grids.parse_grid(gridded())
    assert [cell.name for cell in grid.cells] == CELLS
    assert grid.axes == {axis: tuple(values) for axis, values in AXES.items()}
    for cell in grid.cells:
        values = {"budget": {"steps": cell.values["budget.steps"]}, "trainer": cell.values["trainer"]}
        assert cell.config == parse_study(tiny(**SMALL | values))


def test_what_is_set_changes_cells_and_the_value_of_an_axis_fixes_it() -> None:
    grid = grids.parse_grid(gridded(), changes={"budget.steps": 50, "seeds": 4})
    assert [cell.name for cell in grid.cells] == CELLS[2:4]
    assert {cell.config.seeds for cell in grid.cells} == {4}
    assert grid.content["grid"]["budget.steps"] == [50]
    with pytest.raises(ConfigError, match="--set trainer.clip: the axis trainer of the grid gives that"):
        grids.parse_grid(gridded(), changes={"trainer.clip": 1})


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({}, "grid: keys of the study and lists of their values are expected, as in grid: {budget.flops"),
        ({"budget.steps": 5}, "grid.budget.steps: a list of values is expected"),
        ({"budget.steps": []}, "grid.budget.steps: a list of values is expected"),
        ({"budget.steps": [24, 24]}, "grid.budget.steps: 24 stands there twice"),
        ({"name": ["a", "b"]}, "grid.name: no axis of a grid; one is a key of what all arms share (not name, arms, "),
        ({"arms.1.draws": [1, 2]}, "grid.arms.1.draws: no axis of a grid"),
        ({"a..b": [1]}, "grid.a..b: no axis of a grid"),
        ({"budgte.steps": [24]}, "cell steps=24: unknown key 'budgte' (did you mean 'budget'?)"),
        ({"schedule.level": [1]}, "cell level=1: unknown key 'schedule.level' (did you mean 'levels'?)"),
        ({"trainer": ["rspss"]}, "trainer: unknown trainers component 'rspss' (did you mean 'rsps'?)"),
        ({"population.sample.x": [1]}, "study, grid: population.sample.x: population.sample is 12, which has no keys"),
        ({"trainer": ["rsps"], "trainer.clip": [1]}, "grid.trainer.clip: the axis trainer gives that too"),
        ({"budget.steps": [9], "budget.flops": [9]}, "grid.budget.flops: the axis budget.steps gives that too"),
        ({"seed": [1, "1e0"]}, "are one study; name it once"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_one_sentence(axes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        grids.parse_grid(gridded(axes))


def test_names_of_cells_are_words_that_are_safe_in_paths() -> None:
    values: list[dict[str, Any]] = [
        {"budget.flops": 5e10, "trainer": "rsps"},
        {"budget.flops": 200_000_000_000, "arms": ["none", {"criterion": "gm", "repetitions": 3}]},
        {"a.x": True, "b.x": None},
        {"schedule.warmup": [0.1, 0.25]},
        {"budget.flops": 123456789},
        {"space": {"name": "../Odd name", "channels": 16}},
    ]
    assert cell_names(values) == [
        "flops=5e10--trainer=rsps",
        "flops=2e11--arms=none+gm-repetitions=3",
        "a.x=true--b.x=null",
        "warmup=0.1+0.25",
        "flops=123456789",
        "space=..-odd-name-channels=16",
    ]
    same = cell_names([{"x": "a b"}, {"x": "a/b"}, {"x": "c" * 200}])
    assert len(set(same)) == 3
    assert all(re.fullmatch(r"x=[a-z0-9-]{3,120}", name) for name in same)


def test_a_file_is_a_study_or_a_grid_as_its_keys_and_what_is_set_say(tmp_path: Path) -> None:
    file = tmp_path / "ladder.yaml"
    file.write_text(yaml.safe_dump(gridded(name=None)))
    grid = grids.load_study_or_grid(file, {"grid.seed": [0, 1], "budget.steps": 50}, str(file))
    assert isinstance(grid, grids.Grid)
    assert grid.name == "ladder"
    assert [cell.name for cell in grid.cells] == [f"{name}--seed={seed}" for name in CELLS[2:4] for seed in (0, 1)]
    assert isinstance(grids.load_study_or_grid(file, {"grid": {"seed": [3]}}, str(file)), grids.Grid)
    file.write_text(yaml.safe_dump(tiny()))
    assert grids.load_study_or_grid(file, {"seeds": 2}, str(file)) == parse_study(tiny(seeds=2))


def test_the_grid_of_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "study-files.md").read_text()
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "grid:" in block]
    grid = grids.parse_grid(yaml.safe_load(block))
    assert len(grid.cells) == 6
    assert all(f"\n{cell.name}/" in page for cell in grid.cells[:2])


def test_only_run_takes_a_grid(splitbench: Command, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(gridded()))
    for verb in ("sweep", "geometry"):
        status, _, err = splitbench(verb, file)
        assert status == 2
        assert "the key 'grid' makes it several studies" in err
    file.write_text(yaml.safe_dump(tiny()))
    status, _, err = splitbench("run", file, "--cell", "x")
    assert status == 2
    assert "--cell x: the study file has no grid" in err


# --- running it -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of three budgets and two batch sizes that has been run. Read it only."""
    import splitbench

    folder = tmp_path_factory.mktemp("grid") / "out"
    splitbench.run(gridded(), folder, device="cpu", watcher=(notes := Notes()))
    assert [one for one in notes.sentences if one.startswith("cell ")] == [
        f"cell {number} of 6: {cell}" for number, cell in enumerate(CELLS, 1)
    ]
    return folder


def keys(folder: Path) -> set[str]:
    """The hashes of the stages in a store."""
    return {path.parent.name for path in folder.glob("stages/*/*/result.json")}


def test_a_cell_is_the_folder_of_the_same_study_run_alone_and_all_share_one_store(there: Path, tmp_path: Path) -> None:
    """Every stage that two of the studies have in common is in the store once, and none besides."""
    apart: list[set[str]] = []
    for cell in grids.parse_grid(gridded()).cells:
        alone = tmp_path / cell.name
        Study.build(cell.config, "cpu").run(alone)
        assert record_bytes(there / cell.name) == record_bytes(alone)
        assert (there / cell.name / "study.yaml").read_bytes() == (alone / "study.yaml").read_bytes()
        assert not (there / cell.name / "stages").exists()
        apart.append(keys(alone))
    assert keys(there) == set().union(*apart)
    assert (
        sum(map(len, apart)) - len(keys(there)) == 5
    )  # the facts of the one seed: the first cell's, and found by five
    assert len(set.intersection(*apart)) == 1


def test_cells_that_differ_after_the_warm_up_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = Executed(monkeypatch)
    run_tiny(
        tmp_path,
        **gridded({"selector.samples": [2, 3], "leaf_choice": ["best_estimate", "random_leaf"]}, arms=["none"]),
    )
    grid = read_grid(tmp_path)
    assert grid is not None
    assert next(iter(grid.cells)) == "samples=2--leaf_choice=best_estimate"
    assert list(grid.axes) == ["selector.samples", "leaf_choice"]
    # Selection is paid for, so two numbers of samples are two lengths of the rest, after one warm-up.
    assert (executed["facts"], executed["train"], executed["select"]) == (1, 1 + 2, 2)


def test_seeds_are_paired_between_cells(there: Path) -> None:
    """One population, and one warm-up's first weights, in every cell of a space and dataset."""
    import pyarrow.parquet as parquet

    ranked = [
        sorted(parquet.read_table(path)["architecture"].to_pylist())
        for path in sorted(there.glob("*/records/*.parquet"))
    ]
    assert len(ranked) == 18
    assert all(population == ranked[0] for population in ranked)


def test_run_again_a_grid_does_nothing(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed, folder = Executed(monkeypatch), Path(shutil.copytree(there, tmp_path / "out"))
    shutil.rmtree(folder / CELLS[1] / "records")
    assert len(run_tiny(folder, **gridded()).records) == 18
    assert not executed  # the stages of the cell whose records were lost are in the store
    assert record_bytes(folder / CELLS[1]) == record_bytes(there / CELLS[1])


def test_cells_that_the_file_no_longer_has_are_set_aside(there: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(there, tmp_path / "out"))
    notes = run_tiny(folder, **gridded(AXES | {"budget.steps": [40, 60]}))
    assert [name for name in CELLS if (folder / name).exists()] == CELLS[:2] + CELLS[4:]
    assert record_bytes(folder / "earlier" / CELLS[2]) == record_bytes(there / CELLS[2])
    assert sum("the grid has no such cell now" in sentence for sentence in notes.sentences) == 2
    assert home(folder / CELLS[0]) == folder
    assert home(folder / "earlier" / CELLS[2]) == folder / "earlier" / CELLS[2]


def test_a_run_that_fails_costs_itself_alone(tmp_path: Path, splitbench: Command) -> None:
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    study = gridded({"trainer.learning_rate": [0.05, 1e30]}, arms=["none"])
    file.write_text(yaml.safe_dump(study))
    status, printed, err = splitbench("run", file, "--out", out, "--workers", "1", "--json")
    index = json.loads(printed)
    assert status == 1
    assert "splitbench: cell learning_rate=1e30: arm none: 1 of 1 runs failed: " in err
    assert "cell 2 of 2: learning_rate=1e30" in err
    assert [cell["reason"][:24] for cell in index["cells"]] == ["", "all of its 1 runs failed"]


def test_folders_of_something_else_are_refused(there: Path, tmp_path: Path) -> None:
    before = sorted(there.iterdir())
    with pytest.raises(StoreError, match="holds a grid of studies"):
        run_tiny(there)
    assert sorted(there.iterdir()) == before
    run_tiny(tmp_path / "study", **SMALL | {"arms": ["none"], "budget": {"steps": 24}})
    with pytest.raises(StoreError, match="holds a study, and no grid"):
        run_tiny(tmp_path / "study", **gridded())
    with pytest.raises(StoreError, match="holds the grid 'tiny', not 'other'"):
        run_tiny(there, **gridded(name="other"))


def test_a_cell_that_cannot_work_stops_the_grid_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cell steps=3: arm "):
        run_tiny(tmp_path / "out", **gridded({"budget.steps": [60, 3]}))
    assert not (tmp_path / "out").exists()


def test_the_dry_run_sums_over_cells(tmp_path: Path, splitbench: Command) -> None:
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(
        yaml.safe_dump(gridded({"budget.steps": [40, 60], "leaf_choice": ["best_estimate", "random_leaf"]}))
    )
    status, printed, _ = splitbench("run", file, "--out", out, "--dry-run", "--json", "--workers", "1")
    found = json.loads(printed)
    assert (status, len(found["cells"])) == (0, 4)
    assert found["seconds"] == pytest.approx(sum(cell["seconds"] for cell in found["cells"]))
    reused = [sum(arm["reused"] for arm in cell["arms"]) for cell in found["cells"]]
    warm_up = found["cells"][0]["arms"][0]["flops"]["warm_up"]
    assert reused[1] - reused[0] >= warm_up > 0  # the second cell finds the warm-up that the first one computes
    _, printed, _ = splitbench("run", file, "--out", out, "--dry-run", "--cell", "steps=60--leaf_choice=random_leaf")
    assert "Dry run of the study tiny" in printed
    status, _, err = splitbench("run", file, "--dry-run", "--cell", "steps=61--leaf_choice=random_leaf")
    assert status == 2
    assert "(did you mean 'steps=60--leaf_choice=random_leaf'?)" in err
    assert not out.exists()


def test_parts_of_a_grid_merged_equal_the_whole(there: Path, tmp_path: Path, splitbench: Command) -> None:
    """One part holds a cell, one two arms of another, one the rest of it: joined, two cells are whole and four lack."""
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(gridded()))
    parts = {
        "a": ["--cell", CELLS[0]],
        "b": ["--cell", CELLS[1], "--arms", "none,chance"],
        "c": ["--cell", CELLS[1], "--arms", "halves"],
    }
    for name, asked in parts.items():
        status, _, err = splitbench("run", file, "--out", tmp_path / name, "--workers", "1", *asked)
        assert status == 0, err
    status, out, _ = splitbench("merge", *(tmp_path / name for name in parts), "--out", tmp_path / "all", "--json")
    found = json.loads(out)
    assert status == 0
    assert [cell["whole"] for cell in found["cells"]] == [True, True]
    assert (found["whole"], found["not_run"]) == (False, CELLS[2:])
    for cell in CELLS[:2]:
        assert record_bytes(tmp_path / "all" / cell) == record_bytes(there / cell)
    status, out, _ = splitbench("merge", there, "--out", tmp_path / "all", "--json")
    assert json.loads(out)["whole"]
    status, _, err = splitbench("merge", there, there / CELLS[0], "--out", tmp_path / "other")
    assert status == 2
    assert "holds no grid, and others do" in err
