"""What a hash is made of: one text for one value, and the fields of inputs that decide a result."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from splitbench.harness.part import Part
from splitbench.spaces.base import SubSpace

NOT_HASHED: Mapping[str, bool] = {"hashed": False}
"""Metadata of a field that says nothing of the result."""
HASHED_IF_SET: Mapping[str, bool] = {"hashed_by_default": False}
"""Metadata of an option that was added later: at its default a stage keeps the hash that it had before."""

STAGE_KEY: Mapping[str, bool] = {"stage_key": True}
"""Metadata of a field that holds the key of a stage whose result is read, or several."""


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hashed(value: Any) -> Any:
    """What a stage's hash is made of, as plain JSON: of dataclasses all fields but those that say nothing."""
    if isinstance(value, Part):
        return value.described()
    if isinstance(value, SubSpace):
        return [list(operations) for operations in value.allowed]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [each for each in dataclasses.fields(value) if _tells(each, getattr(value, each.name))]
        return {each.name: hashed(getattr(value, each.name)) for each in fields}
    if isinstance(value, Mapping):
        return {str(key): hashed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hashed(inner) for inner in value]
    return value


def stage_keys(value: Any) -> Iterator[str]:
    """The keys of stages in a value, in the order of its fields: what fields hold that are marked as ``STAGE_KEY``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for each in dataclasses.fields(value):
            inner = getattr(value, each.name)
            if each.metadata.get("stage_key"):
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from stage_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from stage_keys(inner)


def _tells(each: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a field belongs to a hash."""
    unset = not each.metadata.get("hashed_by_default", True) and value == each.default
    return each.metadata.get("hashed", True) and not unset
