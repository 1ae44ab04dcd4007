"""What a schedule can do beyond halving a supernet at one edge: several edges at once, one child kept, edges by another
criterion's advice; and arms that are skipped or that see the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tiny_studies import run_tiny, tiny

import splitbench
from splitbench.criteria.base import Affinity, Partition, Parts, Probe
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.records.record import Record
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.micro.space import Micro

Candidates = Mapping[int, tuple[Affinity, Partition]]


@dataclass(frozen=True)
class Both:
    """Edges 1 and 4 at once."""

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> tuple[int, ...]:
        return tuple(sorted(candidates))

    def shortlist(
        self, edges: Sequence[int], rng: np.random.Generator, level: int, space: SearchSpace
    ) -> Sequence[int]:
        return [1, 4] if level == 0 else [0]


@dataclass(frozen=True)
class Advised:
    """The edge that a criterion of the rule's own finds largest."""

    consults: ClassVar[Mapping[str, object]] = {"name": "prefers_four"}

    def __call__(self, candidates: Candidates, rng: np.random.Generator, level: int) -> int:
        return max(candidates, key=lambda edge: candidates[edge][1].cut)


@dataclass(frozen=True)
class PrefersFour:
    """Dissimilarity 2 on edge 4, 1 elsewhere."""

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        n = len(probe.operations(edge))
        return Affinity.assumed(probe.operations(edge), (1.0 + (edge == 4)) * (1 - np.eye(n)))


@dataclass(frozen=True)
class Unfit:
    """Serves no space."""

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        raise AssertionError("never called")

    def unfit(self, space: SearchSpace) -> str | None:
        return f"it needs a space with text, and {space.name} has images"


@dataclass(frozen=True)
class Seer:
    """Groups operations by their mean true accuracy."""

    reads_truth: ClassVar[bool] = True

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        truth, rows = probe.truth(), probe.space.functions(probe.subspace)
        values = truth.test(rows)
        means = np.array([values[rows[:, edge] == op].mean() for op in probe.operations(edge)])
        return Affinity.assumed(probe.operations(edge), np.abs(means[:, None] - means))

    def parts(self) -> Parts:
        return Parts("max_cut", {"name": "fixed", "edges": (0,)})


@pytest.fixture(autouse=True)
def components() -> Iterator[None]:
    mine = {
        ("edge_rules", "both"): Both,
        ("edge_rules", "advised"): Advised,
        ("criteria", "prefers_four"): PrefersFour,
        ("criteria", "unfit"): Unfit,
        ("criteria", "seer"): Seer,
    }
    for (kind, name), component in mine.items():
        registry.register(kind, name)(component)
    yield
    for key in mine:
        registry._registered.pop(key)


def only(folder: Path, arm: object, **changes: Any) -> Record:
    (record,) = run_tiny(folder, arms=["none", arm], **changes).records[1:]
    return record


def test_several_edges_are_split_at_once_into_every_combination_of_groups(tmp_path: Path) -> None:
    record = only(tmp_path, {"criterion": "prefers_four", "edge_rule": "both"})
    tree = record.tree
    assert tree.edges == [1, 4]
    assert sorted(tree.scores) == ["1", "4"]
    found = {(tuple(child.allowed[1]), tuple(child.allowed[4])) for child in tree.children}
    assert found == {(tuple(a), tuple(b)) for a in tree.scores["1"].groups for b in tree.scores["4"].groups}
    assert sum(leaf.population for leaf in record.selection.leaves) == 20


def test_a_rule_may_consult_a_criterion_of_its_own_and_both_are_charged(tmp_path: Path) -> None:
    arm = {"criterion": "gm", "repetitions": 1, "edge_rule": "advised"}
    notes = run_tiny(tmp_path, arms=["none", arm, {"criterion": "gm", "repetitions": 1}], budget={"steps": 120})
    advised, plain = notes.records[1:]
    assert advised.tree.edges == [4]
    assert list(advised.tree.scores) == ["4"]  # gm is asked about the chosen edge alone
    assert 0 < advised.cost["scoring"].flops < plain.cost["scoring"].flops
    scores = [stage for stage, _ in notes.of("score") if stage.criterion.name == "prefers_four"]
    assert sorted(stage.edge for stage in scores) == list(range(6))


def test_one_child_is_kept_and_the_others_still_rank_their_architectures(tmp_path: Path) -> None:
    schedule = {"levels": 2, "warmup": [0.2, 0.2], "keep": "best"}
    record = only(tmp_path, {"criterion": "random", "schedule": schedule}, budget={"steps": 120})
    first = record.tree.children
    kept = [child for child in first if child.children]
    assert len(kept) == 1
    given_up = [leaf for leaf in record.selection.leaves if not leaf.kept]
    assert [leaf.allowed for leaf in given_up] == [child.allowed for child in first if not child.children]
    assert len(record.selection.leaves) == 3
    chosen = record.selection.leaves[record.selection.leaf]
    assert chosen.kept
    best = max((leaf for leaf in record.selection.leaves if leaf.kept), key=lambda leaf: (leaf.estimate, -leaf.loss))
    assert best == chosen
    assert sum(leaf.population for leaf in record.selection.leaves) == 20
    assert record.selection.oracle == max(leaf.test for leaf in record.selection.leaves if leaf.kept)
    # Two children were looked at after the first level, two leaves at the end: all of it is paid for.
    assert record.cost["selection"].examples == 2 * 4 * 100
    assert record.budget.limit - 1 <= record.budget.spent <= record.budget.limit
    leaves = next(row for row in leaderboards(tmp_path).boards[0].rows if row.arm.startswith("random")).leaves
    assert leaves == (2,)


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ({"keep": "best", "weights": "restart"}, "goes with weights: inherit"),
        ({"keep": "best", "levels": 2, "warmup": [0.2, 0.0]}, "give every level a share"),
        ({"splits": "momentum"}, "splits is no key any more: .* write modifiers: .momentum_groups. in the study or"),
        ({"selection": 0.6, "warmup": 0.4}, "warmup and selection leave nothing for the leaves"),
        ({"selection": 0.0}, "selection: .*greater than 0"),
    ],
)
def test_schedules_that_contradict_themselves(schedule: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        splitbench.run(tiny(schedule=schedule, arms=["none"]), tmp_path, device="cpu")


@pytest.mark.parametrize("where", ["study", "arm"])
def test_what_became_of_splits_is_said_where_it_stands(where: str, tmp_path: Path) -> None:
    arm: dict[str, Any] = {"criterion": "random", "name": "mine"}
    changes: dict[str, Any] = {"schedule": {"splits": "momentum"}}
    if where == "arm":
        arm, changes = arm | changes, {}
    with pytest.raises(ConfigError, match=r"schedule: splits is no key any more.*momentum_groups") as error:
        splitbench.run(tiny(arms=["none", arm], **changes), tmp_path, device="cpu")
    assert ("arms[1] (mine)" in str(error.value)) is (where == "arm")


def test_an_arm_that_cannot_run_on_the_space_is_skipped_with_its_reason(tmp_path: Path) -> None:
    notes = run_tiny(tmp_path, arms=["none", "unfit"])
    assert [record.arm for record in notes.records] == ["none"]
    reason = "it needs a space with text, and micro has images"
    assert json.loads((tmp_path / "skipped.json").read_text()) == {"unfit": reason}
    assert leaderboards(tmp_path).skipped == (f"unfit: {reason}",)
    with pytest.raises(ConfigError, match="arm unfit cannot run on the space micro: it needs"):
        splitbench.run(tiny(arms=["unfit"], baseline="unfit"), tmp_path / "other", device="cpu")
    run_tiny(tmp_path, arms=["none"])
    assert not (tmp_path / "skipped.json").exists()


def test_an_oracle_control_sees_the_truth_and_is_marked(tmp_path: Path) -> None:
    record = only(tmp_path, "seer")
    assert record.reads_truth
    truth, rows = Micro().ground_truth("digits"), Micro().functions(Micro().root())
    means = [truth.test(rows[rows[:, 0] == op]).mean() for op in range(5)]
    expected = np.abs(np.subtract.outer(means, means))
    np.testing.assert_allclose(record.tree.scores["0"].dissimilarity, expected, rtol=1e-12)
    marked = {row.arm: row.reads_truth for row in leaderboards(tmp_path).boards[0].rows if not row.trivial}
    assert marked == {"none": False, "seer": True}
