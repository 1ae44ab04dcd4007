"""Prices of training steps: sessions are opened and asked for the price of their next step, and never train."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from splitbench.harness.budget import Allowance, Cost, Meter
from splitbench.harness.stages.train import Member
from splitbench.harness.study.arm import Arm
from splitbench.harness.trainers.base import Job, open_session
from splitbench.spaces.base import SearchSpace, Supernet
from splitbench.spaces.datasets.base import ImageData

FIRST_STEPS = 16
"""How many steps are priced at first: if all cost the same, as a mixture's do, no more are."""

PRICED_STEPS = 256
"""How many steps a mean price is taken over: the prices of paths scatter by some 40%, so their mean by 2.5%."""


class StepPrices:
    """Prices of steps, computed once for each trainer and leaf. They do not depend on the study's seed, so every seed
    divides its budget in the same way.

    Args:
        space: bound to the dataset's images.
        sampling: whether strings or functions are drawn.
    """

    def __init__(self, space: SearchSpace, sampling: str) -> None:
        self.space, self.sampling = space, sampling
        self._known: dict[Any, list[Cost]] = {}

    def costs(self, arm: Arm, member: Member, together: int = 1) -> Sequence[Cost]:
        """Costs of the first steps of a supernet that is trained beside ``together - 1`` others: ``PRICED_STEPS``, or
        ``FIRST_STEPS`` that cost the same."""
        modifiers = repr(arm.modifier_parts)
        key = repr(arm.parts["trainers"]), modifiers, member.subspace, member.parts, member.earlier, together
        if key not in self._known:
            job = Job(
                self.space,
                member.subspace,
                supernet_of(self.space),
                ImageData({}, {}, 0),
                0,
                Meter(),
                parts=member.parts,
                leaves_before=member.earlier,
                sampling=self.sampling,
            )
            job.siblings = [job] * together
            seam = open_session(arm.trainer, arm.modifiers, job).seam
            prices = [seam.next_cost(step) for step in range(FIRST_STEPS)]
            if len(set(prices)) > 1:
                prices += [seam.next_cost(step) for step in range(FIRST_STEPS, PRICED_STEPS)]
            self._known[key] = prices
        return self._known[key]

    def mean(self, arm: Arm, member: Member, together: int = 1) -> Fraction:
        """The mean price of a step, in the unit of the member's allowance (in FLOPs if that is seconds)."""
        unit = Allowance("flops" if member.allowance.unit == "seconds" else member.allowance.unit, 0)
        costs = self.costs(arm, member, together)
        return sum((Fraction(unit.of(cost)) for cost in costs), Fraction()) / len(costs)


@functools.lru_cache(maxsize=2)
def supernet_of(space: SearchSpace) -> Supernet:
    """A supernet on which sessions are opened to get the cost of a step; it is never trained."""
    return space.supernet(0)
