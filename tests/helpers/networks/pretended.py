"""A run whose stages say exactly what they cost, and train nothing: every step is priced, one after the other.

The rehearsal that users see prices a few steps and goes on from their mean; this one is what it is held against. That a
session is charged what its ``next_cost`` says, and a selection what its selector plans, is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from splitbench.criteria.base import Affinity
from splitbench.harness.budget import Account, Cost, Meter
from splitbench.harness.device import Machine
from splitbench.harness.running.study import Study
from splitbench.harness.runs.protocol import Run
from splitbench.harness.runs.step_prices import supernet_of
from splitbench.harness.selectors.base import Selected
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stages.score import Score
from splitbench.harness.stages.select import Select
from splitbench.harness.stages.train import Member, Train, Trained, Training
from splitbench.harness.study.arm import Arm
from splitbench.harness.trainers.base import Job, Session, open_session
from splitbench.spaces.base import SubSpace
from splitbench.spaces.datasets.base import ImageData

ScoreCost = Callable[[Score], Cost]


@dataclass
class Pretended:
    """What a run came to.

    Attributes:
        account: at its end.
        members: what its train stages trained.
        leaves: the subspaces that selectors looked at.
    """

    account: Account
    members: list[Member] = field(default_factory=list)
    leaves: list[SubSpace] = field(default_factory=list)


def pretended(study: Study, arm: Arm, score_cost: ScoreCost | None = None, draw: int = 0) -> Pretended:
    """One run of an arm at the first repetition."""
    run = Run(study.settings, arm, study.seeds(0), draw)
    found, generator = Pretended(run.account), run.stages()
    asked = next(generator)
    steps: dict[str, list[int]] = {}
    try:
        while True:
            asked = generator.send([answer(study, arm, stage, found, steps, score_cost) for stage in asked])
    except StopIteration:
        return found


def answer(
    study: Study, arm: Arm, stage: Stage[Any], found: Pretended, steps: dict[str, list[int]], score_cost: Any
) -> Result[Any]:
    output: Any = None
    cost, space, settings = Cost(), study.settings.space, study.settings
    if isinstance(stage, Train):
        trained = []
        steps[stage.key] = []
        for member in stage.members:
            first = 0 if member.parent is None else steps[member.parent.stage][member.parent.member]
            training = spent(stage, member, arm, study, first)
            trained.append(Trained(training.done, ()))
            steps[stage.key].append(first + training.done)
            cost += training.meter.cost
            found.members.append(member)
        output = tuple(trained)
    elif isinstance(stage, Score):
        operations = stage.subspace.allowed[stage.edge]
        output = Affinity.assumed(operations, 1.0 - np.eye(len(operations)))
        cost = score_cost(stage) if score_cost is not None else Cost()
    elif isinstance(stage, Select):
        found.leaves.append(stage.subspace)
        plan = arm.selector.plan(stage.leaf(space))
        assert plan is not None
        prices = (settings.evaluation.cost(space, c, settings.images, arm.trainer.batch_size) for c in plan)
        cost = sum(prices, Cost())
        output = Selected(space.sample(np.random.default_rng(0), stage.subspace), 0.0, 0.0)
    return Result(stage.key, output, cost, 0.0, 0, Machine("none"))


def spent(stage: Train, member: Member, arm: Arm, study: Study, first: int) -> Training:
    """A training that has paid for its steps without doing them."""
    space = study.settings.space
    job = Job(
        space,
        member.subspace,
        supernet_of(space),
        ImageData({}, {}, 0),
        stage.seed,
        Meter(),
        parts=member.parts,
        leaves_before=member.earlier,
        sampling=stage.sampling,
    )
    job.siblings = [job] * len(stage.members)
    session: Session = open_session(arm.trainer, arm.modifiers, job)
    training = Training(session, member.allowance, first, stage.trainer.name)
    while training.goes_on():
        job.meter.charge(session.seam.next_cost(first + training.done))
        training.done += 1
    return training
