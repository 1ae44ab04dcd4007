"""The leaderboard as CSV: one line an arm a table, every number unrounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from splitbench.results.arms.costs import MeanCost
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards
from splitbench.results.boards.rows import SELECTION, BoardRow
from splitbench.results.inference.paired import Verdict
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.population_names import with_population_names as named

ENDS = ("mean", "low", "high")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula


def to_csv(boards: Leaderboards) -> str:
    """A header and a line for each row of each table, in their order; what is undefined is empty.

    An estimate has three columns, as ``tau[all] mean``, ``tau[all] low`` and ``tau[all] high``; metrics against
    validation accuracy begin with ``validation``, those of the selection with ``selection``. Phases of the cost have
    columns of their own, as ``training flops`` and ``training seconds``. Text that a spreadsheet would run as a formula
    (names are anyone's) gets an apostrophe before it; numbers never do.
    """
    rows = [(board, row) for board in boards.boards for row in board.rows]
    metrics = _names(row.metrics for _, row in rows)
    validation = _names(row.validation_metrics for _, row in rows)
    phases = _names(row.cost.by_phase for _, row in rows if row.cost is not None)
    lines = [_line(board, row, metrics, validation, phases) for board, row in rows]
    populations = {named("[all]", board.population) for board in boards.boards}
    if len(populations) == 1:  # else the column that names the population tells tables apart
        lines = [named(line, boards.boards[0].population) for line in lines]
    return "".join(map(_written, [list(lines[0]), *(line.values() for line in lines)] if lines else []))


def _written(cells: Iterable[Any]) -> str:
    # Under the module's own line end a carriage return within a cell is quoted, under "\n" it would not be.
    text = io.StringIO()
    csv.writer(text).writerow([_inert(cell) for cell in cells])
    return text.getvalue().removesuffix("\r\n") + "\n"


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _line(
    board: Leaderboard, row: BoardRow, metrics: Iterable[str], validation: Iterable[str], phases: Iterable[str]
) -> dict[str, Any]:
    chance = row.chance
    return {
        "study": board.study,
        "space": row.space,
        "dataset": row.dataset,
        "budget kind": None if row.outside else board.budget[0],
        "budget limit": None if row.outside else board.budget[1],
        "population": board.population,
        "population size": board.population_size,
        "arm": row.arm,
        "trainer": row.trainer,
        "baseline": _yes(row.baseline),
        "size baseline": _yes(row.trivial and not row.rank_sum),
        "rank-sum": _yes(row.rank_sum),
        "reads truth": _yes(row.reads_truth),
        "outside": _yes(row.outside),
        "complete": _yes(row.complete),
        "runs": row.runs,
        "expected runs": row.expected_runs,
        "seeds": row.seeds,
        "draws": row.draws,
        "failed runs": len(row.failed),
        "failure": row.failed[0].reason if row.failed else None,
        **{key: value for name in metrics for key, value in _estimate(name, row.metrics.get(name)).items()},
        **_estimate("of ceiling", row.of_ceiling),
        **_verdict("", row.verdict),
        **_verdict("selected ", row.selected_verdict),
        "chance sizes": None if chance is None else chance.sizes,
        "chance p": None if chance is None else chance.p,
        **_estimate("chance difference", None if chance is None else chance.difference),
        "scoring paid": None if chance is None else chance.paid,
        **_estimate("chance bill", None if chance is None else chance.bill),
        **{
            key: value
            for name in SELECTION
            for key, value in _estimate(f"selection {name}", row.selection.get(name)).items()
        },
        **{
            key: value
            for name in validation
            for key, value in _estimate(f"validation {name}", row.validation_metrics.get(name)).items()
        },
        **_cost(row.cost, phases),
    }


def _verdict(prefix: str, verdict: Verdict | None) -> dict[str, Any]:
    values = {
        "verdict against": None if verdict is None else verdict.against,
        "verdict": None if verdict is None else verdict.word,
        "verdict reason": None if verdict is None else verdict.reason,
        "verdict p": None if verdict is None else verdict.p,
        "verdict equal p": None if verdict is None else verdict.equal_p,
        "verdict probability": None if verdict is None else verdict.probability,
        **_estimate("difference", None if verdict is None else verdict.difference),
    }
    return {f"{prefix}{name}": value for name, value in values.items()}


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    values = (None,) * len(ENDS) if estimate is None else (estimate.mean, estimate.low, estimate.high)
    return {f"{name} {end}": value for end, value in zip(ENDS, values, strict=True)}


def _cost(cost: MeanCost | None, phases: Iterable[str]) -> dict[str, float | None]:
    line: dict[str, float | None] = {
        "flops": None if cost is None else cost.flops,
        "seconds": None if cost is None else cost.seconds,
        "peak bytes": None if cost is None else cost.peak_bytes,
    }
    for phase in phases:
        phase_cost = None if cost is None else cost.by_phase.get(phase)
        line[f"{phase} flops"] = None if phase_cost is None else phase_cost.flops
        line[f"{phase} seconds"] = None if phase_cost is None else phase_cost.seconds
    return line


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for mapping in mappings for name in mapping})
