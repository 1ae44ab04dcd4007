"""A grid's folder: a results folder a cell, one store of stages that they share, and ``grid.json``, which names them.

A cell is an ordinary results folder, so whatever reads one reads a cell, and whatever reads a folder of results folders
reads a grid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.registry import suggestion
from splitbench.results.records.files import readable_json, write_atomically

GRID = "grid.json"
GRID_STUDY = "grid.yaml"  # the study file, as a grid keeps it
SCHEMA = 1


@dataclass(frozen=True)
class GridFolder:
    """The content of ``grid.json``.

    Attributes:
        folder: the grid's folder.
        study: the study's name.
        axes: dotted key of the study -> its values.
        cells: name of a cell, and of its folder -> its values by axis.
    """

    folder: Path
    study: str
    axes: Mapping[str, tuple[Any, ...]]
    cells: Mapping[str, Mapping[str, Any]]

    def cell(self, name: str) -> Path:
        """A cell's folder.

        Raises:
            ConfigError: for a name that is no cell's.
        """
        if name not in self.cells:
            near = suggestion(name, list(self.cells))
            raise ConfigError(f"--cell: {name!r} is not a cell{near}; cells: {', '.join(self.cells)}")
        return self.folder / name


def read_grid(folder: Path) -> GridFolder | None:
    """A grid's folder; None if it is another folder.

    Raises:
        StoreError: if ``grid.json`` is damaged or a newer version's.
    """
    path = folder / GRID
    try:
        data = json.loads(path.read_bytes())
        if data["schema_version"] > SCHEMA:
            raise StoreError(f"{path} was written by a newer splitbench: upgrade")
        axes = {entry["axis"]: tuple(entry["values"]) for entry in data["axes"]}
        cells = {entry["cell"]: {axis: entry["values"][axis] for axis in axes} for entry in data["cells"]}
        return GridFolder(folder, str(data["study"]), axes, cells)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise StoreError(f"{path} is damaged; run the grid again with `splitbench run` to have it anew") from error


def write_grid(grid: GridFolder) -> None:
    """Write ``grid.json``."""
    cells = [{"cell": name, "values": dict(values)} for name, values in grid.cells.items()]
    axes = [{"axis": axis, "values": list(values)} for axis, values in grid.axes.items()]
    data = {"schema_version": SCHEMA, "study": grid.study, "axes": axes, "cells": cells}
    write_atomically(grid.folder / GRID, readable_json(data).encode())


def home(folder: Path) -> Path:
    """The folder that holds the stages of a results folder: its grid's for a cell, else itself."""
    above = folder.absolute().parent
    try:
        grid = read_grid(above)
    except StoreError:
        grid = None
    return above if grid is not None and folder.absolute().name in grid.cells else folder


def refuse_grid(folder: Path, verb: str) -> None:
    """Refuse a grid's folder where a verb reads one results folder, with the names that it takes instead.

    Raises:
        ConfigError: if it is one.
    """
    if (grid := read_grid(folder)) is not None:
        first = next(iter(grid.cells))
        raise ConfigError(
            f"{folder} holds a grid, and {verb} reads one of its {len(grid.cells)} cells: name its folder, as "
            f"{folder / first} (cells: {', '.join(grid.cells)})"
        )
