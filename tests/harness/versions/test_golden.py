"""What tiny networks compute is what they have always computed, to four digits, and every unit is looked at."""

from __future__ import annotations

import pytest

from splitbench.criteria.edge_rules import NormalisedMaxCut
from splitbench.criteria.partitioners.cuts import Balanced, MaxCut
from splitbench.harness.versions import golden, sequences
from splitbench.harness.versions.sequences import Golden, Part, first_sequence_difference
from splitbench.harness.versions.units import component_units, stage_units


@pytest.fixture(scope="module")
def now() -> dict[str, Golden]:
    return golden.compute()


def test_the_golden_sequences_are_those_committed(now: dict[str, Golden]) -> None:
    """Rewritten by ``python -m splitbench.harness.versions lock`` where a version was raised."""
    assert sequences.sequence_differences(sequences.read_sequences(), now) == {}


def test_every_version_has_a_sequence(now: dict[str, Golden]) -> None:
    units = {unit.name for unit in (*stage_units(), *component_units())}
    seen = {name for sequence in now.values() for name in sequence.units}
    assert seen <= units
    assert units - seen == set(golden.UNSEEN)


def test_a_sequence_is_a_function_of_the_components_inside_it(now: dict[str, Golden]) -> None:
    """So that raising the version of the inner one is enough."""
    assert "criteria/gm" in now["criterion inverted"].units
    assert "proxies/synflow" in now["criterion metric_driven"].units
    assert "proxies/synflow" in now["criterion zero_cost"].units
    assert "criteria/gm" not in now["criterion lid"].units


def test_sequences_hold_numbers(now: dict[str, Golden]) -> None:
    """Neither errors nor refusals alone: a sequence that says nothing would allow anything."""
    silent = [name for name, one in now.items() if not any(isinstance(part, list) and any(part) for part in one.parts)]
    assert [name for name in silent if not name.startswith("edge rule")] == []
    assert all("[" in str(one.parts) for name, one in now.items() if name.startswith("edge rule"))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([[1.0, 2.0]], [[1.00009, 2.0]], ""),
        ([[1.0, 2.0]], [[1.0, 2.00021]], "part 0 holds 2.00021, and 2 before"),
        ([[-1.0]], [[1.0]], "part 0 holds 1, and -1 before"),
        ([[1e6, 1.0]], [[1e6, 1.9]], ""),  # the rounding of the sum that a small number was left of
        ([[1e6], [1.0]], [[1e6], [1.9]], "part 1 holds 1.9, and 1 before"),
        ([[1e-12]], [[-3e-11]], ""),
        ([[1.0]], [[float("nan")]], "part 0 holds nan, and 1 before"),
        ([[1.0, 2.0]], [[1.0]], r"part 0 is [1.0], and was [1.0, 2.0]"),
        (["((1,), (2,))"], ["((1, 2),)"], "part 0 is ((1, 2),), and was ((1,), (2,))"),
        (["unfit"], [[1.0]], "part 0 is [1.0], and was unfit"),
        (["a"], ["a", "b"], "it has 2 parts, and had 1"),
    ],
)
def test_four_digits_are_compared_and_choices_exactly(before: list[Part], after: list[Part], says: str) -> None:
    assert first_sequence_difference(before, after) == says


def test_a_changed_component_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what works with it, and nothing else."""
    monkeypatch.setattr(MaxCut, "__call__", Balanced.__call__)
    partitioners = {each.name: each for each in golden.of_partitioners()}
    committed = {name: parts for name, parts in sequences.read_sequences().items() if name in partitioners}
    assert set(sequences.sequence_differences(committed, partitioners)) == {"partitioner max_cut"}
    monkeypatch.setattr(NormalisedMaxCut, "__call__", lambda self, candidates, rng, level: max(candidates))
    rules = {each.name: each for each in golden.of_edge_rules()}
    committed = {name: parts for name, parts in sequences.read_sequences().items() if name in rules}
    assert set(sequences.sequence_differences(committed, rules)) == {"edge rule normalised_max_cut"}


def test_sequences_that_come_and_go_are_told() -> None:
    found = sequences.sequence_differences({"old": [[1.0]]}, {"new": Golden("new", ("stages/score",), [[1.0]])})
    assert found == {"old": "it is not computed any more", "new": "it is new"}
