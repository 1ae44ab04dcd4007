"""YAML as splitbench reads it: every key once, numbers as people write them, nothing that grows without bound.

The differences from ``yaml.safe_load``, which keeps the last of two equal keys in silence:

- a key that stands twice in one mapping is an error that names both lines;
- ``2e14``, ``1e-1`` and ``4e1`` are numbers (YAML 1.1 reads them as text), whole ones are integers;
- dates are text: no study file needs them, and ``2001-99-99`` is none;
- aliases are fine as long as the text that they stand for stays short.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from splitbench.harness.errors import ConfigError

DEEPEST = 100
MOST_VALUES = 100_000
"""Far beyond any study file; a few lines of nested aliases stand for billions."""
EXPONENT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$")
EXACT = 2**53  # beyond it not every whole number is a float


class _FaultError(yaml.MarkedYAMLError):
    """YAML that can be read, and says what no file of ours may say."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the differences above."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                raise _FaultError(
                    problem=f"the key {str(key)!r} stands there a second time, after line {lines[key]}; "
                    "write it once, or the last one would win in silence",
                    problem_mark=key_node.start_mark,
                )
            lines[key] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value that cannot be made from its text is an error with its line, whatever its maker raises."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
            tag = node.tag.rpartition(":")[2]
            raise _FaultError(
                problem=f"{_short(getattr(node, 'value', ''))} cannot be read as {tag}",
                problem_mark=node.start_mark,
            ) from error

    def construct_exponent(self, node: yaml.ScalarNode) -> int | float:
        """A number with an exponent; a whole one is an integer, as the same number without an exponent is."""
        number = float(self.construct_scalar(node))
        return int(number) if number.is_integer() and abs(number) < EXACT else number


# PyYAML keeps its tables of a class in a dictionary that subclasses share until they add to it.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_EXPONENT_TAG = "tag:splitbench,2026:exponent"
for _first in "-+0123456789":
    _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_EXPONENT_TAG, EXPONENT))
_Loader.add_constructor(_EXPONENT_TAG, _Loader.construct_exponent)


def read_yaml(text: str, source: str) -> Any:
    """What a YAML text says.

    Args:
        text: the whole text.
        source: the file's name, for messages.

    Raises:
        ConfigError: one sentence with the line, for text that is no YAML, a key that stands twice, a value that cannot
            be read, or nesting and aliases beyond what any study file needs.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, source, {}, set(), 0)
        return loader.construct_document(node)
    except RecursionError:
        raise ConfigError(f"{source}: brackets or blocks are nested too deeply; at most {DEEPEST} levels") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place else ""
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        what = "wrong" if isinstance(error, _FaultError) else "this is not YAML"
        raise ConfigError(f"{source}: {what}{line}: {problem}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _measure(node: yaml.Node, source: str, sizes: dict[int, int], above: set[int], depth: int) -> int:
    """How many values a node stands for once its aliases are written out.

    Raises:
        ConfigError: too many, too deep, or an alias inside of what it stands for.
    """
    known = sizes.get(id(node))
    if known is not None:
        return known
    line = node.start_mark.line + 1
    if id(node) in above:
        raise ConfigError(f"{source}: the anchor in line {line} contains an alias of itself; write it out")
    if depth > DEEPEST:
        raise ConfigError(f"{source}: line {line} is nested too deeply; at most {DEEPEST} levels")
    size = 1
    if isinstance(node, yaml.CollectionNode):
        above.add(id(node))
        children = (
            node.value if isinstance(node, yaml.SequenceNode) else [child for pair in node.value for child in pair]
        )
        size += sum(_measure(child, source, sizes, above, depth + 1) for child in children)
        above.discard(id(node))
    if size > MOST_VALUES:
        raise ConfigError(
            f"{source}: with its aliases written out, the value in line {line} holds more than {MOST_VALUES:,} values; "
            "use fewer aliases of aliases"
        )
    sizes[id(node)] = size
    return size


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text):,} characters)"
