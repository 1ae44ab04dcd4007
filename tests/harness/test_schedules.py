"""What a schedule can do beyond halving a supernet at one edge: several edges at once, one child kept, momentum split,
edges by another criterion's advice; and arms that are skipped or that see the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny_studies import run_tiny, tiny

import splitbench
from splitbench.criteria.base import Affinity, Partition, Parts, Probe
from splitbench.harness import registry
from splitbench.harness.budget import Meter
from splitbench.harness.errors import ConfigError
from splitbench.harness.testing import images_of
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.rsps import Rsps
from splitbench.results.leaderboard import leaderboards
from splitbench.results.record import Node, Record
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
    scores = [stage for stage, _ in notes.of("score") if stage.inputs["criterion"]["name"] == "prefers_four"]
    assert sorted(stage.inputs["edge"] for stage in scores) == list(range(6))


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
        ({"keep": "best", "levels": 2, "splits": "momentum"}, "goes with weights: inherit"),
    ],
)
def test_schedules_that_contradict_themselves(schedule: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        splitbench.run(tiny(schedule=schedule, arms=["none"]), tmp_path, device="cpu")


def test_momentum_is_split_and_the_weights_are_not(tmp_path: Path) -> None:
    schedule = {"levels": 2, "splits": "momentum"}
    notes = run_tiny(tmp_path, arms=["none", {"criterion": "random", "schedule": schedule}])
    none, split = notes.records
    assert len(split.selection.leaves) == 1
    assert len(leaves_of(split.tree)) == 4
    groups = [stage.inputs.get("momentum_groups") for stage, _ in notes.of("train") if "random" in stage.title]
    assert [len(found) if found else 0 for found in groups][-1] == 4
    assert abs(split.budget.spent - none.budget.spent) <= 1
    assert split.metrics != none.metrics
    with pytest.raises(ConfigError, match="runs no single paths"):
        splitbench.run(
            tiny(
                trainer="darts", selector="argmax_alpha", arms=["none", {"criterion": "random", "schedule": schedule}]
            ),
            tmp_path / "darts",
            device="cpu",
        )


def leaves_of(node: Node) -> list[Node]:
    return [leaf for child in node.children for leaf in leaves_of(child)] if node.children else [node]


def test_a_momentum_group_moves_only_by_its_own_steps_and_inherits_from_its_parent() -> None:
    """By hand: SGD without Nesterov is v = m v + g for the group of the step's path alone, w -= lr v."""
    space, data = Micro(), images_of((1, 8, 8), 10)
    groups = space.root().split(0, [(0, 1), (2, 3, 4)])
    trainer = Rsps(batch_size=8, learning_rate=0.1, momentum=0.9, weight_decay=0.0)
    supernet = space.supernet(0)
    session = trainer.open(Job(space, space.root(), supernet, data, 5, Meter(), momentum_groups=groups))
    seen: set[int] = set()
    for step in range(6):
        before = {name: tensor.clone() for name, tensor in session.tensors().items()}
        session.step(step, 0.0)
        path = trainer.sample(space, space.root(), 5, step)
        mine = next(index for index, group in enumerate(groups) if group.contains(path))
        seen.add(mine)
        for index, group in enumerate(groups):
            prefix = f"{session.prefix(group)}."
            after = {name: t for name, t in session.tensors().items() if name.startswith(prefix)}
            changed = any(name not in before or not torch.equal(before[name], t) for name, t in after.items())
            assert changed == (index == mine)
    assert seen == {0, 1}

    finer = [part for group in groups for part in group.split(3, [(0,), (1, 2, 3, 4)])]
    child = trainer.open(Job(space, space.root(), supernet, data, 5, Meter(), momentum_groups=tuple(finer)))
    child.load(session.tensors())
    for group, parent in zip(finer, [groups[0], groups[0], groups[1], groups[1]], strict=True):
        own = tensors_of(child.tensors(), child.prefix(group))
        assert own
        assert_equal(own, tensors_of(session.tensors(), session.prefix(parent)))
    plain = trainer.open(Job(space, space.root(), supernet, data, 5, Meter()))
    plain.step(0, 0.0)
    session.load(plain.tensors())  # from a warm-up without groups
    for group in groups:
        assert_equal(tensors_of(session.tensors(), session.prefix(group)), tensors_of(plain.tensors(), "optimizer"))


def tensors_of(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def assert_equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in second.items():
        assert torch.equal(first[name], tensor), name


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
