"""A component with all its parameters: the one form that a study file's spec has once the file is read.

Stages carry it from the planner to the worker, hashes and records are made of it, and :meth:`Part.build` gives the
component itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec


@dataclass(frozen=True)
class Part:
    """A component as a study uses it.

    Attributes:
        kind: the registry it is in, e.g. ``criteria``.
        name: what study files call it.
        identity: changes when what it computes may have changed.
        parameters: every parameter, with defaults filled in; those that name other components are parts.
    """

    kind: str
    name: str
    identity: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, kind: str, spec: Spec, where: str = "", bound: Any = None) -> Part:
        """The part that a spec describes, checked.

        Args:
            kind: the registry.
            spec: a name, or ``{name: ..., **parameters}``.
            where: path of the spec in the study file, for messages.
            bound: the component itself, where something beside the spec decides about its parameters (a search space
                that is bound to a dataset's images); its attributes are then the parameters.

        Raises:
            ConfigError: unknown component or parameter, or a value of the wrong type.
        """
        instance = registry.build(kind, spec, where) if bound is None else bound
        name, given = registry.split_spec(spec, where)
        component = registry.get(kind, name)
        parameters = registry.parameters(component)
        if isinstance(instance, functools.partial):
            values = {key: instance.keywords.get(key, parameter.default) for key, parameter in parameters.items()}
        else:
            values = {
                key: getattr(instance, key, given.get(key, parameter.default)) for key, parameter in parameters.items()
            }
        for key, inner in registry.nested_specs(component.load()).items():
            values[key] = cls.of(inner, values[key], f"{where or name}.{key}")
        return cls(kind, name, component.identity, values)

    def build(self) -> Any:
        """The component itself.

        Raises:
            ConfigError: if a component is no longer the one that the part was made of: a worker would otherwise store
                what an edited plugin computes under the name of the plugin before.
        """
        for part in self.all():
            if (component := registry.get(part.kind, part.name)).identity != part.identity:
                raise ConfigError(
                    f"{part.kind} component {part.name!r} from {component.origin} has changed since this study began; "
                    "run the study again"
                )
        return registry.build(self.kind, self.written())

    def written(self) -> dict[str, Any]:
        """As a study file could have it: name and parameters."""
        return {"name": self.name, **{key: _each(value, Part.written) for key, value in self.parameters.items()}}

    def described(self) -> dict[str, Any]:
        """As hashes and records have it: with what identifies the component's code."""
        values = {key: _each(value, Part.described) for key, value in self.parameters.items()}
        return {"name": self.name, "fingerprint": self.identity, **values}

    def all(self) -> list[Part]:
        """This part and those that it is made of."""
        inner = [value for value in self.parameters.values() if isinstance(value, Part)]
        return [self, *(part for nested_part in inner for part in nested_part.all())]


def _each(value: Any, form: Any) -> Any:
    return form(value) if isinstance(value, Part) else value
