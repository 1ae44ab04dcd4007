"""Files that name architectures: one a line, or a column of a table."""

from __future__ import annotations

from pathlib import Path

from splitbench.harness.errors import DataError
from splitbench.harness.estimates.estimates_file import architecture_column, decoded, names_one, read_frame
from splitbench.spaces.base import Architecture, SearchSpace


def read_cells(path: Path, space: SearchSpace, column: str | None = None) -> tuple[list[Architecture], int]:
    """The architectures that a file names, each once, in the file's order; and how many rows repeat one.

    Args:
        path: text with an architecture a line and nothing else (empty lines are passed over), or a table as
            :func:`splitbench.harness.estimates.estimates_file.read_frame` reads it.
        space: what they are architectures of.
        column: of a table; found by name or content if None.

    Raises:
        DataError: if the file cannot be read, is empty, or names what is no architecture of the space; ConfigError: if
            there is no such column.
    """
    lines = None if path.suffix in (".parquet", ".pq") or column is not None else _lines(path)
    if lines and names_one(space, lines[0][1]):
        texts = [(f"{path}, line {number}", text) for number, text in lines]
    else:
        frame = read_frame(path)
        named = architecture_column(path, frame, space, column)
        texts = [(f"{path}, row {row}", text) for row, text in enumerate(frame[named].astype(str), start=1)]
    architectures = dict.fromkeys(decoded(space, text, where) for where, text in texts)
    return list(architectures), len(texts) - len(architectures)


def _lines(path: Path) -> list[tuple[int, str]] | None:
    """Numbers and texts of the lines that are not empty; None if the file is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): it should name architectures") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
