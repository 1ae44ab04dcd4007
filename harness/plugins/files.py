"""Which files a plugin consists of, and their hash.

What is hashed is what runs: a source is read once, and executed and hashed from the same bytes.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

FOREIGN = frozenset(sys.stdlib_module_names) | {"splitbench"}
"""Names that a file beside a plugin never takes over."""

_sources: dict[Path, bytes] = {}


def installed_files(module: str, tops: Sequence[str]) -> dict[str, Path]:
    """All Python files of an installed plugin: of the package or module that ``module`` lies in, and of ``tops``."""
    files: dict[str, Path] = {}
    for name in (module, *tops):
        files |= _top_files(name)
    return files


def files_digest(files: Mapping[str, Path], also: Iterable[str] = ()) -> str:
    """One hash of files by their names, and of further words."""
    content = hashlib.sha256()
    for name, path in sorted(files.items()):
        data = source(path)
        content.update(f"{name}\0{len(data)}\0".encode() + data)
    for word in also:
        content.update(f"\0{word}".encode())
    return content.hexdigest()[:16]


def common_names(files: Iterable[Path]) -> dict[str, Path]:
    """Files by what they are called below the folder that holds them all, so that a folder may be moved."""
    paths = sorted(files)
    if not paths:
        return {}
    common = functools.reduce(_common, (path.parent for path in paths))
    return {path.relative_to(common).as_posix(): path for path in paths}


def source(path: Path) -> bytes:
    """A file's content as it was when it was first asked for."""
    if path not in _sources:
        _sources[path] = path.read_bytes()
    return _sources[path]


def discard(path: Path | None) -> None:
    """Forget a source, so that it is read anew."""
    if path is not None:
        _sources.pop(path, None)


def own_files(start: Iterable[Path], root: Path) -> set[Path]:
    """``start`` and what its import statements reach below ``root``, at any depth, within functions too.

    Where ``root`` is a folder of installed packages, only the package that a file lies in is its own.
    """
    files: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path in files or not path.is_file():
            continue
        files.add(path)
        place = path.relative_to(root).with_suffix("").parts if path.is_relative_to(root) else (path.stem,)
        package = place[:-1]
        shared = root.name in ("site-packages", "dist-packages")
        for name in _imports(source(path), package):
            top = name.partition(".")[0]
            if top not in FOREIGN and (not shared or top == place[0]):
                waiting += _files_of_name(root, name.split("."))
    return files


def root_of(file: Path) -> Path:
    """The folder that a file's absolute imports start from: the first above it that is no package."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _common(folder: Path, other: Path) -> Path:
    return folder if other.is_relative_to(folder) else _common(folder.parent, other)


@functools.lru_cache(maxsize=512)
def _imports(text: bytes, package: tuple[str, ...]) -> tuple[str, ...]:
    """Dotted names that a source imports; those of ``from a import b`` are ``a`` and ``a.b``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # nothing that could run
        return ()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: max(len(package) - node.level + 1, 0)] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            names += [base] if base else []
            names += [f"{base}.{alias.name}" if base else alias.name for alias in node.names]
    return tuple(names)


def _files_of_name(root: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The files that importing a dotted name executes: of each package on the way, and of the module."""
    for length in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:length])
        module, package = place.with_name(f"{place.name}.py"), place / "__init__.py"
        if package.is_file():
            yield package
        elif module.is_file():
            yield module


def _top_files(module: str) -> dict[str, Path]:
    """The Python files of the outermost package (or module) that ``module`` lies in; namespaces are looked through."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        try:
            spec = importlib.util.find_spec(".".join(parts[:length]))
        except (ImportError, ValueError):
            return {}
        if spec is None:
            return {}
        if spec.origin is None:
            continue
        origin = Path(spec.origin)
        if not spec.submodule_search_locations:
            return {origin.name: origin}
        return {path.relative_to(origin.parents[1]).as_posix(): path for path in origin.parent.rglob("*.py")}
    return {}
