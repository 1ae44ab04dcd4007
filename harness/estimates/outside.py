"""Estimates from outside, held against the ground truth: on the strings as given, and on their functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import DataError
from splitbench.harness.estimates.estimates_file import Estimates, Floats
from splitbench.harness.stages.facts import best_known, sizes_of
from splitbench.results.estimates import outside
from splitbench.results.estimates.outside import GivenPopulation, RankedPopulation
from splitbench.spaces.base import Architecture, SearchSpace
from splitbench.spaces.choices import as_rows
from splitbench.spaces.truth import open_truth

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Functions:
    """The functions that a file's strings compute.

    Attributes:
        number: [A] of each string's function, from 0 on; strings that are cut off are one function.
        architectures: the distinct connected functions, as the space writes them.
        values: [F] their estimates: that of the string without dead operations where the file has it, and otherwise the
            mean over the function's strings.
        averaged: how many of them are such means, of strings that differ.
    """

    number: Integers
    architectures: tuple[Architecture, ...]
    values: Floats
    averaged: int


@dataclass(frozen=True)
class MeasuredEstimates:
    """What was measured of a file's estimates.

    Attributes:
        source: of the ground truth.
        strings: how many the space has.
        populations: ``strings`` and ``functions``; the latter alone where each string is a function of its own, and
            strings alone where fewer than two are connected.
        averaged: as in :class:`Functions`.
    """

    source: str
    strings: int
    populations: tuple[RankedPopulation, ...]
    averaged: int


def functions_in(estimates: Estimates, space: SearchSpace) -> Functions:
    """The functions that the strings of a file compute, in the order in which they first appear."""
    canonical = [space.function(a) if space.connected(a) else None for a in estimates.architectures]
    known: dict[Architecture | None, int] = {}
    number = np.array([known.setdefault(key, len(known)) for key in canonical], dtype=np.int64)
    with np.errstate(invalid="ignore"):
        sums = np.bincount(number, weights=estimates.values)
    means = np.nan_to_num(sums / np.bincount(number), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    least, most = (np.full(len(known), end) for end in (np.inf, -np.inf))
    np.minimum.at(least, number, estimates.values)
    np.maximum.at(most, number, estimates.values)
    values, own = means.copy(), np.zeros(len(known), dtype=bool)
    for string, key, index, value in zip(estimates.architectures, canonical, number, estimates.values, strict=True):
        if string == key:
            values[index], own[index] = value, True
    kept = [index for key, index in known.items() if key is not None]
    architectures = tuple(key for key in known if key is not None)
    averaged = int((~own & (least != most))[kept].sum())
    return Functions(number, architectures, values[kept], averaged)


def measure_from_outside(estimates: Estimates, space: SearchSpace, dataset: str) -> MeasuredEstimates:
    """Every metric of a file's estimates on a space bound to the dataset's images.

    Raises:
        ConfigError: if there is no ground truth on the dataset; DataError: if it is missing, or lacks an architecture.
    """
    truth = open_truth(space, dataset)
    functions = functions_in(estimates, space)
    asked = dict.fromkeys(estimates.architectures + functions.architectures)
    place = {architecture: row for row, architecture in enumerate(asked)}
    rows = as_rows(list(place), len(space.edges))
    try:
        test, per_seed = truth.test(rows), truth.per_seed(rows)
    except KeyError as error:
        raise DataError(
            f"{estimates.path}: the ground truth of {space.name} on {dataset} lacks one of its architectures; leave "
            "out those that are cut off from the input"
        ) from error
    sizes = {name: np.asarray(values) for name, values in sizes_of(space, rows).items()}

    def ranked(architectures: tuple[Architecture, ...], values: Floats, number: Integers) -> GivenPopulation:
        at = np.array([place[architecture] for architecture in architectures])
        best = best_known(truth.best(), test[at])
        return GivenPopulation(
            values, test[at], per_seed[at], {name: each[at] for name, each in sizes.items()}, number, best
        )

    populations = []
    if estimates.architectures != functions.architectures:
        given = ranked(estimates.architectures, estimates.values, functions.number)
        populations.append(outside.measure_population("strings", given))
    if len(functions.architectures) > 1:
        each = ranked(functions.architectures, functions.values, np.arange(len(functions.architectures)))
        populations.append(outside.measure_population("functions", each))
    return MeasuredEstimates(truth.source, space.root().size, tuple(populations), functions.averaged)


def by_name(estimates: Estimates, space: SearchSpace) -> dict[str, float]:
    """Function, as the space writes it, -> its estimate: what a leaderboard's populations are looked up in."""
    functions = functions_in(estimates, space)
    return dict(zip(map(space.encode, functions.architectures), functions.values.tolist(), strict=True))
