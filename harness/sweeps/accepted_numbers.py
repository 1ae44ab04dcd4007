"""Which numbers a searched parameter takes: read from the declaration of the component that has it.

The study's own value cannot say: it may be None where a number is allowed, and a component that the arm does not have
yet has no value at all.
"""

from __future__ import annotations

import inspect
import numbers
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from splitbench.harness.registry import Component, get, nested_specs, parameters, split_spec
from splitbench.harness.study.config import ScheduleConfig, short
from splitbench.harness.study.search import Range

Value = bool | int | float | str
Number = type[int] | type[float]


@dataclass(frozen=True)
class Declared:
    """The declaration of a parameter in one component.

    Attributes:
        component: the component's name.
        annotation: the type; Any if it is not known.
        default: the default value; None if there is none.
    """

    component: str
    annotation: Any
    default: Any


def of_schedule(name: str) -> Iterator[Declared]:
    """The schedule's key of that name, if it has one."""
    field = ScheduleConfig.model_fields.get(name)
    if field is not None:
        yield Declared("schedule", field.annotation, field.default)


def declared(
    kind: str, own: Mapping[str, Any] | None, prefix: str, rest: Sequence[str], search: Mapping[str, Range | list[Any]]
) -> Iterator[Declared]:
    """The declarations of parameter ``rest``, in a component and in each one that the search may put in its place.

    Args:
        kind: the component's registry.
        own: the component as the study file has it; None if it has none.
        prefix: the component's path.
        rest: the parameter's path in it.
        search: what is searched, the component itself among it if it may be exchanged.

    Raises:
        ConfigError: if the search names a component that does not exist.
    """
    others = search.get(prefix, [])
    names = [str(own["name"])] if own is not None else []
    names += [split_spec(spec, prefix)[0] for spec in (others if isinstance(others, list) else [])]
    for name in dict.fromkeys(names):
        component = get(kind, name, f"search.{prefix}")
        parameter = parameters(component).get(rest[0])
        if parameter is None:
            continue
        if len(rest) == 1:
            default = None if parameter.default is parameter.empty else parameter.default
            yield Declared(name, annotation(component, parameter), default)
            continue
        inner = nested_specs(component.load()).get(rest[0])
        value = own.get(rest[0]) if own is not None and own["name"] == name else None
        if inner is not None:
            spec = value if isinstance(value, Mapping) else None
            yield from declared(inner, spec, f"{prefix}.{rest[0]}", rest[1:], search)


def annotation(component: Component, parameter: inspect.Parameter) -> Any:
    """A parameter's type, also where its module postpones the evaluation of annotations; Any if it is not known."""
    thing = component.load()
    holder = thing.__init__ if inspect.isclass(thing) and not is_dataclass(thing) else thing
    try:
        return typing.get_type_hints(holder).get(parameter.name, Any)
    except (NameError, AttributeError, TypeError):  # one of them does not exist when the program runs
        pass
    if parameter.annotation is parameter.empty:
        return Any
    alone = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(alone, vars(sys.modules[thing.__module__]))[parameter.name]
    except (NameError, AttributeError, TypeError, KeyError):
        return Any


def type_members(of: Any) -> Iterator[Any]:
    """The alternatives of a type, each without its arguments and without what Annotated adds."""
    origin = typing.get_origin(of)
    if origin is typing.Annotated:
        yield from type_members(typing.get_args(of)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(of):
            yield from type_members(member)
    elif origin is typing.Literal:
        yield from map(type, typing.get_args(of))
    elif isinstance(of, typing.NewType):
        yield from type_members(of.__supertype__)
    else:
        yield origin or (type(None) if of is None else of)


def number_type(parameter: Declared, own: Any) -> Number | None:
    """Whether a parameter takes whole numbers only (int), any (float), or none (None).

    Args:
        parameter: its declaration in one component.
        own: the study file's value, which decides where the type does not, and the default after it.
    """
    classes = list(type_members(parameter.annotation))
    known = all(isinstance(member, type) and member not in (Any, object) for member in classes)
    number_classes = [
        m for m in classes if isinstance(m, type) and issubclass(m, numbers.Real) and not issubclass(m, bool)
    ]
    whole = {issubclass(member, numbers.Integral) for member in number_classes}
    if len(whole) == 1:
        return int if whole == {True} else float
    if known and not number_classes:
        return None
    for value in (own, parameter.default):
        if is_number(value):
            return int if isinstance(value, int) else float
        if value is not None and not number_classes:
            return None
    return float


def is_number(value: Any) -> bool:
    """Whether a value is a number, which a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def called(value: Any, takes: Number | None) -> Value:
    """The name of a choice: the value itself if it is a plain one, else its short form."""
    value = number_like(value, takes)
    return value if isinstance(value, bool | int | float | str) else short(value)


def number_like(value: Any, takes: Number | None) -> Any:
    """A choice as the number that the parameter takes, also where YAML 1.1 reads ``1e-5`` as text."""
    if takes is None or isinstance(value, bool) or (takes is int and isinstance(value, int)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return int(number) if takes is int and number.is_integer() else number
