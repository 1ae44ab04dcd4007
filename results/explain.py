"""Why an arm is where it is beside no split, or beside another arm: each term of the decomposition over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from splitbench.harness.errors import ConfigError
from splitbench.results.arms import PRIMARY, Arm, tables
from splitbench.results.sheet import Sheet, Table, count, interval_words
from splitbench.results.stats import Estimate, interval
from splitbench.results.store import Loaded, load

TERMS = ("training_lost", "bill", "relief", "across")
"""What adds up to the difference, in the order of the path (see :mod:`splitbench.results.decomposition`)."""

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


@dataclass(frozen=True)
class Explanation:
    """One arm's terms, or the differences between two arms' terms.

    Attributes:
        study, space, dataset, budget, population: of the table.
        arm: that is explained.
        against: no split, or another arm.
        seeds: repetitions that have a decomposition in both.
        tau: mean of the arm's tau, and of what it is held against.
        terms: by name; the first four add up to ``difference``.
    """

    study: str
    space: str
    dataset: str
    budget: tuple[str, float]
    population: str
    arm: str
    against: str
    seeds: int
    tau: tuple[float, float]
    terms: Mapping[str, Estimate]

    @property
    def sentence(self) -> str:
        """One paragraph in words."""
        mean = {name: estimate.mean for name, estimate in self.terms.items()}
        parts = [
            f"the lengths of the leaves' trainings make {mean['training_lost']:+z.3f}",
            f"the bill of scoring {mean['bill']:+z.3f}",
            f"the separation of weights {mean['relief']:+z.3f} within leaves",
            f"and {mean['across']:+z.3f} across leaves, of which {mean['calibration']:+z.3f} comes from the leaves' "
            "mean estimates alone",
        ]
        kind, limit = self.budget
        largest = max(TERMS, key=lambda name: abs(mean[name]))
        told = [name for name in TERMS if clear(self.terms[name])]
        certain = (
            f"Beyond doubt of these seeds: {', '.join(NAMES[name] for name in told)}."
            if told
            else ("No single term is beyond doubt of these seeds.")
        )
        return (
            f"At {limit:.4g} {kind}, {self.arm} has {PRIMARY} {self.tau[0]:.3f} and {self.against} {self.tau[1]:.3f}, "
            f"a difference of {mean['difference']:+z.3f} over {count(self.seeds, 'seed')}: {', '.join(parts)}. "
            f"The largest part is {NAMES[largest]}. {certain}"
        )


def explain(folder: str | Path, arm: str, against: str | None = None) -> Explanation:
    """Explain an arm of a results folder.

    Raises:
        ConfigError: if there is no such arm, or it has no decomposition; StoreError: if the folder cannot be read.
    """
    return explain_loaded(load(folder), arm, against, str(folder))


def explain_loaded(loaded: Loaded, arm: str, against: str | None, where: str) -> Explanation:
    """The same of runs that have been read already."""
    from splitbench.harness.registry import suggestion

    for arms in tables(loaded.runs):
        named = {one.name: one for one in arms}
        if arm not in named:
            continue
        if against is not None and against not in named:
            raise ConfigError(f"--against {against}: {where} has no such arm{suggestion(against, list(named))}")
        return of_arms(named[arm], named.get(against or ""), where)
    known = sorted({run.record.arm for run in loaded.runs})
    raise ConfigError(f"{where} has no arm {arm!r}{suggestion(arm, known)}; arms: {', '.join(known)}")


def of_arms(arm: Arm, against: Arm | None, where: str) -> Explanation:
    """One arm against no split, or against another arm of its table."""
    terms, tau, none = decomposed(arm, where)
    reference, name = none, "no split"
    if against is not None:
        theirs, reference, _ = decomposed(against, where)
        name = against.name
        seeds = sorted(terms.keys() & theirs.keys())
        terms = {seed: {key: value - theirs[seed][key] for key, value in terms[seed].items()} for seed in seeds}
    seeds = sorted(terms)
    first = arm.runs[0].record
    return Explanation(
        study=first.study,
        space=first.space,
        dataset=first.dataset,
        budget=(first.budget.kind, first.budget.limit),
        population=first.population,
        arm=arm.name,
        against=name,
        seeds=len(seeds),
        tau=(_mean([tau[seed] for seed in seeds]), _mean([reference[seed] for seed in seeds])),
        terms={key: interval([terms[seed][key] for seed in seeds]) for key in NAMES},
    )


def decomposed(arm: Arm, where: str = "") -> tuple[dict[int, dict[str, float]], dict[int, float], dict[int, float]]:
    """By repetition, averaged over draws: the terms, the arm's tau, and that of no split.

    Raises:
        ConfigError: if a run has no decomposition.
    """
    terms: dict[int, dict[str, float]] = {}
    own: dict[int, float] = {}
    none: dict[int, float] = {}
    for repetition, runs in arm.repetitions.items():
        found = [run.record.decomposition for run in runs]
        if not all(found):
            raise ConfigError(
                f"{where}: arm {arm.name} has no decomposition; run the study with decompose: true. (It is not "
                "defined for arms that do not split, that give leaves up, or whose leaves share weights or are trained "
                "together)"
            )
        whole = [one for one in found if one is not None]
        terms[repetition] = {name: _mean([getattr(one, name) for one in whole]) for name in NAMES}
        own[repetition] = _mean([one.tau_arm for one in whole])
        none[repetition] = _mean([one.tau_none for one in whole])
    return terms, own, none


def decomposition_of(arm: Arm) -> Mapping[str, Estimate] | None:
    """The terms of an arm against no split over seeds; None if some run has none."""
    if not all(run.record.decomposition for run in arm.runs):
        return None
    return of_arms(arm, None, "").terms


def clear(estimate: Estimate) -> bool:
    """Whether an interval lies on one side of 0."""
    return estimate.low is not None and estimate.high is not None and estimate.low * estimate.high > 0


def sheet(found: Explanation) -> Sheet:
    """What `splitbench explain` shows."""
    rows = tuple((NAMES[name], interval_words(found.terms[name], 3, sign=True), MEANINGS[name]) for name in NAMES)
    return Sheet(
        heading=f"{found.study}: why {found.arm} differs from {found.against}, {found.space} on {found.dataset}",
        facts=(found.sentence, f"Population: {found.population}."),
        tables=(Table("Terms", ("term", PRIMARY, "what it is"), rows, left=("what it is",)),),
        legend=(
            "Brackets are 95% Student-t intervals over seeds (draws are averaged within a seed first), each for "
            "itself.",
            "The terms follow one path: shorter trainings, then the bill, then the separation of weights. Beside each "
            "leaf a sham trains on the whole space, for as many steps, with the same seeds and warm-up; it is charged "
            "to no arm.",
        ),
    )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
