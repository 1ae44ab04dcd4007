"""Code does not change under its version: what counts as code, which unit it belongs to, and what is asked for then."""

from __future__ import annotations

import ast
import copy
from pathlib import Path
from typing import Any

import pytest

from splitbench.harness.versions import __main__ as command
from splitbench.harness.versions import golden, lock, sequences, syntax
from splitbench.harness.versions.code import parse_module, parsed, path_of
from splitbench.harness.versions.lock import Change, LockState
from splitbench.harness.versions.sequences import Golden
from splitbench.harness.versions.units import Unit, component_units, covered, stage_units


def test_versions_were_raised_where_code_changed() -> None:
    """If this fails, it says what to do."""
    assert command.complaints() == []


# --- what is hashed ---------------------------------------------------------------------------------------------------

CODE = '''
"""A module."""
import math
from collections.abc import Sequence
from splitbench.criteria.base import Affinity as A
from splitbench.harness import device

LIMIT = 3


class Thing:
    """What it is."""

    version: int = 1
    rate: float = 0.5

    def score(self, values: Sequence[float]) -> float:
        """Its docstring."""
        text = f"{self.rate:.2f} of {len(values)}"
        return math.fsum(values) * LIMIT + len(text)


def other() -> A:
    device.one_thread()
    return helper(A)


def helper(x): return x
'''


def digests(text: str) -> dict[str, str]:
    module = parse_module("splitbench.criteria.made_up", text)
    return {name: module.digest(name) for name in module.definitions}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    rate: float = 0.5\n", "    # a comment\n    rate: float = 0.5  # another\n"),
        ('"""What it is."""', '"""What it was."""'),
        ('        """Its docstring."""\n', ""),
        ('"""A module."""\n', ""),
        ("    version: int = 1\n", "    version: int = 2\n"),
        ("math.fsum(values) * LIMIT", "(math.fsum(\n            values\n        ) * LIMIT)"),
        ("0.5", "0.50"),
        ("def helper(x): return x", "def helper(x):\n    return x\n"),
        ("LIMIT = 3", '"""What follows."""\nLIMIT = 3\n"""What the number is."""'),
        ("LIMIT = 3", "import json\n\nLIMIT = 3"),
    ],
)
def test_what_computes_the_same_has_the_same_hash(old: str, new: str) -> None:
    assert old in CODE
    assert digests(CODE.replace(old, new)) == digests(CODE)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("rate: float = 0.5", "rate: float = 0.6", {"Thing"}),
        ("rate: float = 0.5", "rate: int = 0.5", {"Thing"}),
        ("0.5", "'0.5'", {"Thing"}),
        ("* LIMIT", "+ LIMIT", {"Thing"}),
        (":.2f}", ":.3f}", {"Thing"}),
        (" of {", " in {", {"Thing"}),
        ("{len(values)}", "{len(values)!r}", {"Thing"}),
        ("LIMIT = 3", "LIMIT = 4", {"LIMIT"}),
        ("LIMIT = 3", "LIMIT = 3.0", {"LIMIT"}),
        ("import math", "import cmath as math", {"Thing"}),
        ("criteria.base import Affinity", "criteria.gm import Affinity", {"other"}),
        ("return x", "return", {"helper"}),
        ("def helper(x)", "def helper(x=None)", {"helper"}),
        ("def helper(x)", "def helper(*, x)", {"helper"}),
    ],
)
def test_what_may_compute_something_else_has_another_hash(old: str, new: str, changed: set[str]) -> None:
    before, after = digests(CODE), digests(CODE.replace(old, new))
    assert {name for name in before if before[name] != after[name]} == changed


def test_releases_of_python_agree() -> None:
    """What 3.12 to 3.14 write otherwise: empty new fields, and the text of f-strings in other pieces."""
    tree = ast.parse(CODE + "\ndef fmt(x): return f'a{x:>{x}}b' f'c{x:}' 'd'\n")
    before = [syntax.code_digest([statement]) for statement in tree.body]
    later = copy.deepcopy(tree)
    pieces = 0
    for node in ast.walk(later):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.type_params = []  # type: ignore[attr-defined]
            node._fields = (*node._fields, *(() if "type_params" in node._fields else ("type_params",)))  # type: ignore[misc]
        if isinstance(node, ast.Constant):
            node.kind = None if node.kind else "u"
        if isinstance(node, ast.FormattedValue) and node.format_spec is None:
            node.format_spec = ast.JoinedStr([])
        if isinstance(node, ast.JoinedStr):
            cut: list[ast.expr] = []
            for value in node.values:
                if isinstance(value, ast.Constant):
                    text = str(value.value)
                    cut += [ast.Constant(text[:1]), ast.Constant(""), ast.Constant(text[1:])]
                    pieces += 1
                else:
                    cut.append(value)
            node.values = cut
    assert pieces >= 5
    assert [syntax.code_digest([statement]) for statement in later.body] == before


def test_type_parameters_count_where_there_are_some() -> None:
    function = ast.parse("def f(x): return x").body[0]
    before = syntax.code_digest([function])
    function.type_params = [ast.Name("T", ast.Load())]  # type: ignore[attr-defined]
    function._fields = (*function._fields, *(() if "type_params" in function._fields else ("type_params",)))  # type: ignore[misc]
    assert syntax.code_digest([function]) != before


def test_a_comment_in_the_probe_changes_nothing_and_a_number_does() -> None:
    name = "splitbench.harness.supernets.probe"
    path = path_of(name)
    assert path is not None
    text = path.read_text()
    module = parsed(name)
    commented = parse_module(name, text.replace("\n    def ", "\n    # why it is so\n    def "))
    assert {each: commented.digest(each) for each in commented.definitions} == {
        each: module.digest(each) for each in module.definitions
    }
    edited = parse_module(name, text.replace("meter.charge(", "meter.charge(2 * "))
    assert {each for each in module.definitions if edited.digest(each) != module.digest(each)} == {"SupernetProbe"}


def test_names_lead_to_their_definitions() -> None:
    module = parse_module("splitbench.criteria.made_up", CODE)
    own = "splitbench.criteria.made_up"
    assert module.uses("Thing")[0] == {(own, "LIMIT")}
    assert module.uses("other")[0] == {
        ("splitbench.criteria.base", "Affinity"), ("splitbench.harness.device", "one_thread"), (own, "helper"),
    }  # fmt: skip


# --- whose code it is -------------------------------------------------------------------------------------------------


def owners(module: str, name: str) -> set[str]:
    """The units that a changed definition is held against."""
    state, _ = lock.current()
    code = {each: dict(inner) for each, inner in state.code.items()}
    code[module][name] = "something else"
    return {change.unit.name for change in lock.changed_units(LockState(state.versions, code))}


STAGES = {f"stages/{kind}" for kind in ("train", "score", "select", "predict", "facts", "measure")}


@pytest.mark.parametrize(
    ("module", "name", "units"),
    [
        ("criteria.gm", "GradientMatching", {"criteria/gm", "criteria/gradient_contribution", "criteria/lid"}),
        ("criteria.proxies.saliency", "Grasp", {"proxies/grasp"}),
        ("criteria.partitioners.cuts", "MaxCut", {"partitioners/max_cut"}),
        ("harness.trainers.rsps", "Rsps", {"trainers/rsps"}),
        ("harness.trainers.sgd", "SgdTrainer", {"trainers/rsps", "trainers/darts", "modifiers/momentum_groups"}),
        ("spaces.operations", "conv", {"spaces/micro", "spaces/nb201", "spaces/nb_macro"}),
        ("harness.supernets.probe", "SupernetProbe", {"stages/score"}),
        ("criteria.affinity", "Affinity", {"stages/score"}),
        ("criteria.proxies.base", "Network", {"stages/score"}),
        ("results.measures.ranking", "tau_b", {"stages/facts", "stages/measure"}),
        ("spaces.choices", "SubSpace", STAGES),
    ],
)
def test_a_changed_definition_is_held_against_what_computes_with_it(module: str, name: str, units: set[str]) -> None:
    found = owners(f"splitbench.{module}", name)
    assert units <= found
    assert {unit for unit in found - units if not unit.startswith(("stages/", "criteria/", "proxies/"))} == set()
    if not units & STAGES:
        assert not found & STAGES


def test_the_shared_bases_are_not_held_against_components() -> None:
    for module, name in (
        ("criteria.affinity", "Affinity"),
        ("spaces.choices", "SubSpace"),
        ("harness.supernets.probe", "SupernetProbe"),
    ):
        assert all(unit.startswith("stages/") for unit in owners(f"splitbench.{module}", name))


def test_every_unit_has_code_of_its_own_and_a_version() -> None:
    for unit, definitions in covered():
        assert unit.version >= 1, unit
        assert definitions, unit
        target = [root.rpartition(":")[2] for root in unit.roots]
        assert {name for _, name in definitions} & set(target), unit


# --- what is asked for ------------------------------------------------------------------------------------------------

UNIT = Unit("criteria/gm", 1, ("splitbench.criteria.gm:GradientMatching",))
CHANGED = ("splitbench.criteria.gm: GradientMatching",)


def test_a_change_names_unit_module_and_both_remedies() -> None:
    sentence = str(Change(UNIT, 1, CHANGED))
    assert sentence == (
        "criteria/gm: splitbench.criteria.gm: GradientMatching changed, and its version is still 1; raise the version "
        "if it computes anything else now, or run `python -m splitbench.harness.versions lock` if it does not, which "
        "the golden sequences then have to show"
    )


@pytest.mark.parametrize(("locked", "raised"), [(None, True), (0, True), (1, False), (2, False)])
def test_a_version_is_raised_or_not(locked: int | None, raised: bool) -> None:
    assert Change(UNIT, locked, CHANGED).raised is raised


def test_a_lowered_version_is_refused() -> None:
    sentence = "criteria/gm: its version went from 2 down to 1; raise it above 2"
    change = Change(UNIT, 2, CHANGED)
    assert str(change) == sentence
    assert command.refusals([change], {}) == [sentence]


@pytest.mark.parametrize(
    ("found", "units", "refused"),
    [
        ([Change(UNIT, 1, CHANGED)], ("criteria/gm", "stages/score"), True),
        ([Change(UNIT, 1, CHANGED)], ("criteria/lid",), True),  # whatever the reason: nothing was raised for it
        ([Change(UNIT, 0, CHANGED)], ("criteria/gm", "stages/score"), False),
        ([Change(UNIT, 0, CHANGED)], ("criteria/lid",), True),
        ([], ("criteria/gm",), True),
    ],
)
def test_a_sequence_may_differ_only_where_a_version_was_raised(
    found: list[Change], units: tuple[str, ...], refused: bool
) -> None:
    sentences = command.refusals(found, {"criterion gm": (units, "part 0 holds 1, and 2 before")})
    assert bool(sentences) is refused
    if refused:
        assert sentences[0].startswith("golden sequence 'criterion gm': part 0 holds 1, and 2 before; ")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock file and golden sequences of its own, with one sequence of gm."""
    monkeypatch.setattr(lock, "LOCK", tmp_path / "versions.lock")
    monkeypatch.setattr(lock.read_lock, "__defaults__", (tmp_path / "versions.lock",))
    for function in (sequences.read_sequences, sequences.write_sequences):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "golden.json",))
    computing(monkeypatch, 1.0)
    return tmp_path


def computing(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    sequence = Golden("criterion gm", ("criteria/gm", "stages/score"), [[value]])
    monkeypatch.setattr(golden, "compute", lambda: {"criterion gm": sequence})


def changed(folder: Path, **edits: Any) -> None:
    """Make the lock file one of other code, or of another version, of gm."""
    state = lock.read_lock(folder / "versions.lock")
    code = {module: dict(names) for module, names in state.code.items()}
    code["splitbench.criteria.gm"] |= {name: digest for name, digest in edits.items() if name != "version"}
    versions = dict(state.versions)
    if "version" in edits:
        versions["criteria/gm"] = edits["version"]
    (folder / "versions.lock").write_text(LockState(versions, code).text())


def test_code_that_changed_is_locked_where_sequences_are_equal(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.versions_main(["check"]) == 1
    assert "versions.lock does not hold stages/train" in capsys.readouterr().err
    assert command.versions_main(["lock"]) == 0
    assert command.versions_main(["check"]) == 0
    whole = (files / "versions.lock").read_text()

    changed(files, GradientMatching="of another commit")
    assert command.versions_main(["check"]) == 1
    told = capsys.readouterr().err
    assert "criteria/gm: splitbench.criteria.gm: GradientMatching changed, and its version is still 1" in told
    computing(monkeypatch, 1.001)
    assert command.versions_main(["lock"]) == 1
    told = capsys.readouterr().err
    assert told == (
        "golden sequence 'criterion gm': part 0 holds 1.001, and 1 before; raise the version of criteria/gm\n"
    )
    assert command.versions_main(["golden"]) == 1, "code changed under its version: nothing is accepted unseen"
    computing(monkeypatch, 1.00001)
    assert command.versions_main(["lock"]) == 0
    assert (files / "versions.lock").read_text() == whole


def test_a_raised_version_takes_its_sequences_along(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.versions_main(["lock"]) == 0
    changed(files, GradientMatching="of another commit", version=0)
    assert command.versions_main(["check"]) == 1
    computing(monkeypatch, 2.0)
    assert command.versions_main(["lock"]) == 0
    assert sequences.read_sequences(files / "golden.json") == {"criterion gm": [[2.0]]}
    assert command.versions_main(["check"]) == 0


def test_other_material_makes_other_sequences(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.versions_main(["lock"]) == 0
    computing(monkeypatch, 2.0)
    assert command.versions_main(["lock"]) == 1
    assert command.versions_main(["golden"]) == 0
    assert sequences.read_sequences(files / "golden.json") == {"criterion gm": [[2.0]]}


def test_what_is_gone_is_told(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.versions_main(["lock"]) == 0
    changed(files, gone="of another commit")
    assert command.versions_main(["check"]) == 1
    assert "versions.lock holds what is gone" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["lick"], ["check", "lock"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.versions_main(words) == 2
    assert capsys.readouterr().err == f"{command.USAGE}\n"


def test_units_are_called_by_kind_and_name() -> None:
    names = [unit.name for unit in (*stage_units(), *component_units())]
    assert len(names) == len(set(names))
    assert {"criteria/gm", "trainers/rsps", "stages/score", "spaces/micro", "proxies/snip"} <= set(names)
