"""How long a run's leaves and its unsplit supernet were trained, from records: what the law of a split is fitted to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from splitbench.results.arms.arms import ArmRuns, metric
from splitbench.results.payoff.ladder import Ladder
from splitbench.results.payoff.law import SeedPoint
from splitbench.results.records.loading import StoredRun
from splitbench.results.records.record import NodeRecord, Record


def length_points(ladder: Ladder, arm: str, name: str) -> dict[float, dict[int, SeedPoint]]:
    """Budget -> seed -> lengths and the metric ``name`` of the arm and of the baseline; budgets at which one lacks it
    are absent."""
    lengths = {}
    for budget, own in ladder.complete(arm).items():
        baseline = ladder.tables[budget][ladder.baseline]
        values, reference = own.by_repetition(metric(name)), baseline.by_repetition(metric(name))
        if values and reference:
            lengths[budget] = {
                seed: SeedPoint(_steps(baseline, seed), _steps(own, seed), reference[seed], values[seed])
                for seed in sorted(values.keys() & reference.keys())
            }
    return {budget: own for budget, own in lengths.items() if own}


def mean_leaf_steps(record: Record) -> float:
    """Training steps behind a leaf of the run: a geometric mean over the functions of the population, each in the leaf
    that ranks it. With inherited weights the nodes above it count; an unsplit run's is its number of steps."""
    schedule = record.config.get("arm", {}).get("schedule", {})
    ranked = {tuple(map(tuple, leaf.allowed)): leaf.population for leaf in record.selection.leaves}
    inherited = schedule.get("weights", "inherit") == "inherit"
    lengths = [(tuple(map(tuple, leaf.allowed)), steps) for leaf, steps in _leaves(record.tree, 0, inherited)]
    weights: Sequence[float] = [ranked.get(allowed, 0) for allowed, _ in lengths]
    if not sum(weights):
        weights = [1.0] * len(lengths)
    total = math.fsum(w * math.log(max(1, steps)) for w, (_, steps) in zip(weights, lengths, strict=True))
    return math.exp(total / sum(weights))


def _leaves(node: NodeRecord, before: int, inherited: bool) -> Iterator[tuple[NodeRecord, int]]:
    steps = node.steps + (before if inherited else 0)
    if not node.children:
        yield node, steps
    for child in node.children:
        yield from _leaves(child, steps, inherited)


def _steps(arm: ArmRuns, seed: int) -> float:
    """Over draws, again a geometric mean."""
    runs: Sequence[StoredRun] = arm.repetitions[seed]
    return math.exp(math.fsum(math.log(mean_leaf_steps(run.record)) for run in runs) / len(runs))
