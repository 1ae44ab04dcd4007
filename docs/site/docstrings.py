"""Docstrings as Markdown: plain prose with Google-style sections."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
CODE = re.compile(r"(``.+?``|`[^`]+`)")


@dataclass(frozen=True)
class Docstring:
    """A docstring taken apart.

    Attributes:
        summary: its first paragraph.
        body: what follows it, without the sections.
        entries: section -> name -> meaning, for the sections that list names.
        texts: section -> text, for those that do not (``Returns``).
    """

    summary: str = ""
    body: str = ""
    entries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Docstring:
    """A cleaned docstring (as ``inspect.getdoc`` gives it) -> its parts."""
    prose: list[str] = []
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            current = blocks.setdefault(line.rstrip(":"), [])
        elif current is not None and (line.startswith("    ") or not line.strip()):
            current.append(line)
        else:
            current = None
            prose.append(line)
    summary, _, body = "\n".join(prose).strip().partition("\n\n")
    entries = {name: _entries(lines) for name, lines in blocks.items() if name not in ("Returns", "Yields")}
    texts = {name: " ".join(" ".join(lines).split()) for name, lines in blocks.items() if name in ("Returns", "Yields")}
    return Docstring(" ".join(summary.split()), body.strip(), entries, texts)


def _entries(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        start = re.match(r"    (?! )([\w.*, ]+?)(?: \([^)]*\))?: (.*)", line)
        if start:
            name = start.group(1)
            found[name] = start.group(2)
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def of(thing: Any) -> Docstring:
    """The docstring of a class or function; a class also has the attributes that its bases describe."""
    own = parse(inspect.getdoc(thing) or "")
    if not inspect.isclass(thing):
        return own
    attributes: dict[str, str] = {}
    for base in reversed(thing.__mro__):
        entries = parse(inspect.cleandoc(base.__dict__.get("__doc__") or "")).entries
        attributes |= {**entries.get("Args", {}), **entries.get("Attributes", {})}
    return Docstring(own.summary, own.body, {**own.entries, "Attributes": attributes}, own.texts)


def markdown(text: str) -> str:
    """Docstring prose as Markdown: code spans stay as they are, everything else is taken literally."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"``\1``", text)
    pieces = []
    for piece in CODE.split(text):
        if CODE.fullmatch(piece):
            pieces.append(f"`{piece.strip('`')}`")
        else:
            pieces.append(re.sub(r"([*\[\]])", r"\\\1", html.escape(piece, quote=False)))
    return "".join(pieces)


def cell(text: str) -> str:
    """Markdown in one cell of a table."""
    return text.replace("\n", " ").replace("|", "\\|")
