"""Two arms side by side: paired differences of every metric, repetition by repetition.

The primary metric is named before anyone looks, so its verdict is its own sign-flip p. The other metrics are looked at
together, so theirs are adjusted after Holm for the number of them. The selected architecture's regret is a constant
less its test accuracy: both are one hypothesis, which counts once and has one p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.results import power, stats
from splitbench.results.arms import PRIMARY, SELECTED, Arm, Getter, metric, selected, tables
from splitbench.results.failures import by_arm, told
from splitbench.results.machines import kinds, machines, mixture
from splitbench.results.population_names import shown
from splitbench.results.populations import UnusableError, difference_over_functions
from splitbench.results.stats import Estimate
from splitbench.results.store import Loaded, load
from splitbench.results.verdicts import sentence

TEST, REGRET = SELECTED
ROUNDING = 1e-9


@dataclass(frozen=True)
class Difference:
    """One metric of both arms, and the first less the second.

    Attributes:
        difference: mean over seeds with its Student-t interval, the headline.
        p: of the sign-flip test, for this metric alone.
        word: better, worse or can't tell, by ``p_adjusted``.
        p_adjusted: ``p`` itself for the primary metric; Holm-adjusted over all the other metrics for one of them, where
            the selected regret counts together with the selected test accuracy.
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
    p_adjusted: float
    wilcoxon_p: float
    seeds_and_functions: Estimate | None
    seeds_needed: int | None
    detectable: float | None
    sentence: str
    same_as: str | None = None


@dataclass(frozen=True)
class Pair:
    """Two arms of one table. ``word`` of a difference says what ``arm_a`` is beside ``arm_b``; ``reads_truth`` names
    those of the two that are oracle controls; ``without_functions`` says why there is no interval over functions;
    ``warnings`` has a sentence if their runs were computed on unlike machines."""

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
    loaded = load(folder)
    found = [{arm.name: arm for arm in arms} for arms in tables(loaded.runs, loaded.failed)]
    _check_known(folder, (arm_a, arm_b), sorted({name for arms in found for name in arms}), loaded)
    both = [(arms[arm_a], arms[arm_b]) for arms in found if arm_a in arms and arm_b in arms]
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
            raise ConfigError(f"{folder}: no run of arm {arm!r} succeeded ({told(lost)}); mend that and run it again")
        if reasons := [f"{one.folder}: {one.reason}".removeprefix(": ") for one in loaded.skipped if one.arm == arm]:
            raise ConfigError(
                f"{folder}: arm {arm!r} was skipped ({'; '.join(reasons)}); the arms that ran are {', '.join(known)}"
            )
        raise ConfigError(
            f"{folder}: there is no arm {arm!r}{suggestion(arm, known)}; the arms there are {', '.join(known)}"
        )
    if arms[0] == arms[1]:
        raise ConfigError(f"{folder}: arm {arms[0]!r} was named twice; name two of {', '.join(known)}")


def _pair(first: Arm, second: Arm) -> Pair:
    record = first.runs[0].record
    names = sorted({name for arm in (first, second) for run in arm.runs for name in run.record.metrics})
    getters: dict[str, Getter] = {name: metric(name) for name in names}
    getters |= {label: selected(name) for label, name in SELECTED.items()}
    paired = {name: _paired(first, second, get) for name, get in getters.items()}
    undefined = tuple(name for name, values in paired.items() if values is None)
    differences = _adjusted(first.name, second.name, {name: v for name, v in paired.items() if v is not None})
    mixed = mixture(kinds(machines([*first.runs, *second.runs])), "this comparison mixes")
    both, problem = _over_functions(first, second) if PRIMARY in paired and PRIMARY not in undefined else (None, "")
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
        without_functions=problem,
        warnings=(mixed,) if mixed else (),
    )


def _paired(first: Arm, second: Arm, get: Getter) -> list[tuple[float, float]] | None:
    """The values of both arms in the repetitions that both have; None if a run lacks the value."""
    a, b = first.by_repetition(get), second.by_repetition(get)
    if a is None or b is None or not a.keys() & b.keys():
        return None
    return [(a[repetition], b[repetition]) for repetition in sorted(a.keys() & b.keys())]


def _adjusted(arm_a: str, arm_b: str, paired: Mapping[str, Sequence[tuple[float, float]]]) -> tuple[Difference, ...]:
    same = {REGRET: TEST} if _mirrored(paired.get(TEST, ()), paired.get(REGRET, ())) else {}
    raw = {name: stats.sign_flip_p([a - b for a, b in values]) for name, values in paired.items() if name not in same}
    families = [name == PRIMARY for name in raw]
    adjusted = dict(zip(raw, stats.holm_within(list(raw.values()), families), strict=True))
    found = []
    for name, values in paired.items():
        first, second, differences = [a for a, _ in values], [b for _, b in values], [a - b for a, b in values]
        mean = stats.interval(differences)
        hypothesis = same.get(name, name)
        p, family = adjusted[hypothesis], families.count(name == PRIMARY)
        needed = power.seeds_needed(differences, family)
        word = stats.word(name.removeprefix("selected "), mean.mean, p)
        found.append(
            Difference(
                metric=name,
                first=stats.interval(first),
                second=stats.interval(second),
                difference=mean,
                p=raw[hypothesis],
                word=word,
                p_adjusted=p,
                wilcoxon_p=stats.wilcoxon_p(differences),
                seeds_and_functions=None,
                seeds_needed=needed,
                detectable=power.detectable(differences, family),
                sentence=sentence(arm_a, arm_b, name, word, mean, p, needed),
                same_as=same.get(name),
            )
        )
    return tuple(found)


def _mirrored(test: Sequence[tuple[float, float]], regret: Sequence[tuple[float, float]]) -> bool:
    """Whether the differences of the one are those of the other with the other sign, seed by seed."""
    if not test or len(test) != len(regret):
        return False
    return all(abs(a - b + c - d) <= ROUNDING for (a, b), (c, d) in zip(test, regret, strict=True))


def _over_functions(first: Arm, second: Arm) -> tuple[Estimate | None, str]:
    try:
        return difference_over_functions(first, second), ""
    except UnusableError as problem:
        return None, str(problem)


def to_json(compared: Compared) -> dict[str, Any]:
    """The pairs as plain data, for ``compare --json``."""
    from dataclasses import asdict

    pairs = []
    for pair in compared.pairs:
        kind, limit = pair.budget
        pairs.append(shown({**asdict(pair), "budget": {"kind": kind, "limit": limit}}, pair.population))
    return {"pairs": pairs, "warnings": list(compared.warnings)}
