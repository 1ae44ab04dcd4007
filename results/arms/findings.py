"""Groups arms that chose the same partition: together they are one finding, and one hypothesis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.records.record import NodeRecord, Record

Leaves = frozenset[tuple[tuple[int, ...], ...]]


def findings(arms: Sequence[ArmRuns]) -> dict[str, str]:
    """Arm -> the first of the arms, in their order, that chose the same partition: itself for most.

    Two arms chose the same if they have the same runs, the leaves of each run are the same sets of architectures, and
    the same parts train and read them (:func:`finding_conditions`). Their costs of scoring may differ. Arms that split
    in no run chose nothing, and an oracle control never shares a finding with another arm.
    """
    first: dict[Any, str] = {}
    names = {}
    for arm in arms:
        records = [run.record for run in arm.runs]
        chosen = tuple(
            (record.repetition, record.draw, leaves(record.tree), finding_conditions(record)) for record in records
        )
        splits = arm.complete and any(record.tree.children for record in records)
        names[arm.name] = first.setdefault((chosen, arm.reads_truth), arm.name) if splits else arm.name
    return names


def leaves(tree: NodeRecord) -> Leaves:
    """The set of subspaces of a tree's leaves."""
    return frozenset(tuple(tuple(sorted(operations)) for operations in leaf.allowed) for leaf in _leaves(tree))


def finding_conditions(record: Record) -> tuple[str, ...]:
    """What trains leaves and reads them, whatever decided the split: schedule, trainer, modifiers, selector, choice."""
    parts: Mapping[str, Any] = record.config.get("arm", {})
    alike = tuple(repr(parts.get(key)) for key in ("schedule", "trainers", "selectors", "leaf_choices"))
    return (*alike, repr(parts.get("modifiers") or []))


def _leaves(node: NodeRecord) -> Iterator[NodeRecord]:
    if not node.children:
        yield node
    for child in node.children:
        yield from _leaves(child)
