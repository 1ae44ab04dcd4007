"""The differences between two configurations of records, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE_CHANGED = ": its source changed"


def config_changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The differences between two configurations, as ``trainers.weight_decay 0.0005 -> 0.05``.

    If only a fingerprint differs, the source has changed: parameters are the same, the code behind them is not.
    """
    sentences = []
    for key in sorted(old.keys() | new.keys()):
        before, after, name = old.get(key), new.get(key), f"{prefix}{key}"
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            sentences += config_changes(before, after, f"{name}.")
        elif key == "fingerprint":
            sentences.append(f"{prefix.rstrip('.') or 'arm'}{SOURCE_CHANGED}")
        else:
            sentences.append(f"{name} {_word(before)} -> {_word(after)}")
    return sentences


def _word(value: Any) -> str:
    return "(absent)" if value is None else str(value)
