"""Packages of one's own: written from the templates beside this module, and working as they are."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from string import Template

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.registry import components, plural, singular

TEMPLATES = Path(__file__).with_name("templates")
KINDS = ("criteria", "proxies", "partitioners")
"""Kinds that there are templates for; their folders are called by the singular."""

FILES = {
    "pyproject.toml": "common/pyproject.toml.tmpl",
    "README.md": "$kind/README.md.tmpl",
    "study.yaml": "$kind/study.yaml.tmpl",
    "src/$name.py": "$kind/module.py.tmpl",
    "tests/test_$name.py": "$kind/test.py.tmpl",
}
"""File of the package -> its template."""


@dataclass(frozen=True)
class Package:
    """What was written.

    Attributes:
        kind: criterion, proxy or partitioner.
        folder: of the package.
        files: in it.
    """

    kind: str
    folder: Path
    files: list[str]


def write_package(kind: str, name: str, out: Path) -> Package:
    """Write the package ``out/name``.

    Raises:
        ConfigError: an unknown kind, a name that cannot be one or is taken, or a folder that is there already.
        StoreError: if the folder cannot be written.
    """
    registry = plural(kind)
    if registry not in KINDS:
        raise ConfigError(
            f"there is no template for {registry}; there are templates for: {', '.join(map(singular, KINDS))}"
        )
    check_name(registry, name)
    folder = out / name
    if folder.exists():
        raise ConfigError(f"{folder} is there already, and nothing in it is overwritten; choose another name or --out")
    values = {
        "name": name,
        "kind": singular(registry),
        "registry": registry,
        "class_name": camel(name),
        "distribution": "splitbench-" + name.strip("_").replace("_", "-").lower(),
    }
    contents = {
        Template(path).substitute(values): Template(
            (TEMPLATES / Template(template).substitute(values)).read_text("utf-8")
        ).substitute(values)
        for path, template in FILES.items()
    }
    try:
        for path, text in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}); choose another --out with write permission"
        ) from error
    return Package(values["kind"], folder, list(contents))


def check_name(registry: str, name: str) -> None:
    """Refuse what cannot be a module and a component.

    Raises:
        ConfigError: with a name that can, where there is one.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or keyword.iskeyword(name):
        raise ConfigError(
            f"NAME {name!r}: a module cannot be called so; take a letter, then letters, digits and underscores, like "
            f"{corrected(name, registry)!r}"
        )
    known = components(registry)
    if name in known:
        raise ConfigError(
            f"NAME {name}: there is a {singular(registry)} of this name, from {known[name].origin}; choose another "
            f"name, like {'my_' + name!r}"
        )
    class_name = camel(name)
    if keyword.iskeyword(class_name) or class_name in template_names(singular(registry)):
        why = "a word of Python's own" if keyword.iskeyword(class_name) else "a name that the new files use themselves"
        raise ConfigError(
            f"NAME {name}: its class would be called {class_name}, which is {why}; choose another name, like "
            f"{'my_' + name!r}"
        )
    if importlib.util.find_spec(name) is not None:
        raise ConfigError(
            f"NAME {name}: there is a Python module of this name, which would hide the new one; choose another name, "
            f"like {'my_' + name!r}"
        )


def template_names(kind: str) -> set[str]:
    """Names that the Python templates of a kind import, define or read: a class so called would hide one of them."""
    own = {"name": "own_name", "class_name": "OwnName", "kind": kind}
    names: set[str] = set()
    for path, template in FILES.items():
        if not path.endswith(".py"):
            continue
        text = (TEMPLATES / Template(template).substitute(own)).read_text("utf-8")
        for node in ast.walk(ast.parse(Template(text).substitute(own))):
            if isinstance(node, ast.alias):
                names.add(node.asname or node.name)
            elif isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.add(node.name)
    return names - set(own.values())


def corrected(name: str, registry: str) -> str:
    """The nearest name that can be a module's."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    bare = re.sub(r"\W+", "_", ascii_name).strip("_")
    if not bare:
        return f"my_{singular(registry)}"
    return bare if bare[0].isalpha() and not keyword.iskeyword(bare) else f"my_{bare}"


def camel(name: str) -> str:
    """``output_distance`` -> ``OutputDistance``."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))
