"""Whether a retraining of micro's ground truth is one by the same recipe, judged on any machine.

A training amplifies the last digit: on another CPU model the same seed ends elsewhere, at worst as far as another seed
would. So a retraining is not compared number by number, but as a draw. Under the hypothesis that recipe, images and
network are those of the table, the table's three values of a function and the three retrained ones may be exchanged
(trainings that stay close to the table's only make the test more careful). The statistic is the sum over functions of
the difference of the two means over the deviation of all six values; its null distribution is the exact one, over all
20 ways of calling three of the six retrained, in every function independently.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ALPHA = 1e-4
"""The rate of false alarms: at most one machine in 10,000 is told that its arithmetic is wrong though it is not (one
CPU model gives one answer, so it would be told so always). The test is exact, so the rate needs no simulation;
test_micro_truth.py simulates it all the same."""

HALVES = np.array([[seed in chosen for seed in range(6)] for chosen in itertools.combinations(range(6), 3)])


def p_value(table: Floats, again: Floats) -> float:
    """The two-sided exact p of the exchange of table [F, 3] and retraining [F, 3], for up to six functions F."""
    six = np.concatenate([table, again], axis=1)
    deviation = six.std(axis=1, ddof=1)[:, None]
    ways = np.stack([six[:, half].mean(axis=1) - six[:, ~half].mean(axis=1) for half in HALVES], axis=1) / deviation
    found = abs(float(((again.mean(axis=1) - table.mean(axis=1)) / deviation[:, 0]).sum()))
    middle = len(six) // 2
    first, second = np.sort(_sums(ways[:middle])), _sums(ways[middle:])
    above = len(first) - np.searchsorted(first, found - 1e-9 - second)
    below = np.searchsorted(first, -found + 1e-9 - second, side="right")
    return min(1.0, float(above.sum() + below.sum()) / (len(first) * len(second)))


def _sums(ways: Floats) -> Floats:
    """Every sum of one entry a row."""
    found = np.zeros(1)
    for row in ways:
        found = (found[:, None] + row).ravel()
    return found
