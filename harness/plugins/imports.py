"""Importing a plugin together with the modules beside it.

A plugin file may ``import helper`` where ``helper.py`` lies beside it. Its folder becomes a package under a name of its
own, and the plugin's import statements look there first. So neither ``sys.path`` nor the bare names in ``sys.modules``
change, two folders may each have a ``helper.py``, and an import inside a function works long after loading.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from splitbench.harness.plugins.files import FOREIGN, discard, own_files, root_of, source

PREFIX = "splitbench_plugin_"
_loaded: dict[Path, Plugin] = {}


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded.

    Attributes:
        path: the file, or the package's folder.
        root: the folder that its import statements look in.
        module: its name in ``sys.modules``.
        seen: files below ``root`` that were imported first while it was loaded, by whatever means.
    """

    path: Path
    root: Path
    module: str
    seen: frozenset[Path] = frozenset()

    @property
    def package(self) -> str:
        """The name that ``root`` has in ``sys.modules``."""
        return self.module.partition(".")[0]

    @property
    def files(self) -> set[Path]:
        """The plugin's own files: its first one, and what it imports of those below its folder."""
        first = self.path / "__init__.py" if self.path.is_dir() else self.path
        return own_files({first, *self.seen}, self.root)


def package_of(path: Path) -> str:
    """The name in ``sys.modules`` of the folder that a plugin lies in."""
    return PREFIX + hashlib.sha256(str(path.parent).encode()).hexdigest()[:12]


def missing(path: Path) -> list[Path]:
    """What has to be loaded so that the plugin at ``path`` is, and as its files are now.

    Where a file of a loaded plugin of that folder has changed, all of them are forgotten here, and are in the answer:
    they may share modules.
    """
    package = package_of(path)
    beside = [plugin for plugin in _loaded.values() if plugin.package == package]
    if any(changed(plugin) or plugin.module not in sys.modules for plugin in beside):
        forget(package)
        return list(dict.fromkeys([*(plugin.path for plugin in beside), path]))
    return [] if path in _loaded else [path]


def import_plugin(path: Path) -> Plugin:
    """Import the plugin of a file or package folder.

    Raises:
        BaseException: whatever the plugin raises; nothing of it stays loaded then.
    """
    package = package_of(path)
    plugin = Plugin(path, path.parent, f"{package}.{path.stem.replace('.', '_')}")
    before = set(sys.modules)
    _open(package, plugin.root)
    try:
        if plugin.module not in sys.modules:  # another plugin may have imported it
            _execute(plugin)
    except BaseException:
        for name in _below(package) - before:
            discard(module_file(name))
            del sys.modules[name]
        raise
    new = {file for name in _below(package) - before if (file := module_file(name)) is not None}
    _loaded[path] = Plugin(path, plugin.root, plugin.module, frozenset(new))
    return _loaded[path]


def changed(plugin: Plugin) -> bool:
    """Whether a file of a loaded plugin is no longer what was executed."""
    return any(not path.is_file() or path.read_bytes() != source(path) for path in plugin.files)


def forget(package: str) -> None:
    """Drop a folder's plugins, their modules and their sources."""
    for path in [path for path, plugin in _loaded.items() if plugin.package == package]:
        for file in _loaded.pop(path).files:
            discard(file)
    for name in _below(package):
        discard(module_file(name))
        del sys.modules[name]
    sys.modules.pop(package, None)


def unload(path: Path) -> None:
    """Drop one plugin and the modules that it was the first to import."""
    plugin = _loaded.pop(path, None)
    if plugin is not None:
        for name in [name for name in _below(plugin.package) if module_file(name) in plugin.seen]:
            discard(module_file(name))
            del sys.modules[name]


def _below(package: str) -> set[str]:
    """The loaded modules of a folder's plugins."""
    return {name for name in sys.modules if name.startswith(f"{package}.")}


def files_of(modules: Iterable[str]) -> set[Path]:
    """The own files of what was registered by, or defined in, these modules; none where a module has no file.

    Of a loaded plugin's module: the files of all loaded plugins that reach it, in whichever order they were named. Of
    any other module (a program, a test): the file and what it imports of those below its folder. Nothing of splitbench.
    """
    files: set[Path] = set()
    for name in modules:
        file = module_file(name)
        if file is None or name.partition(".")[0] in FOREIGN:
            continue
        reaching = [plugin.files for plugin in _loaded.values() if file in plugin.files]
        files |= set().union(*reaching) if reaching else own_files({file}, root_of(file))
    return files


def remember(module: str) -> None:
    """Read a module's files as they are now, when it has just been executed; those of plugins are known already."""
    if module.startswith(PREFIX):
        return
    for _ in range(2):  # what it imports may have changed as well
        for file in files_of({module}):
            discard(file)
    files_of({module})


def module_file(module: str) -> Path | None:
    """A loaded module's file, if it has one that exists."""
    name = getattr(sys.modules.get(module), "__file__", None)
    path = Path(name).resolve() if name else None
    return path if path is not None and path.is_file() else None


def _open(package: str, root: Path) -> None:
    """Make a folder a package under a name of its own."""
    importlib.invalidate_caches()  # a file may be younger than what the finders remember of its folder
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if package not in sys.modules:
        module = ModuleType(package, "A folder of plugins.")
        module.__path__ = [str(root)]
        sys.modules[package] = module


def _execute(plugin: Plugin) -> None:
    """Import a plugin's first file under its name, whatever the file is called."""
    first = plugin.path / "__init__.py" if plugin.path.is_dir() else plugin.path
    locations = [str(plugin.path)] if plugin.path.is_dir() else None
    loader = _Loader(plugin.module, str(first))
    spec = importlib.util.spec_from_file_location(
        plugin.module, first, loader=loader, submodule_search_locations=locations
    )
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[plugin.module] = module
    loader.exec_module(module)


class _Finder(importlib.machinery.PathFinder):
    """Finds the modules of plugins' folders, and gives them the loader below."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(PREFIX) or path is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            assert spec.origin is not None
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Executes the bytes that are hashed, with import statements that look beside the plugin first."""

    def get_code(self, fullname: str) -> CodeType:
        # No cached bytecode: two edits of one length within a second would run as one.
        path = Path(self.get_filename(fullname))
        code: CodeType = self.source_to_code(source(path.resolve()), str(path))
        return code

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(package)}
        super().exec_module(module)


def _importer(package: str) -> Callable[..., Any]:
    """``__import__`` for the modules of one plugin folder."""

    def import_module(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or not _beside(package, top):
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or (), 0)
        return module if fromlist else sys.modules[f"{package}.{top}"]

    return import_module


def _beside(package: str, top: str) -> bool:
    """Whether a bare name is a module or package of the plugin's folder."""
    if f"{package}.{top}" in sys.modules:
        return True
    if top in FOREIGN:
        return False
    places = list(sys.modules[package].__path__)
    spec = importlib.machinery.PathFinder.find_spec(f"{package}.{top}", places)
    return spec is not None and spec.loader is not None
