"""A leaderboard as a notebook shows it: a fragment of HTML in the notebook's own colours, and nothing to fetch."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from splitbench.results.boards.leaderboard import Leaderboards
from splitbench.results.words.sheet import Sheet, WordTable
from splitbench.results.words.sheets import sheets

MOST = 4
CELL = "padding:.25em .7em;vertical-align:top;white-space:nowrap;"


def html(boards: Leaderboards) -> str:
    """The ranking of each table, the words that explain it folded away, and every warning.

    Colours are inherited, so it can be read on light and on dark. Beyond four tables, the rest is counted.
    """
    shown = sheets(boards)
    parts = [_sheet(sheet) for sheet in shown[:MOST]]
    if len(shown) > MOST:
        parts.append(f"<p>{len(shown) - MOST:,} more tables: see <code>.leaderboard()</code></p>")
    parts += [_sentences("Warnings", boards.warnings), _sentences("Skipped arms", boards.skipped)]
    return f'<div style="overflow-x:auto;color:inherit">{"".join(parts)}</div>'


def _sheet(sheet: Sheet) -> str:
    facts = "".join(f"<p>{escape(fact)}</p>" for fact in sheet.facts)
    legend = "".join(f"<p>{escape(sentence)}</p>" for sentence in sheet.legend)
    folded = f"<details><summary>How to read it</summary>{facts}{legend}</details>"
    return _table(sheet.heading, sheet.tables[0]) + folded + _sentences("Warnings", sheet.warnings)


def _table(caption: str, table: WordTable) -> str:
    align = ["left" if index == 0 or name in table.left else "right" for index, name in enumerate(table.header)]
    head = "".join(
        f'<th scope="col" style="{CELL}text-align:{side};border-bottom:1px solid currentColor">{escape(name)}</th>'
        for name, side in zip(table.header, align, strict=True)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row" style="{CELL}text-align:left;font-weight:normal">{escape(row[0])}</th>'
        + "".join(
            f'<td style="{CELL}text-align:{side}">{escape(text)}</td>'
            for text, side in zip(row[1:], align[1:], strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        '<table style="border-collapse:collapse;color:inherit;background:transparent">'
        f'<caption style="caption-side:top;text-align:left;color:inherit;font-weight:bold">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _sentences(title: str, sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<p><strong>{escape(title)}</strong></p><ul>{items}</ul>" if items else ""
