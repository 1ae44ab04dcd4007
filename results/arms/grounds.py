"""Whether a run gives grounds for a verdict on its arm: what ranked its population, and what its criterion measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.records.record import EdgeScore, NodeRecord, Record


def ungrounded(arm: ArmRuns, ranks: bool = True) -> str:
    """Why an arm cannot be judged, in a few words; empty if it can.

    Args:
        ranks: whether by a metric of the population. What was selected never comes from a leaf that was given up.
    """
    share = _mean([given_up(run.record) for run in arm.runs])
    if ranks and share > 0:
        return f"given-up leaves rank {share:.0%} of the population"
    empty = sum(measured_nothing(run.record) for run in arm.runs)
    if empty:
        return f"its criterion measured nothing in {empty} of {len(arm.runs)} runs"
    return ""


def given_up(record: Record) -> float:
    """The share of the population that lies in leaves whose training was given up before its end."""
    leaves = record.selection.leaves
    whole = sum(leaf.population for leaf in leaves)
    return sum(leaf.population for leaf in leaves if not leaf.kept) / whole if whole else 0.0


def measured_nothing(record: Record) -> bool:
    """Whether a split was made on edges of which a criterion that measures has measured nothing.

    A criterion measures if it has an option ``repetitions``, or says of an edge that it took some. It has measured
    nothing of an edge without any repetition, or if all pairs of three operations or more are equally far apart: what
    was split is then the work of the partitioner's rule for ties.
    """
    claims = _claims(record.config.get("arm", {}).get("criteria"))
    return any(all(_empty(node.scores[str(edge)], claims) for edge in node.edges) for node in _splits(record.tree))


def _claims(criterion: Any) -> bool:
    """Whether a criterion, or one inside it, is configured to repeat a measurement."""
    if not isinstance(criterion, Mapping):
        return False
    return isinstance(criterion.get("repetitions"), int) or any(map(_claims, criterion.values()))


def _empty(score: EdgeScore, claims: bool) -> bool:
    if not score.repetitions:
        return claims
    apart = [value for i, row in enumerate(score.dissimilarity) for j, value in enumerate(row) if i < j]
    return len(apart) > 1 and max(apart) - min(apart) <= 1e-12 * max(map(abs, apart))


def _splits(node: NodeRecord) -> Iterator[NodeRecord]:
    if node.children and node.edges:
        yield node
    for child in node.children:
        yield from _splits(child)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
