"""Which definitions a piece of code reaches: within its module, and through its imports of splitbench."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import splitbench
from splitbench.harness.versions import syntax

LOOSE = "(module)"
"""The name of a module's statements that define nothing, such as ``torch.set_flush_denormal(True)``."""

IDLE = ("registry", "plugins.component", "plugins.files", "plugins.imports", "errors")
UNREACHED = frozenset(f"splitbench.harness.{name}" for name in IDLE)
"""Modules that find components and say what is wrong: they compute nothing that a result holds."""

Definition = tuple[str, str]
"""Module, and what it calls the definition."""


@dataclass(frozen=True)
class Module:
    """A parsed module.

    Attributes:
        name: dotted.
        definitions: name -> the statements at its top level that define it.
        imports: name -> the module, or the module and its name there, that an import statement binds it to.
    """

    name: str
    definitions: Mapping[str, list[ast.stmt]]
    imports: Mapping[str, tuple[str, str]]

    def uses(self, name: str) -> tuple[frozenset[Definition], tuple[str, ...]]:
        """Definitions of splitbench that one of this module's uses, and where all imported names in it come from."""
        names: set[Definition] = set()
        origins: set[str] = set()
        for node in _nodes(syntax.body(self.definitions[name])):
            base, attribute = node, ""
            if isinstance(node, ast.Attribute):
                base, attribute = node.value, node.attr
            if not isinstance(base, ast.Name):
                continue
            if base.id in self.definitions:
                names.add((self.name, base.id))
            elif base.id in self.imports:
                module, inner = self.imports[base.id]
                origins.add(f"{base.id}={module}:{inner}")
                inside = f"{module}.{inner}" if inner else module
                if inside.startswith("splitbench.") and path_of(inside) is not None:  # a module: what of it?
                    names |= set(_meant(inside, attribute))
                else:
                    names |= set(_meant(module, inner))
        return frozenset(names), tuple(sorted(origins))

    def digest(self, name: str) -> str:
        """The hash of one definition."""
        return syntax.code_digest(self.definitions[name], self.uses(name)[1])


def _nodes(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """Names, and attributes of names; a name whose attribute is taken comes as the attribute alone."""
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        yield node
        plain = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        waiting += [] if plain else ast.iter_child_nodes(node)


def _meant(module: str, name: str) -> Iterator[Definition]:
    """What a name of a module of splitbench stands for: a definition, a module, or all of a module without a name."""
    if module.partition(".")[0] != "splitbench" or module in UNREACHED:
        return
    if name and path_of(f"{module}.{name}") is not None:
        module, name = f"{module}.{name}", ""
    if module in UNREACHED or path_of(module) is None:
        return
    yield from [(module, name)] if name else [(module, each) for each in parsed(module).definitions]


def path_of(module: str) -> Path | None:
    """The file of a module of splitbench."""
    place = Path(splitbench.__file__).parent.joinpath(*module.split(".")[1:])
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def parsed(module: str) -> Module:
    """Parse a module of splitbench; nothing is imported.

    Raises:
        ModuleNotFoundError: if there is no such module.
    """
    path = path_of(module)
    if path is None:
        raise ModuleNotFoundError(f"there is no module {module}", name=module)
    return parse_module(module, path.read_text("utf-8"), path.name == "__init__.py")


def parse_module(module: str, text: str, is_package: bool = False) -> Module:
    """Parse the text of a module."""
    tree = ast.parse(text)
    definitions: dict[str, list[ast.stmt]] = {}
    for statement in syntax.body(tree.body):
        for name in _defined(statement) or [LOOSE]:
            definitions.setdefault(name, []).append(statement)
    imports: dict[str, tuple[str, str]] = {}
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:  # `import a.b` binds a, and then names the whole of what it is asked for
                imports[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                imports[alias.asname or alias.name] = (source, alias.name)
    return Module(module, definitions, imports)


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top level of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if type(statement).__name__ == "TypeAlias":
        targets = [statement.name]  # type: ignore[attr-defined]
    flat = [each for target in targets for each in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [each.id for each in flat if isinstance(each, ast.Name)]


@functools.cache
def _hashed(module: str, name: str) -> tuple[str, frozenset[Definition]]:
    """A definition's hash, and what it uses of splitbench."""
    return parsed(module).digest(name), parsed(module).uses(name)[0]


def reached(roots: Iterable[str]) -> dict[Definition, str]:
    """All definitions that ``module:name`` (or all of ``module``) reaches, with their hashes."""
    hashes: dict[Definition, str] = {}
    waiting: list[Definition] = []
    for root in roots:
        waiting += _meant(*root.partition(":")[::2])
    while waiting:
        definition = waiting.pop()
        module, name = parsed(definition[0]), definition[1]
        if definition in hashes or module.name in UNREACHED:
            continue
        if name in module.definitions:
            hashes[definition], used = _hashed(*definition)
            waiting += used
            waiting += [(module.name, LOOSE)] if LOOSE in module.definitions else []
        elif name in module.imports:  # re-exported
            waiting += _meant(*module.imports[name])
    return hashes
