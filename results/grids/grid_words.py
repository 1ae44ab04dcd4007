"""The cells of a grid in words: what their folders are called, and how their values are shown."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from splitbench.results.words.values import exact_words

SLUG_LENGTH = 100


def cell_names(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """A folder's name for each cell, its values in words: ``flops=5e10--trainer=rsps``. Names that would be the same,
    or too long, get a hash of the values."""
    names = [cell_name(values) for values in cells]
    return [
        f"{name[:SLUG_LENGTH]}-{_hash(values)}" if names.count(name) > 1 or len(name) > SLUG_LENGTH else name
        for name, values in zip(names, cells, strict=True)
    ]


def cell_name(values: Mapping[str, Any]) -> str:
    """A cell's values in words that are safe in a path, as lower case."""
    ends = [axis.rpartition(".")[2] for axis in values]
    keys = [end if ends.count(end) == 1 else axis for end, axis in zip(ends, values, strict=True)]
    words = [f"{key}={exact_words(value)}" for key, value in zip(keys, values.values(), strict=True)]
    return "--".join(re.sub(r"[^a-z0-9._=+]+", "-", word.lower()).strip("-.") for word in words)


def _hash(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
