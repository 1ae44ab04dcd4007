"""Two arms side by side: paired differences of every metric, repetition by repetition.

Two metrics are named before anyone looks, tau over the whole population and the test accuracy of the honest choice, so
the verdict on each rests on its own p. The other metrics are looked at together, so theirs are adjusted after Holm for
the number of them. The selected architecture's regret is a constant less its test accuracy: both are one hypothesis,
which counts once and has one p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import (
    JUDGED,
    PRIMARY,
    REGRET,
    SELECTED,
    TEST,
    ArmRuns,
    Getter,
    metric,
    selected,
    tables,
)
from splitbench.results.arms.grounds import ungrounded
from splitbench.results.arms.populations import UnusableError, difference_over_functions
from splitbench.results.inference import paired, power, stats
from splitbench.results.inference.paired import compared
from splitbench.results.inference.stats import Estimate
from splitbench.results.inference.verdicts import verdict_sentence
from splitbench.results.measures.families import family
from splitbench.results.records.failures import by_arm, failure_words
from splitbench.results.records.loading import Loaded, load_runs
from splitbench.results.records.machines import kinds, machines, mixture
from splitbench.results.records.population_names import with_population_names

ROUNDING = 1e-9


@dataclass(frozen=True)
class Difference:
    """One metric of both arms, and the first less the second.

    Attributes:
        difference: mean over seeds with its Student-t interval, the headline.
        p: of the sign-flip test, for this metric alone.
        word: one of :data:`splitbench.results.inference.paired.WORDS`, by ``p_adjusted`` and ``equal_p``.
        reason: why there is no verdict; empty where there is one.
        p_adjusted: ``p`` itself for a metric that was named beforehand; Holm-adjusted over all the others for one of
            them.
        equal_p: of the two one-sided tests that the difference is inside ``region``, adjusted like ``p_adjusted``.
        region: half the width of the region of practical equality, in the metric's unit.
        probability: that the first arm is better (splitbench.results.inference.paired.probability_better); None for
            few seeds.
        wilcoxon_p: of the signed-rank test, for this metric alone.
        seeds_and_functions: bootstrap interval over both, of the primary metric alone; None where it is not known.
        seeds_needed: for a difference as large as the one observed, at 80% power; None where none will do.
        detectable: the smallest true difference that this many seeds tell at 80% power; None where they cannot.
        sentence: the verdict in words.
        same_as: the metric whose hypothesis this is, too, and whose ``p`` and ``p_adjusted`` it has; None for most.
    """

    metric: str
    first: Estimate
    second: Estimate
    difference: Estimate
    p: float
    word: str
    reason: str
    p_adjusted: float
    equal_p: float
    region: float
    probability: float | None
    wilcoxon_p: float
    seeds_and_functions: Estimate | None
    seeds_needed: int | None
    detectable: float | None
    sentence: str
    same_as: str | None = None


@dataclass(frozen=True)
class Pair:
    """Two arms of one table. ``word`` of a difference says what ``arm_a`` is beside ``arm_b``; ``reads_truth`` and
    ``given`` name those of the two that are oracle controls, or whose partition the study file gave;
    ``without_functions`` says why there is no interval over functions; ``warnings`` has a sentence if their runs were
    computed on unlike machines."""

    study: str
    space: str
    dataset: str
    budget: tuple[str, float]
    population: str
    arm_a: str
    arm_b: str
    seeds: int
    differences: tuple[Difference, ...]
    undefined: tuple[str, ...]
    reads_truth: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    without_functions: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compared:
    """The two arms in every table of the folder that has both, and one sentence for each file left out."""

    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]


def compare(folder: str | Path, arm_a: str, arm_b: str) -> Compared:
    """Compare two arms of a results folder.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
        ConfigError: if an arm is unknown, skipped or incomplete, or no table has both.
    """
    loaded = load_runs(folder)
    tables_by_name = [{arm.name: arm for arm in arms} for arms in tables(loaded.runs, loaded.failed)]
    _check_known(folder, (arm_a, arm_b), sorted({name for arms in tables_by_name for name in arms}), loaded)
    both = [(arms[arm_a], arms[arm_b]) for arms in tables_by_name if arm_a in arms and arm_b in arms]
    if not both:
        raise ConfigError(
            f"{folder}: arms {arm_a!r} and {arm_b!r} share no study, space, dataset, budget and population, so they "
            "cannot be compared; run both in one study"
        )
    whole = [pair for pair in both if all(arm.complete for arm in pair)]
    if not whole:
        short = next(arm for arm in both[0] if not arm.complete)
        raise ConfigError(
            f"{folder}: arm {short.name!r} {short.lacking}, and incomplete arms are never averaged; finish the study "
            "with `splitbench run`"
        )
    warnings = loaded.warnings
    if left_out := len(both) - len(whole):
        warnings = (*warnings, f"both arms are also in other tables ({left_out}), but with missing runs: left out")
    return Compared(tuple(_pair(first, second) for first, second in whole), warnings)


def _check_known(folder: str | Path, arms: tuple[str, str], known: list[str], loaded: Loaded) -> None:
    from splitbench.harness.registry import suggestion

    for arm in arms:
        if arm in known:
            continue
        if lost := by_arm(loaded.failed).get(arm):
            why = failure_words(lost)
            raise ConfigError(f"{folder}: no run of arm {arm!r} succeeded ({why}); mend that and run it again")
        if reasons := [
            f"{skipped.folder}: {skipped.reason}".removeprefix(": ") for skipped in loaded.skipped if skipped.arm == arm
        ]:
            raise ConfigError(
                f"{folder}: arm {arm!r} was skipped ({'; '.join(reasons)}); the arms that ran are {', '.join(known)}"
            )
        raise ConfigError(
            f"{folder}: there is no arm {arm!r}{suggestion(arm, known)}; the arms there are {', '.join(known)}"
        )
    if arms[0] == arms[1]:
        raise ConfigError(f"{folder}: arm {arms[0]!r} was named twice; name two of {', '.join(known)}")


def _pair(first: ArmRuns, second: ArmRuns) -> Pair:
    record = first.runs[0].record
    names = sorted({name for arm in (first, second) for run in arm.runs for name in run.record.metrics})
    getters: dict[str, Getter] = {name: metric(name) for name in names}
    getters |= {label: selected(name) for label, name in SELECTED.items()}
    pairs = {name: _paired(first, second, get) for name, get in getters.items()}
    undefined = tuple(name for name, values in pairs.items() if values is None)
    differences = _adjusted(first, second, {name: v for name, v in pairs.items() if v is not None})
    mixed = mixture(kinds(machines([*first.runs, *second.runs])), "this comparison mixes")
    both, problem = _over_functions(first, second) if PRIMARY in pairs and PRIMARY not in undefined else (None, "")
    differences = tuple(replace(d, seeds_and_functions=both) if d.metric == PRIMARY else d for d in differences)
    return Pair(
        study=record.study,
        space=record.space,
        dataset=record.dataset,
        budget=(record.budget.kind, record.budget.limit),
        population=record.population,
        arm_a=first.name,
        arm_b=second.name,
        seeds=len(first.repetitions.keys() & second.repetitions.keys()),
        differences=differences,
        undefined=undefined,
        reads_truth=tuple(arm.name for arm in (first, second) if arm.reads_truth),
        given=tuple(arm.name for arm in (first, second) if arm.given),
        without_functions=problem,
        warnings=(mixed,) if mixed else (),
    )


def _paired(first: ArmRuns, second: ArmRuns, get: Getter) -> list[tuple[float, float]] | None:
    """The values of both arms in the repetitions that both have; None if a run lacks the value."""
    a, b = first.by_repetition(get), second.by_repetition(get)
    if a is None or b is None or not a.keys() & b.keys():
        return None
    return [(a[repetition], b[repetition]) for repetition in sorted(a.keys() & b.keys())]


def _adjusted(
    first: ArmRuns, second: ArmRuns, values: Mapping[str, Sequence[tuple[float, float]]]
) -> tuple[Difference, ...]:
    same = {REGRET: TEST} if _mirrored(values.get(TEST, ()), values.get(REGRET, ())) else {}
    compared_by_name = {name: compared([a - b for a, b in pairs], name) for name, pairs in values.items()}
    tested = [name for name in values if name not in same]
    families = [name if name in JUDGED else "" for name in tested]
    raw, equal = [compared_by_name[name].p for name in tested], [compared_by_name[name].equal_p for name in tested]
    adjusted = dict(zip(tested, stats.holm_within(raw, families), strict=True))
    equals = dict(zip(tested, stats.holm_within(equal, families), strict=True))
    reasons = {ranks: _ungrounded(first, second, ranks) for ranks in (True, False)}
    shown = []
    for name, pairs in values.items():
        comparison, hypothesis = compared_by_name[name], same.get(name, name)
        p, equal_p = adjusted[hypothesis], equals[hypothesis]
        together = families.count(hypothesis if hypothesis in JUDGED else "")
        differences = [a - b for a, b in pairs]
        needed = power.seeds_needed(differences, together)
        word, reason = paired.word(name, comparison.difference.mean, p, equal_p), reasons[name not in SELECTED]
        if not reason and word == paired.CANNOT_TELL:
            reason = paired.few_seeds(comparison.difference.n, together)
        word = paired.NO_VERDICT if reason else word
        decisive = equal_p if word == paired.EQUAL else p
        limits = family(name).range
        shown.append(
            Difference(
                metric=name,
                first=stats.interval([a for a, _ in pairs], within=limits),
                second=stats.interval([b for _, b in pairs], within=limits),
                difference=comparison.difference,
                p=compared_by_name[hypothesis].p,
                word=word,
                reason=reason,
                p_adjusted=p,
                equal_p=equal_p,
                region=family(name).region,
                probability=comparison.probability,
                wilcoxon_p=stats.wilcoxon_p(differences),
                seeds_and_functions=None,
                seeds_needed=needed,
                detectable=power.detectable(differences, together),
                sentence=verdict_sentence(first.name, second.name, name, word, reason, comparison, decisive, needed),
                same_as=same.get(name),
            )
        )
    return tuple(shown)


def _ungrounded(first: ArmRuns, second: ArmRuns, ranks: bool) -> str:
    return "; ".join(f"{arm.name}: {why}" for arm in (first, second) if (why := ungrounded(arm, ranks)))


def _mirrored(test: Sequence[tuple[float, float]], regret: Sequence[tuple[float, float]]) -> bool:
    """Whether the differences of the one are those of the other with the other sign, seed by seed."""
    if not test or len(test) != len(regret):
        return False
    return all(abs(a - b + c - d) <= ROUNDING for (a, b), (c, d) in zip(test, regret, strict=True))


def _over_functions(first: ArmRuns, second: ArmRuns) -> tuple[Estimate | None, str]:
    try:
        both = difference_over_functions(first, second)
        return stats.bounded(both, family(PRIMARY).differences), ""
    except UnusableError as problem:
        return None, str(problem)


def comparison_json(compared: Compared) -> dict[str, Any]:
    """The pairs as plain data, for ``compare --json``."""
    from dataclasses import asdict

    pairs = []
    for pair in compared.pairs:
        kind, limit = pair.budget
        pairs.append(with_population_names({**asdict(pair), "budget": {"kind": kind, "limit": limit}}, pair.population))
    return {"pairs": pairs, "warnings": list(compared.warnings)}
