"""A key of a study file by its dotted path: what ``splitbench run --set budget.flops=2e11`` changes before the file is
checked. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.harness.study.config import StudyConfig, short
from splitbench.harness.study.yaml_text import read_yaml

EXAMPLE = "--set budget.flops=2e11"


def parse_set(words: Sequence[str]) -> dict[str, Any]:
    """Path -> value of each ``KEY=VALUE``, the value read as YAML.

    Raises:
        ConfigError: for a word that is no KEY=VALUE, a path with an empty part, a path given twice, or a value that is
            no YAML.
    """
    values: dict[str, Any] = {}
    for word in words:
        path, equals, text = word.partition("=")
        path = path.strip()
        if not equals or not all(path.split(".")):
            raise ConfigError(f"--set {word}: a key and its value are expected, as in {EXAMPLE}")
        if path in values:
            raise ConfigError(f"--set {path}: it is set twice; set it once")
        values[path] = read_yaml(text, f"--set {path}")
    return values


def put_all(study: Mapping[str, Any], values: Mapping[str, Any], where: str = "--set") -> dict[str, Any]:
    """A study file's content with these values at their paths, shorter paths first; the content itself is left alone.

    Args:
        study: what the file says.
        values: path -> value.
        where: where the paths stand, for messages.

    Raises:
        ConfigError: as :func:`put_value` does.
    """
    changed = dict(study)
    for path in sorted(values, key=lambda path: path.count(".")):
        try:
            changed = put_value(changed, path, values[path])
        except ConfigError as error:
            raise ConfigError(f"{where} {error}") from error
    return changed


def put_value(study: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A study file's content with ``value`` at a dotted path; the content itself is left alone.

    A component that stands there by its bare name, or by default, becomes a mapping of its name and the parameter. A
    budget has one unit, so ``budget.flops`` takes the place of any other. An entry of a list is named by its number,
    from 0. Whether there is such a key is found out when the study is checked.

    Raises:
        ConfigError: if the path leads through a value that has no keys, or beyond a list's end.
    """
    key, *rest = path.split(".")
    if not rest:
        return {**study, key: value}
    if key == "budget":
        return {**study, key: _inside({}, rest, value, path, key)}
    there = study[key] if study.get(key) is not None else _default(key)
    return {**study, key: _inside(there, rest, value, path, key)}


def _default(key: str) -> Any:
    """The name of the component that a study has where its file names none."""
    field = StudyConfig.model_fields.get(key)
    return field.default if field is not None and isinstance(field.default, str) else {}


def _inside(there: Any, rest: Sequence[str], value: Any, path: str, place: str) -> Any:
    """``there`` with ``value`` at what is left of the path; ``place`` is the part that has been walked."""
    if not rest:
        return value
    key, *deeper = rest
    if isinstance(there, list):
        if not key.isdecimal() or int(key) >= len(there):
            raise ConfigError(
                f"{path}: {place} is a list of {len(there)}, so a number from 0 to {len(there) - 1} is expected after "
                f"it, not {key!r}"
            )
        index = int(key)
        entry = {"criterion": there[index]} if place == "arms" and isinstance(there[index], str) else there[index]
        return [*there[:index], _inside(entry, deeper, value, path, f"{place}.{key}"), *there[index + 1 :]]
    if isinstance(there, str):
        there = {"name": there}
    if there is None:
        there = {}
    if not isinstance(there, Mapping):
        raise ConfigError(f"{path}: {place} is {short(there)}, which has no keys; set {place} itself")
    return {**there, key: _inside(there.get(key), deeper, value, path, f"{place}.{key}")}
