"""One door for all components: criteria, partitioners, edge rules, trainers, selectors, spaces, datasets and proxies.

A component is found by name through entry points (`splitbench.criteria`, ...), the built-in ones like a stranger's
plugin. Lookup is lazy: nothing is imported before it is built. Notebooks and tests use :func:`register`, and
``--plugin FILE.py`` uses :func:`load_plugin`.
"""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import typing
import uuid
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from splitbench.harness.errors import ConfigError, SplitbenchError

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
)
HASHED = ("criteria", "partitioners", "edge_rules", "proxies")  # by their source even if built in
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
        singular = {"criteria": "criterion", "proxies": "proxy"}.get(known, known.removesuffix("s"))
        if word in (known, singular):
            return known
    raise ConfigError(f"unknown kind of component {kind!r}{suggestion(word, list(KINDS))}; kinds: {', '.join(KINDS)}")


def renamed(error: BaseException) -> str:
    """What a plugin that was written for the package names of splitbench 0.1 has to import now; else nothing."""
    old = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if old not in ("harness", "criteria", "spaces", "results"):
        return ""
    return f": import splitbench.{old} instead of {old}, as packages of splitbench are called since version 0.2"


@dataclass(frozen=True)
class Component:
    """A named component that may not have been imported yet.

    Attributes:
        kind: the registry it is in, e.g. ``criteria``.
        name: what study files call it.
        target: ``module:attribute``.
        origin: the distribution or file it comes from.
        loaded: the object itself, if it was registered in this process.
    """

    kind: str
    name: str
    target: str
    origin: str
    loaded: Any = None

    def load(self) -> Any:
        """The class or function itself.

        Raises:
            ConfigError: if its module cannot be imported or lacks the attribute.
        """
        if self.loaded is not None:
            return self.loaded
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # a stranger's module may raise anything
            raise ConfigError(
                f"{self.kind} component {self.name!r} from {self.origin} cannot be loaded from {self.target}: "
                f"{type(error).__name__}: {error}{renamed(error)}; mend or uninstall {self.origin}"
            ) from error

    @property
    def summary(self) -> str:
        """First line of the docstring, read from the source: nothing is imported."""
        if self.loaded is not None:
            return (inspect.getdoc(self.loaded) or "").partition("\n")[0]
        path = _source(self.target.partition(":")[0])
        return _docstring(path, self.target.partition(":")[2]) if path else ""

    @property
    def fingerprint(self) -> str:
        """Changes when the component's behaviour may have changed; part of every stage's hash.

        Built-in trainers, spaces, datasets and selectors carry a ``version``; of all others, what decides a split
        included, the source file is hashed.
        """
        loaded = self.load()
        if self.origin == "splitbench" and self.kind not in HASHED:
            return f"{self.name}-{getattr(loaded, 'version', 1)}"
        try:
            source = Path(inspect.getfile(loaded)).read_bytes()
        except (TypeError, OSError):
            source = _definition(loaded)
        return f"{self.name}-{hashlib.sha256(source).hexdigest()[:16]}"


def _definition(thing: Any) -> bytes:
    """What a component defined in a notebook says, or something new each time where even that cannot be known."""
    try:
        return inspect.getsource(thing).encode()
    except (TypeError, OSError):
        return uuid.uuid4().bytes


def _source(module: str) -> Path | None:
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    roots = [Path(p) for p in spec.submodule_search_locations or []]
    if not rest and spec.origin:
        return Path(spec.origin)
    for root in roots:
        for candidate in (root.joinpath(*rest).with_suffix(".py"), root.joinpath(*rest, "__init__.py")):
            if candidate.exists():
                return candidate
    return None


@functools.lru_cache(maxsize=256)
def _docstring(path: Path, attribute: str) -> str:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


_registered: dict[tuple[str, str], Component] = {}


@functools.lru_cache(maxsize=1)
def _installed() -> dict[tuple[str, str], Component]:
    found: dict[tuple[str, str], Component] = {}
    points = importlib.metadata.entry_points()  # once: it reads every installed distribution
    for kind in KINDS:
        for point in points.select(group=f"splitbench.{kind}"):
            origin = point.dist.name if point.dist else "unknown distribution"
            _add(found, Component(kind, point.name, point.value, origin))
    return found


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
        component = Component(plural(kind), name, target, Path(origin).name, thing)
        _add(_registered | _installed(), component)
        _registered[(component.kind, name)] = component
        return thing

    return decorate


def load_plugin(path: str | Path) -> None:
    """Import a file whose components register themselves.

    Raises:
        ConfigError: if the file is missing, fails to import, or registers nothing.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise ConfigError(f"--plugin {path}: there is no such file")
    name = f"splitbench_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    before = len(_registered)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(f"--plugin {path}: {type(error).__name__}: {error}{renamed(error)}") from error
    if len(_registered) == before:
        raise ConfigError(
            f"--plugin {path}: it registers no component; decorate one with splitbench.harness.registry.register"
        )


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
    from pydantic import TypeAdapter, ValidationError

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
        if is_dataclass(thing):
            return TypeAdapter(thing).validate_python(dict(given))
        checked = _checked(thing, given)
        return thing(**checked) if inspect.isclass(thing) else functools.partial(thing, **checked)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise ConfigError(f"{where}.{key}: {message}, not {first['input']!r}") from error
    except ConfigError as error:
        if str(error).startswith(where):
            raise
        raise ConfigError(f"{where}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except SplitbenchError:
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where}: {name} from {component.origin} cannot be made: {said}") from error


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


def resolved(kind: str, spec: Spec, where: str = "") -> dict[str, Any]:
    """The spec with every default filled in and the component's fingerprint: what stages are hashed by."""
    instance = build(kind, spec, where)
    name, given = split_spec(spec, where)
    component = get(kind, name)
    if isinstance(instance, functools.partial):
        values = {key: instance.keywords.get(key, p.default) for key, p in parameters(component).items()}
    else:
        values = {key: getattr(instance, key, given.get(key, p.default)) for key, p in parameters(component).items()}
    for key, inner in nested(component.load()).items():
        values[key] = resolved(inner, values[key], f"{where or name}.{key}")
    return {"name": name, "fingerprint": component.fingerprint, **values}


def nested(thing: Any) -> Mapping[str, str]:
    """Parameters that are specs of other components, and their kinds, as a class attribute ``nested`` declares them."""
    found: Mapping[str, str] = getattr(thing, "nested", {})
    return found


def bare(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved spec as a study file would write it: without fingerprints, in nested specs as well."""
    values = {key: value for key, value in spec.items() if key != "fingerprint"}
    for key, inner in nested(get(kind, str(values["name"])).load()).items():
        if isinstance(values.get(key), Mapping):
            values[key] = bare(inner, values[key])
    return values
