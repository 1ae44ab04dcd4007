"""The names of metrics on populations that are not of functions.

A table holds one population, so inside the program a metric has one name, as ``tau[all]``. Where a record is written
and where anything is shown, the names of a population of strings say so: ``tau[all strings]``, ``tau[top50% strings]``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

STRINGS = "connected strings"
"""How the words about a population of strings name it."""
_LABEL = re.compile(r"\[(all|top\d+%)(\|\w+)?\]")
_SHOWN = re.compile(r"\[(all|top\d+%) strings(\|\w+)?\]")

T = TypeVar("T")


def with_population_names(value: T, population: str) -> T:
    """``value`` with every metric's name as it is shown for a population (given in words): in texts, in keys of
    mappings, in sequences and dataclasses of these."""
    return _mapped(value, _LABEL, r"[\1 strings\2]") if STRINGS in population else value


def plain(value: T, population: str) -> T:
    """The inverse of :func:`with_population_names`."""
    return _mapped(value, _SHOWN, r"[\1\2]") if STRINGS in population else value


def _mapped(value: Any, pattern: re.Pattern[str], by: str) -> Any:
    if isinstance(value, str):
        return pattern.sub(by, value)
    if isinstance(value, Mapping):
        return {_mapped(key, pattern, by): _mapped(inner, pattern, by) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(inner, pattern, by) for inner in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: _mapped(getattr(value, each.name), pattern, by) for each in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value
