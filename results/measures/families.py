"""Families of metrics: the range of each, and how small a difference of its means counts as none.

Regions of practical equality are conventions, one a family. They decide the word ``practically equal`` and nothing
else: a difference inside them is measured and tested like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Family:
    """Metrics with the same range and the same region of practical equality.

    Attributes:
        range: the least and the largest value that a metric of the family can take.
        region: a true difference of means of less than this, either way, is practically none.
    """

    range: Range
    region: float

    @property
    def differences(self) -> Range:
        """The range of a difference of two such metrics."""
        width = self.range[1] - self.range[0]
        return -width, width


CORRELATION = Family((-1.0, 1.0), 0.01)
"""tau-b and its kin: a hundredth of tau is one pair of architectures in two hundred that changes its order."""
SHARE = Family((0.0, 1.0), 0.01)
"""Precision at the top, best rank over the population's size, ndcg: a hundredth."""
POINTS = Family((0.0, 100.0), 0.25)
"""Accuracies and regrets, in points: about the standard deviation between trainings of one architecture, which is .23
points among the better half of NAS-Bench-201 on CIFAR-10 (root mean square over its seeds)."""


def family(metric: str) -> Family:
    """The family of a metric of records, or of a number of the selection, which is named ``selected ...``."""
    if metric.startswith(("regret", "selected")):
        return POINTS
    return SHARE if metric.startswith(("p@", "br@", "ndcg")) else CORRELATION
