"""The runs of a results folder as tidy tables: one row a run, or one row a run and metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from splitbench.results.arms.arms import tables
from splitbench.results.arms.costs import MEASUREMENT
from splitbench.results.boards.rows import SELECTION
from splitbench.results.records.loading import StoredRun
from splitbench.results.records.record import Measured, Record, table_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHASES = ("warm_up", "scoring", "training", "selection")
AMOUNTS = ("flops", "steps", "examples")
WORDS = ("study", "space", "dataset", "trainer", "arm")
CATEGORIES = (*WORDS, "budget_kind", "population")


def wide(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """One row a run, in the order of ``runs``: what it is, its metrics, its selection, its cost."""
    records = [run.record for run in runs]
    columns: dict[str, Any] = _identity(runs)
    columns |= {name: _floats(record.metrics.get(name) for record in records) for name in _metrics(records)}
    return pd.DataFrame(columns | _selection(records) | _cost(records) | _seconds([run.measured for run in runs]))


def long(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """One row a run and metric: its value against test and validation accuracy, and its noise ceiling."""
    records = [run.record for run in runs]
    names = _metrics(records)
    frame = pd.DataFrame(_identity(runs))
    frame = frame.loc[frame.index.repeat(len(names))].reset_index(drop=True)

    def values(get: Callable[[Record], Mapping[str, float | None]]) -> NDArray[np.float64]:
        return _floats(get(record).get(name) for record in records for name in names)

    return frame.assign(
        metric=pd.Categorical(names * len(records), categories=names),
        value=values(lambda record: record.metrics),
        validation=values(lambda record: record.validation_metrics),
        ceiling=values(lambda record: record.ceiling),
    )


def labelled(run: StoredRun, estimates: pd.DataFrame) -> pd.DataFrame:
    """The estimates of one run, with the columns that say whose they are before them."""
    record = run.record
    labels = {name: getattr(record, name) for name in (*WORDS, "repetition", "draw")}
    return pd.concat([pd.DataFrame(labels, index=estimates.index), estimates], axis=1)


def categories(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of words as categoricals, their categories sorted."""
    return frame.assign(**{name: categorical(frame[name]) for name in CATEGORIES if name in frame})


def categorical(values: Iterable[str]) -> pd.Categorical[str]:
    """Words with their own sorted categories."""
    words = list(values)
    return pd.Categorical(words, categories=sorted(set(words)))


def _identity(runs: Sequence[StoredRun]) -> dict[str, Any]:
    records = [run.record for run in runs]
    complete = {(table_key(arm.runs[0].record), arm.name): arm.complete for table in tables(runs) for arm in table}
    columns: dict[str, Any] = {name: categorical(getattr(record, name) for record in records) for name in WORDS}
    return columns | {
        "repetition": _integers(record.repetition for record in records),
        "draw": _integers(record.draw for record in records),
        "baseline": np.array([record.baseline for record in records], dtype=bool),
        "reads_truth": np.array([record.reads_truth for record in records], dtype=bool),
        "complete": np.array([complete[table_key(record), record.arm] for record in records], dtype=bool),
        "budget_kind": categorical(record.budget.kind for record in records),
        "budget_limit": _floats(record.budget.limit for record in records),
        "budget_spent": _floats(record.budget.spent for record in records),
        "population": categorical(record.population for record in records),
        "population_size": _integers(record.population_size for record in records),
        "protocol": categorical(record.protocol for record in records),
    }


def _metrics(records: Iterable[Record]) -> list[str]:
    return sorted({name for record in records for name in record.metrics})


def _selection(records: Sequence[Record]) -> dict[str, Any]:
    chosen = [record.selection for record in records]
    columns: dict[str, Any] = {
        "selection_architecture": [selection.architecture for selection in chosen],
        "selection_leaf": _integers(selection.leaf for selection in chosen),
        "selection_leaves": _integers(sum(leaf.kept for leaf in selection.leaves) for selection in chosen),
    }
    return columns | {
        f"selection_{name}": _floats(getattr(selection, name) for selection in chosen) for name in SELECTION
    }


def _cost(records: Sequence[Record]) -> dict[str, Any]:
    """A phase that an arm does not have cost it nothing."""
    phases = _ordered({phase for record in records for phase in record.cost})
    columns: dict[str, Any] = {}
    for amount in AMOUNTS:
        by_phase = {
            phase: [getattr(record.cost[phase], amount) if phase in record.cost else 0 for record in records]
            for phase in phases
        }
        columns[amount] = _integers(map(sum, zip(*by_phase.values(), strict=True))) if phases else 0
        columns |= {f"{amount}_{phase}": _integers(values) for phase, values in by_phase.items()}
    return columns


def _seconds(measured: Sequence[Measured | None]) -> dict[str, Any]:
    """Missing where a run has no measured file. The total leaves out measurement, as the FLOPs do."""
    phases = _ordered({phase for costs in measured if costs is not None for phase in costs.seconds})
    by_phase = {
        phase: _floats(None if costs is None else costs.seconds.get(phase, 0.0) for costs in measured)
        for phase in phases
    }
    charged = [values for phase, values in by_phase.items() if phase != MEASUREMENT]
    columns: dict[str, Any] = {"seconds": np.sum(charged, axis=0) if charged else np.full(len(measured), np.nan)}
    columns |= {f"seconds_{phase}": values for phase, values in by_phase.items()}
    return columns | {
        "peak_bytes": pd.array([None if costs is None else costs.peak_bytes for costs in measured], "Int64")
    }


def _ordered(phases: set[str]) -> list[str]:
    return [*(phase for phase in PHASES if phase in phases), *sorted(phases - set(PHASES))]


def _floats(values: Iterable[float | None]) -> NDArray[np.float64]:
    """None becomes NaN."""
    return np.array(list(values), dtype=np.float64)


def _integers(values: Iterable[int]) -> NDArray[Any]:
    """Whole numbers; floats where one of them is beyond 64 bits."""
    listed = list(values)
    return np.array(listed, dtype=np.int64 if max(map(abs, listed), default=0) < 2**63 else np.float64)
