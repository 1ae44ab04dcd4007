"""Each arm that splits, against chance: random edges and random groups of the same sizes, seed by seed.

A criterion with groups of 1 and 4 operations has other leaves than one with groups of 2 and 3, whatever it measures. So
the control of a run is the mean of those random runs of its repetition whose split has the same sizes and whose
schedule, trainer and modifiers are the same. An arm has this comparison if every repetition of it has such a control.
Oracle controls are bounds, so their p values are adjusted among themselves and do not count for the other arms.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitbench.results import stats
from splitbench.results.arms import Arm, metric
from splitbench.results.findings import conditions, findings
from splitbench.results.grounds import ungrounded
from splitbench.results.paired import Comparison, compare
from splitbench.results.record import Node, Record
from splitbench.results.stats import Estimate

Pattern = tuple[Any, ...]
NO_CONTROL = "no random control of the same sizes and schedule in every seed"
NO_VALUE = "no value in some run, its own or a control's"


@dataclass(frozen=True)
class Chance:
    """A paired difference to random groups of the same sizes.

    Attributes:
        sizes: of the groups, in words, smallest first; several where seeds differ.
        controls: the arms that the control runs belong to.
        difference: of the metric, arm less control, over repetitions.
        p: of the sign-flip test, Holm-adjusted over the arms of the table that have such a control: over those that
            are no oracle controls, or over those that are.
    """

    sizes: str
    controls: tuple[str, ...]
    difference: Estimate
    p: float


@dataclass(frozen=True)
class Chances:
    """Every complete arm that splits, the random controls left out: its comparison by name, or why it has none."""

    found: Mapping[str, Chance]
    without: Mapping[str, str]


def pattern(node: Node) -> Pattern:
    """The sizes of a tree's groups, edge by edge and level by level, whatever the edges and operations are."""
    if not node.children:
        return ()
    sizes = tuple(sorted(tuple(sorted(map(len, node.scores[str(edge)].groups))) for edge in node.edges))
    return (sizes, tuple(sorted(pattern(child) for child in node.children)))


def is_random(record: Record) -> bool:
    """Whether a record is of a random control: edge and groups are left to chance, or the groups alone where the edges
    are given (``hierarchy`` of ``random``: balanced groups of independent uniform numbers are uniform, too)."""
    parts = record.config.get("arm", {})
    criterion = parts.get("criteria", {})
    rules = tuple(parts.get(kind, {}).get("name") for kind in ("partitioners", "edge_rules"))
    inside = criterion.get("of") if rules == ("balanced", "hierarchy") else criterion
    known = rules in (("random_groups", "random_edge"), ("balanced", "hierarchy"))
    return known and isinstance(inside, Mapping) and inside.get("name") == "random"


def against_chance(arms: Sequence[Arm], name: str) -> Chances:
    """Hold the arms of one table against its random controls by the metric of this name.

    An arm that gives no ground for a verdict is not held against them, and none is held against such a control.
    """
    get = metric(name)
    complete = [arm for arm in arms if arm.complete]
    controls: dict[Hashable, list[Record]] = {}
    for arm in complete:
        for run in arm.runs if not ungrounded(arm) else ():
            if is_random(run.record):
                controls.setdefault(_key(run.record), []).append(run.record)
    found: dict[str, tuple[Comparison, str, tuple[str, ...]]] = {}
    without: dict[str, str] = {}
    for arm in complete:
        if is_random(arm.runs[0].record) or not any(run.record.tree.children for run in arm.runs):
            continue
        if why := ungrounded(arm):
            without[arm.name] = why
            continue
        matched = {_turn(run.record): controls.get(_key(run.record), []) for run in arm.runs}
        if not all(matched.values()):
            without[arm.name] = NO_CONTROL
            continue

        def control(record: Record, matched: Mapping[Any, list[Record]] = matched) -> float | None:
            return _mean([get(one) for one in matched[_turn(record)]])

        values, chance = arm.by_repetition(get), arm.by_repetition(control)
        comparison = compare(values, chance, name) if values is not None and chance is not None else None
        if comparison is None:
            without[arm.name] = NO_VALUE
            continue
        names = tuple(sorted({control.arm for own in matched.values() for control in own}))
        found[arm.name] = comparison, _sizes_words(arm), names
    same = findings(complete)
    oracles = [arm.reads_truth for arm in complete if arm.name in found]
    ps = [comparison.p for comparison, _, _ in found.values()]
    adjusted = stats.holm_within(ps, oracles, [same[name] for name in found])
    chances = {
        name: Chance(sizes, names, comparison.difference, p)
        for (name, (comparison, sizes, names)), p in zip(found.items(), adjusted, strict=True)
    }
    return Chances(chances, without)


def _turn(record: Record) -> tuple[int, int]:
    return record.repetition, record.draw


def _key(record: Record) -> Hashable:
    """What a run has in common with its controls."""
    return record.repetition, pattern(record.tree), conditions(record)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(defined) / len(defined) if defined and len(defined) == len(values) else None


def _sizes_words(arm: Arm) -> str:
    """As ``2|3``; levels and edges after one another."""
    words = {"; ".join(_words(run.record.tree)) for run in arm.runs}
    return " or ".join(sorted(words))


def _words(node: Node) -> list[str]:
    own = ["|".join(map(str, sorted(map(len, node.scores[str(edge)].groups)))) for edge in node.edges if node.children]
    return own + [words for child in node.children for words in _words(child)]
