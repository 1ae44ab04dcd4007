"""One run: an arm at one repetition, as a generator that asks for stages and is sent their results.

    warm_up -> score -> (split) -> train_leaf x K -> predict -> select -> measure

The path of one architecture: the population holds it; exactly one leaf of the split tree contains it; that leaf's
supernet, trained for its share of the budget, gives its accuracy and loss; the measure stage joins those with its
truth.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from criteria.base import Affinity, Partition, shortlist
from harness.arm import Arm
from harness.budget import Account, Budget, Cost
from harness.errors import ConfigError
from harness.estimate import Evaluation
from harness.seeds import Seeds
from harness.selectors.base import Leaf
from harness.stages import Result, Stage
from harness.work import affinity_of
from harness.workbench import as_lists, functions_in, population
from spaces.base import SearchSpace, SubSpace

Stages = Generator[list[Stage], list[Result], "Outcome"]


@dataclass
class Node:
    """A node of the split tree.

    Attributes:
        subspace: what it still allows.
        stage: the train stage that holds its weights; None for a root that has not been trained.
        steps: training steps from the root to the end of this node's training.
        scores: edge -> affinity and partition, where it was split.
    """

    subspace: SubSpace
    path: str
    stage: str | None = None
    steps: int = 0
    own_steps: int = 0
    curve: list[list[float]] = field(default_factory=list)
    edge: int | None = None
    scores: dict[int, tuple[Affinity, Partition]] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a run came to: everything its record is made of."""

    tree: Node
    account: Account
    measuring: float
    measured: Result
    facts: Result
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Settings:
    """What all runs of a study share.

    Attributes:
        space: bound to the dataset's image shape and classes.
        common: inputs of every stage: space, dataset, device, precision.
        budget: of each arm.
        evaluation: how estimates are measured, and on how many images.
        images: number of validation images that an estimate takes.
        sample: size of the population; all functions if None.
        truth: checksum of the ground truth, an input of the stages that read it.
    """

    space: SearchSpace
    common: dict[str, Any]
    budget: Budget
    evaluation: Evaluation
    images: int
    sample: int | None
    truth: str


class Run:
    """The generator's state: who runs (arm, seeds, draw) and what has been spent."""

    def __init__(self, settings: Settings, arm: Arm, seeds: Seeds, draw: int) -> None:
        self.settings, self.arm, self.seeds, self.draw = settings, arm, seeds, draw
        self.account = Account(settings.budget)
        self.results: list[Result] = []
        self.measuring = 0.0  # seconds, not charged
        self.title = f"{arm.label} r{seeds.repetition}" + (f" d{draw}" if arm.draws > 1 else "")
        self.population: dict[str, Any] = {"sample": settings.sample, "seed": seeds.of("population")}

    def stages(self) -> Stages:
        """The whole run."""
        tree, leaves = yield from self.split()
        yield from self.train_leaves(leaves)
        selected = yield from self.ask(
            "selection", [self.select_stage(leaf, i, leaves) for i, leaf in enumerate(leaves)]
        )
        predicted = yield from self.ask(None, [self.predict_stage(leaf) for leaf in leaves])
        facts, measured = yield from self.ask(
            None, [self.facts_stage(), self.measure_stage(leaves, predicted, selected)]
        )
        return Outcome(tree, self.account, self.measuring, measured, facts, tuple(self.results))

    def ask(self, phase: str | None, stages: Sequence[Stage]) -> Generator[list[Stage], list[Result], list[Result]]:
        """Have stages run, and charge them to a phase (None: measurement, which is not charged)."""
        if not stages:
            return []
        results = yield list(stages)
        for result in results:
            self.results.append(result)
            if phase is not None:
                self.account.charge(phase, result.cost, result.seconds)
            else:
                self.measuring += result.seconds
        return results

    # -- splitting ----------------------------------------------------------------------------------------------

    def split(self) -> Generator[list[Stage], list[Result], tuple[Node, list[Node]]]:
        """Warm up and split, level by level; gives the tree and its untrained leaves."""
        schedule, space = self.arm.schedule, self.settings.space
        root = Node(space.root(), "root")
        frontier, before = [root], 0.0
        levels = schedule.levels if self.arm.splits else 1
        for level in range(levels):
            share = schedule.shares[level] if level < len(schedule.shares) else 0.0
            if self.arm.splits or schedule.weights == "inherit":
                yield from self.train(frontier, share * self.account.budget.limit, (before, before + share), "warm_up")
                before += share
            if not self.arm.splits:
                return root, [root]
            frontier = yield from self.split_level(frontier, level)
        return root, frontier

    def split_level(self, frontier: list[Node], level: int) -> Generator[list[Stage], list[Result], list[Node]]:
        """Score every edge of every node that can be split, and split each node at its edge."""
        work = [(node, edge) for node in frontier for edge in self.considered(node, level)]
        scored = yield from self.ask("scoring", [self.score_stage(node, edge) for node, edge in work])
        for (node, edge), result in zip(work, scored, strict=True):
            affinity = affinity_of(result.output)
            rng = self.rng(f"partition {node.path} {edge}")
            node.scores[edge] = affinity, self.arm.partitioner(affinity, self.arm.schedule.branching, rng)
        return self.grow(frontier, level)

    def grow(self, frontier: list[Node], level: int) -> list[Node]:
        """Split each node at the edge that the rule chooses by its scores; gives the children."""
        children = []
        for node in frontier:
            if not node.scores:
                raise ConfigError(f"no edge is left to split at level {level + 1}; lower schedule.levels")
            node.edge = self.arm.edge_rule(node.scores, self.rng(f"edge {node.path}"), level)
            groups = node.scores[node.edge][1].groups
            for index, subspace in enumerate(node.subspace.split(node.edge, groups)):
                child = Node(subspace, f"{node.path}.{index}", node.stage, node.steps)
                if len(functions_in(self.settings.space, subspace)):  # a leaf without architectures gets no budget
                    node.children.append(child)
            children += node.children
        return children

    def rehearse(self) -> list[Node]:
        """The leaves that made-up affinities lead to.

        Edges that cannot be split, and budgets that cannot work, are found so before anything is trained.
        """
        frontier = [Node(self.settings.space.root(), "root")]
        for level in range(self.arm.schedule.levels if self.arm.splits else 0):
            for node in frontier:
                for edge in self.considered(node, level):
                    operations = node.subspace.allowed[edge]
                    made_up = Affinity.assumed(operations, 1.0 - np.eye(len(operations)))
                    partition = self.arm.partitioner(made_up, self.arm.schedule.branching, np.random.default_rng(0))
                    node.scores[edge] = made_up, partition
            frontier = self.grow(frontier, level)
        return frontier

    def considered(self, node: Node, level: int) -> Sequence[int]:
        """The edges whose scores the edge rule needs."""
        return shortlist(self.arm.edge_rule, self.splittable(node), self.rng(f"edge {node.path}"), level)

    def splittable(self, node: Node) -> list[int]:
        root = self.settings.space.root()
        whole = self.arm.whole_edges
        return [
            edge
            for edge, operations in enumerate(node.subspace.allowed)
            if len(operations) > 1 and (not whole or operations == root.allowed[edge])
        ]

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of the splitting: the same in every arm, new in every draw."""
        return self.seeds.rng(f"{purpose} draw {self.draw}")

    # -- training -----------------------------------------------------------------------------------------------

    def train_leaves(self, leaves: list[Node]) -> Generator[list[Stage], list[Result], None]:
        """Spend what is left, less what selection will cost, on the leaves in equal shares."""
        total = self.account.left - self.selection_price(leaves)
        restart = self.arm.schedule.weights == "restart"
        start = 0.0 if restart else sum(self.arm.schedule.shares[: 1 if not self.arm.splits else None])
        if restart:
            for leaf in leaves:
                leaf.stage, leaf.steps = None, 0
        yield from self.train(leaves, total, (start, 1.0), "training")

    def train(
        self, nodes: list[Node], total: float, progress: tuple[float, float], phase: str
    ) -> Generator[list[Stage], list[Result], None]:
        """Train each node for an equal share of ``total`` (in the budget's unit)."""
        if total == 0 and phase == "warm_up":
            return
        budget, space, trainer = self.account.budget, self.settings.space, self.arm.trainer
        stages, spent = [], 0.0
        for up_to, node in zip(self.account.shares(total, len(nodes)), nodes, strict=True):
            steps: int | None = None
            if budget.kind != "seconds":
                costs = partial(trainer.costs, space, node.subspace, self.seeds.of("training"), node.steps)
                steps, price = budget.steps_within(up_to - spent, costs())
                spent += price
                if steps < 1:
                    raise self.too_small(phase, up_to - spent, next(costs()))
            elif up_to - spent <= 0:
                raise self.too_small(phase, up_to - spent, Cost())
            stages.append(self.train_stage(node, steps, total / len(nodes), progress))
        results = yield from self.ask(phase, stages)
        for node, stage, result in zip(nodes, stages, results, strict=True):
            node.stage, node.own_steps = stage.key, node.own_steps + result.output["steps"]
            node.steps += result.output["steps"]
            node.curve += result.output["curve"]

    def too_small(self, phase: str, allowance: float, step: Cost) -> ConfigError:
        kind = self.account.budget.kind
        return ConfigError(
            f"arm {self.arm.label}: the budget of {self.account.budget.limit:g} {kind} is too small for its schedule: "
            f"{self.account.spent:g} are spent, {max(allowance, 0):g} are left for a supernet in phase {phase}, and "
            f"one step takes {self.account.budget.amount(step):g}; raise budget.{kind}, or take fewer levels, groups "
            "or repetitions"
        )

    def selection_price(self, leaves: list[Node]) -> float:
        """What the select stages will charge, in the budget's unit (seconds cannot be known: 0)."""
        space, evaluation = self.settings.space, self.settings.evaluation
        total = Cost()
        for index, leaf in enumerate(leaves):
            for choice in self.arm.selector.plan(self.leaf(leaf, index, leaves)):
                total += evaluation.cost(space, choice, self.settings.images, self.arm.trainer.batch_size)
        return self.account.budget.amount(total)

    # -- stages -------------------------------------------------------------------------------------------------

    def stage(self, kind: str, title: str, **inputs: Any) -> Stage:
        return Stage(kind, {**self.settings.common, **inputs}, f"{self.title}: {title}")

    def train_stage(self, node: Node, steps: int | None, seconds: float, progress: tuple[float, float]) -> Stage:
        return self.stage(
            "train",
            f"train {node.path}",
            trainer=self.arm.specs["trainers"],
            subspace=as_lists(node.subspace),
            parent=node.stage,
            initial_seed=self.seeds.of("initial weights"),
            seed=self.seeds.of("training"),
            first=node.steps,
            steps=steps,
            seconds=seconds if steps is None else None,
            progress=list(progress),
        )

    def score_stage(self, node: Node, edge: int) -> Stage:
        return self.stage(
            "score",
            f"score edge {edge} of {node.path}",
            trainer=self.arm.specs["trainers"],
            criterion=self.arm.specs["criteria"],
            subspace=as_lists(node.subspace),
            state=node.stage,
            initial_seed=self.seeds.of("initial weights"),
            training_seed=self.seeds.of("training"),
            edge=edge,
            seed=self.seeds.of(f"scoring {node.path}"),
            draw=self.draw if self.arm.criterion_draws else 0,
        )

    def leaf(self, leaf: Node, index: int, leaves: list[Node]) -> Leaf:
        """What the selector knows of a leaf before training."""
        space = self.settings.space
        inside = population(space, **self.population, subspace=leaf.subspace)
        return Leaf(space, leaf.subspace, index, len(leaves), inside, self.seeds.of(f"selection {index}"))

    def select_stage(self, leaf: Node, index: int, leaves: list[Node]) -> Stage:
        return self.stage(
            "select",
            f"select from leaf {index + 1} of {len(leaves)}",
            trainer=self.arm.specs["trainers"],
            selector=self.arm.specs["selectors"],
            subspace=as_lists(leaf.subspace),
            state=leaf.stage,
            evaluation=vars(self.settings.evaluation),
            population=self.population,
            index=index,
            count=len(leaves),
            seed=self.seeds.of(f"selection {index}"),
        )

    def predict_stage(self, leaf: Node) -> Stage:
        return self.stage(
            "predict",
            f"predict {leaf.path}",
            subspace=as_lists(leaf.subspace),
            state=leaf.stage,
            evaluation=vars(self.settings.evaluation),
            population=self.population,
        )

    def facts_stage(self) -> Stage:
        return self.stage("facts", "ceiling and size baselines", population=self.population, truth=self.settings.truth)

    def measure_stage(self, leaves: list[Node], predicted: list[Result], selected: list[Result]) -> Stage:
        return self.stage(
            "measure",
            "measure",
            population=self.population,
            truth=self.settings.truth,
            leaf_choice=self.arm.specs["leaf_choices"],
            seed=self.seeds.of("leaf choice"),
            leaves=[
                {"subspace": as_lists(leaf.subspace), "predict": p.key, "selected": s.output}
                for leaf, p, s in zip(leaves, predicted, selected, strict=True)
            ],
        )
