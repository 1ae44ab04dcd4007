"""Split trees: which edges are scored and split, what the children inherit, and where on the schedule they train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_studies import Notes, run_tiny, tiny

from splitbench.criteria.base import Affinity, Partition
from splitbench.harness.budget import Allowance
from splitbench.harness.errors import ConfigError
from splitbench.harness.running.study import Study
from splitbench.harness.runs.dry_run import Rehearser
from splitbench.harness.runs.protocol import Run
from splitbench.harness.runs.tree import Node
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.train import Train
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.study.config import parse_study
from splitbench.results.records.record import NodeRecord as TreeNode
from splitbench.results.records.record import Record
from splitbench.spaces.architectures.sampling import masses
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro

SPACE = Micro()
STEPS = 160


def run_of(**arm: Any) -> Run:
    """The run of one arm, before anything is trained."""
    study = Study.build(parse_study(tiny(budget={"steps": 9000}, arms=[arm], baseline="x")), "cpu")
    return Run(study.settings, study.arms[0], study.seeds(0), 0)


def leaves_of(node: TreeNode) -> list[TreeNode]:
    return [leaf for child in node.children for leaf in leaves_of(child)] if node.children else [node]


def sub(node: TreeNode) -> SubSpace:
    return SubSpace(tuple(tuple(operations) for operations in node.allowed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trees")


@pytest.fixture(scope="module")
def trees(folder: Path) -> Notes:
    arms: list[dict[str, Any]] = [
        {"criterion": "none"},
        {"criterion": "gm", "repetitions": 1, "name": "gm"},
        {"criterion": "random", "schedule": {"levels": 2, "warmup": [0.1, 0.2]}, "name": "two levels"},
        {"criterion": "random", "schedule": {"weights": "restart"}, "name": "restart"},
        {"criterion": "exhaustive", "edges": [1, 4], "name": "exhaustive"},
        {"criterion": "gm", "repetitions": 1, "edge_rule": {"name": "fixed", "edges": [2]}, "name": "one edge"},
    ]
    return run_tiny(
        folder,
        arms=arms,
        trainer={"name": "rsps", "batch_size": 16},
        budget={"steps": STEPS},
        population={"sample": 10},
        evaluation={"images": 16},
        selector={"name": "random_best", "samples": 2},
    )


@pytest.fixture
def records(trees: Notes) -> dict[str, Record]:
    return {record.arm: record for record in trees.records}


@pytest.fixture
def trainings(trees: Notes) -> dict[str, Train]:
    """Every training by its key."""
    return {stage.key: stage for stage, _ in trees.of("train") if isinstance(stage, Train)}


def steps_from_the_root(folder: Path, key: str) -> int:
    """What a training's state file says."""
    return int(load_tensors(StageStore(folder).folder(key) / WeightsPlace.file(0))[1]["steps"])


def test_leaves_partition_the_space(records: dict[str, Record]) -> None:
    for record in records.values():
        leaves = [sub(leaf) for leaf in leaves_of(record.tree)]
        assert sum(leaf.size for leaf in leaves) == SPACE.root().size
        assert [leaf.allowed for leaf in record.selection.leaves] == [leaf.allowed for leaf in leaves_of(record.tree)]
        functions = SPACE.functions(SPACE.root())
        assert (np.sum([leaf.mask(functions) for leaf in leaves], axis=0) == 1).all()


def test_children_differ_on_the_edge_that_was_split_alone(records: dict[str, Record]) -> None:
    def check(node: TreeNode) -> None:
        if not node.children:
            assert not node.edges
            return
        assert len(node.edges) == 1
        groups = [tuple(child.allowed[node.edges[0]]) for child in node.children]
        expected = sub(node).split(node.edges[0], groups)
        assert [sub(child) for child in node.children] == list(expected)
        assert [list(group) for group in groups] == node.scores[str(node.edges[0])].groups
        for child in node.children:
            check(child)

    for record in records.values():
        check(record.tree)
    assert len(leaves_of(records["two levels"].tree)) == 4
    assert len(leaves_of(records["exhaustive"].tree)) == 25


def test_an_edge_rule_that_reads_scores_has_all_edges_scored(records: dict[str, Record]) -> None:
    assert sorted(records["gm"].tree.scores) == ["0", "1", "2", "3", "4", "5"]
    best = max(records["gm"].tree.scores.items(), key=lambda item: item[1].cut)
    assert records["gm"].tree.edges == [int(best[0])]


def test_a_fixed_edge_alone_is_scored_and_paid(records: dict[str, Record]) -> None:
    assert list(records["one edge"].tree.scores) == ["2"]
    assert records["one edge"].cost["scoring"].steps * 6 <= records["gm"].cost["scoring"].steps + 6
    assert records["exhaustive"].tree.edges == [1]
    assert {child.edges[0] for child in records["exhaustive"].tree.children} == {4}


def test_leaves_inherit_and_go_on_where_the_parent_stopped(
    folder: Path, trainings: dict[str, Train], records: dict[str, Record]
) -> None:
    def check(node: TreeNode, parent: TreeNode | None, first: int) -> None:
        (member,) = trainings[node.stage].members
        assert member.parent == (WeightsPlace(parent.stage) if parent else None)
        assert member.subspace == sub(node)
        assert member.allowance == Allowance("steps", node.steps)
        assert steps_from_the_root(folder, node.stage) == first + node.steps
        assert node.curve[-1][0] == first + node.steps
        for child in node.children:
            check(child, node, first + node.steps)

    for arm in ("gm", "two levels", "exhaustive"):
        check(records[arm].tree, None, 0)


def test_restarted_leaves_start_afresh(folder: Path, trainings: dict[str, Train], records: dict[str, Record]) -> None:
    record = records["restart"]
    assert record.tree.steps == record.cost["warm_up"].steps > 0
    for leaf in leaves_of(record.tree):
        training = trainings[leaf.stage]
        assert (training.members[0].parent, training.window) == (None, (0.0, 1.0))
        assert steps_from_the_root(folder, leaf.stage) == leaf.steps


@pytest.mark.parametrize(
    ("arm", "places"),
    [
        ("gm", [(0.0, 0.3), (0.3, 1.0)]),
        ("two levels", [(0.0, 0.1), (0.1, 0.3), (0.3, 1.0)]),
        ("exhaustive", [(0.0, 0.15), (0.15, 0.3), (0.3, 1.0)]),
    ],
)
def test_each_path_of_the_tree_is_one_learning_rate_schedule(
    trainings: dict[str, Train], records: dict[str, Record], arm: str, places: list[tuple[float, float]]
) -> None:
    def check(node: TreeNode, depth: int) -> None:
        assert trainings[node.stage].window == pytest.approx(places[depth])
        for child in node.children:
            check(child, depth + 1)
        assert node.children or depth == len(places) - 1

    check(records[arm].tree, 0)


def test_warm_up_takes_its_share_of_the_budget(records: dict[str, Record]) -> None:
    shares = {"none": 0.3, "gm": 0.3, "two levels": 0.1 + 0.2, "exhaustive": 0.3}
    for arm, share in shares.items():
        steps = records[arm].cost["warm_up"].steps
        assert share * STEPS - len(leaves_of(records[arm].tree)) < steps <= share * STEPS


def test_leaves_get_shares_of_what_is_left_as_the_unsplit_sampler_would_train_them(records: dict[str, Record]) -> None:
    for arm in ("gm", "two levels", "exhaustive", "restart"):
        leaves = leaves_of(records[arm].tree)
        left = STEPS - sum(records[arm].cost[phase].steps for phase in ("warm_up", "scoring", "selection"))
        owned = masses(Micro(), [sub(leaf) for leaf in leaves], "strings")
        assert [leaf.steps for leaf in leaves] == [int(left * mass) for mass in owned]
        assert 0 <= STEPS - records[arm].budget.spent < len(leaves)  # what rounding leaves over is lost


def test_none_is_one_supernet_with_the_whole_budget_cut_where_others_split(
    trainings: dict[str, Train], records: dict[str, Record]
) -> None:
    record = records["none"]
    last = trainings[record.tree.stage]
    assert last.window == pytest.approx((0.3, 1.0))
    assert last.members[0].parent == WeightsPlace(records["gm"].tree.stage)  # their warm-up is its own
    assert trainings[records["gm"].tree.stage].window == pytest.approx((0.0, 0.3))
    assert not record.tree.children
    assert record.tree.steps == record.cost["warm_up"].steps + record.cost["training"].steps
    assert record.tree.steps + record.cost["selection"].steps == STEPS
    assert set(record.cost) == {"warm_up", "training", "selection"}


# --- without training -------------------------------------------------------------------------------------------------


def scored(run: Run, node: Node, edges: list[int]) -> Node:
    for edge in edges:
        operations = node.subspace.allowed[edge]
        affinity = Affinity.assumed(operations, 1.0 - np.eye(len(operations)))
        node.scores[edge] = affinity, Partition.of(affinity, [operations[:2], operations[2:]])
    return node


def test_an_edge_can_be_split_while_it_allows_two_operations() -> None:
    run = run_of(criterion="random")
    narrow = SPACE.root().only(0, (1,)).only(2, (3, 4)).only(5, (0, 2, 4))
    assert run.splitter.splittable(Node(narrow, "root")) == [1, 2, 3, 4, 5]


def test_the_released_criterion_splits_whole_edges_alone() -> None:
    run = run_of(criterion="gm", variant="as_shipped", repetitions=1)
    assert run.splitter.splittable(Node(SPACE.root().only(2, (3, 4)), "root")) == [0, 1, 3, 4, 5]


def test_no_edge_left_is_a_sentence() -> None:
    run = run_of(criterion="random")
    with pytest.raises(ConfigError, match="no edge is left to split at level 3; lower schedule.levels"):
        run.splitter.choose(Node(SubSpace(((1,),) * 6), "root"), {}, 2)
    with pytest.raises(ConfigError, match="arm gm.*: .*level"):
        run_of(criterion="gm", variant="as_shipped", schedule={"levels": 8, "warmup": 0})


def test_a_part_without_architectures_gets_no_budget() -> None:
    """Edge 3 alone leads to the output here: the child that allows only ``none`` on it holds no function."""
    run = run_of(criterion="random")
    cut = SubSpace(((0,), (0,), (0,), (0, 1, 2), (0,), (0,)))
    node = Node(cut, "root")
    affinity = Affinity.assumed((0, 1, 2), 1.0 - np.eye(3))
    node.scores[3] = affinity, Partition.of(affinity, [(0,), (1, 2)])
    node.edges = (3,)
    children = run.splitter.grow([node])
    assert [child.subspace.allowed[3] for child in children] == [(1, 2)]


def test_random_numbers_of_the_split_are_new_in_each_draw_and_paired_between_arms() -> None:
    first, second = run_of(criterion="random"), run_of(criterion="gm", repetitions=1)
    assert first.splitter.rng("edge root").random() == second.splitter.rng("edge root").random()
    first.splitter.draw = 1
    assert first.splitter.rng("edge root").random() != second.splitter.rng("edge root").random()


def test_a_rehearsal_finds_the_leaves_without_training() -> None:
    def leaves(**arm: Any) -> int:
        run = run_of(**arm)
        return Rehearser(run.settings).rehearse(run.arm, run.seeds).leaves

    assert leaves(criterion="exhaustive", edges=[0, 3]) == 25
    assert leaves(criterion="random", schedule={"levels": 3}) == 8
    assert leaves(criterion="none") == 1


def test_nodes_are_split_one_by_one() -> None:
    run = run_of(criterion="exhaustive", edges=[0])
    nodes = [scored(run, Node(SPACE.root().only(1, (op,)), f"root.{op}"), [0]) for op in (1, 2)]
    for node in nodes:
        run.splitter.choose(node, node.scores, 0)
    children = run.splitter.grow(nodes)
    assert [child.path for child in children] == ["root.1.0", "root.1.1", "root.2.0", "root.2.1"]


def test_the_study_goes_seed_by_seed(tmp_path: Path) -> None:
    """So that a table of complete repetitions stands as early as possible."""
    study = Study.build(parse_study(tiny(arms=["none", {"criterion": "random", "draws": 2}], seeds=2)), "cpu")
    runs = [(arm.label, repetition, draw) for arm, repetition, draw in study.runs()]
    once = [("none", 0), ("random", 0), ("random", 1)]
    assert runs == [(arm, repetition, draw) for repetition in (0, 1) for arm, draw in once]
