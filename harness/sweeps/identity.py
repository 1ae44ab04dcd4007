"""The identity of a sweep: trials under another study, search or rule are not comparable with its own.

The storage holds an identity for each arm, and the results folder holds the study file. Both are compared with the
given study file before anything is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.registry import split_spec
from splitbench.harness.running.study_folder import STUDY_FILE
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.record import one_spelling, protocol_parts
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import StudyConfig, parse_study
from splitbench.harness.study.search import Range
from splitbench.harness.sweeps.search_parameters import Parameter
from splitbench.results.records.listing import SWEEP_STUDY


def sweep_identity(
    config: StudyConfig, settings: Settings, arm: Arm, baseline: Arm, parameters: Sequence[Parameter]
) -> dict[str, Any]:
    """An arm's identity as plain JSON; equal for two spellings of one study file."""
    parts = {
        "study": config.name,
        "arm": arm.label,
        "configuration": arm.config(),
        "baseline": {"arm": baseline.label, "configuration": baseline.config()},
        "protocol": protocol_parts(config, settings),
        "seeds": config.seeds,
        "metric": config.sweep.metric,
        "search": {parameter.path: searched_over(parameter) for parameter in parameters},
        "sampler": spec(config.sweep.sampler),
        "pruner": spec(config.sweep.pruner),
    }
    plain: dict[str, Any] = json.loads(json.dumps(parts))
    return plain


def searched_over(parameter: Parameter) -> Any:
    """A range, or the names of its choices."""
    return parameter.over.written() if isinstance(parameter.over, Range) else list(parameter.over)


def spec(given: Any) -> dict[str, Any]:
    """The spec of a sampler or pruner in one spelling."""
    name, options = split_spec(given, "sweep")
    return {"name": name, **options}


def check_sweep_folder(folder: Path, config: StudyConfig) -> None:
    """Refuse the results folder of another sweep, or of a study without one. The same sweep may get more trials and
    more arms.

    Raises:
        StoreError: if the folder belongs to another sweep or study.
    """
    if (folder / STUDY_FILE).exists():
        raise StoreError(f"{folder} holds the results of a study, and no sweep; choose another --out")
    try:
        text = (folder / SWEEP_STUDY).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    kept = _read(text)
    if kept is None:
        return
    if kept.name != config.name:
        raise StoreError(f"{folder} holds the sweep {kept.name!r}, not {config.name!r}; choose another --out")
    arms = {arm.label for arm in kept.arms} & {arm.label for arm in config.arms}
    changed = identity_differences(_comparable(kept, arms), _comparable(config, arms))
    if changed:
        raise StoreError(f"{folder} holds this sweep as it was started {changed}; restore it, or choose another --out")


def _read(text: str) -> StudyConfig | None:
    """A kept study file; None if it is none, as one of another version may be: the storage is asked as well."""
    import yaml

    try:
        data = yaml.safe_load(text)
        return parse_study(data) if isinstance(data, dict) else None
    except (yaml.YAMLError, ConfigError):
        return None


def _comparable(config: StudyConfig, arms: set[str]) -> dict[str, Any]:
    data = config.model_dump(mode="json", exclude={"arms", "sweep"})
    for path, over in (data["search"] or {}).items():
        if isinstance(over, list):
            data["search"][path] = [_number(choice) for choice in over]
    sweep = {"metric": config.sweep.metric, "sampler": spec(config.sweep.sampler), "pruner": spec(config.sweep.pruner)}
    own = {arm.label: arm.model_dump(mode="json") for arm in config.arms if arm.label in arms}
    compared: dict[str, Any] = one_spelling({**data, "sweep": sweep, "arms": own})
    return compared


def _number(choice: Any) -> Any:
    """A choice as a number, also where YAML 1.1 reads ``1e-5`` as text."""
    try:
        return choice if isinstance(choice, bool) else float(choice)
    except (TypeError, ValueError):
        return choice


def identity_differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first value in which two identities differ, and the number of further ones, in words; empty if equal."""
    old, new = _flat(there), _flat(now)
    keys = [key for key in sorted(old.keys() | new.keys()) if (key in old, old.get(key)) != (key in new, new.get(key))]
    if not keys:
        return ""
    # A fingerprint says only that something else has changed, so it speaks where nothing else does.
    key = min(keys, key=lambda key: (key.endswith(("fingerprint", "images", "truth")), keys.index(key)))
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    if key.endswith("fingerprint"):
        part = key.removesuffix(".fingerprint")
        return f"with other code of the component at {part}{more}"
    return f"with {key} {_brief(old, key)}, and the study file now says {_brief(new, key)}{more}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted paths; an empty mapping is a value."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) and inner else {f"{prefix}{key}": inner}
    return flat


def _brief(flat: Mapping[str, Any], key: str) -> str:
    text = json.dumps(flat[key], ensure_ascii=False) if key in flat else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."
