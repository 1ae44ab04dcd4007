"""A dry run: the generator of a run, answered with made-up results and with the cost that its stages would have.

It is used before training, to find what cannot work (edges that cannot be split, a budget that does not give each leaf
a step), and for the forecast of ``splitbench run --dry-run``. Affinities are made up, so groups, and with them the
costs of leaves, are estimates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from splitbench.criteria.base import Affinity
from splitbench.criteria.partitioners.cuts import MOST_OPERATIONS, partitions
from splitbench.harness.budget import Account, Budget, Cost, TooDearError
from splitbench.harness.device import Machine
from splitbench.harness.errors import ConfigError
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.protocol import Run
from splitbench.harness.runs.step_prices import FIRST_STEPS
from splitbench.harness.seeds import Seeds
from splitbench.harness.selectors.base import Selected
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stages.predict import Predict, Predicted
from splitbench.harness.stages.score import Score
from splitbench.harness.stages.select import Select
from splitbench.harness.stages.train import Train, Trained
from splitbench.harness.study.arm import Arm
from splitbench.spaces.base import Rows
from splitbench.spaces.truth import closed

ScoreCost = Callable[[Score], Cost]


@dataclass
class Rehearsal:
    """The forecast of one run.

    Attributes:
        account: what it would spend, by phase.
        steps: number of training steps.
        stages: all stages, in the order in which the run asks for them.
        training: cost of all trainings.
        before_split: stage key -> FLOPs, for trainings of the unsplit supernet: arms share these whatever they split.
        measurement: cost of ranking the population, and of the shams of a decomposition; not charged.
        leaves: number of leaves.
    """

    account: Account
    steps: int = 0
    stages: list[Stage[Any]] = field(default_factory=list)
    before_split: dict[str, int] = field(default_factory=dict)
    measurement: Cost = field(default_factory=Cost)
    leaves: int = 0
    training: Cost = field(default_factory=Cost)

    @property
    def trained(self) -> int:
        """The number of trained supernets whose weights it would store."""
        return sum(len(stage.members) for stage in self.stages if isinstance(stage, Train))


class Rehearser:
    """Rehearses runs of a study's arms.

    Args:
        settings: of the study.
        score_cost: gives the cost of a score stage; scoring is free if None.
    """

    def __init__(self, settings: Settings, score_cost: ScoreCost | None = None) -> None:
        self.settings, self.score_cost = settings, score_cost
        self._distinct: dict[Any, int] = {}

    def rehearse(self, arm: Arm, seeds: Seeds, draw: int = 0) -> Rehearsal:
        """Forecast one run.

        Raises:
            ConfigError: naming the arm, if its schedule or budget cannot work.
        """
        run = Run(self.settings, arm, seeds, draw)
        rehearsal = Rehearsal(run.account)
        generator, results = run.stages(), None
        with closed():
            try:
                asked = next(generator)
                while True:
                    rehearsal.stages += asked
                    try:
                        results = [self.answer(stage, arm, rehearsal) for stage in asked]
                    except TooDearError as error:
                        asked = generator.throw(error)
                        continue
                    asked = generator.send(results)
            except StopIteration:
                charged = (rehearsal.account.phases.get(phase, Cost()) for phase in ("warm_up", "training"))
                rehearsal.measurement += rehearsal.training - sum(charged, Cost())
                return rehearsal
            except ConfigError as error:
                named = str(error) if str(error).startswith("arm ") else f"arm {arm.label}: {error}"
                raise ConfigError(named) from error

    def answer(self, stage: Stage[Any], arm: Arm, rehearsal: Rehearsal) -> Result[Any]:
        """A result of the type that the stage gives, with its expected cost."""
        output: Any = None
        cost = Cost()
        if isinstance(stage, Train):
            output, cost = self.training(stage, arm, rehearsal)
            rehearsal.training += cost
        elif isinstance(stage, Score):
            output = self.affinity(stage)
            cost = self.score_cost(stage) if self.score_cost is not None else Cost()
        elif isinstance(stage, Select):
            output, cost = self.selection(stage, arm)
            rehearsal.leaves += 1
        elif isinstance(stage, Predict):
            output = self.prediction(stage, arm, rehearsal)
        return Result(stage.key, output, cost, 0.0, 0, Machine(""))

    def training(self, stage: Train, arm: Arm, rehearsal: Rehearsal) -> tuple[tuple[Trained, ...], Cost]:
        trained, total = [], Cost()
        for member in stage.members:
            allowance, costs = member.allowance, self.settings.prices.costs(arm, member, len(stage.members))
            if allowance.unit == "seconds":
                trained.append(Trained(0, ()))
                continue
            # A training that could not pay for the dearest of so many is refused: any of them might be its first.
            dearest = max(map(allowance.of, costs[:FIRST_STEPS]))
            if dearest > allowance.amount:
                left = f"{allowance.amount:g} {allowance.unit}"
                raise TooDearError(f"{left} are left for a supernet, and one step takes up to {dearest:g}")
            summed = sum(costs, Cost()).as_dict()
            mean = {unit: math.ceil(amount / len(costs)) for unit, amount in summed.items()}
            steps = int(allowance.amount // mean[allowance.unit])
            trained.append(Trained(steps, ()))
            rehearsal.steps += steps
            total += Cost(**{unit: amount * steps for unit, amount in mean.items()})
        if all(member.parent is None for member in stage.members):
            rehearsal.before_split[stage.key] = total.flops
        return tuple(trained), total

    def affinity(self, stage: Score) -> Affinity:
        """An affinity with all operations equally unlike, or the criterion's own where it is known beforehand."""
        foreseen = getattr(stage.criterion.build(), "foreseen", None)
        if foreseen is not None:
            known: Affinity = foreseen(self.settings.space, stage.subspace, stage.edge)
            return known
        operations = self.settings.space.comparable(stage.subspace, stage.edge)
        n = len(operations)
        affinity = Affinity.assumed(operations, 1.0 - np.eye(n))
        if n <= MOST_OPERATIONS:
            every = tuple((groups, 0.0) for k in range(2, n + 1) for groups in partitions(operations, k))
            affinity = replace(affinity, worth=every)
        return affinity

    def selection(self, stage: Select, arm: Arm) -> tuple[Selected, Cost]:
        """A selection that spends its whole allowance: the price of a plan, or the share of the budget."""
        space = self.settings.space
        plan = arm.selector.plan(stage.leaf(space))
        cost = self.settings.evaluations(plan or (), arm.trainer.batch_size)
        if plan is None and stage.allowance is not None:
            cost = Budget(stage.allowance.unit, 0).worth(stage.allowance.amount)
        architecture = space.sample(np.random.default_rng(0), stage.subspace)
        return Selected(architecture, 0.0, 0.0), cost

    def prediction(self, stage: Predict, arm: Arm, rehearsal: Rehearsal) -> Predicted:
        """The number of architectures that the leaf would rank, and their cost, extrapolated from a few of them."""
        space, settings = self.settings.space, self.settings
        rows = stage.population.rows(space, stage.subspace, stage.earlier)
        some = [tuple(row) for row in rows[:: max(1, len(rows) // 20)].tolist()]
        if some:
            costs = [settings.evaluations([a], arm.trainer.batch_size) for a in some]
            mean = sum(cost.flops for cost in costs) / len(costs)
            each, many = costs[0], self.distinct(stage, rows)
            rehearsal.measurement += Cost(round(mean * many), each.steps * many, each.examples * many)
        return Predicted(len(rows))

    def distinct(self, stage: Predict, rows: Rows) -> int:
        """The number of different estimates for a leaf's part of the population: strings of one function share one."""
        if stage.population.of == "functions":
            return len(rows)
        key = (stage.population.sample and stage.population, stage.subspace, stage.earlier)
        if key not in self._distinct:
            functions = {stage.population.estimated(self.settings.space, tuple(row)) for row in rows.tolist()}
            self._distinct[key] = len(functions)
        return self._distinct[key]
