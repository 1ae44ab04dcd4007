"""Each way to install splitbench brings all of it: a wheel, an sdist, an editable install, a zip without links.

Every one goes into a virtual environment of its own, which sees the packages of this one behind its own, beside two
distributions that install ``spaces`` and ``results``, as two on PyPI do. Nothing is fetched, and nothing is written
into the checkout: what is built is a copy.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.metadata import Metadata

TOP = Path(__file__).parents[1]
FOLDERS = ("harness", "criteria", "spaces", "results")
OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
WAYS = ("wheel", "sdist", "zip", "editable")
NOT_TRACKED = {"__pycache__", "build", "dist", "site", "runs"}


@dataclass(frozen=True)
class Installed:
    """A virtual environment with splitbench in it; ``packages`` is where its packages are."""

    way: str
    folder: Path
    source: Path

    @property
    def packages(self) -> Path:
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def call(self, *words: object, status: int = 0) -> str:
        """What a program of the environment prints, run from an empty folder; standard error if it ought to fail."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        done = subprocess.run([*map(str, words)], cwd=empty, env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr if status else done.stdout

    def python(self, code: str) -> Any:
        """What Python code prints, read as JSON."""
        return json.loads(self.call(self.folder / "bin" / "python", "-c", code))

    def splitbench(self, *words: object, status: int = 0) -> str:
        return self.call(self.folder / "bin" / "splitbench", *words, status=status)


def tracked() -> list[Path]:
    """The files of the project, relative to it: those that git knows or would add, or all that look like them."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        found = [Path(name) for name in done.stdout.split("\0") if name]
    else:
        every = (path.relative_to(TOP) for path in TOP.rglob("*"))
        hidden = [path for path in every if not any(part.startswith(".") for part in path.parts)]
        found = [path for path in hidden if not NOT_TRACKED & {*path.parts} and ".egg-info" not in str(path)]
    published = Path("results", "published")  # 15 MB, and no part of what is installed
    return [path for path in found if published not in path.parents and _is_file(TOP / path)]


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with its links."""
    folder = tmp_path_factory.mktemp("checkout") / "splitbench"
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / path, folder / path, follow_symlinks=False)
    assert (folder / "src" / "splitbench" / "harness").is_symlink()
    return folder


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheels of two distributions that own the import names ``spaces`` and ``results``."""
    return [_alien(tmp_path_factory.mktemp(name), name) for name in ("spaces", "results")]


def _alien(folder: Path, name: str) -> Path:
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", f'"""Somebody else\'s {name}."""\n\nowner = "somebody else"\n')
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def _run(*words: object, folder: Path | None = None) -> None:
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _built(way: str, checkout: Path, folder: Path) -> list[object]:
    """What pip is told to install."""
    if way == "editable":
        return ["--editable", checkout]
    if way == "wheel":
        _run(sys.executable, "-m", "pip", "wheel", *OFFLINE, "--wheel-dir", folder, checkout)
        return [*folder.glob("*.whl")]
    if way == "sdist":
        build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
        _run(sys.executable, "-c", build, folder=checkout)
        return [*folder.glob("*.tar.gz")]
    # A zip has no links where Python unpacks it: what was one is a file that says where it led.
    archive = folder / "splitbench-main.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(path for path in checkout.rglob("*") if _is_file(path)):
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            file.writestr(f"splitbench-main/{path.relative_to(checkout)}", content)
    return [archive]


@pytest.fixture(scope="session")
def install(checkout: Path, beside: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Installed]:
    """Gives splitbench in an environment, installed in a way from a copy of its own; each way is gone once."""

    @functools.cache
    def installed(way: str) -> Installed:
        source = tmp_path_factory.mktemp(way) / "splitbench"
        shutil.copytree(checkout, source, symlinks=True)
        (built := source.parent / "built").mkdir()
        found = Installed(way, source.parent / "venv", source)
        _run(sys.executable, "-m", "venv", "--without-pip", found.folder)
        outer = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
        (found.packages / "outer.pth").write_text("\n".join(dict.fromkeys(outer)) + "\n")
        pip = [sys.executable, "-m", "pip", "--python", found.folder / "bin" / "python"]
        what = [*_built(way, source, built), *beside]
        _run(*pip, "install", *OFFLINE, "--no-compile", "--ignore-installed", *what)
        return found

    return installed


@pytest.fixture(scope="session", params=WAYS)
def installed(request: pytest.FixtureRequest, install: Callable[[str], Installed]) -> Installed:
    return install(request.param)


def wanted(source: Path) -> dict[str, Path]:
    """Every file that an install brings, by its path below splitbench: modules, data, templates, the page's parts."""
    face = source / "src" / "splitbench"
    found = {path.name: path for path in face.iterdir() if path.is_file() and not path.is_symlink()}
    for name in FOLDERS:
        files = [path for path in (source / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        found |= {str(Path(name) / path.relative_to(source / name)): path for path in files}
    return found


def modules(source: Path) -> list[str]:
    names = [Path("splitbench", path).with_suffix("") for path in wanted(source) if path.endswith(".py")]
    return sorted(".".join(name.parts).removesuffix(".__init__") for name in names)


def test_all_of_it_arrives(installed: Installed) -> None:
    """File by file, as it stands in the checkout; and through importing, from where it was installed."""
    expected = wanted(installed.source)
    assert {"py.typed", "harness/quickstart.yaml", "spaces/micro/table.parquet", "results/records/archive.py"} <= set(
        expected
    )
    if installed.way != "editable":
        there = {
            str(path.relative_to(installed.packages / "splitbench")): path.read_bytes()
            for path in (installed.packages / "splitbench").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert there.keys() == expected.keys()
        assert [name for name, path in expected.items() if there[name] != path.read_bytes()] == []
    names = modules(installed.source)
    assert len(names) > 200
    code = f"import json; from importlib.util import find_spec; specs = [find_spec(name) for name in {names!r}];"
    origins = installed.python(code + "print(json.dumps([spec and spec.origin for spec in specs]))")
    root = installed.source if installed.way == "editable" else installed.packages
    elsewhere = [name for name, origin in zip(names, origins, strict=True) if root not in Path(origin or "/").parents]
    assert elsewhere == []


@pytest.mark.parametrize("way", ["wheel", "editable"])
def test_every_module_imports(install: Callable[[str], Installed], way: str) -> None:
    """Of an sdist and a zip too: file by file, they install what the wheel installs."""
    found = install(way)
    names = [name for name in modules(found.source) if not name.endswith("__main__")]
    code = f"import importlib, json, sys\nfor name in {names!r}: importlib.import_module(name)\n"
    code += f"print(json.dumps([name for name in {FOLDERS!r} if name in sys.modules]))"
    assert found.python(code) == []


def test_the_command_works(installed: Installed) -> None:
    assert installed.splitbench("--version").startswith("splitbench ")
    listed = json.loads(installed.splitbench("list", "spaces", "--json"))
    assert {(one["name"], one["origin"]) for one in listed} >= {("micro", "splitbench"), ("nb201", "splitbench")}


def test_nothing_of_ours_has_a_bare_name(installed: Installed) -> None:
    """And whoever else has one of those names keeps it."""
    code = """
import importlib, importlib.metadata, json, spaces, results
files = [str(path) for path in importlib.metadata.files("splitbench")]
gone = []
for name in ("harness", "criteria", "tests", "bench", "docs"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        gone.append(name)
print(json.dumps([files, gone, spaces.owner, results.owner]))
"""
    files, gone, *owners = installed.python(code)
    tops = {Path(name).parts[0] for name in files if not name.startswith("..")}
    ours = {name for name in tops if not name.startswith(("splitbench-", "__editable__", "__pycache__"))}
    assert ours == (set() if installed.way == "editable" else {"splitbench"})
    assert gone == ["harness", "criteria", "tests", "bench", "docs"]
    assert owners == ["somebody else"] * 2


def test_metadata_are_what_an_index_takes(install: Callable[[str], Installed]) -> None:
    """Valid by the rules that an index holds uploads to, and whole; no address is known, so none is named."""
    (path,) = install("wheel").packages.glob("splitbench-*.dist-info/METADATA")
    found = Metadata.from_email(path.read_bytes(), validate=True)
    assert (found.name, found.license_expression, found.license_files) == ("splitbench", "MIT", ["LICENSE"])
    assert found.author == "splitbench contributors"
    assert found.summary
    assert found.description_content_type == "text/markdown"
    assert (found.description or "").startswith("# splitbench")
    assert found.keywords
    assert {"few-shot NAS", "supernet"} <= set(found.keywords)
    assert found.classifiers
    assert {"Typing :: Typed", "Intended Audience :: Science/Research"} <= set(found.classifiers)
    assert not [one for one in found.classifiers if one.startswith(("License ::", "Private ::"))]
    assert found.project_urls is None
    assert set(found.provides_extra or []) == {"postgresql", "docs", "dev"}
    assert (path.parent / "licenses" / "LICENSE").is_file()


OLD = {
    "harness": "from harness.registry import register",
    "criteria": "from criteria.base import Affinity",
    "spaces": "from spaces.base import SubSpace",  # a stranger's package is there, without this module
    "results": "from results import load",  # a stranger's package is there, without this name
}
"""Old package name -> what a plugin wrote."""


def test_an_old_plugin_is_told_the_new_name(install: Callable[[str], Installed], tmp_path: Path) -> None:
    """As a file and as an installed distribution."""
    for name, line in OLD.items():
        (tmp_path / f"old_{name}.py").write_text(f"{line}\n\n\ndef old(probe, edge): ...\n")
    info = tmp_path / "old_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: old-plugins\nVersion: 1.0\n")
    points = "".join(f"old_{name} = old_{name}:old\n" for name in OLD)
    (info / "entry_points.txt").write_text(f"[splitbench.criteria]\n{points}")
    code = f"""
import json, sys
sys.path.append({str(tmp_path)!r})
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import get, load_plugin
said = {{}}
for name in {list(OLD)!r}:
    for act in (lambda: load_plugin(f"{tmp_path}/old_{{name}}.py"), lambda: get("criteria", f"old_{{name}}").load()):
        try:
            act()
        except ConfigError as error:
            said.setdefault(name, []).append(str(error))
print(json.dumps(said))
"""
    found = install("wheel")
    said = found.python(code)
    for name in OLD:
        new = f": import splitbench.{name} instead of {name}, as packages of splitbench are called since version 0.2"
        as_file, installed = said[name]
        assert as_file.startswith(f"--plugin {tmp_path}/old_{name}.py: ")
        assert as_file.endswith(f"{new} (old_{name}.py, line 1)")
        assert installed.startswith(f"criteria component 'old_{name}' from old-plugins cannot be loaded from ")
        assert installed.endswith(f"{new} (old_{name}.py, line 1); mend or uninstall old-plugins")
    error = found.splitbench("check", "old", "--plugin", tmp_path / "old_harness.py", status=2)
    assert "import splitbench.harness instead of harness" in " ".join(error.split())
