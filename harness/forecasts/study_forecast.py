"""The forecast of a study's time, compute and disk space, made before it starts: ``splitbench run --dry-run``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from splitbench.harness.budget import Cost, Meter
from splitbench.harness.device import one_thread, wait
from splitbench.harness.running.study import Study
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.dry_run import Rehearsal, Rehearser
from splitbench.harness.runs.price_probe import ScorePrices
from splitbench.harness.stages.context import StageContext, pack_tensors
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import short
from splitbench.harness.supernets.estimate import estimate
from splitbench.harness.supernets.normalisation import RunningStatistics
from splitbench.harness.trainers.base import Job, open_session
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count
from splitbench.spaces.datasets.base import Dataset

PHASES = ("warm_up", "scoring", "training", "selection", "measurement")
STEPS, ESTIMATES = 12, 3
"""How much is run to measure this machine's rate."""


@dataclass
class ArmForecast:
    """What one arm will take, summed over its runs.

    Attributes:
        arm: its name.
        runs: number of runs.
        leaves: number of leaves of one run.
        stages: kind -> number of stages.
        flops: phase -> FLOPs, the ranking of the population (``measurement``) included.
        steps: number of training steps.
        reused: FLOPs that another arm computes too, and that are therefore computed once.
    """

    arm: str
    runs: int = 0
    leaves: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    flops: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    reused: int = 0


@dataclass(frozen=True)
class Rates:
    """This machine's speed, measured with the study's own trainer.

    Attributes:
        training, estimates: FLOPs a second of training steps and of forward passes.
        state_bytes: bytes of one trained supernet on disk.
    """

    training: float
    estimates: float
    state_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What a study will take.

    Attributes:
        arms: each arm's part.
        rates: by trainer.
        seconds: expected, with ``workers``; ``measuring`` is the share of them that ranks the population.
        disk: bytes of weights and states that the results folder will hold.
        notes: warnings for the user, a sentence each.
    """

    arms: tuple[ArmForecast, ...]
    rates: dict[str, Rates]
    seconds: float
    measuring: float
    workers: int
    disk: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        arms = [{**vars(arm), "stages": dict(arm.stages), "flops": dict(arm.flops)} for arm in self.arms]
        return {**vars(self), "arms": arms, "rates": {name: vars(rates) for name, rates in self.rates.items()}}


def forecast(study: Study, workers: int = 1, seen: set[str] | None = None) -> Forecast:
    """Rehearse every run of a study, and measure this machine's rate for some seconds.

    Args:
        study: the study.
        workers: number of worker processes.
        seen: keys of train stages that are counted already, as those of earlier cells of a grid; those of the study
            are added.
    """
    settings = study.settings
    dataset: Dataset = settings.scene.dataset.build()
    prices = ScorePrices(settings.space, dataset.shape, dataset.classes, dataset.sizes["validation"])
    rehearser = Rehearser(settings, prices)
    arms = {arm.label: ArmForecast(arm.label) for arm, _, _ in study.runs()}
    rates: dict[str, Rates] = {}
    seconds, measuring, disk = 0.0, 0.0, 0
    seen = set() if seen is None else seen
    for arm, repetition, draw in study.runs():
        rehearsal = rehearser.rehearse(arm, study.seeds(repetition), draw)
        name = trainer_name(arm)
        if name not in rates:
            rates[name] = measured(settings, arm)
        seconds += add(arms[arm.label], rehearsal, rates[name], seen)
        measuring += rehearsal.measurement.flops / rates[name].estimates
        disk += rehearsal.trained * rates[name].state_bytes
    notes = [f"what {name} will cost is not known: {reason}" for name, reason in prices.unknown.items()]
    return Forecast(
        tuple(arms.values()), rates, seconds / workers, measuring / seconds, workers, disk, (*notes, *study.notes())
    )


def trainer_name(arm: Arm) -> str:
    """An arm's trainer and modifiers, with their parameters."""
    return ", ".join(short(part.written()) for part in (arm.parts["trainers"], *arm.modifier_parts))


def add(arm: ArmForecast, rehearsal: Rehearsal, rates: Rates, seen: set[str]) -> float:
    """Add a run to its arm's forecast; returns the seconds that it takes alone. Stages before the first split are
    shared with other arms, and counted once."""
    arm.runs += 1
    arm.leaves = rehearsal.leaves
    arm.stages.update(stage.kind for stage in rehearsal.stages)
    arm.steps += rehearsal.steps
    phases = {phase: cost.flops for phase, cost in rehearsal.account.phases.items()}
    arm.flops.update({**phases, "measurement": rehearsal.measurement.flops})
    shared = sum(flops for key, flops in rehearsal.before_split.items() if key in seen)
    arm.reused += shared
    seen.update(rehearsal.before_split)
    trained = phases.get("warm_up", 0) + phases.get("scoring", 0) + phases.get("training", 0) - shared
    return trained / rates.training + (phases.get("selection", 0) + rehearsal.measurement.flops) / rates.estimates


def measured(settings: Settings, arm: Arm) -> Rates:
    """Measure this machine's speed by some training steps and estimates on real images, with untrained weights."""
    space = settings.space
    context = StageContext(StageStore(Path()), settings.scene)  # nothing is stored
    with one_thread():
        supernet = context.weights(0).supernet
        running = RunningStatistics(supernet) if settings.evaluation.keeps_statistics else None
        meter = Meter()
        session = open_session(arm.trainer, arm.modifiers, Job(space, space.root(), supernet, context.data, 0, meter))
        session.step(0, 0.0)
        wait(context.device)
        meter.cost, start = Cost(), time.perf_counter()
        for step in range(1, STEPS):
            session.step(step, 0.0)
        wait(context.device)
        training = meter.cost.flops / (time.perf_counter() - start)
        rng = np.random.default_rng(0)
        architectures = [space.sample(rng) for _ in range(ESTIMATES)]
        start = time.perf_counter()
        for architecture in architectures:
            estimate(supernet, architecture, context.data, settings.evaluation, running)
        flops = settings.evaluations(architectures, arm.trainer.batch_size).flops
        forward = flops / (time.perf_counter() - start)
    state = sum(t.numel() * t.element_size() for t in pack_tensors(supernet, session.state(), running).values())
    return Rates(training, forward, state)


def forecast_sheet(study: Study, expected: Forecast) -> Sheet:
    """The forecast as a table with notes, as the dry run prints it."""
    config, settings = study.config, study.settings
    kind, limit = settings.budget.kind, settings.budget.limit
    runs, seeds = sum(arm.runs for arm in expected.arms), len({repetition for _, repetition, _ in study.runs()})
    rows = tuple(
        (
            arm.arm,
            str(arm.runs),
            str(arm.leaves),
            f"{sum(arm.stages.values()):,}",
            f"{arm.steps:,}",
            *(f"{arm.flops[phase]:.2e}" if arm.flops[phase] else NOTHING for phase in PHASES),
        )
        for arm in expected.arms
    )
    header = ("arm", "runs", "leaves a run", "stages", "steps", *(phase.replace("_", "-") for phase in PHASES))
    facts = [
        f"{runs:,} runs of {count(len(expected.arms), 'arm')} and {count(seeds, 'seed')}, {limit:g} {kind} each.",
        f"About {duration(expected.seconds)} with {count(expected.workers, 'worker')}, of which measurement, which no "
        f"arm is charged for, takes {expected.measuring:.0%}; about {expected.disk / 1e6:,.0f} MB of weights.",
        *(
            f"Measured here: {rates.training / 1e9:.2f} GFLOPs a second in training ({name}), "
            f"{rates.estimates / 1e9:.2f} in estimates."
            for name, rates in expected.rates.items()
        ),
    ]
    legend = (
        "FLOPs by phase, summed over an arm's runs. Groups are made up, since no criterion has been asked yet, so the "
        "leaves of the run will differ; what arms share (their warm-up) is computed once.",
    )
    table = WordTable("What would run", header, rows, left=())
    return Sheet(f"Dry run of the study {config.name}", tuple(facts), (table,), legend, expected.notes)


def duration(seconds: float) -> str:
    """A length of time in words: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
