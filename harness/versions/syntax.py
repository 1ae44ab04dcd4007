"""Hashes of definitions by their syntax trees: comments, docstrings and layout leave them as they are.

Only node names and fields that are not empty count, so that Python 3.11 to 3.14 agree: a later release adds fields that
are empty in older code (``type_params``), and cuts the text of an f-string elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence

UNHASHED = {"kind", "ctx", "type_comment", "lineno", "col_offset", "end_lineno", "end_col_offset"}


def code_digest(statements: Iterable[ast.stmt], origins: Iterable[str] = ()) -> str:
    """The hash of statements, and of where the names in them come from."""
    text = "\n".join([*map(spelled, body(statements)), *sorted(origins)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def spelled(node: ast.AST) -> str:
    """A node in one spelling: ``Name(field=value,...)``."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!r}"
    fields = []
    for name, value in ast.iter_fields(node):
        if name in UNHASHED or value is None:
            continue
        if isinstance(value, list):
            items = _parts(node, value)
            if items:
                fields.append(f"{name}=[{','.join(items)}]")
        else:
            text = spelled(value) if isinstance(value, ast.AST) else repr(value)
            fields += [f"{name}={text}"] if text != "JoinedStr()" else []  # a format that says nothing
    return f"{type(node).__name__}({','.join(fields)})"


def _parts(node: ast.AST, values: Sequence[object]) -> list[str]:
    if isinstance(node, ast.JoinedStr):
        return list(_text(values))
    if values and all(isinstance(value, ast.stmt) for value in values):
        values = list(body(value for value in values if isinstance(value, ast.stmt)))
    return [spelled(value) if isinstance(value, ast.AST) else repr(value) for value in values]


def _text(values: Sequence[object]) -> Iterator[str]:
    """The parts of an f-string, with neighbouring texts as one, and none that is empty."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield f"str:{text!r}"
        text = ""
        if isinstance(value, ast.AST):
            yield spelled(value)
    if text:
        yield f"str:{text!r}"


def body(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that compute something: no docstring, no import (names say where they come from), no version."""
    for statement in statements:
        idle = isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass)
        idle |= isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not idle and not _is_version(statement):
            yield statement


def _is_version(statement: ast.stmt) -> bool:
    """``version = 2``: what is raised when the code has changed is not the code."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(getattr(target, "id", getattr(target, "attr", None)) == "version" for target in targets)
