"""The reference of the command: every verb with its arguments and options, read from the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docstrings
import typer.main

from splitbench.harness.cli.app import app


def verbs(group: Any = None, before: str = "splitbench") -> Iterator[tuple[str, Any]]:
    """Full name and command of every verb, those of a group after one another."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def reference() -> str:
    """All verbs in Markdown."""
    return "\n\n".join(section(name, command) for name, command in verbs())


def section(name: str, command: Any) -> str:
    """A verb: what it does, how it is called, what it takes."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = [p.metavar or p.name.upper() for p in arguments]
    called = [w if p.required or w.startswith("[") else f"[{w}]" for w, p in zip(words, arguments, strict=True)]
    usage = " ".join([name, *called])
    lines = [f"## {name.removeprefix('splitbench ')}", docstrings.markdown((command.help or "").strip())]
    lines.append(f"```text\n{usage}{' [OPTIONS]' if options else ''}\n```")
    rows = [[f"`{word}`", p.help or "", ""] for word, p in zip(words, arguments, strict=True)]
    rows += [[f"`{option_words(p)}`", p.help or "", default_of(p)] for p in options]
    if rows:
        table = ["| | | default |", "|---|---|---|"]
        table += ["| " + " | ".join(docstrings.cell(each) for each in row) + " |" for row in described(rows)]
        lines.append("\n".join(table))
    return "\n\n".join(lines)


def described(rows: list[list[str]]) -> Iterator[list[str]]:
    """Rows whose default, if the help says it in brackets, stands in its own column."""
    for word, text, default in rows:
        before, found, after = text.partition(" [default: ")
        yield [word, docstrings.markdown(before), after.rstrip("]") if found else default]


def option_words(option: Any) -> str:
    """How an option is written."""
    flags = ", ".join([*option.opts, *option.secondary_opts])
    return flags if option.is_flag else f"{flags} {option.metavar or 'VALUE'}"


def default_of(option: Any) -> str:
    """An option's default in words; nothing for flags."""
    value = option.default
    return "" if option.is_flag or value in (None, (), []) or callable(value) else f"`{value}`"
