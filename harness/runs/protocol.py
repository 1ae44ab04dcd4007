"""One run: an arm at one repetition, as a generator that asks for stages and is sent their results.

    warm_up -> score -> (split) -> train_leaf x K -> select -> predict -> measure

The path of one architecture: the population holds it; exactly one leaf of the split tree contains it; that leaf's
supernet, trained for its share of the budget, gives its accuracy and loss; the measure stage joins those with its
truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, TypeVar

from splitbench.harness.budget import Account, Allowance, Cost, TooDearError
from splitbench.harness.errors import ConfigError
from splitbench.harness.runs.arm_stages import ArmStages, Settings, overlapping_before
from splitbench.harness.runs.shams import Shams, undefined
from splitbench.harness.runs.shares import shares
from splitbench.harness.runs.splitting import Splitter
from splitbench.harness.runs.tree import Node, Scores
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.decompose import Decomposed
from splitbench.harness.stages.facts import Facts
from splitbench.harness.stages.measure import Measurement
from splitbench.harness.stages.train import Member
from splitbench.harness.study.arm import Arm, Judge
from splitbench.spaces.base import SubSpace

Given = TypeVar("Given")
Asks = Generator[list[Stage[Any]], list[Result[Any]], Given]
"""Asks for stages, is sent their results, and gives something at its end."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run: everything that its record is made of."""

    tree: Node
    account: Account
    measuring: float
    measured: Result[Measurement]
    facts: Result[Facts]
    results: tuple[Result[Any], ...]
    decomposed: Result[Decomposed] | None = None


class Run:
    """One run as a generator: what runs (arm, seeds, draw), what has been spent, and the results so far.

    ``version`` is raised when a run asks for other stages, or computes something else from their results.
    """

    version: ClassVar[int] = 4

    def __init__(self, settings: Settings, arm: Arm, seeds: Seeds, draw: int, probing: int = 0) -> None:
        self.settings, self.arm, self.seeds, self.draw = settings, arm, seeds, draw
        self.request = ArmStages(settings, arm, seeds, draw, probing)
        self.splitter = Splitter(settings.space, arm, seeds, draw)
        self.account = Account(settings.budget, ("scoring",) if arm.scoring == "free" else ())
        self.results: list[Result[Any]] = []
        self.measuring = 0.0  # seconds, not charged
        self.kept_back = 0.0  # of what is left, for selection
        self.given_up: list[Node] = []  # leaves that are not trained to the end
        self.paid: dict[str, Cost] = {}  # for the latest training of each node, by its path
        self.windows: dict[str, tuple[float, float]] = {}  # of the learning-rate schedule in that training

    def stages(self) -> Asks[Outcome]:
        """The generator of the whole run: yields stages, is sent their results, and returns the outcome."""
        tree, leaves = yield from self.split()
        leaves = yield from self.train_leaves(tree, leaves)
        yield from self.select(leaves)
        leaves = leaves + self.given_up
        predicted = yield from self.ask(None, [self.request.predict(leaves, index) for index in range(len(leaves))])
        measuring: list[Stage[Any]] = [self.request.facts(), self.request.measure(leaves, predicted)]
        facts, measured = yield from self.ask(None, measuring)
        decomposed = None
        if self.arm.decompose and undefined(self.arm) is None:
            shams = Shams(self, self.paid, self.windows, self.lengthening())
            decomposed = yield from shams.stages(tree, leaves, predicted)
        return Outcome(tree, self.account, self.measuring, measured, facts, tuple(self.results), decomposed)

    def lengthening(self) -> float:
        """The factor by which the leaves would have been trained longer if scoring were free."""
        account = self.account
        bill, trained = (
            account.budget.amount(account.phases.get(phase, Cost()), account.seconds.get(phase, 0.0))
            for phase in ("scoring", "training")
        )
        return 1.0 if account.free or not trained else 1.0 + bill / trained

    def adopt(self, other: Run) -> None:
        """Add another run's stages to this run's measurement, which is not charged."""
        self.results += other.results
        self.measuring += other.measuring + sum(other.account.seconds.values())

    def ask(self, phase: str | None, stages: Sequence[Stage[Given]]) -> Asks[list[Result[Given]]]:
        """Yield stages, and charge their cost to a phase (None: measurement, which is not charged)."""
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

    def split(self) -> Asks[tuple[Node, list[Node]]]:
        """Warm up and split, level by level; returns the tree and its untrained leaves."""
        schedule, space = self.arm.schedule, self.settings.space
        root = Node(space.root(), "root")
        frontier = [root]
        for level, (share, window) in enumerate(zip(schedule.shares, schedule.windows, strict=True)):
            # An arm that does not split is cut where the others are, so that it shares their warm-up; one that would
            # start afresh has nothing to warm up for.
            if self.arm.splits or schedule.weights == "inherit":
                total = self.account.budget.portion(share)
                yield from self.train(root, frontier, total, window, "warm_up")
            if not self.arm.splits:
                continue
            if level and schedule.keep == "best":
                frontier = yield from self.keep_best(frontier)
            if not level and self.arm.burn:
                budget = self.account.budget
                self.account.charge("scoring", budget.worth(budget.portion(self.arm.burn)), 0.0)
            frontier = yield from self.split_level(frontier, level)
        return root, frontier

    def keep_best(self, frontier: list[Node]) -> Asks[list[Node]]:
        """Keep the trained child that the leaf choice picks; the others become leaves that are trained no further."""
        yield from self.select(frontier)
        chosen = self.arm.leaf_choice.choose([node.answer for node in frontier], self.splitter.rng("keep"))
        for index, node in enumerate(frontier):
            node.kept = index == chosen
        self.given_up += [node for node in frontier if not node.kept]
        return [frontier[chosen]]

    def split_level(self, frontier: list[Node], level: int) -> Asks[list[Node]]:
        """Score every edge of every node that can be split, and split each node.

        Where the edge rule consults a criterion of its own, that criterion scores all edges, and the arm's criterion
        the chosen ones. Leaves that the study file names are the root's children, and nothing is scored.
        """
        if self.arm.leaves:
            return self.splitter.grow(frontier)
        work = [(node, edge) for node in frontier for edge in self.splitter.considered(node, level)]
        if (consulted := self.arm.consulted) is not None:
            scores = yield from self.scores(work, consulted)
            for node in frontier:
                self.splitter.choose(node, scores[node.path], level)
            work = [(node, edge) for node in frontier for edge in node.edges]
        scores = yield from self.scores(work, self.arm.judge)
        for node in frontier:
            node.scores = scores[node.path]
            if consulted is None:
                self.splitter.choose(node, node.scores, level)
        return self.splitter.grow(frontier)

    def scores(self, work: Sequence[tuple[Node, int]], judge: Judge) -> Asks[defaultdict[str, Scores]]:
        """A criterion's affinities and its partitioner's groups: node path -> edge -> both."""
        results = yield from self.ask("scoring", [self.request.score(node, edge, judge) for node, edge in work])
        scores: defaultdict[str, Scores] = defaultdict(dict)
        for (node, edge), result in zip(work, results, strict=True):
            affinity = result.output
            if affinity.operations != (compared := self.settings.space.comparable(node.subspace, edge)):
                raise ConfigError(
                    f"the criterion {judge.criterion.name} compares the operations {list(affinity.operations)} of edge "
                    f"{edge}, and a split separates {list(compared)}; it must compare those of probe.operations(edge)"
                )
            rng = self.splitter.rng(f"partition {node.path} {edge}")
            scores[node.path][edge] = affinity, judge.partitioner(affinity, self.arm.schedule.branching, rng)
        return scores

    # -- training -----------------------------------------------------------------------------------------------

    def train_leaves(self, tree: Node, leaves: list[Node]) -> Asks[list[Node]]:
        """Train the leaves on what is left of the budget less the part of selection; returns the trained nodes.

        Where leaves share weights, that is the root alone.
        """
        trained = [tree] if self.arm.shares_weights else leaves
        schedule = self.arm.schedule
        start = 0.0 if schedule.weights == "restart" else schedule.windows[-1][1]
        if schedule.weights == "restart":
            for node in trained:
                node.state = None
        self.kept_back = self.selection_price(trained)
        yield from self.train(tree, leaves, self.account.left - self.kept_back, (start, 1.0), "training")
        return trained

    def train(self, tree: Node, nodes: list[Node], total: float, window: tuple[float, float], phase: str) -> Asks[None]:
        """Train each node for its share of ``total`` (in the budget's unit), which is fixed before any training starts.

        Where leaves share weights, the root is trained for all of it.
        """
        if total == 0 and phase == "warm_up":
            return
        leaves, parts = nodes, tuple[SubSpace, ...]()
        if self.arm.shares_weights:
            parts, nodes = tuple(leaf.subspace for leaf in leaves if leaf is not tree), [tree]
        allowances = self.account.budget.parts(total, self.shares(nodes, parts))
        if not all(allowance.amount > 0 for allowance in allowances):
            raise self.too_small(phase, f"nothing is left for {len(nodes)} supernet{'s' * (len(nodes) > 1)}")
        before = [overlapping_before(nodes, index) for index in range(len(nodes))]
        members = list(zip(nodes, allowances, before, strict=True))
        together = [members] if self.arm.joint else [[member] for member in members]
        stages = [self.request.train(group, window, parts) for group in together]
        try:
            results = yield from self.ask(phase, stages)
        except TooDearError as error:
            raise self.too_small(phase, str(error)) from error
        for group, stage, result in zip(together, stages, results, strict=True):
            for member, ((node, _, _), trained) in enumerate(zip(group, result.output, strict=True)):
                node.state = WeightsPlace(stage.key, member)
                node.own_steps += trained.steps
                node.curve += trained.curve
                self.paid[node.path], self.windows[node.path] = result.cost, window
        for leaf in leaves:
            leaf.state = tree.state if self.arm.shares_weights else leaf.state

    def shares(self, nodes: Sequence[Node], parts: tuple[SubSpace, ...]) -> tuple[Fraction, ...]:
        """Each node's share of the budget, adding up to 1."""
        settings, unit = self.settings, Allowance(self.account.budget.kind, 0)
        members = [
            Member(node.subspace, None, unit, parts, overlapping_before(nodes, i)) for i, node in enumerate(nodes)
        ]
        together = len(nodes) if self.arm.joint else 1
        prices = [settings.prices.mean(self.arm, member, together) for member in members] if len(nodes) > 1 else []
        leaves = [node.subspace for node in nodes]
        return shares(self.arm.schedule.share, settings.space, settings.sampling, leaves, prices)

    def too_small(self, phase: str, why: str) -> ConfigError:
        kind = self.account.budget.kind
        kept = f"{self.kept_back:g} are kept back for selection, " if self.kept_back else ""
        return ConfigError(
            f"arm {self.arm.label}: the budget of {self.account.budget.limit:g} {kind} is too small for its schedule: "
            f"{self.account.spent:g} are spent, {kept}and in phase {phase} {why}; raise budget.{kind}, or take fewer "
            "levels, groups or repetitions, or lower schedule.warmup or what the selector looks at"
        )

    # -- selection ----------------------------------------------------------------------------------------------

    def selection_allowance(self, leaves: Sequence[Node], index: int) -> Allowance | None:
        """What one select stage may spend: the price of the selector's plan, or its part of ``schedule.selection``."""
        budget, share, settings = self.account.budget, self.arm.schedule.selection, self.settings
        most: Allowance | None = None
        if share is not None:
            rounds = self.arm.schedule.levels if self.arm.schedule.keep == "best" else 1
            (most,) = budget.parts(budget.portion(share), [Fraction(1, rounds * len(leaves))])
        if budget.kind == "seconds":
            return most  # a plan has no price in seconds: without a share it comes on top
        plan = self.arm.selector.plan(self.request.select(leaves, index, None).leaf(settings.space))
        if plan is None:
            return most
        price = budget.amount(settings.evaluations(plan, self.arm.trainer.batch_size))
        if most is not None and price > most.amount:
            raise ConfigError(
                f"arm {self.arm.label}: the selector {self.arm.parts['selectors'].name} plans to spend {price:g} "
                f"{budget.kind} on a leaf, and schedule.selection gives it {most.amount:g}; raise that, or lower the "
                "selector's samples"
            )
        return Allowance(budget.kind, price)

    def selection_price(self, leaves: list[Node]) -> float:
        """What the select stages of these leaves may spend, in the budget's unit."""
        allowances = [self.selection_allowance(leaves, index) for index in range(len(leaves))]
        return sum(allowance.amount for allowance in allowances if allowance is not None)

    def select(self, leaves: list[Node]) -> Asks[None]:
        """Run the selector on each leaf: one architecture from each."""
        stages = [
            self.request.select(leaves, index, self.selection_allowance(leaves, index)) for index in range(len(leaves))
        ]
        results = yield from self.ask("selection", stages)
        for leaf, result in zip(leaves, results, strict=True):
            leaf.selected = result.output
