"""A plugin's identity is that of all its own files; modules beside it are its own, whatever they are called."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tiny_studies import tiny

import splitbench
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.plugins import files as plugin_files
from splitbench.harness.plugins import imports as plugin_imports
from splitbench.harness.registry import Component, build, get, load_plugin, register
from splitbench.harness.trainers.rsps import Rsps

HEAD = "from splitbench.harness.registry import register\n"
PLUGIN = HEAD + "{imports}\n\n\n@register('criteria', '{name}')\ndef criterion(probe, edge):\n    return {value}\n"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What a test registers and loads is gone after it, and import is as it was."""
    before, path = dict(registry._registered), list(sys.path)
    yield
    assert sys.path == path
    assert not {"helper_mod", "crit", "inner", "a", "b", "lower", "mine"} & set(sys.modules)
    registry._registered.clear()
    registry._registered.update(before)
    for package in {plugin.package for plugin in plugin_imports._loaded.values()}:
        plugin_imports.forget(package)


def write(folder: Path, **files: str) -> Path:
    """Files of a folder by their names without ``.py``; ``pkg__mod`` is ``pkg/mod.py``."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/', 1) if '__' in name.strip('_') else name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def plugin(name: str, imports: str = "import helper_mod", value: str = "helper_mod.weight") -> str:
    return PLUGIN.format(name=name, imports=imports, value=value)


def value(name: str) -> Any:
    """What a plugin's function of no parameters gives."""
    return build("criteria", name)(None, 0)


def identity(name: str) -> str:
    return get("criteria", name).identity


@pytest.mark.parametrize(
    ("imports", "reads"),
    [
        ("import helper_mod", "helper_mod.weight"),
        ("import helper_mod as other", "other.weight"),
        ("from helper_mod import weight", "weight"),
        ("from helper_mod import *", "weight"),
        ("from . import helper_mod", "helper_mod.weight"),
        ("from .helper_mod import weight as w", "w"),
        ("import inner.helper_mod", "inner.helper_mod.weight"),
        ("from inner import helper_mod", "helper_mod.weight"),
        ("import inner.helper_mod as h", "h.weight"),
        ("", "__import__('helper_mod').weight"),
        ("", "(lambda: __import__('importlib').import_module('.helper_mod', __package__))().weight"),
    ],
)
def test_a_module_beside_a_plugin_is_imported_and_hashed(tmp_path: Path, imports: str, reads: str) -> None:
    """An edited helper is another component, and the new code runs: also when the edit is as long and as young."""
    eager = f"value = {reads}\n" if "__import__" in reads else ""  # what no statement names is seen when it happens
    write(tmp_path, crit=plugin("beside", f"{imports}\n{eager}", reads), helper_mod="weight = 1\n")
    write(tmp_path, inner__helper_mod="weight = 1\n")
    (tmp_path / "inner" / "__init__.py").write_text("")
    load_plugin(tmp_path / "crit.py")
    before = identity("beside")
    assert value("beside") == 1
    load_plugin(tmp_path / "crit.py")
    assert identity("beside") == before
    write(tmp_path, helper_mod="weight = 2\n", inner__helper_mod="weight = 2\n")
    assert identity("beside") == before, "what is hashed is what runs, not what the file says by now"
    load_plugin(tmp_path / "crit.py")
    assert value("beside") == 2
    assert identity("beside") != before
    write(tmp_path, helper_mod="weight = 1\n", inner__helper_mod="weight = 1\n")
    load_plugin(tmp_path / "crit.py")
    assert (value("beside"), identity("beside")) == (1, before)


def test_an_import_within_a_function_is_hashed_before_it_runs(tmp_path: Path) -> None:
    late = (
        HEAD
        + "@register('criteria', 'late')\ndef late(probe, edge):\n    import helper_mod\n    return helper_mod.weight\n"
    )
    write(tmp_path, crit=late, helper_mod="weight = 1\n")
    load_plugin(tmp_path / "crit.py")
    before = identity("late")
    write(tmp_path, helper_mod="weight = 2\n")
    assert value("late") == 1, "it was hashed as 1"
    load_plugin(tmp_path / "crit.py")
    assert (value("late"), identity("late") == before) == (2, False)


def test_files_that_nothing_imports_are_not_hashed(tmp_path: Path) -> None:
    write(tmp_path, crit=plugin("lone", "", "1"), helper_mod="weight = 1\n")
    load_plugin(tmp_path / "crit.py")
    before = identity("lone")
    write(tmp_path, helper_mod="weight = 2\n")
    load_plugin(tmp_path / "crit.py")
    assert identity("lone") == before


def test_a_moved_folder_is_the_same_component(tmp_path: Path) -> None:
    found = []
    for folder in ("one", "two"):
        write(tmp_path / folder, crit=plugin("moved"), helper_mod="weight = 1\n")
        load_plugin(tmp_path / folder / "crit.py")
        found.append(identity("moved"))
        del registry._registered["criteria", "moved"]
    assert found[0] == found[1]


def test_two_plugins_may_each_have_a_module_of_one_name(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two"), 1):
        write(tmp_path / folder, crit=plugin(f"from_{folder}"), helper_mod=f"weight = {number}\n")
        load_plugin(tmp_path / folder / "crit.py")
    assert (value("from_one"), value("from_two")) == (1, 2)
    assert "helper_mod" not in sys.modules


def test_modules_of_splitbench_and_python_are_not_taken_over(tmp_path: Path) -> None:
    text = plugin("proper", "import random, json\nfrom splitbench.criteria.base import Affinity", "random.random()")
    write(tmp_path, crit=text, random="raise RuntimeError", json="raise RuntimeError", splitbench="raise RuntimeError")
    load_plugin(tmp_path / "crit.py")
    assert 0 <= value("proper") < 1


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_two_plugins_that_import_each_other(tmp_path: Path, order: tuple[str, str]) -> None:
    """Each covers the other, in whichever order they are named."""
    write(tmp_path, a=plugin("in_a", "import b\nown = 1", "own + b.own"))
    write(tmp_path, b=plugin("in_b", "import a\nown = 10", "own + a.own"))
    for name in order:
        load_plugin(tmp_path / f"{name}.py")
    assert (value("in_a"), value("in_b")) == (11, 11)
    assert identity("in_a").removeprefix("in_a") == identity("in_b").removeprefix("in_b")


def test_the_order_of_plugins_does_not_matter(tmp_path: Path) -> None:
    """One imports the other: the imported one is hashed with what might change it."""
    write(tmp_path, crit=plugin("upper", "import lower", "lower.weight"), lower=plugin("lower", "weight = 3", "weight"))
    found = []
    for order in (("crit", "lower"), ("lower", "crit")):
        for name in order:
            load_plugin(tmp_path / f"{name}.py")
        found.append((identity("upper"), identity("lower")))
        registry._registered.clear()
        plugin_imports.forget(plugin_imports.package_of(tmp_path / "crit.py"))
    assert found[0] == found[1]


def test_a_package_folder_is_a_plugin(tmp_path: Path) -> None:
    package = write(tmp_path / "mine", crit=plugin("packed", "from mine.deep import helper_mod\nfrom . import other"))
    write(package, deep__helper_mod="weight = 1\n", other="")
    write(package / "deep", __init__="")
    (package / "__init__.py").write_text("from . import crit\n")
    load_plugin(package)
    before = identity("packed")
    assert value("packed") == 1
    (package / "other.py").write_text("# changed")
    load_plugin(package)
    assert identity("packed") != before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("crit", r"there is no such file \(did you mean crit.py\?\)"),
        ("crit.txt", r"a plugin is a file whose name ends in .py, or a folder with an __init__.py"),
        ("bare_folder", r"a plugin is a file whose name ends in .py, or a folder with an __init__.py"),
        ("nothing", r"there is no such file$"),
    ],
)
def test_what_is_no_plugin_is_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    write(tmp_path, crit=plugin("unused", "", "1"))
    (tmp_path / "crit.txt").write_text("")
    (tmp_path / "bare_folder").mkdir()
    with pytest.raises(ConfigError, match=rf"--plugin .*{name}: {sentence}"):
        load_plugin(tmp_path / name)


def test_a_plugin_that_fails_leaves_nothing_and_may_be_mended(tmp_path: Path) -> None:
    write(tmp_path, crit=plugin("mended") + "1 / 0\n", helper_mod="weight = 1\n")
    with pytest.raises(ConfigError, match=r"ZeroDivisionError: division by zero \(crit.py, line 8\)"):
        load_plugin(tmp_path / "crit.py")
    with pytest.raises(ConfigError, match="unknown criteria component 'mended'"):
        get("criteria", "mended")
    write(tmp_path, crit=plugin("mended"), helper_mod="weight = 2\n")
    load_plugin(tmp_path / "crit.py")
    assert value("mended") == 2


def test_a_missing_module_is_called_what_the_plugin_calls_it(tmp_path: Path) -> None:
    write(tmp_path, crit=plugin("x", "import helper_mod.missing"), helper_mod="")
    with pytest.raises(ConfigError, match=r"No module named 'helper_mod.missing'; 'helper_mod' is not a package"):
        load_plugin(tmp_path / "crit.py")


def test_what_a_plugin_prints_while_it_is_loaded_is_no_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, crit=plugin("loud", "print('hello')", "1"))
    load_plugin(tmp_path / "crit.py")
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("raise RuntimeError('on fire')", "RuntimeError: on fire"),
        ("import sys; sys.exit(0)", r"it ends the program by sys.exit\(0\)"),
        ("self.__init__()", "RecursionError: maximum recursion depth exceeded"),
        ("raise KeyError('y' * 100_000)", r"KeyError: 'y{299}\.\.\. \(100002 characters\)"),
    ],
)
def test_a_constructor_that_fails_is_a_sentence_with_plugin_and_component(
    tmp_path: Path, fault: str, complaint: str
) -> None:
    text = f"{HEAD}\n@register('criteria', 'broken')\nclass Broken:\n    def __init__(self):\n        {fault}\n"
    load_plugin(write(tmp_path, crit=text) / "crit.py")
    with pytest.raises(ConfigError, match=rf"^arms\.0: broken from crit.py cannot be built: {complaint}") as error:
        build("criteria", "broken", "arms.0")
    assert "(crit.py, line" in str(error.value)


# --- in this process --------------------------------------------------------------------------------------------------


def test_a_component_without_source_is_refused() -> None:
    space: dict[str, Any] = {"__name__": "nowhere", "register": register}
    exec("@register('criteria', 'typed')\ndef typed(probe, edge): return 1", space)
    exec("@register('criteria', 'typed_class')\nclass Typed:\n    def __call__(self): return 1", space)
    for name in ("typed", "typed_class"):
        with pytest.raises(ConfigError, match=rf"'{name}': its source cannot be found.*write it into a file.*--plugin"):
            Part.of("criteria", name)


CELL = """
import linecache
from dataclasses import dataclass
from splitbench.harness.registry import get, register
del globals()["__file__"]
found = []
for number, weight in enumerate("112"):
    for text in (
        "@register('criteria', 'cell')\\ndef cell(probe, edge):\\n    return WEIGHT\\n",
        "@register('trainers', 'cell')\\n@dataclass(frozen=True)\\nclass Cell:\\n    rate: float = 1.0\\n"
        "    def step(self):\\n        return WEIGHT\\n",
    ):
        text = text.replace("WEIGHT", weight)
        name = f"<ipython-input-{number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), globals())
    found.append((get("criteria", "cell").identity, get("trainers", "cell").identity))
    from splitbench.harness import registry
    registry._registered.clear()
print(found[0] == found[1], found[0][0] != found[2][0], found[0][1] != found[2][1])
"""


def test_a_component_of_a_notebook_is_hashed_by_its_source(tmp_path: Path) -> None:
    (tmp_path / "notebook.py").write_text(CELL)
    done = subprocess.run([sys.executable, tmp_path / "notebook.py"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True True True\n", "")


def test_a_program_is_hashed_with_the_modules_beside_it(tmp_path: Path) -> None:
    text = plugin("own") + "from splitbench.harness.registry import get\nprint(get('criteria', 'own').identity)\n"
    write(tmp_path, program=text, helper_mod="weight = 1\n")
    found = []
    for weight in (1, 1, 2):
        (tmp_path / "helper_mod.py").write_text(f"weight = {weight}\n")
        done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=True)
        found.append(done.stdout)
    assert found[0] == found[1] != found[2]


def test_the_version_of_a_built_in_base_is_part_of_a_plugins_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    @register("trainers", "derived")
    @dataclass(frozen=True)
    class Derived(Rsps):
        patience: int = 3
        version: ClassVar[int] = 9

    before = get("trainers", "derived").identity
    monkeypatch.setattr(Rsps, "version", Rsps.version + 1)
    assert get("trainers", "derived").identity != before


# --- installed --------------------------------------------------------------------------------------------------------


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str, top_level: str | None = None) -> str:
    """The identity of a component of a distribution whose modules and metadata lie in ``folder``."""
    from splitbench.harness.plugins import component as components

    metadata = folder / "stranger-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    if top_level is not None:
        (metadata / "top_level.txt").write_text(top_level)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    components._installed_digest.cache_clear()
    plugin_files._sources.clear()
    found = Component("criteria", "strange", target, "stranger").identity
    monkeypatch.undo()
    return found


def test_an_installed_plugin_is_hashed_by_all_python_files_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, strange__crit="x = 1\n", strange__other="y = 1\n", unrelated="z = 1\n")
    (tmp_path / "strange" / "__init__.py").write_text("")
    first = installed(tmp_path, monkeypatch, "strange.crit:X")
    write(tmp_path, unrelated="z = 2\n")
    assert installed(tmp_path, monkeypatch, "strange.crit:X") == first
    write(tmp_path, strange__other="y = 2\n")
    assert installed(tmp_path, monkeypatch, "strange.crit:X") != first
    assert "strange" not in sys.modules, "nothing is imported for it"


def test_an_installed_module_is_hashed_with_the_other_modules_of_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, strange_crit="x = 1\n", strange_helper="y = 1\n", unrelated="z = 1\n")
    first = installed(tmp_path, monkeypatch, "strange_crit:X", "strange_crit\nstrange_helper\n")
    write(tmp_path, unrelated="z = 2\n")
    assert installed(tmp_path, monkeypatch, "strange_crit:X") == first
    write(tmp_path, strange_helper="y = 2\n")
    assert installed(tmp_path, monkeypatch, "strange_crit:X") != first


# --- where it is used -------------------------------------------------------------------------------------------------


def test_a_stage_is_not_computed_with_a_plugin_that_changed_under_the_study(tmp_path: Path) -> None:
    write(tmp_path, crit=plugin("swapped"), helper_mod="weight = 1\n")
    load_plugin(tmp_path / "crit.py")
    part = Part.of("criteria", "swapped")
    assert part.written() == {"name": "swapped"}
    assert callable(part.build())
    write(tmp_path, helper_mod="weight = 2\n")
    load_plugin(tmp_path / "crit.py")  # as a worker does that starts later
    with pytest.raises(ConfigError, match=r"'swapped' from crit.py has changed since this study began; run the study"):
        part.build()


EDITED = (
    HEAD
    + """
import numpy as np
from splitbench.criteria.base import Affinity
import helper_mod

@register("criteria", "edited")
def edited(probe, edge):
    n = len(probe.subspace.allowed[edge])
    matrix = helper_mod.weight * np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(float)
    return Affinity.of(probe.subspace.allowed[edge], matrix[None])
"""
)


def test_an_edited_helper_is_computed_anew(tmp_path: Path) -> None:
    """Runs into one folder, with the helper edited in between: the edited one gives its own affinities."""
    write(tmp_path, crit=EDITED)
    found = []
    for weight in (1, 2, 1):
        write(tmp_path, helper_mod=f"weight = {weight}\n")
        splitbench.run(tiny(arms=["edited"], seeds=1), tmp_path / "out", "cpu", plugins=[tmp_path / "crit.py"])
        (path,) = (tmp_path / "out" / "records").glob("*d0.json")
        scores = json.loads(path.read_text())["tree"]["scores"]
        found.append({score["dissimilarity"][0][1] for score in scores.values()})
    assert found == [{1.0}, {2.0}, {1.0}]
