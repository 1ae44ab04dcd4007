"""Why an arm is where it is beside no split, or beside another arm: each term of the decomposition over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY, ArmRuns, tables
from splitbench.results.arms.terms import MEANINGS, NAMES, TERMS, decomposed
from splitbench.results.inference.stats import Estimate, interval
from splitbench.results.records.loading import Loaded, load_runs
from splitbench.results.words.sheet import Sheet, WordTable, count, interval_words


@dataclass(frozen=True)
class Explanation:
    """One arm's terms, or the differences between two arms' terms.

    Attributes:
        study, space, dataset, budget, population: of the table.
        arm: that is explained.
        against: no split, or another arm.
        seeds: repetitions that have a decomposition in both.
        tau: means of the arm's tau and of the tau of ``against``.
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
        clear_terms = [name for name in TERMS if clear(self.terms[name])]
        certain = (
            f"Beyond doubt of these seeds: {', '.join(NAMES[name] for name in clear_terms)}."
            if clear_terms
            else ("No single term is beyond doubt of these seeds.")
        )
        return (
            f"At {limit:.4g} {kind}, {self.arm} has {PRIMARY} {self.tau[0]:.3f} and {self.against} {self.tau[1]:.3f}, "
            f"a difference of {mean['difference']:+z.3f} over {count(self.seeds, 'seed')}: {', '.join(parts)}. "
            f"The largest part is {NAMES[largest]}. {certain}"
        )


def explain_arm(folder: str | Path, arm: str, against: str | None = None) -> Explanation:
    """Explain an arm of a results folder.

    Raises:
        ConfigError: if there is no such arm, or it has no decomposition; StoreError: if the folder cannot be read.
    """
    return explain_loaded(load_runs(folder), arm, against, str(folder))


def explain_loaded(loaded: Loaded, arm: str, against: str | None, where: str) -> Explanation:
    """The same of runs that have been read already."""
    from splitbench.harness.registry import suggestion

    for arms in tables(loaded.runs):
        named = {own.name: own for own in arms}
        if arm not in named:
            continue
        if against is not None and against not in named:
            raise ConfigError(f"--against {against}: {where} has no such arm{suggestion(against, list(named))}")
        return of_arms(named[arm], named.get(against or ""), where)
    known = sorted({run.record.arm for run in loaded.runs})
    raise ConfigError(f"{where} has no arm {arm!r}{suggestion(arm, known)}; arms: {', '.join(known)}")


def of_arms(arm: ArmRuns, against: ArmRuns | None, where: str) -> Explanation:
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


def clear(estimate: Estimate) -> bool:
    """Whether an interval lies on one side of 0."""
    return estimate.low is not None and estimate.high is not None and estimate.low * estimate.high > 0


def explain_sheet(explanation: Explanation) -> Sheet:
    """The sheet that `splitbench explain` prints."""
    rows = tuple((NAMES[name], interval_words(explanation.terms[name], 3, sign=True), MEANINGS[name]) for name in NAMES)
    return Sheet(
        heading=f"{explanation.study}: why {explanation.arm} differs from {explanation.against}, "
        f"{explanation.space} on {explanation.dataset}",
        facts=(explanation.sentence, f"Population: {explanation.population}."),
        tables=(WordTable("Terms", ("term", PRIMARY, "what it is"), rows, left=("what it is",)),),
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
