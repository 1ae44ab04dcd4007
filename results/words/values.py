"""Values of study files in words: of a grid's axis, a sweep's parameter, a supernet's setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from splitbench.harness.study.config import short


def exact_words(value: Any) -> str:
    """A value of a grid's axis in a few characters, exact since it names a folder; large numbers as ``2e11``."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        brief = f"{value:g}"
        return (brief if float(brief) == value else repr(value)).replace("e+", "e")
    if isinstance(value, list):
        return "+".join(map(exact_words, value))
    if isinstance(value, Mapping) and "name" not in value:
        rest = {key: inner for key, inner in value.items() if key != "criterion"}
        own = str(value.get("criterion", ""))
        return own + " ".join(["", *(f"{key}={exact_words(inner)}" for key, inner in rest.items())])
    return short(value)


def sampled_words(value: bool | int | float | str | None) -> str:
    """A value of a sweep's parameter as in a study file; a sampled value has four digits only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "not set"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def setting_words(value: Any) -> str:
    """A value of an unsplit supernet's setting, in the words of ``splitbench expect``; None means all there is."""
    return "all" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
