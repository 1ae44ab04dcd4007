"""Does the difference to chance follow what was spent on scoring? Over the criteria of one table, not over seeds.

A criterion that finds nothing falls below random groups that pay nothing by what its scoring keeps from training. If
the order of a table is that of the bills, it says how much scoring each author chose to pay for. So the correlation
stands beside the comparison with chance three times, where the study allows it: against chance that pays nothing,
against chance at an arm's own bill (which random controls with ``burn`` give), and for arms whose scoring was free.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from splitbench.results.boards.rows import BoardRow
from splitbench.results.inference import stats

FEWEST = 8
"""The fewest findings for a correlation: with fewer, only near agreement would differ significantly from chance."""
NORMAL = 1.959963984540054
UNPAID, OWN, FREE = "against chance that pays nothing", "at the arm's own bill", "with scoring free"


@dataclass(frozen=True)
class BillCorrelation:
    """Share spent on scoring, and difference to chance, over the findings of a table.

    Attributes:
        chance: what the difference is taken from, in words.
        findings: how many partitions; arms of one partition count once, with the means of both numbers.
        rho: Spearman's correlation, tied shares at the mean of their places.
        low, high: its 95% interval over criteria, after Bonett and Wright (Psychometrika 2000): atanh(rho) -+ 1.96
            sqrt((1 + rho^2 / 2) / (n - 3)).
        null: half the width of the range that holds 95 of 100 correlations of shares with nothing: of
            t / sqrt(n - 2 + t^2) under Student's t with n - 2 degrees of freedom.
        p: of rho under that distribution, two-sided.
        slope: least squares, difference a unit of share: 1 is the whole budget.
    """

    chance: str
    findings: int
    rho: float
    low: float
    high: float
    null: float
    p: float
    slope: float


def bill_correlations(rows: Iterable[BoardRow]) -> tuple[BillCorrelation, ...]:
    """Over the arms of a table that have a comparison with chance and are no oracle controls.

    A correlation of fewer than ``FEWEST`` findings, or of shares or differences that are all alike, is left out.
    """
    of = [row for row in rows if row.chance is not None and not row.reads_truth]
    paying, free = [row for row in of if not _free(row)], [row for row in of if _free(row)]
    known = [row for row in paying if row.chance and (row.chance.bill is not None or not row.chance.paid)]
    own = known if any(row.chance and row.chance.bill is not None for row in known) else []
    correlations = (_correlation(UNPAID, paying, True), _correlation(OWN, own, False), _correlation(FREE, free, False))
    return tuple(correlation for correlation in correlations if correlation is not None)


def _free(row: BoardRow) -> bool:
    return row.chance is not None and row.chance.share > 0 and row.chance.paid == 0


def _correlation(chance: str, rows: Sequence[BoardRow], unpaid: bool) -> BillCorrelation | None:
    members: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.chance is None:
            continue
        bill = row.chance.bill.mean if unpaid and row.chance.bill is not None else 0.0
        members.setdefault(row.finding or row.arm, []).append((row.chance.share, row.chance.difference.mean + bill))
    n = len(members)
    shares = [_mean([share for share, _ in own]) for own in members.values()]
    differences = [_mean([difference for _, difference in own]) for own in members.values()]
    if n < FEWEST or len(set(shares)) < 2 or len(set(differences)) < 2:
        return None
    rho = pearson(places(shares), places(differences))
    bounded = max(-1 + stats.ROUNDING, min(1 - stats.ROUNDING, rho))
    middle, half = math.atanh(bounded), NORMAL * math.sqrt((1 + rho**2 / 2) / (n - 3))
    t = stats.t_quantile(stats.CONFIDENCE, n - 2)
    observed = abs(bounded) * math.sqrt((n - 2) / (1 - bounded**2))
    return BillCorrelation(
        chance=chance,
        findings=n,
        rho=rho,
        low=math.tanh(middle - half),
        high=math.tanh(middle + half),
        null=t / math.sqrt(n - 2 + t**2),
        p=2 * stats.t_cumulative(-observed, n - 2),
        slope=_slope(shares, differences),
    )


def places(values: Sequence[float]) -> list[float]:
    """Ranks from 1, ties at the mean of their places."""
    order = sorted(values)
    first = {value: order.index(value) for value in set(values)}
    return [first[value] + (order.count(value) + 1) / 2 for value in values]


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """Pearson's."""
    a, b = [value - _mean(x) for value in x], [value - _mean(y) for value in y]
    return math.fsum(p * q for p, q in zip(a, b, strict=True)) / math.sqrt(
        math.fsum(p * p for p in a) * math.fsum(q * q for q in b)
    )


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    middle = _mean(x)
    across = math.fsum((a - middle) ** 2 for a in x)
    return math.fsum((a - middle) * b for a, b in zip(x, y, strict=True)) / across


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
