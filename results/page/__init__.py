"""The leaderboard as one self-contained HTML page: no network, no framework, the same bytes from the same folder.

The page holds the data as JSON, and small scripts that draw it: a sortable table of all arms, and a view of each run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import suggestion
from splitbench.results.arms.arms import tables
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards, leaderboards_of
from splitbench.results.expectation.expected_folder import with_expected
from splitbench.results.page.pack import embedded_json
from splitbench.results.page.rows import payload
from splitbench.results.page.run_details import details
from splitbench.results.records.loading import load_runs
from splitbench.results.words.sheet import Sheet
from splitbench.results.words.sheets import FAILED_RUNS, sheets

FOLDER = Path(__file__).parent
STYLES = ("theme.css", "page.css", "table.css", "run.css", "media.css")  # later rules win, so the order matters
SCRIPTS = (
    "draw.js",
    "data.js",
    "stats.js",
    "bars.js",
    "verdicts.js",
    "columns.js",
    "waterfall.js",
    "sorting.js",
    "panels.js",
    "leaderboard.js",
    "filters.js",
    "tree.js",
    "affinity.js",
    "charts.js",
    "run.js",
    "main.js",
)
DETAILS_MB = 4.0
MB = 1_000_000
NAMED_STUDIES = 3
SIZES = "Rows marked size rank by the size of the stand-alone network, without any supernet."


def page(folder: str | Path, details_mb: float = DETAILS_MB, arms: Sequence[str] = (), expected: bool = False) -> bytes:
    """The page of a results folder.

    Args:
        folder: a results folder, or a folder of results folders.
        details_mb: megabytes (10^6 bytes) for the details of runs; the table takes what it needs beside them.
        arms: details of these arms alone; of all if empty.
        expected: whether unsplit arms are compared with published runs.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
        ConfigError: for an arm that is not there, or a negative size.
    """
    if not 0 <= details_mb < float("inf"):
        raise ConfigError(f"--details {details_mb:g}: it is a number of megabytes, 0 or more")
    loaded = load_runs(folder)
    grouped = tables(loaded.runs, loaded.failed)
    _check_arms(arms, {arm.name for own in grouped for arm in own})
    boards = leaderboards_of(loaded)
    if expected:
        boards = with_expected(boards, loaded)
    own, across = _described(boards)
    run_details = details(grouped, int(details_mb * MB), arms)
    data = payload(boards.boards, own, grouped)
    return _render(
        title=_title(list(dict.fromkeys(board.study for board in boards.boards))),
        sheets=own,
        across=across,
        warnings=[*boards.warnings, *sorted(set(run_details.warnings))],
        failed=[table for sheet in own for table in sheet.tables if table.title == FAILED_RUNS],
        skipped=boards.skipped,
        data=embedded_json(data),
        details=embedded_json(run_details.payload()),
    )


def _described(boards: Leaderboards) -> tuple[list[Sheet], list[Sheet]]:
    """The sheet of each table, and those over tables.

    A sheet marks rows of sizes by brackets around their names, the page by a tag. So sheets are made without the
    brackets, and their sentence about brackets is replaced by the page's.
    """
    shown = sheets(replace(boards, boards=tuple(map(_without_marks, boards.boards))))
    own = [
        replace(sheet, legend=(*sheet.legend, SIZES)) if any(row.trivial for row in board.rows) else sheet
        for board, sheet in zip(boards.boards, shown, strict=False)
    ]
    return own, shown[len(own) :]


def _without_marks(board: Leaderboard) -> Leaderboard:
    return replace(board, rows=tuple(replace(row, trivial=False) for row in board.rows))


def _title(studies: Sequence[str]) -> str:
    return ", ".join(studies) if len(studies) <= NAMED_STUDIES else f"{len(studies)} studies"


def _check_arms(wanted: Sequence[str], known: set[str]) -> None:
    for arm in wanted:
        if arm not in known:
            raise ConfigError(
                f"--arm {arm}: the folder holds no such arm{suggestion(arm, sorted(known))}; there are: "
                f"{', '.join(sorted(known))}"
            )


def _render(**parts: Any) -> bytes:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES)
    joined = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{joined}}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("data", "details"):
        parts[name] = Markup(parts[name])  # its markup is escaped already, as JSON
    template = environment.get_template("page.html.j2")
    return template.render(style=Markup(style), script=Markup(script), digest=digest, **parts).encode()
