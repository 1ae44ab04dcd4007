"""One door for all components: criteria, partitioners, edge rules, trainers, modifiers, selectors, leaf choices,
spaces, datasets, proxies, engines.

A component is found by name through entry points (`splitbench.criteria`, ...), the built-in ones like a stranger's
plugin. Lookup is lazy: nothing is imported before it is built. Notebooks and tests use :func:`register`, and
``--plugin FILE.py`` uses :func:`load_plugin`.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from splitbench.harness.errors import ConfigError
from splitbench.harness.plugins import imports as plugin_imports
from splitbench.harness.plugins.component import BUILT_IN, exception_text, strangers_code
from splitbench.harness.plugins.component import Component as Component

KINDS = (
    "criteria",
    "partitioners",
    "edge_rules",
    "trainers",
    "modifiers",
    "selectors",
    "leaf_choices",
    "spaces",
    "datasets",
    "proxies",
    "engines",
)
Spec = str | Mapping[str, Any]
T = TypeVar("T")


def suggestion(word: str, allowed: list[str]) -> str:
    """`` (did you mean 'x'?)`` or nothing."""
    near = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def plural(kind: str) -> str:
    """The registry's name of a kind, from 'criterion', 'edge-rule', 'spaces', ...

    Raises:
        ConfigError: if there is no such kind.
    """
    word = kind.lower().replace("-", "_").replace(" ", "_")
    for known in KINDS:
        if word in (known, singular(known)):
            return known
    raise ConfigError(f"unknown kind of component {kind!r}{suggestion(word, list(KINDS))}; kinds: {', '.join(KINDS)}")


def singular(kind: str) -> str:
    """One component of a kind, as :func:`plural` reads it: ``edge_rule`` for ``edge_rules``."""
    return {"criteria": "criterion", "proxies": "proxy"}.get(kind, kind.removesuffix("s"))


_registered: dict[tuple[str, str], Component] = {}


@functools.lru_cache(maxsize=1)
def _installed() -> dict[tuple[str, str], Component]:
    installed: dict[tuple[str, str], Component] = {}
    points = importlib.metadata.entry_points()  # once: it reads every installed distribution
    for kind in KINDS:
        for point in points.select(group=f"splitbench.{kind}"):
            origin = point.dist.name if point.dist else "unknown distribution"
            _add(installed, Component(kind, point.name, point.value, origin))
    return installed


def _add(components: dict[tuple[str, str], Component], new: Component) -> None:
    old = components.get((new.kind, new.name))
    if old is not None and (old.target, old.origin) != (new.target, new.origin):
        raise ConfigError(
            f"two {new.kind} components are called {new.name!r}: {old.target} from {old.origin} and "
            f"{new.target} from {new.origin}; uninstall or rename one of them"
        )
    components[(new.kind, new.name)] = new


def components(kind: str) -> dict[str, Component]:
    """All components of a kind, by name, in alphabetical order."""
    merged = dict(_installed())
    for component in _registered.values():
        _add(merged, component)
    return {name: c for (k, name), c in sorted(merged.items()) if k == plural(kind)}


def get(kind: str, name: str, where: str = "") -> Component:
    """The component called ``name``.

    Args:
        kind: the registry.
        name: of the component.
        where: path of the name in the study file, for messages.

    Raises:
        ConfigError: naming what there is, with a suggestion.
    """
    known = components(kind)
    if name not in known:
        raise ConfigError(
            f"{where and f'{where}: '}unknown {kind} component {name!r}{suggestion(name, list(known))}; "
            f"there are: {', '.join(known) or 'none'}; a plugin file is named with --plugin FILE.py"
        )
    return known[name]


def register(kind: str, name: str) -> Callable[[T], T]:
    """Decorator that makes a class or function a component of this process.

    Raises:
        ConfigError: if another component has that name.
    """

    def decorate(thing: T) -> T:
        target = f"{getattr(thing, '__module__', '?')}:{getattr(thing, '__qualname__', repr(thing))}"
        try:
            origin = inspect.getfile(thing)  # type: ignore[arg-type]
        except (TypeError, OSError):
            origin = "this process"
        module = str(sys._getframe(1).f_globals.get("__name__", ""))
        component = Component(plural(kind), name, target, Path(origin).name, thing, module)
        plugin_imports.remember(module)
        _add(_registered | _installed(), component)
        _registered[(component.kind, name)] = component
        return thing

    return decorate


def load_plugin(path: str | Path) -> None:
    """Import a file, or a folder with an ``__init__.py``, whose components register themselves.

    A plugin that is loaded already is loaded again if one of its files has changed.

    Raises:
        ConfigError: if there is no such plugin, if it fails to import, or registers nothing.
    """
    path = Path(path).resolve()
    where = f"--plugin {path}"
    if not path.exists():
        near = path.with_name(f"{path.name}.py")
        raise ConfigError(f"{where}: there is no such file{f' (did you mean {near.name}?)' if near.exists() else ''}")
    if not (path.suffix == ".py" and path.is_file()) and not (path / "__init__.py").is_file():
        raise ConfigError(f"{where}: a plugin is a file whose name ends in .py, or a folder with an __init__.py")
    paths = plugin_imports.missing(path)
    if not paths:
        return
    package = plugin_imports.package_of(path)
    if paths != [path]:  # an edited plugin is loaded again, and those beside it
        for key in [key for key, component in _registered.items() if component.module.startswith(f"{package}.")]:
            del _registered[key]
    before = dict(_registered)
    try:
        for each in paths:
            with strangers_code(f"--plugin {each}"):
                files = plugin_imports.import_plugin(each).files
            if not any(plugin_imports.module_file(component.module) in files for component in _registered.values()):
                raise ConfigError(
                    f"--plugin {each}: it registers no component; decorate one with "
                    "splitbench.harness.registry.register"
                )
    except ConfigError:
        plugin_imports.unload(path)
        _registered.clear()
        _registered.update(before)
        raise


def parameters(component: Component) -> dict[str, inspect.Parameter]:
    """The component's own parameters: fields of a dataclass, keyword arguments of a function after its inputs."""
    thing = component.load()
    signature = inspect.signature(thing)
    if is_dataclass(thing):
        own = {field.name: field for field in fields(thing) if field.init}
        made = {name: f.default_factory() for name, f in own.items() if f.default_factory is not MISSING}
        return {
            name: p.replace(default=made[name]) if name in made else p
            for name, p in signature.parameters.items()
            if name in own
        }
    if inspect.isclass(thing):
        return dict(signature.parameters)
    return {name: p for name, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def build(kind: str, spec: Spec, where: str = "") -> Any:
    """An instance of the component that ``spec`` names, with its parameters checked.

    Args:
        kind: the registry.
        spec: a bare name, or ``{name: ..., **parameters}``.
        where: path of the spec in the study file, for messages.

    Raises:
        ConfigError: unknown component or parameter, or a value of the wrong type.
    """
    from pydantic import ValidationError

    where = where or plural(kind)
    name, given = split_spec(spec, where)
    component = get(kind, name, where)
    allowed = parameters(component)
    for key in given:
        if key not in allowed:
            raise ConfigError(
                f"{where}: {name} has no parameter {key!r}{suggestion(key, list(allowed))}; "
                f"it takes: {', '.join(allowed) or 'none'}"
            )
    for key, parameter in allowed.items():
        if parameter.default is parameter.empty and key not in given:
            raise ConfigError(f"{where}: {name} needs the parameter {key!r}; it takes: {', '.join(allowed)}")
    thing = component.load()
    try:
        return _built(thing, given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise ConfigError(f"{where}.{key}: {message}, not {first['input']!r}") from error
    except ConfigError as error:
        if str(error).startswith(where):
            raise
        raise ConfigError(f"{where}: {error}") from error
    except (Exception, SystemExit) as error:
        if component.origin == BUILT_IN and not isinstance(error, TypeError | ValueError):
            raise
        said = (
            f"{where}: {error}"
            if component.origin == BUILT_IN
            else f"{where}: {name} from {component.origin} cannot be built: {exception_text(error)}"
        )
        raise ConfigError(said) from error


def _built(thing: Any, given: Mapping[str, Any]) -> Any:
    """A dataclass or plain class with its parameters; a function with them bound."""
    from pydantic import TypeAdapter

    if is_dataclass(thing):
        return TypeAdapter(thing).validate_python(dict(given))
    checked = _checked(thing, given)
    return thing(**checked) if inspect.isclass(thing) else functools.partial(thing, **checked)


def _checked(thing: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a function or plain class, each as its annotation asks; what has none is taken as it is."""
    from pydantic import create_model

    try:
        hints = typing.get_type_hints(thing.__init__ if inspect.isclass(thing) else thing)
    except (NameError, TypeError):  # annotations that do not exist when the program runs
        hints = {}
    fields: dict[str, Any] = {key: (hints.get(key, Any), ...) for key in given}
    return dict(create_model("Parameters", **fields)(**given))


def split_spec(spec: Spec, where: str) -> tuple[str, dict[str, Any]]:
    """Name and parameters of a component's spec."""
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise ConfigError(f"{where}: a component is a name or a mapping with the key 'name', not {spec!r}")
    return spec["name"], {str(key): value for key, value in spec.items() if key != "name"}


def nested_specs(thing: Any) -> Mapping[str, str]:
    """Parameters that are specs of other components, and their kinds, as a class attribute ``nested`` declares them."""
    kinds: Mapping[str, str] = getattr(thing, "nested", {})
    return kinds
