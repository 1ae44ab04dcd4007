"""The forecast of a grid: the forecasts of its cells, with the trainings that they share counted once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from splitbench.harness.forecasts import study_forecast as forecasts
from splitbench.harness.forecasts.study_forecast import PHASES, Forecast, duration
from splitbench.harness.running.grid_run import Built
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count


@dataclass(frozen=True)
class GridForecast:
    """The forecast of a grid.

    Attributes:
        grid: its name.
        cells: cell -> its forecast, in the order in which they run; a training that an earlier cell computes is reused.
        workers: number of worker processes.
    """

    grid: str
    cells: dict[str, Forecast]
    workers: int

    @property
    def seconds(self) -> float:
        return sum(forecast.seconds for forecast in self.cells.values())

    @property
    def disk(self) -> int:
        return sum(forecast.disk for forecast in self.cells.values())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: sums, and each cell's forecast as a study has it."""
        return {
            "grid": self.grid,
            "seconds": self.seconds,
            "disk": self.disk,
            "workers": self.workers,
            "cells": [{"cell": name, **forecast.as_json()} for name, forecast in self.cells.items()],
        }


def forecast_grid(grid: str, built: Built, workers: int = 1) -> GridForecast:
    """Forecast every cell, in order; nothing is trained but a few steps to measure the machine's speed."""
    seen: set[str] = set()
    return GridForecast(grid, {cell.name: forecasts.forecast(study, workers, seen) for cell, study in built}, workers)


def grid_forecast_sheet(expected: GridForecast) -> Sheet:
    """The forecast as a table: a row for each cell, and their sum."""
    rows = [_row(name, each) for name, each in expected.cells.items()]
    runs = sum(arm.runs for each in expected.cells.values() for arm in each.arms)
    total = Counter[str]()
    for each in expected.cells.values():
        total.update(_flops(each))
    stages = sum(sum(arm.stages.values()) for each in expected.cells.values() for arm in each.arms)
    steps = sum(arm.steps for each in expected.cells.values() for arm in each.arms)
    rows.append(("all cells", f"{runs:,}", f"{stages:,}", f"{steps:,}", *_words(total), duration(expected.seconds)))
    header = ("cell", "runs", "stages", "steps", *(phase.replace("_", "-") for phase in (*PHASES, "reused")), "time")
    facts = (
        f"{runs:,} runs in {count(len(expected.cells), 'cell')}. About {duration(expected.seconds)} with "
        f"{count(expected.workers, 'worker')}; about {expected.disk / 1e6:,.0f} MB of weights.",
    )
    legend = (
        "FLOPs by phase, summed over a cell's runs. Groups are made up, since no criterion has been asked yet, so the "
        "leaves of the run will differ. Reused: trainings that another arm, or a cell above, computes too: they are "
        "computed once. --cell NAME shows one cell's arms.",
    )
    notes = tuple(f"{name}: {note}" for name, each in expected.cells.items() for note in each.notes)
    table = WordTable("What would run", header, tuple(rows))
    return Sheet(f"Dry run of the grid {expected.grid}", facts, (table,), legend, notes)


def _row(name: str, forecast: Forecast) -> tuple[str, ...]:
    runs, steps = sum(arm.runs for arm in forecast.arms), sum(arm.steps for arm in forecast.arms)
    stages = sum(sum(arm.stages.values()) for arm in forecast.arms)
    return (name, f"{runs:,}", f"{stages:,}", f"{steps:,}", *_words(_flops(forecast)), duration(forecast.seconds))


def _flops(forecast: Forecast) -> Counter[str]:
    total = Counter[str]()
    for arm in forecast.arms:
        total.update({**arm.flops, "reused": arm.reused})
    return total


def _words(flops: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{flops[phase]:.2e}" if flops[phase] else NOTHING for phase in (*PHASES, "reused"))
