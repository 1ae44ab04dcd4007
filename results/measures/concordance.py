"""Concordant less discordant pairs of each row of two columns: the sums behind Kendall's tau, in O(n log^2 n)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def concordance(score: npt.ArrayLike, truth: npt.ArrayLike) -> Integers:
    """[rows] how many other rows each is concordant with, less how many it is discordant with.

    A pair is concordant if score and truth order it alike, discordant if they order it contrarily; a tie in either is
    neither.
    """
    x, y = (np.unique(np.asarray(column), return_inverse=True)[1].astype(np.int64) for column in (score, truth))
    alike = _below_both(x, y) + _below_both(-x, -y)
    return alike - _below_both(x, -y) - _below_both(-x, y)


def _below_both(x: Integers, y: Integers) -> Integers:
    """[rows] how many rows are strictly smaller in both columns."""
    order = np.lexsort((-y, x))  # of rows equal in x, an earlier one is never smaller in y
    place = np.empty(len(x), dtype=np.int64)
    place[np.lexsort((-np.arange(len(x)), y[order]))] = np.arange(len(x))  # nor, of rows equal in y, in its place
    below = np.empty(len(x), dtype=np.int64)
    below[order] = smaller_before(place)
    return below


def smaller_before(permutation: Integers) -> Integers:
    """[n] how many earlier entries of a permutation of 0..n-1 are smaller than each.

    Two numbers are told apart by their highest differing bit: bit by bit, numbers that agree above it stand together in
    their first order, and each that has the bit counts those before it that have not.
    """
    smaller = np.zeros(len(permutation), dtype=np.int64)
    for bit in range(max(len(permutation) - 1, 0).bit_length()):
        above = permutation >> (bit + 1)
        order = np.argsort(above, kind="stable")
        lacks = ((permutation[order] >> bit) & 1) == 0
        before = np.cumsum(lacks)
        first = np.searchsorted(above[order], above[order], side="left")
        own = before - (before - lacks)[first]
        smaller[order[~lacks]] += own[~lacks]
    return smaller
