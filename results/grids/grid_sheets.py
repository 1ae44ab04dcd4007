"""A grid's index in words and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from splitbench.results.arms.arms import PRIMARY
from splitbench.results.boards.rows import BoardRow
from splitbench.results.grids.grid_board import FEWEST_CELLS, CellBoard, Index, MeanRanks
from splitbench.results.words.sheet import GIVEN, NOTHING, ORACLE, Sheet, WordTable, count, interval_words, marked
from splitbench.results.words.values import exact_words


def grid_sheet(index: Index) -> Sheet:
    """The index table, mean ranks over cells, and mean ranks along each axis."""
    there = [cell for cell in index.cells if cell.board is not None]
    axes = "; ".join(f"{axis}: {', '.join(map(exact_words, values))}" for axis, values in index.axes.items())
    facts = [f"{count(len(index.cells), 'cell')}, {len(there)} of them with results. Axes: {axes}."]
    tables = [_index_table(index)]
    if index.ranks is not None:
        tables.append(_rank_table(index, index.ranks))
    return Sheet(f"Grid {index.study}", tuple(facts), tuple(tables), _legend(index), _warnings(index))


def grid_json(index: Index) -> dict[str, Any]:
    """Plain JSON; docs/leaderboard.md lists every key."""
    ranks = index.ranks
    return {
        "grid": index.study,
        "axes": [{"axis": axis, "values": list(values)} for axis, values in index.axes.items()],
        "metric": PRIMARY,
        "cells": [_cell_object(cell) for cell in index.cells],
        "mean_ranks": None if ranks is None else _ranks_object(ranks),
        "along": [
            {"axis": axis, "values": [{"value": value, **_ranks_object(own)} for value, own in values]}
            for axis, values in index.along.items()
        ],
        "left_out": list(index.left_out),
        "warnings": list(_warnings(index)),
    }


def _cell_object(cell: CellBoard) -> dict[str, Any]:
    rows = [row for row in cell.board.rows if not row.trivial] if cell.board else []
    return {
        "cell": cell.name,
        "values": dict(cell.values),
        "baseline": cell.board.baseline if cell.board else None,
        "seeds": cell.board.seeds if cell.board else 0,
        "reason": cell.reason,
        "skipped": list(cell.skipped),
        "arms": [
            {
                "arm": row.arm,
                "complete": row.complete,
                "runs": row.runs,
                "expected_runs": row.expected_runs,
                "failed_runs": len(row.failed),
                "reads_truth": row.reads_truth,
                "verdict": asdict(row.verdict) if row.verdict else None,
            }
            for row in rows
        ],
    }


def _ranks_object(ranks: MeanRanks) -> dict[str, Any]:
    arms = [{"arm": arm, "mean_rank": rank} for arm, rank in zip(ranks.arms, ranks.ranks, strict=True)]
    return {"cells": list(ranks.cells), "arms": arms}


def _index_table(index: Index) -> WordTable:
    there = [row for cell in index.cells if cell.board for row in cell.board.rows]
    oracles, given = {row.arm for row in there if row.reads_truth}, {row.arm for row in there if row.given}
    names = {arm: marked(arm, arm in oracles, arm in given) for arm in index.arms}
    rows = tuple(
        (
            cell.name,
            *(exact_words(value) for value in cell.values.values()),
            *(_entry(cell, arm) for arm in index.arms),
        )
        for cell in index.cells
    )
    header = ("cell", *index.axes, *names.values())
    return WordTable(f"Difference to the cell's baseline in {PRIMARY}, and its verdict", header, rows)


def _entry(cell: CellBoard, arm: str) -> str:
    row = cell.row(arm)
    if row is None:
        return "skipped" if any(sentence.startswith(f"{arm}:") for sentence in cell.skipped) else NOTHING
    if not row.complete:
        return _incomplete(row)
    if row.verdict is None:
        return "baseline" if row.baseline else "no verdict"
    return f"{interval_words(row.verdict.difference, 3, sign=True)} {row.verdict.word}"


def _incomplete(row: BoardRow) -> str:
    if row.failed:
        return f"failed: {len(row.failed)} of {row.expected_runs}"
    return f"incomplete: {row.runs} of {row.expected_runs}"


def _rank_table(index: Index, ranks: MeanRanks) -> WordTable:
    columns = [ranks, *(own for values in index.along.values() for _, own in values)]
    titles = [
        f"all {count(len(ranks.cells), 'cell')}",
        *(
            f"{axis} {exact_words(value)} ({count(len(own.cells), 'cell')})"
            for axis, values in index.along.items()
            for value, own in values
        ),
    ]
    rows = tuple((arm, *(f"{own.ranks[place]:.2f}" for own in columns)) for place, arm in enumerate(ranks.arms))
    return WordTable("Mean ranks over cells, in all and along each axis", ("arm", *titles), rows)


def _legend(index: Index) -> tuple[str, ...]:
    there = sum(cell.board is not None for cell in index.cells)
    sentences = [
        "A cell's leaderboard is shown with --cell NAME. Differences are paired by seed inside of a cell, in brackets "
        "95% Student-t intervals over seeds; p of a verdict is adjusted for the arms of its cell, and not for the "
        "number of cells.",
    ]
    if index.ranks is not None:
        sentences.append(
            f"Ranks are by mean {PRIMARY} inside of a cell, 1 is the best, and are averaged over {there} of "
            f"{count(len(index.cells), 'cell')}; {PRIMARY} itself is not compared from cell to cell. Cells of one "
            "space and dataset share seeds, images and truth: they are no independent witnesses, so there is no test."
        )
        if index.left_out:
            sentences.append(f"Not complete in each of these cells, or an oracle control: {', '.join(index.left_out)}.")
    elif there < FEWEST_CELLS:
        sentences.append("No mean ranks: a single cell has results.")
    else:
        sentences.append("No mean ranks: fewer than two arms are complete in every cell that has results.")
    if any(row.reads_truth for cell in index.cells if cell.board for row in cell.board.rows):
        sentences.append(ORACLE)
    if any(row.given for cell in index.cells if cell.board for row in cell.board.rows):
        sentences.append(GIVEN)
    return tuple(sentences)


def _warnings(index: Index) -> tuple[str, ...]:
    """What was read with faults, then the cells that have no table."""
    return (*index.warnings, *(f"{cell.name}: {cell.reason}" for cell in index.cells if cell.reason))
