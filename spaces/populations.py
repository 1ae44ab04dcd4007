"""Populations: the named sets of architectures that metrics are computed on, and their parts in the leaves."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Rows, SearchSpace, SubSpace, listed
from splitbench.spaces.subspaces import owner

REFERENCE = 2000
"""Functions that stand for a whole space, or a leaf, that cannot be listed."""


def population(
    space: SearchSpace,
    sample: int | None,
    seed: int,
    subspace: SubSpace | None = None,
    earlier: Sequence[SubSpace] = (),
) -> Rows:
    """Distinct connected functions [A, edges] that the metrics are computed on: all, or ``sample`` of them.

    Args:
        space: the space; how its functions are drawn, :meth:`SearchSpace.sample_functions` says.
        sample: how many; all of them if None.
        seed: of the sample.
        subspace: if given, only those of the population that this leaf owns:
        earlier: the leaves before it, of which none may contain them.

    Raises:
        ConfigError: if all functions of a space are asked for that cannot be listed.
    """
    rows = everything(space) if sample is None else space.sample_functions(sample, np.random.default_rng(seed))
    if subspace is None:
        return rows
    owned: Rows = rows[owner([*earlier, subspace], rows) == len(earlier)]
    return owned


def everything(space: SearchSpace) -> Rows:
    """All distinct connected functions of a space: [A, edges].

    Raises:
        ConfigError: if it cannot be listed.
    """
    if not space.can_list:
        raise ConfigError(
            f"population: the functions of space {space.name} cannot be listed, so all of them cannot be ranked; "
            "name a sample, as population: {sample: 1000}"
        )
    return listed(space, space.root())


@functools.lru_cache(maxsize=8)
def reference(space: SearchSpace) -> Rows:
    """What stands for the whole space: all its functions, or always the same ``REFERENCE`` of those it can draw."""
    return population(space, None if space.can_list else REFERENCE, 0)


def by_leaf(space: SearchSpace, leaves: Sequence[SubSpace]) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Functions that stand for leaves [A, edges], and the leaf that owns each [A] (-1: none).

    All functions of the space if it can be listed; otherwise ``REFERENCE`` drawn from each leaf, so that small leaves
    are not overlooked.
    """
    if space.can_list:
        rows = everything(space)
        return rows, owner(leaves, rows)
    drawn = [
        space.sample_functions(REFERENCE, np.random.default_rng((0, index)), leaf, leaves[:index])
        for index, leaf in enumerate(leaves)
    ]
    return np.concatenate(drawn), np.repeat(np.arange(len(leaves)), [len(rows) for rows in drawn])
