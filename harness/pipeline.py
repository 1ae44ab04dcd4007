"""One run: an arm at one repetition, as a generator that asks for stages and is sent their results.

    warm_up -> score -> (split) -> train_leaf x K -> predict -> select -> measure

The path of one architecture: the population holds it; exactly one leaf of the split tree contains it; that leaf's
supernet, trained for its share of the budget, gives its accuracy and loss; the measure stage joins those with its
truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from splitbench.criteria.base import Affinity, Partition, shortlist
from splitbench.criteria.partition import MOST_OPERATIONS, partitions
from splitbench.harness.arm import Arm, Judge
from splitbench.harness.budget import Account, Cost
from splitbench.harness.errors import ConfigError
from splitbench.harness.requests import Requests, Settings
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages import Result, Stage
from splitbench.harness.tree import Node, Scores
from splitbench.harness.work import affinity_of
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.subspaces import overlapping

Stages = Generator[list[Stage], list[Result], "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What a run came to: everything its record is made of."""

    tree: Node
    account: Account
    measuring: float
    measured: Result
    facts: Result
    results: tuple[Result, ...]


class Run:
    """The generator's state: who runs (arm, seeds, draw), what has been spent, and what it asks for."""

    def __init__(self, settings: Settings, arm: Arm, seeds: Seeds, draw: int, probing: int = 0) -> None:
        self.settings, self.arm, self.seeds, self.draw = settings, arm, seeds, draw
        self.request = Requests(settings, arm, seeds, draw, probing)
        self.account = Account(settings.budget)
        self.results: list[Result] = []
        self.measuring = 0.0  # seconds, not charged
        self.given_up: list[Node] = []  # leaves that are not trained to the end

    def stages(self) -> Stages:
        """The whole run."""
        tree, leaves = yield from self.split()
        leaves = yield from self.train_leaves(tree, leaves)
        yield from self.select(leaves)
        leaves = leaves + self.given_up
        predictions = [self.request.predict(leaf, leaves[:index]) for index, leaf in enumerate(leaves)]
        predicted = yield from self.ask(None, predictions)
        facts, measured = yield from self.ask(None, [self.request.facts(), self.request.measure(leaves, predicted)])
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
                allowance = share * self.account.budget.limit
                yield from self.train(root, frontier, allowance, (before, before + share), "warm_up")
                before += share
            if not self.arm.splits:
                return root, [root]
            if level and schedule.keep == "best":
                frontier = yield from self.keep_best(frontier)
            frontier = yield from self.split_level(frontier, level)
        return root, frontier

    def keep_best(self, frontier: list[Node]) -> Generator[list[Stage], list[Result], list[Node]]:
        """Of the children that have been trained so far, the one that the leaf choice takes; the others are leaves."""
        yield from self.select(frontier)
        chosen = self.arm.leaf_choice.choose([node.chosen() for node in frontier], self.rng("keep"))
        for index, node in enumerate(frontier):
            node.kept = index == chosen
        self.given_up += [node for node in frontier if not node.kept]
        return [frontier[chosen]]

    def split_level(self, frontier: list[Node], level: int) -> Generator[list[Stage], list[Result], list[Node]]:
        """Score every edge of every node that can be split, and split each node.

        Where the edge rule consults a criterion of its own, that one is asked about all edges, and the arm's about the
        chosen ones.
        """
        work = [(node, edge) for node in frontier for edge in self.considered(node, level)]
        if (consulted := self.arm.consulted) is not None:
            found = yield from self.scores(work, consulted)
            for node in frontier:
                self.choose(node, found[node.path], level)
            work = [(node, edge) for node in frontier for edge in node.edges]
        found = yield from self.scores(work, self.arm.judge)
        for node in frontier:
            node.scores = found[node.path]
            if consulted is None:
                self.choose(node, node.scores, level)
        return self.grow(frontier)

    def scores(
        self, work: Sequence[tuple[Node, int]], judge: Judge
    ) -> Generator[list[Stage], list[Result], defaultdict[str, Scores]]:
        """A criterion's affinities and its partitioner's groups: node path -> edge -> both."""
        results = yield from self.ask("scoring", [self.request.score(node, edge, judge) for node, edge in work])
        found: defaultdict[str, Scores] = defaultdict(dict)
        for (node, edge), result in zip(work, results, strict=True):
            affinity = affinity_of(result.output)
            if affinity.operations != (compared := self.settings.space.comparable(node.subspace, edge)):
                raise ConfigError(
                    f"the criterion {judge.spec['name']} compares the operations {list(affinity.operations)} of edge "
                    f"{edge}, and a split separates {list(compared)}; it must compare those of probe.operations(edge)"
                )
            rng = self.rng(f"partition {node.path} {edge}")
            found[node.path][edge] = affinity, judge.partitioner(affinity, self.arm.schedule.branching, rng)
        return found

    def choose(self, node: Node, candidates: Scores, level: int) -> None:
        """Have the edge rule say where a node is split."""
        if not candidates:
            raise ConfigError(f"no edge is left to split at level {level + 1}; lower schedule.levels")
        chosen = self.arm.edge_rule(candidates, self.rng(f"edge {node.path}"), level)
        node.edges = self.checked(chosen if isinstance(chosen, Iterable) else [chosen], candidates)

    def checked(self, edges: Iterable[int], allowed: Collection[int]) -> tuple[int, ...]:
        """What an edge rule said, as plain numbers.

        Raises:
            ConfigError: if it names no edge, one twice, or one that cannot be split.
        """
        found = tuple(int(edge) for edge in edges)
        if not found or len(set(found)) < len(found) or not set(found) <= set(allowed):
            raise ConfigError(
                f"the edge rule {self.arm.specs['edge_rules']['name']} answers {list(found)}; it must name one or more "
                f"different edges among {', '.join(map(str, sorted(allowed))) or 'none'}"
            )
        return found

    def grow(self, frontier: list[Node]) -> list[Node]:
        """The children: one for each combination of groups on the edges at which a node is split."""
        space, children = self.settings.space, list[Node]()
        for node in frontier:
            subspaces = [node.subspace]
            for edge in node.edges:
                groups = node.scores[edge][1].groups
                subspaces = [part for subspace in subspaces for part in space.divide(subspace, edge, groups)]
            for index, subspace in enumerate(subspaces):
                child = Node(subspace, f"{node.path}.{index}", node.stage, node.steps)
                # A leaf without architectures gets no budget; a momentum group costs nothing, and paths fall into it.
                if self.arm.splits_momentum or owns_any(space, child, children):
                    node.children.append(child)
                    children.append(child)
        return children

    def rehearse(self) -> list[list[Node]]:
        """The frontiers that made-up affinities lead to, level by level: those trained before each split, and at last
        what is trained to the end.

        Edges that cannot be split, and budgets that cannot work, are found so before anything is trained.
        """
        root = [Node(self.settings.space.root(), "root")]
        frontier, frontiers = root, []
        for level in range(self.arm.schedule.levels if self.arm.splits else 0):
            frontiers.append(root if self.arm.splits_momentum else frontier)
            if level and self.arm.schedule.keep == "best":
                frontier = frontier[:1]
            for node in frontier:
                edges = self.considered(node, level)
                node.scores = {edge: self.made_up(node, edge, self.arm.judge) for edge in edges}
                consulted = self.arm.consulted
                advice = {edge: self.made_up(node, edge, consulted) for edge in edges} if consulted else node.scores
                self.choose(node, advice, level)
            frontier = self.grow(frontier)
        return [*frontiers, root if self.arm.splits_momentum else frontier]

    def made_up(self, node: Node, edge: int, judge: Judge) -> tuple[Affinity, Partition]:
        """What a criterion might say of an edge."""
        operations = self.settings.space.comparable(node.subspace, edge)
        n = len(operations)
        affinity = Affinity.assumed(operations, 1.0 - np.eye(n))
        if n <= MOST_OPERATIONS:
            every = tuple((groups, 0.0) for k in range(2, n + 1) for groups in partitions(operations, k))
            affinity = replace(affinity, worth=every)
        return affinity, judge.partitioner(affinity, self.arm.schedule.branching, np.random.default_rng(0))

    def considered(self, node: Node, level: int) -> Sequence[int]:
        """The edges whose scores the edge rule needs."""
        rng, edges = self.rng(f"edge {node.path}"), self.splittable(node)
        found = shortlist(self.arm.edge_rule, edges, rng, level, self.settings.space)
        return self.checked(found, edges) if edges else ()

    def splittable(self, node: Node) -> list[int]:
        space, whole = self.settings.space, self.arm.whole_edges
        return [
            edge
            for edge, allowed in enumerate(node.subspace.allowed)
            if len(space.comparable(node.subspace, edge)) > 1 and (not whole or allowed == space.root().allowed[edge])
        ]

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of the splitting: the same in every arm, new in every draw."""
        return self.seeds.rng(f"{purpose} draw {self.draw}")

    # -- training -----------------------------------------------------------------------------------------------

    def train_leaves(self, tree: Node, leaves: list[Node]) -> Generator[list[Stage], list[Result], list[Node]]:
        """Spend what is left, less what selection will cost, on the leaves in equal shares; gives what was trained.

        Where the momentum is split instead of the weights, that is the root alone: its leaves share all weights.
        """
        trained = [tree] if self.arm.splits_momentum else leaves
        total = self.account.left - self.selection_price(trained)
        restart = self.arm.schedule.weights == "restart"
        start = 0.0 if restart else sum(self.arm.schedule.shares[: 1 if not self.arm.splits else None])
        if restart:
            for node in trained:
                node.stage, node.steps = None, 0
        yield from self.train(tree, leaves, total, (start, 1.0), "training")
        return trained

    def train(
        self, tree: Node, nodes: list[Node], total: float, progress: tuple[float, float], phase: str
    ) -> Generator[list[Stage], list[Result], None]:
        """Train each node for an equal share of ``total`` (in the budget's unit).

        Where the momentum is split instead of the weights, train the root for all of it, with one momentum a node.
        """
        if total == 0 and phase == "warm_up":
            return
        groups: list[Node] = []
        if self.arm.splits_momentum:
            groups, nodes = (nodes if nodes[0] is not tree else []), [tree]
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
            stages.append(self.request.train(node, steps, total / len(nodes), progress, groups))
        results = yield from self.ask(phase, stages)
        for node, stage, result in zip(nodes, stages, results, strict=True):
            node.stage, node.own_steps = stage.key, node.own_steps + result.output["steps"]
            node.steps += result.output["steps"]
            node.curve += result.output["curve"]
        for node in groups:
            node.stage, node.steps = tree.stage, tree.steps

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
            for choice in self.arm.selector.plan(self.request.leaf(leaf, index, leaves)):
                total += evaluation.cost(space, choice, self.settings.images, self.arm.trainer.batch_size)
        return self.account.budget.amount(total)

    def select(self, leaves: list[Node]) -> Generator[list[Stage], list[Result], None]:
        """Have the selector read one architecture from each leaf."""
        stages = [self.request.select(leaf, index, leaves) for index, leaf in enumerate(leaves)]
        results = yield from self.ask("selection", stages)
        for leaf, result in zip(leaves, results, strict=True):
            leaf.selected = result


def owns_any(space: SearchSpace, child: Node, before: Sequence[Node]) -> bool:
    """Whether some function is in this leaf, and in none of the leaves before it."""
    earlier = overlapping(child.subspace, [node.subspace for node in before])
    if not earlier:
        return not space.is_empty(child.subspace)
    return len(space.sample_functions(1, np.random.default_rng(0), child.subspace, earlier)) > 0
