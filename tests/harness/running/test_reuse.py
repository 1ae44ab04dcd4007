"""What arms share is trained once and charged to each of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_studies import Executed, Notes, run_tiny

from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.context import WeightsPlace
from splitbench.results.records.record import NodeRecord, Record

FIXED: dict[str, Any] = {"edge_rule": {"name": "fixed", "edges": [3]}}


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executed:
    return Executed(monkeypatch)


def leaf_stages(record: Record) -> list[str]:
    def leaves(node: NodeRecord) -> list[NodeRecord]:
        return [leaf for child in node.children for leaf in leaves(child)] if node.children else [node]

    return [leaf.stage for leaf in leaves(record.tree)]


def test_one_partition_by_two_ways_trains_its_leaves_once(executed: Executed, tmp_path: Path) -> None:
    """random with singletons on a fixed edge is exhaustive on that edge: same leaves, same stages, both charged."""
    arms = [
        {"criterion": "exhaustive", "edges": [3], "name": "one way"},
        {"criterion": "random", "partitioner": "singletons", **FIXED, "name": "another way"},
    ]
    first, second = run_tiny(tmp_path, arms=arms, baseline="one way").records
    assert executed["train"] == 1 + 5  # warm-up and five leaves
    assert executed["predict"] == executed["select"] == 5
    assert leaf_stages(first) == leaf_stages(second)
    assert len(set(leaf_stages(first))) == 5
    assert first.cost == second.cost
    assert first.cost["training"].steps > 0
    assert first.budget.spent == second.budget.spent > 0.9 * first.budget.limit
    assert first.metrics == second.metrics


def test_one_criterion_under_two_names_trains_once(executed: Executed, tmp_path: Path) -> None:
    arms = [{"criterion": "gm", "repetitions": 1, "name": name} for name in ("a", "b")]
    first, second = run_tiny(tmp_path, budget={"steps": 90}, arms=arms, baseline="a").records
    assert executed["score"] == 6
    assert executed["train"] == 1 + 2
    assert executed["measure"] == 1
    assert first.cost == second.cost
    assert first.tree == second.tree


def test_equal_partitions_of_criteria_at_equal_cost_are_shared(executed: Executed, tmp_path: Path) -> None:
    """Two gm variants score differently, at the same price; on the same fixed groups their leaves are the same."""
    fixed: dict[str, Any] = {"criterion": "gm", "repetitions": 2, "partitioner": "singletons", **FIXED}
    arms = [{**fixed, "name": "cosine"}, {**fixed, "name": "per layer", "distance": "per_layer_mean"}]
    first, second = run_tiny(tmp_path, budget={"steps": 80}, arms=arms, baseline="cosine").records
    assert first.cost["scoring"] == second.cost["scoring"]
    assert first.cost == second.cost
    assert executed["score"] == 2
    assert executed["train"] == 1 + 5
    assert leaf_stages(first) == leaf_stages(second)
    assert first.tree.scores != second.tree.scores


def test_a_dearer_criterion_shares_the_warm_up_and_not_the_leaves(executed: Executed, tmp_path: Path) -> None:
    """It has less left for its leaves, so they are other leaves: never a budget that was not paid."""
    fixed: dict[str, Any] = {"criterion": "gm", "partitioner": "singletons", **FIXED}
    arms = [{**fixed, "repetitions": repetitions, "name": f"{repetitions}"} for repetitions in (1, 2)]
    first, second = run_tiny(tmp_path, budget={"steps": 80}, arms=arms, baseline="1").records
    assert first.tree.stage == second.tree.stage
    assert executed["train"] == 1 + 5 + 5
    assert not set(leaf_stages(first)) & set(leaf_stages(second))
    assert second.cost["training"].steps < first.cost["training"].steps


def test_all_arms_share_the_warm_up_and_each_pays_for_it(executed: Executed, tmp_path: Path) -> None:
    arms = ["none", "random", {"criterion": "gm", "repetitions": 1}]
    notes = run_tiny(tmp_path, budget={"steps": 90}, arms=arms)
    assert len({record.cost["warm_up"].flops for record in notes.records}) == 1
    assert notes.records[0].cost["warm_up"].steps == 27
    none, random, gm = (record.tree for record in notes.records)
    assert random.stage == gm.stage
    (rest,) = [stage for stage, _ in notes.of("train") if stage.key == none.stage]
    assert rest.members[0].parent == WeightsPlace(
        random.stage
    )  # none is cut where they are, and goes on from the same state
    assert executed["train"] == 1 + 1 + 2 + 2
    assert executed["facts"] == 1
    assert [random.steps, gm.steps] == [27, 27]
    assert none.steps == 27 + notes.records[0].cost["training"].steps


def test_draws_of_random_share_the_warm_up_alone(executed: Executed, tmp_path: Path) -> None:
    records = run_tiny(tmp_path, arms=["none", {"criterion": "random", "draws": 4}]).records
    drawn = [record for record in records if record.arm.startswith("random")]
    assert [record.draw for record in drawn] == [0, 1, 2, 3]
    splits = {(str(record.tree.edges), str(record.tree.children[0].allowed)) for record in drawn}
    assert len(splits) == 4
    assert len({record.tree.stage for record in drawn}) == 1
    assert executed["train"] == 2 + 2 * 4


def test_seeds_are_paired_between_arms_and_new_in_each_repetition(tmp_path: Path) -> None:
    """Every arm of a repetition sees the same population and the same first weights."""
    import pyarrow.parquet as parquet

    notes = run_tiny(tmp_path, arms=["none", "random"], seeds=2)
    evaluated = {}
    for path in sorted((tmp_path / "records").glob("*.parquet")):
        evaluated[re.sub("--[0-9a-f]{16}--", "--", path.stem)] = parquet.read_table(path)["architecture"].to_pylist()
    first, second, third, fourth = (evaluated[f"{arm}--r{r}-d0"] for arm in ("none", "random") for r in (0, 1))
    assert sorted(first) == sorted(third) != sorted(second) == sorted(fourth)
    assert notes.records[1].tree.stage != notes.records[3].tree.stage


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_a_seed_depends_on_everything_but_the_arm() -> None:
    seeds = {
        Seeds(study, space, dataset, repetition).of(purpose)
        for study in (0, 1)
        for space in ("micro", "nb201")
        for dataset in ("digits", "cifar10")
        for repetition in (0, 1)
        for purpose in ("training", "initial weights")
    }
    assert len(seeds) == 32
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert Seeds(0, "micro", "digits", 0).of("training") == 30577308794143776


def test_random_numbers_of_a_purpose_are_its_own() -> None:
    seeds = Seeds(0, "micro", "digits", 0)
    assert seeds.rng("a").random() == seeds.rng("a").random() != seeds.rng("b").random()
    assert np.random.default_rng(seeds.of("a")).random() == seeds.rng("a").random()


def test_notes_know_each_stage_once(tmp_path: Path) -> None:
    notes: Notes = run_tiny(tmp_path, arms=["none", {"criterion": "none", "name": "again"}])
    keys = [stage.key for stage, _ in notes.stages]
    assert len(keys) == len(set(keys))
