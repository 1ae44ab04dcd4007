"""The terms of a difference to no split, as an arm's records hold them: their names, and each over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import ArmRuns
from splitbench.results.inference.stats import Estimate, interval

TERMS = ("training_lost", "bill", "relief", "across")
"""What adds up to the difference, in the order of the path (see :mod:`splitbench.results.payoff.decomposition`)."""

NAMES = {
    "training_lost": "training lost",
    "bill": "bill of scoring",
    "relief": "relief within leaves",
    "across": "across leaves",
    "calibration": "of it: calibration",
    "difference": "difference",
}
MEANINGS = {
    "training_lost": "the leaves' trainings are shorter than the unsplit one",
    "bill": "what scoring took from them",
    "relief": "what the separation of weights brings, beside a sham of equal length",
    "across": "how well estimates of different leaves compare, beside that sham",
    "calibration": "the part of it that the leaves' mean estimates alone make",
    "difference": "the sum",
}


def decomposed(arm: ArmRuns, where: str = "") -> tuple[dict[int, dict[str, float]], dict[int, float], dict[int, float]]:
    """By repetition, averaged over draws: the terms, the arm's tau, and that of no split.

    Raises:
        ConfigError: if a run has no decomposition.
    """
    terms: dict[int, dict[str, float]] = {}
    own: dict[int, float] = {}
    none: dict[int, float] = {}
    for repetition, runs in arm.repetitions.items():
        parts = [run.record.decomposition for run in runs]
        if not all(parts):
            raise ConfigError(
                f"{where}: arm {arm.name} has no decomposition; run the study with decompose: true. (It is not "
                "defined for arms that do not split, that give leaves up, or whose leaves share weights or are trained "
                "together)"
            )
        whole = [part for part in parts if part is not None]
        terms[repetition] = {name: _mean([getattr(part, name) for part in whole]) for name in NAMES}
        own[repetition] = _mean([part.tau_arm for part in whole])
        none[repetition] = _mean([part.tau_none for part in whole])
    return terms, own, none


def decomposition_of(arm: ArmRuns) -> Mapping[str, Estimate] | None:
    """The terms of an arm against no split over seeds; None if some run has none."""
    if not all(run.record.decomposition for run in arm.runs):
        return None
    terms, _, _ = decomposed(arm)
    return {name: interval([terms[seed][name] for seed in sorted(terms)]) for name in NAMES}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
