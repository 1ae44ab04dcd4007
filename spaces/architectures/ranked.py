"""What a table ranks: the distinct functions of a space, or its strings, as the inputs of a stage that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splitbench.spaces.architectures.populations import Of, population
from splitbench.spaces.base import Architecture, Rows, SearchSpace, SubSpace


@dataclass(frozen=True)
class RankedFunctions:
    """All distinct connected functions of a space, or a uniform sample of them.

    Attributes:
        sample: how many; all if None.
        seed: of the sample.
    """

    sample: int | None
    seed: int

    def rows(
        self, space: SearchSpace, subspace: SubSpace | None = None, leaves_before: Sequence[SubSpace] = ()
    ) -> Rows:
        """The members, [A, edges].

        Args:
            space: the whole search space, from which the sample is drawn.
            subspace: a leaf; only the members that it owns are then returned.
            leaves_before: the leaves before it. A member that several leaves contain is owned by the first of them.
        """
        return population(space, self.sample, self.seed, subspace, leaves_before, self.of)

    @property
    def of(self) -> Of:
        """What the members are."""
        return "functions"

    def estimated(self, space: SearchSpace, member: Architecture) -> Architecture:
        """The architecture that runs when a member is estimated: equal ones are estimated once a leaf."""
        return member


@dataclass(frozen=True)
class RankedStrings(RankedFunctions):
    """All connected strings, or a uniform sample: each is ranked by the leaf that contains it as it is spelled.

    Attributes:
        members: a field, so that a stage's hash differs from that of the functions.
    """

    members: str = "strings"

    @property
    def of(self) -> Of:
        return "strings"

    def estimated(self, space: SearchSpace, member: Architecture) -> Architecture:
        return space.function(member)
