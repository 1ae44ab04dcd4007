"""What the runs of one arm cost, by phase."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from splitbench.results.records.loading import StoredRun

MEASUREMENT = "measurement"  # ranking the population: timed, not charged


@dataclass(frozen=True)
class MeanPhaseCost:
    """Means over runs; ``seconds`` is None where a run lacks its measured file."""

    flops: float
    share: float
    seconds: float | None


@dataclass(frozen=True)
class MeanCost:
    """Means over runs; peak memory is the largest. Seconds leave out measurement, as FLOPs do."""

    flops: float
    seconds: float | None
    peak_bytes: int | None
    by_phase: Mapping[str, MeanPhaseCost]


def mean_cost(runs: tuple[StoredRun, ...]) -> MeanCost:
    """Means over runs; a stage that two arms share counts in full for both."""
    n = len(runs)
    measured = [run.measured for run in runs if run.measured is not None]
    timed = len(measured) == n and all(
        math.isfinite(seconds) for costs in measured for seconds in costs.seconds.values()
    )
    charged = {phase for run in runs for phase in run.record.cost}
    phases = charged | {phase for costs in measured for phase in costs.seconds}
    flops = {phase: sum(run.record.cost[phase].flops for run in runs if phase in run.record.cost) for phase in phases}
    total = sum(flops.values())
    seconds = {phase: math.fsum(costs.seconds.get(phase, 0.0) for costs in measured) / n for phase in phases}
    shares = {phase: flops[phase] / total if total else 0.0 for phase in phases}
    return MeanCost(
        flops=total / n,
        seconds=math.fsum(seconds[p] for p in sorted(phases) if p != MEASUREMENT) if timed else None,
        peak_bytes=max(costs.peak_bytes for costs in measured) if timed else None,
        by_phase={
            phase: MeanPhaseCost(flops[phase] / n, shares[phase], seconds[phase] if timed else None)
            for phase in sorted(phases)
        },
    )
