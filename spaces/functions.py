"""The distinct connected functions of a subspace: listed, counted, or drawn where nobody can list them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import final

import numpy as np

from splitbench.harness.errors import ConfigError
from splitbench.spaces.choices import Architecture, Rows, SubSpace, as_rows
from splitbench.spaces.topology import Topology

FRUITLESS = 1000  # draws in a row that give nothing new, after which a subspace counts as exhausted


class FunctionSet(Topology):
    """Which distinct connected functions a subspace holds: listed where the space can be listed, drawn elsewhere."""

    @property
    def can_list(self) -> bool:
        """Whether ``functions`` can list what a subspace holds."""
        return True

    def functions(self, subspace: SubSpace) -> Rows:
        """All connected canonical architectures in ``subspace``: [A, edges], in lexicographic order.

        Raises:
            ConfigError: if the space cannot be listed.
        """
        raise ConfigError(
            f"space {self.name} cannot be listed: draw some of its functions by sample_functions(n, rng, subspace)"
        )

    def count(self, subspace: SubSpace) -> int:
        """How many distinct connected functions ``subspace`` holds; if the space cannot be listed, an upper bound.

        The bound is the number of strings unless a space knows better (it then says so).
        """
        return len(listed(self, subspace)) if self.can_list else subspace.size

    def is_empty(self, subspace: SubSpace) -> bool:
        """Whether ``subspace`` holds no connected function, so that no leaf can be made of it.

        Exact if the space can be listed; otherwise, unless a space knows better, True after ``FRUITLESS`` draws in
        vain.
        """
        if self.can_list:
            return self.count(subspace) == 0
        return next(self.drawn_functions(np.random.default_rng(0), subspace), None) is None

    def sample(self, rng: np.random.Generator, subspace: SubSpace | None = None) -> Architecture:
        """One uniform connected architecture of ``subspace`` (of the whole space by default).

        Raises:
            ValueError: if 10,000 draws hold no connected architecture.
        """
        subspace = subspace or self.root()
        for _ in range(10_000):
            architecture = subspace.draw(rng)
            if self.connected(architecture):
                return architecture
        raise ValueError(f"{subspace} holds no connected architecture")

    @final
    def sample_functions(
        self,
        n: int,
        rng: np.random.Generator,
        subspace: SubSpace | None = None,
        leaves_before: Sequence[SubSpace] = (),
    ) -> Rows:
        """``n`` distinct connected functions of ``subspace`` (the root by default), or all if there are no more.

        Of a space that can be listed, every set of n functions is equally likely. Otherwise architectures are drawn by
        :meth:`sample` and reduced by :meth:`function`, so that a function's chance grows with the number of its
        architectures; ``FRUITLESS`` draws in a row that give nothing new end the search, and functions may then be
        missing.

        Args:
            n: how many.
            rng: drawn from, unless all functions are given.
            subspace: where from.
            leaves_before: leaves that come before this one and own what they contain, which is left out.

        Returns:
            [at most n, edges], in lexicographic order.
        """
        subspace = subspace or self.root()
        if not self.can_list:
            drawn = sorted(islice(self.drawn_functions(rng, subspace, leaves_before), n))
            return as_rows(drawn, len(self.edges))
        rows = listed(self, subspace)
        for other in leaves_before:
            rows = rows[~other.mask(rows)]
        if n >= len(rows):
            return rows
        return rows[np.sort(rng.choice(len(rows), n, replace=False))]

    def drawn_functions(
        self, rng: np.random.Generator, subspace: SubSpace, leaves_before: Sequence[SubSpace] = ()
    ) -> Iterator[Architecture]:
        """Distinct connected functions of ``subspace`` that no subspace of ``leaves_before`` contains, in the order in
        which drawn architectures meet them; ends after ``FRUITLESS`` draws in a row that give nothing new."""
        seen: set[Architecture] = set()
        fruitless = 0
        while fruitless < FRUITLESS:
            try:
                function = self.function(self.sample(rng, subspace))
            except ValueError:  # nothing in the subspace is connected
                return
            fruitless += 1
            if function in seen or not subspace.contains(function) or any(e.contains(function) for e in leaves_before):
                continue
            seen.add(function)
            fruitless = 0
            yield function


@functools.lru_cache(maxsize=8)
def _everything(space: FunctionSet) -> Rows:
    rows = space.functions(space.root())
    rows.flags.writeable = False  # shared by whoever asks
    return rows


def listed(space: FunctionSet, subspace: SubSpace) -> Rows:
    """The distinct connected functions of a subspace, [A, edges] in lexicographic order: the root's, listed once a
    process.

    Raises:
        ConfigError: if the space cannot be listed.
    """
    rows = _everything(space)
    return rows if subspace == space.root() else rows[subspace.mask(rows)]
