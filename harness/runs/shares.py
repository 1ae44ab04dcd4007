"""How what is left of a budget is divided among leaves."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from splitbench.spaces.architectures.sampling import masses, owned_functions
from splitbench.spaces.base import SearchSpace, SubSpace

SHARES = {
    "sampler": "as often as the unsplit supernet's own sampler would train what it owns",
    "functions": "in proportion to the functions that it owns",
    "steps": "equally many steps, as most papers do",
    "flops": "equally much of the budget",
}
"""Kinds of shares, and what each leaf gets by it."""


def shares(
    kind: str, space: SearchSpace, sampling: str, leaves: Sequence[SubSpace], prices: Sequence[Fraction]
) -> tuple[Fraction, ...]:
    """Each leaf's share of the money, adding up to 1: how often it is to be trained, times what a step of it costs.

    Args:
        kind: a key of ``SHARES``.
        space, sampling: whose functions, and how the unsplit supernet draws them.
        leaves: in the order of ownership.
        prices: of a step of each leaf, in the budget's unit; means.

    Raises:
        ConfigError: for ``functions`` of a space that cannot be listed.
    """
    if kind == "flops" or len(leaves) == 1:
        return (Fraction(1, len(leaves)),) * len(leaves)
    times: Sequence[Fraction | int] = (1,) * len(leaves)
    if kind == "sampler":
        times = masses(space, leaves, sampling)
    elif kind == "functions":
        times = owned_functions(space, leaves)
    # A step of one leaf may cost more than one of another. Shares of the money alone would train dear leaves less often
    # than the kind says, so what is shared out is how often a leaf is trained, and its price turns that into money.
    money = [time * price for time, price in zip(times, prices, strict=True)]
    return tuple(amount / sum(money) for amount in money)
