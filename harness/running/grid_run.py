"""Running a grid: one cell after the other, each into a folder of its own, all with one store of stages.

A stage that several cells ask for (the ceiling and size baselines of a seed; a warm-up, where the cells differ in what
comes after it) is computed by the first of them and found by the others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from splitbench.harness.engines.driver import Watcher
from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.registry import Spec, load_plugin
from splitbench.harness.running.folder_lock import FolderLock
from splitbench.harness.running.set_aside import EARLIER
from splitbench.harness.running.study import Study
from splitbench.harness.running.study_folder import STUDY_FILE
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.study import config as configs
from splitbench.harness.study import grid as grids
from splitbench.harness.study.config import StudyConfig
from splitbench.harness.study.grid import Cell, Grid
from splitbench.harness.study.portion import Portion
from splitbench.results.grids.grids import GRID_STUDY, GridFolder, read_grid, write_grid
from splitbench.results.records import store
from splitbench.results.records.failures import Failure
from splitbench.results.records.files import write_atomically
from splitbench.results.records.listing import RECORDS, SWEEP
from splitbench.results.records.record import Measured, Record

Built = Sequence[tuple[Cell, Study]]
"""Cells that are run, and their checked studies."""


class InCell(Watcher):
    """Passes the progress of one cell's study on to another watcher, which counts the runs of all cells together."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def note(self, sentence: str) -> None:
        self.watcher.note(sentence)

    def begin(self, runs: int) -> None:
        """Ignored, since the grid has announced the number of all runs."""

    def stage(self, stage: Stage[Any], result: Result[Any]) -> None:
        self.watcher.stage(stage, result)

    def running(self, stages: Sequence[tuple[Stage[Any], float | None]]) -> None:
        self.watcher.running(stages)

    def run(self, record: Record, measured: Measured) -> None:
        self.watcher.run(record, measured)

    def fail(self, failure: Failure) -> None:
        self.watcher.fail(failure)

    def done(self, sentence: str) -> None:
        self.watcher.done(sentence)


def open_study_or_grid(
    study: StudyConfig | Mapping[str, Any] | str | Path, plugins: Sequence[str | Path]
) -> StudyConfig | Grid:
    """A study file, its content or a checked study, as a study or a grid, with its plugins loaded."""
    for plugin in plugins:
        load_plugin(plugin)
    if isinstance(study, StudyConfig):
        return study
    if isinstance(study, Mapping):
        return grids.parse_grid(study) if grids.KEY in study else configs.parse_study(dict(study))
    return grids.load_study_or_grid(study, {}, str(study))


def build_cells(cells: Sequence[Cell], device: str, portions: Sequence[Portion] | None = None) -> Built:
    """Build and check every cell before any of them is run.

    Raises:
        ConfigError: naming the cell, for what Study.build refuses; DataError: missing or damaged data.
    """
    built = []
    for index, cell in enumerate(cells):
        try:
            built.append((cell, Study.build(cell.config, device, portions[index] if portions else None)))
        except ConfigError as error:
            raise ConfigError(f"cell {cell.name}: {error}") from error
    return built


def run_cells(
    grid: Grid,
    built: Built,
    folder: Path,
    workers: int = 1,
    plugins: Sequence[Path] = (),
    watcher: Watcher | None = None,
    engine: Spec | None = None,
) -> dict[str, tuple[Failure, ...]]:
    """Run what is missing of the built cells; returns the runs that failed, by cell.

    Raises:
        SplitbenchError: as Study.run does; runs that had ended before are kept.
    """
    watcher = watcher or Watcher()
    check_grid_folder(grid, folder)
    store.prepare_folder(folder / built[0][0].name)
    failed: dict[str, tuple[Failure, ...]] = {}
    with FolderLock(folder).held(watcher.note) as lock:
        for sentence in take_folder(grid, folder):
            watcher.note(sentence)
        watcher.begin(sum(len(study.runs()) for _, study in built))
        for index, (cell, study) in enumerate(built):
            lock.check()
            watcher.note(f"cell {index + 1} of {len(built)}: {cell.name}")
            failed[cell.name] = study.run(folder / cell.name, workers, plugins, InCell(watcher), engine)
    return failed


def check_grid_folder(grid: Grid, folder: Path) -> None:
    """Refuse a folder of something else.

    Raises:
        StoreError: if it holds a study, a sweep or another grid.
    """
    for name, what in ((STUDY_FILE, "a study"), (RECORDS, "records"), (SWEEP, "a sweep")):
        if (folder / name).exists():
            raise StoreError(f"{folder} holds {what}, and no grid; choose another --out")
    there = read_grid(folder)
    if there is not None and there.study != grid.name:
        raise StoreError(f"{folder} holds the grid {there.study!r}, not {grid.name!r}; choose another --out")


def take_folder(grid: Grid, folder: Path) -> list[str]:
    """Write the grid's file into its folder, and set aside cells that it no longer has; returns a sentence for each."""
    there = read_grid(folder)
    sentences = []
    for name in there.cells if there is not None else ():
        if name in {cell.name for cell in grid.cells} or not (folder / name).exists():
            continue
        target = room_for(folder / EARLIER, name)
        try:
            target.parent.mkdir(exist_ok=True)
            os.replace(folder / name, target)
        except OSError as error:
            raise StoreError(f"{folder / name} cannot be moved to {target} ({error.strerror})") from error
        sentences.append(f"set aside, because the grid has no such cell now: {name}; see it in {target}")
    write_grid(GridFolder(folder, grid.name, grid.axes, {cell.name: cell.values for cell in grid.cells}))
    text = yaml.safe_dump(dict(grid.content), sort_keys=False)
    write_atomically(folder / GRID_STUDY, text.encode())
    return sentences


def room_for(folder: Path, name: str) -> Path:
    """A path in ``folder`` that is not there yet: the name, or it with a number."""
    number, path = 1, folder / name
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}"
    return path
