"""What a supernet trains: architectures drawn from the part of the space that its leaf owns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from splitbench.harness.errors import ConfigError
from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.base import Architecture, Rows, SearchSpace, SubSpace
from splitbench.spaces.choices import as_rows
from splitbench.spaces.functions import FRUITLESS, listed

STRINGS, FUNCTIONS = "strings", "functions"

ENUMERATED = 200_000
"""Strings of a space up to which masses are counted; above, they are estimated."""

DRAWS = 20_000
"""Draws of such an estimate: of a mass of one half, its standard error is .35%."""


@dataclass(frozen=True)
class Sampler:
    """Draws architectures for the training of a leaf, and none that another leaf owns.

    A string whose function another leaf owns is trained there: with ``none`` on edge 0 of the NAS-Bench-201 cell, say,
    an operation behind that edge alone is dead, and the string is one more way to write a function without it.

    Attributes:
        space: where from.
        subspace: what the leaf allows.
        leaves_before: the leaves before it that overlap it: what they contain as well is theirs.
        sampling: ``strings``: each string is equally likely, so a function as often as there are strings for it;
            ``functions``: each function is equally likely, by the one string that names it.
    """

    space: SearchSpace
    subspace: SubSpace
    leaves_before: tuple[SubSpace, ...] = ()
    sampling: str = STRINGS

    def owns(self, architecture: Architecture) -> bool:
        """Whether this leaf ranks the architecture's function."""
        function = self.space.function(architecture)
        return self.subspace.contains(function) and not any(other.contains(function) for other in self.leaves_before)

    def draw(self, rng: np.random.Generator) -> Architecture:
        """One connected architecture.

        Raises:
            ConfigError: if many draws hold none that the leaf owns.
        """
        if self.sampling == FUNCTIONS:
            rows = self.functions
            function: Architecture = tuple(rows[int(rng.integers(len(rows)))].tolist())
            return function
        for _ in range(FRUITLESS):
            architecture = self.space.sample(rng, self.subspace)
            if self.owns(architecture):
                return architecture
        raise ConfigError(
            f"space {self.space.name}: {FRUITLESS:,} architectures drawn from a leaf have functions that other leaves "
            "own; take sampling: functions, or other groups"
        )

    @functools.cached_property
    def functions(self) -> Rows:
        """All functions that the leaf owns, [A, edges], of a space that can be listed."""
        rows = listed(self.space, self.subspace)
        return rows[owner(self.leaves_before, rows) < 0]


def masses(space: SearchSpace, leaves: Sequence[SubSpace], sampling: str) -> tuple[Fraction, ...]:
    """How often the unsplit supernet's sampler draws what each leaf owns.

    Exact where functions can be listed and strings are few enough to be counted; otherwise the share of ``DRAWS`` draws
    that are always the same ones, and at least one of them.

    Args:
        space: the space.
        leaves: in the order of ownership.
        sampling: strings or functions.

    Returns:
        One a leaf; they add up to 1, but for what no leaf owns and for rounding up to one draw.
    """
    if sampling == FUNCTIONS:
        total = space.count(space.root())
        return tuple(Fraction(count, total) for count in owned_functions(space, leaves))
    drawn = _functions_of_strings(space)
    counts = np.bincount(owner(leaves, drawn) + 1, minlength=len(leaves) + 1)[1:]
    return tuple(Fraction(max(int(count), 1), len(drawn)) for count in counts)


def owned_functions(space: SearchSpace, leaves: Sequence[SubSpace]) -> tuple[int, ...]:
    """How many distinct connected functions each leaf owns.

    Raises:
        ConfigError: if the space cannot be listed.
    """
    rows = listed(space, space.root())
    counts = np.bincount(owner(leaves, rows) + 1, minlength=len(leaves) + 1)[1:]
    return tuple(int(count) for count in counts)


@functools.lru_cache(maxsize=4)
def _functions_of_strings(space: SearchSpace) -> Rows:
    """The functions [S, edges] of all connected strings, or of drawn ones, a row a string."""
    root = space.root()
    if root.size <= ENUMERATED:
        grid = np.stack(np.meshgrid(*root.allowed, indexing="ij"), axis=-1).reshape(-1, len(root.allowed))
        strings = [a for row in grid.tolist() if space.connected(a := tuple(row))]
    else:
        rng = np.random.default_rng(0)
        strings = [space.sample(rng) for _ in range(DRAWS)]
    return as_rows([space.function(a) for a in strings], len(root.allowed))
