"""Estimates that somebody else's supernet, predictor or proxy made, from a CSV or Parquet file: a row an architecture.

The file names architectures as the space does, or in a notation of its users that ``SearchSpace.decode`` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.base import Architecture, SearchSpace

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

ARCHITECTURE = ("architecture", "arch", "arch_str", "architecture_str", "cell", "ops", "string", "genotype", "network")
ESTIMATE = (
    *("estimate", "estimates", "score", "scores", "prediction", "predicted", "accuracy", "acc", "top1"),
    *("val_acc", "valid_acc", "val_accuracy", "valid_accuracy", "validation_accuracy"),
)
LESS_IS_BETTER = ("loss", "error", "perplexity", "entropy", "regret", "nll")
NO_NUMBER = ("", "nan", "na", "n/a", "none", "null")


@dataclass(frozen=True)
class Estimates:
    """What a file says of some architectures.

    Attributes:
        path: of the file.
        architectures: strings of the space, each once, in the file's order.
        values: [A] as the file has them, or negated where less is better: higher is better. Never NaN; an infinite one
            is the best or the worst.
        architecture, estimate: the columns that were read.
        lower_is_better: whether the values were negated.
        repeated: rows that said again what another row had said.
    """

    path: Path
    architectures: tuple[Architecture, ...]
    values: Floats
    architecture: str
    estimate: str
    lower_is_better: bool
    repeated: int


def read_estimates_file(
    path: Path,
    space: SearchSpace,
    architecture: str | None = None,
    estimate: str | None = None,
    lower_is_better: bool = False,
) -> Estimates:
    """The estimates of a file.

    Args:
        path: CSV (tab-separated if it ends in ``.tsv``; compressed as its name says), or Parquet (``.parquet``).
        space: what its architectures are of.
        architecture, estimate: columns; found by name or, where only one serves, by content if None.
        lower_is_better: whether the column holds losses or errors.

    Raises:
        ConfigError: if there is no such column, or none can be told apart; DataError: if the file cannot be read, is
            empty, names what is no architecture of the space, lacks a number, or says two things of one architecture.
    """
    frame = read_frame(path)
    named = architecture_column(path, frame, space, architecture)
    column = _estimate_column(path, frame, space, named, estimate, lower_is_better)
    values = _numbers(path, frame[column], column)
    estimate_of: dict[Architecture, float] = {}
    for row, (text, value) in enumerate(zip(frame[named].astype(str), values.tolist(), strict=True), start=1):
        key = decoded(space, text, f"{path}, row {row}")
        before = estimate_of.setdefault(key, value)
        if before != value:
            raise DataError(
                f"{path}, row {row}: {text} has the estimate {value:g}, and an earlier row gives the same architecture "
                f"{before:g}; leave one of them out, or their mean in"
            )
    if len(estimate_of) < 2:
        raise DataError(f"{path} has an estimate of a single architecture, and a ranking needs at least two")
    sign = -1.0 if lower_is_better else 1.0
    score = sign * np.array(list(estimate_of.values()), dtype=np.float64)
    return Estimates(path, tuple(estimate_of), score, named, column, lower_is_better, len(frame) - len(estimate_of))


def read_frame(path: Path) -> pd.DataFrame:
    """A file's table: all columns of a CSV as text, so that leading zeros stay.

    Raises:
        DataError: if it cannot be read, or holds no row.
    """
    import pandas as pd

    try:
        if path.suffix in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        else:
            separator = "\t" if ".tsv" in path.suffixes else ","
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, sep=separator, skipinitialspace=True)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty: a header and a row an architecture are expected") from error
    except (OSError, EOFError, ValueError) as error:  # parsers' own errors are ValueErrors
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a table ({said}): CSV or Parquet is expected") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    if not len(frame):
        raise DataError(f"{path} has a header and no row below it: a row an architecture is expected")
    return frame


def decoded(space: SearchSpace, text: str, where: str) -> Architecture:
    """The architecture that a text names.

    Raises:
        DataError: beginning with ``where``, if it names none.
    """
    text = text.strip()
    try:
        return space.decode(text)
    except (ValueError, KeyError, IndexError) as error:
        short = text.isdigit() and len(text) < len(space.edges)
        hint = "; were leading zeros lost? They stay where the column is text" if short else ""
        raise DataError(f"{where}: {error}{hint}") from error


def architecture_column(path: Path, frame: pd.DataFrame, space: SearchSpace, asked: str | None) -> str:
    """The column of a table that names architectures: the one that is asked for, else by name, else by content.

    Raises:
        ConfigError: if there is none, or several could be; DataError: if the table has no header.
    """
    if asked is not None:
        return _asked(path, frame, asked, "--architecture")
    if any(names_one(space, name) for name in frame.columns):
        raise DataError(f"{path} has no header: its first line must name the columns, as architecture,estimate")
    by_name = _by_name(frame, ARCHITECTURE)
    if by_name:
        return by_name[0]
    by_content = [name for name in frame.columns if names_one(space, str(frame[name].iloc[0]))]
    if len(by_content) == 1:
        return by_content[0]
    which = f"several do ({', '.join(by_content)})" if by_content else "none does"
    raise ConfigError(
        f"{path}: no column is called {ARCHITECTURE[0]}, and of its columns ({', '.join(frame.columns)}) {which} name "
        f"architectures of {space.name}; say which with --architecture"
    )


def _estimate_column(
    path: Path, frame: pd.DataFrame, space: SearchSpace, architecture: str, asked: str | None, lower_is_better: bool
) -> str:
    if asked is not None:
        named = _asked(path, frame, asked, "--estimate")
        if named == architecture:
            raise ConfigError(f"{path}: column {named!r} names the architectures; --estimate needs another one")
        return named
    others = frame.drop(columns=architecture)
    candidates = _by_name(others, ESTIMATE) or [
        name for name in others.columns if name and not name.startswith("Unnamed:") and _is_number(frame[name].iloc[0])
    ]
    if len(candidates) != 1:
        which = f"could be any of {', '.join(candidates)}" if candidates else f"is none of {', '.join(frame.columns)}"
        raise ConfigError(f"{path}: the column of estimates {which}; say which with --estimate")
    (named,) = candidates
    if not lower_is_better and any(word in named.lower() for word in LESS_IS_BETTER):
        raise ConfigError(
            f"{path}: column {named!r} sounds as if less were better; add --lower-is-better, or name it with "
            "--estimate if more is"
        )
    return named


def _asked(path: Path, frame: pd.DataFrame, name: str, option: str) -> str:
    if name not in frame.columns:
        raise ConfigError(f"{option} {name}: {path} has no such column; it has {', '.join(frame.columns)}")
    return name


def _by_name(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [column for name in names for column in frame.columns if column.lower() == name]


def names_one(space: SearchSpace, text: str) -> bool:
    """Whether a text names an architecture of the space."""
    try:
        space.decode(text.strip())
    except (ValueError, KeyError, IndexError):
        return False
    return True


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _numbers(path: Path, column: pd.Series, name: str) -> Floats:
    """[rows] numbers of a column, none of them NaN."""
    import pandas as pd

    texts = column.astype(str).str.strip()
    values = np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)
    if not np.isnan(values).any():
        return values
    row = int(np.flatnonzero(np.isnan(values))[0])
    said, count = texts.iloc[row], int(np.isnan(values).sum())
    what = "is missing (NaN)" if said.lower() in NO_NUMBER else f"is {said!r}, which is no number"
    others = f" (and so in {count - 1:,} more rows)" if count > 1 else ""
    raise DataError(
        f"{path}, row {row + 1}: the {name} {what}{others}; leave the row out, or give it -inf if it is the worst"
    )
