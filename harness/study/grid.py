"""A grid of studies in one file: the key ``grid`` lists values of keys of the study, and each combination is a cell.

A cell is a study like any other, under the grid's name: its records are those of the same study run alone, and its
seeds are paired with those of every cell on the same space and dataset. Nothing here imports torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import suggestion
from splitbench.harness.study import config
from splitbench.harness.study.config import StudyConfig, short
from splitbench.harness.study.overrides import put_all
from splitbench.results.grids.grid_words import cell_names

KEY = "grid"
EXAMPLE = "grid: {budget.flops: [5e10, 2e11], trainer: [rsps, darts]}"
NO_AXES = ("name", "arms", "seeds", "baseline", "search", "sweep", KEY)
"""Keys that no protocol holds: cells that differ in them alone would have records of one table."""


@dataclass(frozen=True)
class Cell:
    """One study of a grid.

    Attributes:
        name: its values in words that are safe as a folder's name.
        values: axis -> its value here.
        config: the checked study.
    """

    name: str
    values: Mapping[str, Any]
    config: StudyConfig


@dataclass(frozen=True)
class Grid:
    """Studies that differ in the values of the axes.

    Attributes:
        name: of the study; all cells have it.
        axes: dotted key of the study -> its values.
        cells: each combination, the last axis fastest.
        content: the study file as it was run, ``grid`` included.
    """

    name: str
    axes: Mapping[str, tuple[Any, ...]]
    cells: tuple[Cell, ...]
    content: Mapping[str, Any]

    def chosen(self, names: Sequence[str]) -> tuple[Cell, ...]:
        """The cells of these names; all if there are none.

        Raises:
            ConfigError: for a name that is no cell's.
        """
        known = {cell.name: cell for cell in self.cells}
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"--cell: {name!r} is not a cell{suggestion(name, list(known))}; cells: {', '.join(known)}"
                )
        return tuple(cell for cell in self.cells if not names or cell.name in names)


def load_study_or_grid(path: str | Path, changes: Mapping[str, Any], source: str) -> StudyConfig | Grid:
    """A study file with some keys changed: a study, or a grid of them where the file has the key ``grid``.

    Args:
        path: the file.
        changes: dotted path -> value; that of an axis leaves the axis this value alone, and ``grid.PATH`` lists values
            of an axis.
        source: the file and its changes, for messages.

    Raises:
        ConfigError: one sentence with the file, the key's path, what is allowed and what to do.
    """
    data = config.read_study_file(path)
    if KEY in changes:
        data = {**data, KEY: changes[KEY]}
    if axes := {path.removeprefix(f"{KEY}."): value for path, value in changes.items() if path.startswith(f"{KEY}.")}:
        data = {**data, KEY: {**(data.get(KEY) or {}), **axes}}
    changes = {path: value for path, value in changes.items() if path.split(".")[0] != KEY}
    if KEY in data:
        return parse_grid(data, source, changes)
    return config.parse_study(put_all(data, changes), source) if changes else config.load_study(path)


def parse_grid(data: Mapping[str, Any], source: str = "study", changes: Mapping[str, Any] | None = None) -> Grid:
    """Check a grid given as a mapping: its axes, and the study of each cell.

    Raises:
        ConfigError: naming the axis or the cell.
    """
    axes = _axes(data[KEY], source)
    base = {key: value for key, value in data.items() if key != KEY}
    for path, value in (changes or {}).items():
        if path in axes:
            axes[path] = (value,)
            continue
        if over := [axis for axis in axes if _covers(axis, path)]:
            raise ConfigError(f"--set {path}: the axis {over[0]} of the grid gives that in each cell; set the axis")
        base = put_all(base, {path: value})
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    names = cell_names(combinations)
    cells = tuple(
        Cell(name, values, config.parse_study(put_all(base, values, f"{source}, grid:"), f"{source}, cell {name}"))
        for name, values in zip(names, combinations, strict=True)
    )
    for first, second in itertools.combinations(cells, 2):
        if first.config == second.config:
            raise ConfigError(f"{source}, grid: the cells {first.name} and {second.name} are one study; name it once")
    content = {**base, KEY: {axis: list(values) for axis, values in axes.items()}}
    return Grid(cells[0].config.name, axes, cells, {"name": cells[0].config.name, **content})


def _axes(data: Any, source: str) -> dict[str, tuple[Any, ...]]:
    """Axis -> its values, the checked key ``grid``."""
    if not isinstance(data, Mapping) or not data:
        raise ConfigError(f"{source}, grid: keys of the study and lists of their values are expected, as in {EXAMPLE}")
    axes: dict[str, tuple[Any, ...]] = {}
    for axis, values in data.items():
        where = f"{source}, grid.{axis}"
        if not isinstance(axis, str) or not all(axis.split(".")) or axis.split(".")[0] in NO_AXES:
            raise ConfigError(
                f"{where}: no axis of a grid; one is a key of what all arms share (not {', '.join(NO_AXES)}), as in "
                f"{EXAMPLE}"
            )
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{where}: a list of values is expected, as in {EXAMPLE}, not {short(values)}")
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            raise ConfigError(f"{where}: {short(twice[0])} stands there twice; name it once")
        if over := [other for other in axes if _covers(other, axis) or _covers(axis, other)]:
            raise ConfigError(f"{where}: the axis {over[0]} gives that too; leave one of the two")
        axes[axis] = tuple(values)
    return axes


def _covers(axis: str, path: str) -> bool:
    """Whether an axis decides what stands at another path: inside of it, or another unit of the budget."""
    return path.startswith(f"{axis}.") or (axis != path and axis.startswith("budget.") and path.startswith("budget."))
