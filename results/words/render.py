"""Leaderboards and comparisons as markdown, as JSON for CI jobs, and as tables on a terminal.

Markdown and terminal show the same sheets (splitbench.results.words.sheets).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from splitbench.results.arms.friedman import RankGroups
from splitbench.results.boards.compare import Compared
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards
from splitbench.results.boards.rows import BoardRow
from splitbench.results.records.population_names import with_population_names as named
from splitbench.results.words.sheet import Sheet, WordTable
from splitbench.results.words.sheets import sheets

if TYPE_CHECKING:
    from rich.console import Console


def markdown(shown: Leaderboards | Compared) -> str:
    """Markdown that also reads well as plain text: columns are padded to one width."""
    parts = [sheet_markdown(sheet) for sheet in sheets(shown)]
    if shown.warnings:
        parts.append("## Warnings\n\n" + _bullets(shown.warnings))
    if isinstance(shown, Leaderboards) and shown.skipped:
        parts.append("## Skipped arms\n\n" + _bullets(shown.skipped))
    return "\n".join(parts)


def boards_json(boards: Leaderboards) -> str:
    """The contract that CI jobs read, as text with a newline at the end.

    A folder with one table gives that table's object: study, ceiling, rows, and more keys beside them. A folder with
    several gives ``{"boards": [one such object each], "rank_groups": ..., "warnings": [...], "skipped": [...]}``:
    tables are never mixed.
    ``warnings`` names the files that were left out, ``skipped`` the arms that cannot run on the space. Undefined
    numbers are null. docs/leaderboard.md lists every key.
    """
    objects = [_board_object(board) for board in boards.boards]
    if len(objects) == 1:
        data = {**objects[0], "warnings": [*objects[0]["warnings"], *boards.warnings], "skipped": list(boards.skipped)}
    else:
        data = {
            "boards": objects,
            "rank_groups": _rank_object(boards.rank_groups),
            "warnings": list(boards.warnings),
            "skipped": list(boards.skipped),
        }
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def terminal(shown: Leaderboards | Compared, console: Console | None = None) -> None:
    """The same sheets as rich tables."""
    from rich.console import Console

    console = console or Console()
    for sheet in sheets(shown):
        terminal_sheet(sheet, console)
    for sentence in shown.skipped if isinstance(shown, Leaderboards) else ():
        console.print(f"skipped arm: {sentence}", markup=False, highlight=False)
    for warning in shown.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)


def terminal_sheet(sheet: Sheet, console: Console | None = None) -> None:
    """One sheet as rich tables."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    console = console or Console()
    console.rule(escape(sheet.heading))
    for fact in sheet.facts:
        console.print(fact, markup=False, highlight=False)
    for table in sheet.tables:
        rich = RichTable(title=escape(table.title), title_justify="left")
        for index, name in enumerate(table.header):
            left = index == 0 or name in table.left
            rich.add_column(escape(name), justify="left" if left else "right", overflow="fold")
        for row in table.rows:
            rich.add_row(*map(escape, row))
        console.print(rich)
    for sentence in (*sheet.legend, *sheet.warnings):
        console.print(sentence, markup=False, highlight=False)


def sheet_markdown(sheet: Sheet) -> str:
    """One sheet as markdown."""
    parts = [f"# {sheet.heading}", "\n\n".join(sheet.facts)]
    for table in sheet.tables:
        parts += [f"**{table.title}**", _table_markdown(table)]
    parts.append(_bullets(sheet.legend))
    if sheet.warnings:
        parts += ["**Warnings**", _bullets(sheet.warnings)]
    return "\n\n".join(parts) + "\n"


def _table_markdown(table: WordTable) -> str:
    cells = [[markdown_text(text) for text in row] for row in (table.header, *table.rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(table.header))]
    left = [index == 0 or name in table.left for index, name in enumerate(table.header)]

    def line(row: list[str]) -> str:
        padded = (
            text.ljust(width) if flush else text.rjust(width)
            for text, width, flush in zip(row, widths, left, strict=True)
        )
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * width if flush else "-" * (width - 1) + ":" for width, flush in zip(widths, left, strict=True)]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])


def _board_object(board: Leaderboard) -> dict[str, Any]:
    kind, limit = board.budget
    plain = asdict(board)
    plain.update(budget={"kind": kind, "limit": limit}, trainers=list(board.trainers), warnings=list(board.warnings))
    plain["rows"] = [_row_object(row) for row in board.rows]
    if board.batch_norm == "batch":
        del plain["batch_norm"]
    if not board.expected:
        del plain["expected"]
    return named(plain, board.population)


def _rank_object(ranks: RankGroups | None) -> dict[str, Any] | None:
    if ranks is None:
        return None
    friedman = ranks.result
    return {
        "metric": ranks.metric,
        "unit": ranks.unit,
        "blocks": list(ranks.blocks),
        "left_out": list(ranks.left_out),
        "sentence": ranks.sentence,
        "arms": [{"arm": arm, "mean_rank": rank} for arm, rank in zip(friedman.arms, friedman.mean_ranks, strict=True)],
        "critical_difference": friedman.cd,
        "groups": [list(group) for group in friedman.groups],
        "statistic": friedman.statistic,
        "freedom": friedman.freedom,
        "p": friedman.p,
        "alpha": friedman.alpha,
    }


def _row_object(row: BoardRow) -> dict[str, Any]:
    plain = asdict(row)
    del plain["verdicts"]
    for key, verdict in (("verdict", row.verdict), ("selected_verdict", row.selected_verdict)):
        plain[key] = None if verdict is None else asdict(verdict)
    plain["leaves"] = list(row.leaves)
    plain["finding"] = row.finding or None
    if not row.failed:
        del plain["failed"]
    if row.decomposition is None:
        del plain["decomposition"]
    if not row.outside:
        del plain["outside"]
    return plain


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(sentence)}" for sentence in sentences) + "\n"


def markdown_text(text: str) -> str:
    """Text that stays one line and one cell of a table, and starts no HTML, whatever an arm is called."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.replace("|", "\\|").split()))
