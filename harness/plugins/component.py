"""One component: how it is loaded, what its first line says, and its identity, which stages are hashed by."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import linecache
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.harness.plugins.files import common_names, files_digest, installed_files
from splitbench.harness.plugins.imports import PREFIX, files_of

BUILT_IN = "splitbench"
MOST_WORDS = 300  # characters of a stranger's message that a sentence repeats


def renamed(error: BaseException) -> str:
    """What a plugin that was written for the package names of splitbench 0.1 has to import now; else nothing."""
    old = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if old not in ("harness", "criteria", "spaces", "results"):
        return ""
    return f": import splitbench.{old} instead of {old}, as packages of splitbench are called since version 0.2"


def exception_text(error: BaseException) -> str:
    """An exception of a plugin in a few words: its type, its message, and where it was raised."""
    if isinstance(error, SystemExit):
        return f"it ends the program by sys.exit({error.code!r}); raise an exception instead{_place(error)}"
    try:
        text = " ".join(str(error).split())
    except Exception:  # a message of its own that cannot be written
        text = ""
    if len(text) > MOST_WORDS:
        text = f"{text[:MOST_WORDS]}... ({len(text)} characters)"
    for word in {word.partition(".")[0] for word in text.replace("'", " ").split() if word.startswith(PREFIX)}:
        text = text.replace(f"{word}.", "")
    where = "" if isinstance(error, SyntaxError) else _place(error)
    return f"{type(error).__name__}: {text}{renamed(error)}{where}"


def _place(error: BaseException) -> str:
    """File and line of the last frame that is in a plugin's file."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not path.is_relative_to(Path(__file__).parents[1]) and "importlib" not in path.parts:
            return f" ({path.name}, line {frame.lineno})"
    return ""


@contextlib.contextmanager
def strangers_code(where: str, remedy: str = "") -> Iterator[None]:
    """Around what a plugin does while it is loaded: what it raises becomes a sentence, what it prints goes to stderr.

    Raises:
        ConfigError: ``where``, what was raised, ``remedy``. A ConfigError passes as it is.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything
        raise ConfigError(f"{where}: {exception_text(error)}{remedy}") from error


@dataclass(frozen=True)
class Component:
    """A named component that may not have been imported yet.

    Attributes:
        kind: the registry it is in, e.g. ``criteria``.
        name: what study files call it.
        target: ``module:attribute``.
        origin: the distribution or file it comes from.
        loaded: the object itself, if it was registered in this process.
        module: the module that registered it in this process.
    """

    kind: str
    name: str
    target: str
    origin: str
    loaded: Any = None
    module: str = ""

    def load(self) -> Any:
        """The class or function itself.

        Raises:
            ConfigError: if its module cannot be imported or lacks the attribute.
        """
        if self.loaded is not None:
            return self.loaded
        module, _, attribute = self.target.partition(":")
        where = f"{self.kind} component {self.name!r} from {self.origin} cannot be loaded from {self.target}"
        with strangers_code(where, f"; mend or uninstall {self.origin}"):
            return getattr(importlib.import_module(module), attribute)

    @property
    def summary(self) -> str:
        """First line of the docstring, read from the source: nothing is imported."""
        if self.loaded is not None:
            return (inspect.getdoc(self.loaded) or "").partition("\n")[0]
        path = _source(self.target.partition(":")[0])
        return _docstring(path, self.target.partition(":")[2]) if path else ""

    @property
    def identity(self) -> str:
        """What stages are hashed by: changes when what the component computes may have changed.

        A built-in component declares a ``version``; ``versions.lock`` holds CI to raising it. A plugin is hashed by
        all its own files, and by the versions of the built-in classes that it inherits from.

        Raises:
            ConfigError: if the source of a component that was registered in this process cannot be found.
        """
        if self.origin == BUILT_IN and self.loaded is None:
            return f"{self.name}-{self.load().version}"
        if self.loaded is None:
            return f"{self.name}-{_installed_digest(self.target.partition(':')[0], self.origin)}"
        inherited, place = _inherited(self.loaded), _written_in(self.loaded)
        if not place or Path(place).is_file():
            if files := files_of({self.module, str(getattr(self.loaded, "__module__", ""))}):
                return f"{self.name}-{files_digest(common_names(files), inherited)}"
        elif text := _cell(self.loaded, place):
            return f"{self.name}-{files_digest({}, [text, *inherited])}"
        raise ConfigError(
            f"{self.kind} component {self.name!r}: its source cannot be found, so its results could not be told from "
            "those of another one; write it into a file, and name that with --plugin FILE.py"
        )


@functools.lru_cache(maxsize=64)
def _installed_digest(module: str, origin: str) -> str:
    """The hash of an installed plugin, as it was when it was first asked for."""
    return files_digest(installed_files(module, _tops(origin)))


def _tops(distribution: str) -> Sequence[str]:
    """Top-level packages and modules of an installed distribution, as far as it says which."""
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ()
    if listed := installed.read_text("top_level.txt"):
        return sorted(set(listed.split()))
    paths = [path for path in installed.files or () if path.suffix == ".py" and path.parts[0] != ".."]
    return sorted({path.parts[0].removesuffix(".py") for path in paths})


def _inherited(thing: Any) -> list[str]:
    """Versions of the built-in classes that a plugin's class is made of."""
    classes = thing.__mro__ if inspect.isclass(thing) else ()
    ours = [parent for parent in classes if parent.__module__.startswith("splitbench.") and "version" in vars(parent)]
    return [
        f"{parent.__module__.rpartition('.')[2]}.{parent.__qualname__}-{vars(parent)['version']}" for parent in ours
    ]


def _written_in(thing: Any) -> str:
    """What the code of a function or of a class's methods calls its file; empty where it does not tell."""
    inner = inspect.unwrap(thing.func if isinstance(thing, functools.partial) else thing)
    if not inspect.isclass(inner):
        return str(getattr(getattr(inner, "__code__", None), "co_filename", ""))
    functions = [member for member in vars(inner).values() if inspect.isfunction(member)]
    own = {
        member.__code__.co_filename for member in functions if member.__globals__.get("__name__") == inner.__module__
    }
    return next(iter(sorted(own - {"<string>"})), "")  # so dataclasses call what they write themselves


def _cell(thing: Any, name: str) -> str:
    """The source of what was defined in a notebook's cell called ``name``; nothing where Python did not keep it."""
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (TypeError, OSError):  # a class, before Python 3.13: the whole cell then
        return "".join(linecache.getlines(name))


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
