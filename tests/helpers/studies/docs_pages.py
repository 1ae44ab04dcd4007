"""The pages of the documentation, taken apart: fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[3]
PAGES = [
    TOP / "README.md",
    *sorted(path for path in (TOP / "docs").rglob("*.md") if (TOP / "docs" / "site") not in path.parents),
]
COMMANDS = ("sh", "console", "")
"""Languages of blocks whose lines are run, also of those without one; what is not to be run says ``text``."""

DATA = ("text", "python", "yaml", "toml", "json", "ini", "diff", "bibtex")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: where it stands, e.g. ``docs/plugins.md``.
        line: of its first line, from 1.
        language: its fence's first word.
        title: the file that it is the content of, if it says so.
        text: what it holds.
    """

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a page, and the output that the page shows for it (console blocks alone)."""

    where: str
    line: str
    shown: str | None


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    fence, start, head, lines = "", 0, "", []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        mark = re.match(r"(\s*)(```+|~~~+)(.*)", line)
        if mark and not fence:
            fence, start, head, lines = mark.group(2), number + 1, mark.group(3).strip(), []
        elif mark and mark.group(2) == fence and not mark.group(3).strip():
            language, _, rest = head.partition(" ")
            title = re.search(r'title="([^"]+)"', rest)
            name = str(page.relative_to(TOP))
            found.append(Block(name, start, language, title.group(1) if title else "", "\n".join(lines) + "\n"))
            fence = ""
        elif fence:
            lines.append(line)
    assert not fence, f"{page}: the block that begins at line {start} has no end"
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block, in order. A console block's lines without ``$`` are output."""
    shown: list[str] | None = None
    waiting: tuple[str, str] | None = None
    for number, line in enumerate(block.text.splitlines(), block.line):
        where = f"{block.page}:{number}"
        if block.language == "console":
            if line.startswith("$ "):
                if waiting:
                    yield Command(*waiting, "\n".join(shown or []))
                waiting, shown = (where, line[2:]), []
            elif shown is not None:
                shown.append(line)
        elif line.strip() and not line.lstrip().startswith("#"):
            yield Command(where, line.strip().removeprefix("$ "), None)
    if waiting:
        yield Command(*waiting, "\n".join(shown or []))
