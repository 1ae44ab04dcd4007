"""The budget of an arm and the meter that charges it.

FLOPs are analytic: identical on every machine. ``steps`` counts batches that ran forward and
backward, or trainer-sized batches that ran forward only; ``examples`` counts their images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Choice, SearchSpace

KINDS = ("flops", "steps", "examples", "seconds")


@dataclass(frozen=True)
class Cost:
    """What some passes cost, in every analytic unit."""

    flops: int = 0
    steps: int = 0
    examples: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.steps + other.steps, self.examples + other.examples)

    def as_dict(self) -> dict[str, int]:
        return {"flops": self.flops, "steps": self.steps, "examples": self.examples}


def training_pass(space: SearchSpace, choice: Choice, examples: int) -> Cost:
    """One batch forward and backward."""
    flops = space.flops(choice)
    return Cost((flops.forward + flops.backward) * examples, 1, examples)


def forward_pass(space: SearchSpace, choice: Choice, examples: int, batch_size: int) -> Cost:
    """``examples`` images forward only; counted in steps of the trainer's batch size."""
    return Cost(space.flops(choice).forward * examples, math.ceil(examples / batch_size), examples)


@dataclass
class Meter:
    """Adds up what one stage costs."""

    cost: Cost = field(default_factory=Cost)

    def charge(self, cost: Cost) -> None:
        self.cost = self.cost + cost


@dataclass(frozen=True)
class Budget:
    """The whole compute of one arm: warm-up, scoring, all leaves and selection.

    Attributes:
        kind: the unit that is matched.
        limit: how much of it each arm may spend.
    """

    kind: str
    limit: float

    def amount(self, cost: Cost, seconds: float = 0.0) -> float:
        """What a cost is worth in this budget's unit."""
        return seconds if self.kind == "seconds" else float(getattr(cost, self.kind))

    def steps_within(self, allowance: float, costs: Iterable[Cost]) -> tuple[int, float]:
        """How many training steps an allowance pays for, and what they cost in this budget's unit.

        Args:
            allowance: in this budget's unit.
            costs: of each step in turn, without end.
        """
        steps, spent = 0, 0.0
        for cost in costs:
            price = self.amount(cost)
            if price <= 0:
                raise ConfigError("a training step costs nothing: the trainer's costs() is wrong")
            if spent + price > allowance:
                break
            steps, spent = steps + 1, spent + price
        return steps, spent


@dataclass
class Account:
    """What an arm has spent so far, by phase, and what is left.

    Allowances are cumulative: what rounding to whole steps leaves over in one leaf goes to the next, so an arm ends
    within one training step of its budget however many leaves it has.
    """

    budget: Budget
    phases: dict[str, Cost] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def charge(self, phase: str, cost: Cost, seconds: float) -> None:
        self.phases[phase] = self.phases.get(phase, Cost()) + cost
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    @property
    def spent(self) -> float:
        total = sum(self.phases.values(), Cost())
        return self.budget.amount(total, sum(self.seconds.values()))

    @property
    def left(self) -> float:
        return self.budget.limit - self.spent

    def shares(self, total: float, parts: int) -> Iterator[float]:
        """For each of ``parts`` equal parts of ``total``: what may be spent up to its end."""
        for index in range(parts):
            yield total * (index + 1) / parts
