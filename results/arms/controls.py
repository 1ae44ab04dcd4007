"""Each arm that splits, against chance: random edges and random groups of the same sizes, seed by seed.

A criterion with groups of 1 and 4 operations has other leaves than one with groups of 2 and 3, whatever it measures. So
the control of a run is the mean of those random runs of its repetition whose split has the same sizes and whose
schedule, trainer and modifiers are the same. An arm has this comparison if every repetition of it has such a control.

What an arm pays for scoring it cannot train with, so an arm that finds nothing falls below random groups that pay
nothing. Where random controls of the same sizes burn shares of the budget, chance is taken at the arm's own bill:
linear in the logarithm of a leaf's steps between the controls on both sides of it. What the bill alone costs stands
beside the difference.

Oracle controls are bounds, so their p values are adjusted among themselves and do not count for the other arms.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from splitbench.results.arms.arms import ArmRuns, Getter, metric
from splitbench.results.arms.findings import finding_conditions, findings
from splitbench.results.arms.grounds import ungrounded
from splitbench.results.inference import stats
from splitbench.results.inference.paired import Comparison, compare_pairs
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.record import NodeRecord, Record

Pattern = tuple[Any, ...]
NO_CONTROL = "no random control of the same sizes and schedule in every seed"
NOTHING_FREE = "no random control of the same sizes and schedule that pays nothing in every seed"
NO_VALUE = "no value in some run, its own or a control's"


@dataclass(frozen=True)
class Chance:
    """A paired difference to random groups of the same sizes.

    Attributes:
        sizes: of the groups, in words, smallest first; several where seeds differ.
        controls: the arms that the control runs belong to.
        difference: of the metric, arm less control, over repetitions; at the arm's own bill, if ``bill`` is known.
        p: of the sign-flip test, Holm-adjusted over the arms of the table that have such a control: over those that
            are no oracle controls, or over those that are.
        paid: share of the budget that the arm pays for scoring, a mean over its runs.
        share: share of the budget that scoring took, also where scoring is free; else equal to ``paid``.
        bill: chance at that bill less chance that pays nothing, over repetitions; None where no controls burn as much.
    """

    sizes: str
    controls: tuple[str, ...]
    difference: Estimate
    p: float
    paid: float = 0.0
    share: float = 0.0
    bill: Estimate | None = None


@dataclass(frozen=True)
class Chances:
    """Every complete arm that splits, without the random controls.

    Attributes:
        by_arm: arm -> its comparison.
        without: arm -> why it has none.
    """

    by_arm: Mapping[str, Chance]
    without: Mapping[str, str]


def pattern(node: NodeRecord) -> Pattern:
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


def against_chance(arms: Sequence[ArmRuns], name: str) -> Chances:
    """Compare the arms of one table with its random controls by the metric of this name.

    Arms and controls whose runs give no grounds for a verdict are left out.
    """
    complete = [arm for arm in arms if arm.complete]
    controls: dict[Hashable, list[Record]] = {}
    for arm in complete:
        for run in arm.runs if not ungrounded(arm) else ():
            if is_random(run.record):
                controls.setdefault(_key(run.record), []).append(run.record)
    by_arm: dict[str, tuple[Comparison, Chance]] = {}
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
        if not all(any(burnt(control) == 0 for control in own) for own in matched.values()):
            without[arm.name] = NOTHING_FREE
            continue
        compared = _compared(arm, matched, name)
        if compared is None:
            without[arm.name] = NO_VALUE
            continue
        by_arm[arm.name] = compared
    same = findings(complete)
    oracles = [arm.reads_truth for arm in complete if arm.name in by_arm]
    ps = [comparison.p for comparison, _ in by_arm.values()]
    adjusted = stats.holm_within(ps, oracles, [same[name] for name in by_arm])
    chances = {name: replace(chance, p=p) for (name, (_, chance)), p in zip(by_arm.items(), adjusted, strict=True)}
    return Chances(chances, without)


def _compared(
    arm: ArmRuns, matched: Mapping[tuple[int, int], list[Record]], name: str
) -> tuple[Comparison, Chance] | None:
    """An arm against its controls, p not yet adjusted; None if some run lacks the value."""
    get = metric(name)

    def free(record: Record) -> float | None:
        return chance_at(0.0, matched[_turn(record)], get)

    def at_bill(record: Record) -> float | None:
        return chance_at(billed(record), matched[_turn(record)], get)

    values, chance = arm.by_repetition(get), arm.by_repetition(free)
    if values is None or chance is None:
        return None
    paid = math.fsum(billed(run.record) for run in arm.runs) / len(arm.runs)
    share = math.fsum(scoring_share(run.record) for run in arm.runs) / len(arm.runs)
    bill = None
    if paid > 0 and (dearer := arm.by_repetition(at_bill)) is not None:
        difference = compare_pairs(dearer, chance, name)
        bill, chance = difference.difference if difference is not None else None, dearer
    comparison = compare_pairs(values, chance, name)
    if comparison is None:
        return None
    names = tuple(sorted({control.arm for own in matched.values() for control in own}))
    return comparison, Chance(_sizes_words(arm), names, comparison.difference, comparison.p, paid, share, bill)


def chance_at(bill: float, controls: Sequence[Record], get: Getter) -> float | None:
    """The value of random groups that pay a share of the budget without using it; None if no control pays as much.

    The share shortens a leaf's training in proportion; between neighbouring controls the value is taken to be linear
    in the logarithm of a leaf's steps.
    """
    burns = sorted({burnt(record) for record in controls})
    values, steps = [], []
    for burn in burns:
        own = [record for record in controls if burnt(record) == burn]
        values.append(_mean([get(record) for record in own]))
        steps.append(math.fsum(leaf_steps(record.tree) for record in own) / len(own))
    if bill in burns:
        return values[burns.index(bill)]
    above = next((index for index, burn in enumerate(burns) if burn > bill), 0)
    first, last = values[above - 1], values[above]
    if not above or first is None or last is None:
        return None
    part = (bill - burns[above - 1]) / (burns[above] - burns[above - 1])
    length = steps[above - 1] + part * (steps[above] - steps[above - 1])
    if length <= 0 or not 0 < steps[above] < steps[above - 1]:
        return None
    along = math.log(length / steps[above - 1]) / math.log(steps[above] / steps[above - 1])
    return first + along * (last - first)


def billed(record: Record) -> float:
    """The share of its budget that a run paid for scoring: 0 where scoring is free, or the budget is in seconds."""
    return 0.0 if is_free(record) else scoring_share(record)


def scoring_share(record: Record) -> float:
    """The cost of a run's scoring as a share of its budget, paid or free; 0 for a budget in seconds."""
    cost = record.cost.get("scoring")
    if cost is None or record.budget.kind == "seconds":
        return 0.0
    return float(getattr(cost, record.budget.kind)) / record.budget.limit


def is_free(record: Record) -> bool:
    """Whether a run's scoring was not paid out of its budget."""
    return bool(record.config.get("arm", {}).get("scoring") == "free")


def burnt(record: Record) -> float:
    """The share of the budget that a random control throws away."""
    criterion = record.config.get("arm", {}).get("criteria", {})
    while isinstance(criterion, Mapping) and isinstance(criterion.get("of"), Mapping):
        criterion = criterion["of"]
    return float(criterion.get("burn", 0.0)) if isinstance(criterion, Mapping) else 0.0


def leaf_steps(node: NodeRecord) -> float:
    """Training steps of a tree's leaves, their mean."""
    leaves = _leaves(node)
    return math.fsum(leaf.steps for leaf in leaves) / len(leaves)


def _leaves(node: NodeRecord) -> list[NodeRecord]:
    return [leaf for child in node.children for leaf in _leaves(child)] or [node]


def _turn(record: Record) -> tuple[int, int]:
    return record.repetition, record.draw


def _key(record: Record) -> Hashable:
    """What a run has in common with its controls."""
    return record.repetition, pattern(record.tree), finding_conditions(record)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(defined) / len(defined) if defined and len(defined) == len(values) else None


def _sizes_words(arm: ArmRuns) -> str:
    """As ``2|3``; levels and edges after one another."""
    words = {"; ".join(_words(run.record.tree)) for run in arm.runs}
    return " or ".join(sorted(words))


def _words(node: NodeRecord) -> list[str]:
    own = ["|".join(map(str, sorted(map(len, node.scores[str(edge)].groups)))) for edge in node.edges if node.children]
    return own + [words for child in node.children for words in _words(child)]
