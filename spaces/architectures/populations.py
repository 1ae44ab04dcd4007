"""Populations: the named sets of architectures that metrics are computed on, and their parts in the leaves."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError
from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.base import Architecture, Rows, SearchSpace, SubSpace
from splitbench.spaces.choices import as_rows
from splitbench.spaces.functions import FRUITLESS, listed

REFERENCE = 2000
"""Functions that stand for a whole space, or a leaf, that cannot be listed."""


Of = Literal["functions", "strings"]
"""What a population is of: distinct connected functions, or connected strings (all spellings of a function)."""

MOST_STRINGS = 1_000_000
"""Strings of a space that are looked at one by one; of a larger space some are drawn."""


def population(
    space: SearchSpace,
    sample: int | None,
    seed: int,
    subspace: SubSpace | None = None,
    leaves_before: Sequence[SubSpace] = (),
    of: Of = "functions",
) -> Rows:
    """Distinct connected functions or strings [A, edges] that the metrics are computed on: all, or ``sample`` of them.

    Args:
        space: the space; how its functions are drawn, :meth:`SearchSpace.sample_functions` says.
        sample: how many; all of them if None.
        seed: of the sample.
        subspace: if given, only those of the population that this leaf owns:
        leaves_before: the leaves before it, of which none may contain them.
        of: functions, or strings: each is then in the leaf that contains it as it is spelled.

    Raises:
        ConfigError: if all functions or strings of a space are asked for that cannot be listed.
    """
    rng = np.random.default_rng(seed)
    if sample is None:
        rows = everything(space, of)
    else:
        rows = sample_strings(space, sample, rng) if of == "strings" else space.sample_functions(sample, rng)
    if subspace is None:
        return rows
    owned: Rows = rows[owner([*leaves_before, subspace], rows) == len(leaves_before)]
    return owned


def can_list(space: SearchSpace, of: Of = "functions") -> bool:
    """Whether all functions, or strings, of a space can be looked at."""
    return space.root().size <= MOST_STRINGS if of == "strings" else space.can_list


def everything(space: SearchSpace, of: Of = "functions") -> Rows:
    """All distinct connected functions, or connected strings, of a space: [A, edges] in lexicographic order.

    Raises:
        ConfigError: if they cannot be listed.
    """
    if not can_list(space, of):
        raise ConfigError(
            f"population: the {of} of space {space.name} cannot be listed, so all of them cannot be ranked; "
            "name a sample, as population: {sample: 1000}"
        )
    return connected_strings(space) if of == "strings" else listed(space, space.root())


@functools.lru_cache(maxsize=4)
def connected_strings(space: SearchSpace) -> Rows:
    """All connected strings of a space, one by one: [A, edges] in lexicographic order."""
    strings = itertools.product(*space.root().allowed)
    rows = as_rows([string for string in strings if space.connected(string)], len(space.edges))
    rows.flags.writeable = False  # shared by whoever asks
    return rows


def sample_strings(
    space: SearchSpace,
    n: int,
    rng: np.random.Generator,
    subspace: SubSpace | None = None,
    leaves_before: Sequence[SubSpace] = (),
) -> Rows:
    """``n`` distinct connected strings of ``subspace``, or all if there are no more; as
    :meth:`SearchSpace.sample_functions` has it of functions. Every connected string is equally likely."""
    subspace = subspace or space.root()
    if can_list(space, "strings"):
        rows = connected_strings(space)
        rows = rows[owner([*leaves_before, subspace], rows) == len(leaves_before)]
        chosen: Rows = rows if n >= len(rows) else rows[np.sort(rng.choice(len(rows), n, replace=False))]
        return chosen
    strings, fruitless = set[Architecture](), 0
    while len(strings) < n and fruitless < FRUITLESS:
        string = space.sample(rng, subspace)
        fruitless += 1
        if string not in strings and not any(other.contains(string) for other in leaves_before):
            strings.add(string)
            fruitless = 0
    return as_rows(sorted(strings), len(space.edges))


@functools.lru_cache(maxsize=8)
def reference(space: SearchSpace, of: Of = "functions") -> Rows:
    """What stands for the whole space: all its functions or strings, or always the same ``REFERENCE`` of those it can
    draw."""
    return population(space, None if can_list(space, of) else REFERENCE, 0, of=of)


def by_leaf(space: SearchSpace, leaves: Sequence[SubSpace], of: Of = "functions") -> tuple[Rows, npt.NDArray[np.int64]]:
    """Functions or strings that stand for leaves [A, edges], and the leaf that owns each [A] (-1: none).

    All of the space if they can be listed; otherwise ``REFERENCE`` drawn from each leaf, so that small leaves are not
    overlooked.
    """
    if can_list(space, of):
        rows = everything(space, of)
        return rows, owner(leaves, rows)
    draw = functools.partial(sample_strings, space) if of == "strings" else space.sample_functions
    drawn = [
        draw(REFERENCE, np.random.default_rng((0, index)), leaf, leaves[:index]) for index, leaf in enumerate(leaves)
    ]
    return np.concatenate(drawn), np.repeat(np.arange(len(leaves)), [len(rows) for rows in drawn])
