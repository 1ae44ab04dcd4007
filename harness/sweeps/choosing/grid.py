"""The grid of all values of a search: how many points it has, and which of them a slot gets."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from splitbench.harness.errors import ConfigError


def grid_size(distributions: Mapping[str, BaseDistribution], where: str = "sweep.sampler") -> int:
    """How many points the grid of all values has; 1 for an empty search.

    Args:
        distributions: a search space, by path.
        where: what asks for a grid, for messages.

    Raises:
        ConfigError: if a parameter is a range of floats without a step.
    """
    size = 1
    for path, distribution in distributions.items():
        count = _count(distribution)
        if count is None:
            raise ConfigError(
                f"{where}: grid needs finitely many values, but {path} is a range of floats without a step; "
                "give it a list of choices or a step, or choose another sampler"
            )
        size *= count
    return size


def point(distributions: Mapping[str, BaseDistribution], seed: int, slot: int) -> dict[str, Any]:
    """The values of slot ``slot``, by path, without the parameters that have one value only.

    The slots go through all points in an order shuffled by ``seed``, of which only the first ``slot + 1`` are worked
    out; a slot past the last point begins anew.
    """
    size = grid_size(distributions)
    slot %= size
    rng = random.Random(seed)
    swapped: dict[int, int] = {}
    for place in range(slot + 1):
        other = rng.randrange(place, size)
        swapped[place], swapped[other] = swapped.get(other, other), swapped.get(place, place)
    index = swapped[slot]
    values = {}
    for name in sorted(distributions):
        index, digit = divmod(index, _count(distributions[name]) or 1)
        if not distributions[name].single():
            values[name] = _value(distributions[name], digit)
    return values


def _count(distribution: BaseDistribution) -> int | None:
    """How many values there are; None if they cannot be counted."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return (distribution.high - distribution.low) // distribution.step + 1
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return 1 if distribution.single() else None


def _value(distribution: BaseDistribution, index: int) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[index]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return min(distribution.low + index * (distribution.step or 0), distribution.high)
