"""The shape of the code has limits (CONTRIBUTING.md, "The house in ten lines"); bench/house.py counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from house import House, house

LINES = 300
MODULES = 12
VAGUE = frozenset({"work", "workbench", "requests", "earlier", "feasible", "view", "slots", "types", "utils", "misc"})
PROTOCOL = frozenset({"read_source"})
"""What a module must have for others to find there, by name, what a published file holds (spaces.files)."""
MANNERED = frozenset({"found", "one", "told", "fate", "let_go"})


@pytest.fixture(scope="module")
def counted() -> House:
    counted = house()
    assert len(counted.lines) > 300, "the packages are not where they are looked for"
    return counted


def test_no_module_is_long(counted: House) -> None:
    assert {name: lines for name, lines in counted.lines.items() if lines > LINES} == {}


def test_no_folder_is_crowded(counted: House) -> None:
    assert {name: len(modules) for name, modules in counted.folders.items() if len(modules) > MODULES} == {}


def test_no_two_modules_share_a_public_name(counted: House) -> None:
    assert {name: places for name, places in counted.twins.items() if name not in PROTOCOL} == {}


def test_no_module_has_a_vague_name(counted: House) -> None:
    assert [name for name in counted.lines if Path(name).stem in VAGUE] == []


def test_names_say_what_they_hold(counted: House) -> None:
    assert {name: counted.assigned[name] for name in MANNERED if counted.assigned[name]} == {}
