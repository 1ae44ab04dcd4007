"""Components named in a word of a command line."""

from __future__ import annotations

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, get, split_spec
from splitbench.harness.study.yaml_text import read_yaml


def spec_of(text: str, where: str, kind: str | None = None) -> Spec:
    """A bare name, or a YAML mapping in one argument.

    Args:
        text: the argument.
        where: its name, for messages.
        kind: the registry that must have it; not looked up if None.

    Raises:
        ConfigError: if it is neither, or there is no such component.
    """
    try:
        read: Spec = read_yaml(text, where) if text.lstrip().startswith("{") else text
    except ConfigError as error:
        raise ConfigError(
            f"{where} {text}: it is not a mapping like '{{name: NAME, PARAMETER: VALUE}}' "
            f"({str(error).removeprefix(f'{where}: ')})"
        ) from error
    name, given = split_spec(read, where)
    if kind is not None:
        get(kind, name, where)
    return {"name": name, **given} if given else name
