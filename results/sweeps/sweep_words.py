"""The names of a sweep's parameters, their values and its components."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from splitbench.results.words.sheet import NOTHING
from splitbench.results.words.values import sampled_words


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """By path: the fewest of its last parts that tell it from the others, as ``learning_rate``."""
    names = {}
    for path in paths:
        parts = path.split(".")
        others = [other.split(".") for other in paths if other != path]
        kept = next((k for k in range(1, len(parts)) if all(o[-k:] != parts[-k:] for o in others)), len(parts))
        names[path] = ".".join(parts[-kept:])
    return names


def component_words(spec: Mapping[str, Any]) -> str:
    """As ``tpe(multivariate=true)``."""
    rest = ", ".join(f"{key}={_plain(value)}" for key, value in sorted(spec.items()) if key != "name")
    name = str(spec.get("name", "none"))
    return f"{name}({rest})" if rest else name


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return sampled_words(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def domain_words(domain: Any) -> str:
    """A list of choices or a range, as the study file has them, in words."""
    if isinstance(domain, list):
        return ", ".join(map(_plain, domain))
    if isinstance(domain, dict):
        for kind, how in (("log", ", on a logarithmic scale"), ("range", "")):
            ends = domain.get(kind)
            if isinstance(ends, list) and len(ends) == 2:
                step = f" in steps of {_plain(domain['step'])}" if domain.get("step") is not None else ""
                return f"{_plain(ends[0])} to {_plain(ends[1])}{step}{how}"
    return _plain(domain) if domain is not None else NOTHING
