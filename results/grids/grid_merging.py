"""Folders of parts of one grid, joined cell by cell; a part may hold some of the cells, or a part of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.grids.grids import GRID_STUDY, GridFolder, read_grid, write_grid
from splitbench.results.merging.merge_report import merge_json as merger_json
from splitbench.results.merging.merging import STUDY, Merger, merger, spans
from splitbench.results.records.files import write_atomically
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count
from splitbench.results.words.values import exact_words


@dataclass(frozen=True)
class GridMerger:
    """Parts of a grid that fit together.

    Attributes:
        grid: the joined one, with the cells of all parts.
        first: the part whose study file is kept.
        mergers: cell -> its parts; a cell that no part has run is not among them.
    """

    grid: GridFolder
    first: Path
    mergers: dict[str, Merger]

    @property
    def whole(self) -> bool:
        return all(name in self.mergers and not self.mergers[name].missing for name in self.grid.cells)

    def write(self) -> None:
        """Write what is not in the folder yet."""
        content = yaml.safe_load((self.first / GRID_STUDY).read_text(encoding="utf-8"))
        content["grid"] = {axis: list(values) for axis, values in self.grid.axes.items()}
        write_grid(self.grid)
        write_atomically(self.grid.folder / GRID_STUDY, yaml.safe_dump(content, sort_keys=False).encode())
        for each in self.mergers.values():
            each.write()


def grid_merger(folders: Sequence[Path], out: Path) -> GridMerger | None:
    """Check that folders hold parts of one grid; None if none of them holds a grid.

    Raises:
        ConfigError: if some hold a grid and others do not; StoreError: if they are of different grids, or a cell's
            parts do not fit together.
    """
    places = {folder.resolve(): folder for folder in ([out] if read_grid(out) is not None else []) + list(folders)}
    grids = [(folder, read_grid(folder)) for folder in places.values()]
    if all(grid is None for _, grid in grids):
        return None
    if other := [folder for folder, grid in grids if grid is None]:
        raise ConfigError(f"{other[0]} holds no grid, and others do; to merge a cell, name its folder in each of them")
    if len(grids) < 2:
        raise ConfigError(f"{folders[0]}: there is nothing to merge it with; name two or more folders of the grid")
    parts = [grid for _, grid in grids if grid is not None]
    for part in parts[1:]:
        if (part.study, list(part.axes)) != (parts[0].study, list(parts[0].axes)):
            raise StoreError(
                f"{parts[0].folder} and {part.folder} are no parts of one grid: {parts[0].study} over "
                f"{', '.join(parts[0].axes)}, and {part.study} over {', '.join(part.axes)}"
            )
    joined = _joined(parts, out)
    mergers = {}
    for name in joined.cells:
        if own := [grid.folder / name for grid in parts if (grid.folder / name / STUDY).exists()]:
            mergers[name] = merger(own, out / name, 1)
    return GridMerger(joined, parts[0].folder, mergers)


def _joined(grids: Sequence[GridFolder], out: Path) -> GridFolder:
    """The axes' values and the cells of all parts, each once."""
    axes: dict[str, list[Any]] = {axis: [] for axis in grids[0].axes}
    cells: dict[str, Any] = {}
    for grid in grids:
        for axis, values in grid.axes.items():
            axes[axis] += [value for value in values if value not in axes[axis]]
        for name, own in grid.cells.items():
            if cells.setdefault(name, own) != own:
                raise StoreError(f"{grids[0].folder} and {grid.folder} have different cells called {name}")
    return GridFolder(out, grids[0].study, {axis: tuple(values) for axis, values in axes.items()}, cells)


def grid_merge_json(merged: GridMerger) -> dict[str, Any]:
    """Plain JSON: each cell in the format of a merged study."""
    cells = [{"cell": name, **merger_json(each)} for name, each in merged.mergers.items()]
    not_run = [name for name in merged.grid.cells if name not in merged.mergers]
    about = {"out": str(merged.grid.folder), "grid": merged.grid.study, "whole": merged.whole}
    return {**about, "cells": cells, "not_run": not_run}


def grid_merge_sheet(merged: GridMerger) -> Sheet:
    """The same in words."""
    rows = []
    for name, values in merged.grid.cells.items():
        own = merged.mergers.get(name)
        words = missing_words(own.missing) if own else ["all"]
        runs = f"{len(own.runs)} of {len(own.expected)}" if own else NOTHING
        rows.append((name, *map(exact_words, values.values()), runs, ", ".join(words) or NOTHING))
    header = ("cell", *merged.grid.axes, "runs", "missing (--seeds)")
    whole = "It is whole." if merged.whole else "It is not whole."
    facts = (f"{count(len(merged.mergers), 'cell')} of {len(merged.grid.cells)} are in {merged.grid.folder}. {whole}",)
    warnings = tuple(f"{name}: {warning}" for name, each in merged.mergers.items() for warning in each.warnings)
    table = WordTable("Cells", header, tuple(rows), left=("missing (--seeds)",))
    legend = ("Records are joined, and not stages: what is still to be run is computed from its beginning.",)
    return Sheet(f"Merged: grid {merged.grid.study}", facts, (table,), legend, warnings)


def missing_words(missing: Sequence[tuple[str, int, int]]) -> list[str]:
    """Arms that lack runs, with their repetitions: ``gm (0-2,5)``."""
    arms = dict.fromkeys(arm for arm, _, _ in missing)
    return [f"{arm} ({spans(repetition for name, repetition, _ in missing if name == arm)})" for arm in arms]
