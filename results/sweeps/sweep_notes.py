"""The sentences of a sweep's report beside its tables: how to read them, and warnings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from splitbench.results.inference import stats
from splitbench.results.sweeps.sweep import Sweep, SweptArm, at_the_edge, baseline_arm, best, full, settled
from splitbench.results.words.sheet import NOTHING, ORACLE, count
from splitbench.results.words.values import sampled_words

REASONS = 3  # of infeasible trials, by name


def pairs(sweep: Sweep) -> list[tuple[SweptArm, SweptArm]]:
    """Every other arm with the baseline, if that is swept."""
    base = baseline_arm(sweep)
    return [(arm, base) for arm in sweep.arms if arm is not base] if base else []


def sweep_legend(sweep: Sweep, beside: bool) -> Iterator[str]:
    yield (
        f"Brackets are {stats.CONFIDENCE:.0%} Student-t intervals of the mean over seeds, of paired differences. "
        "Complete trials ran all seeds, pruned ones were stopped by the pruner before, infeasible ones could not run; "
        "each is one of the arm's trials all the same."
    )
    yield (
        "Runs used are seeds that an arm ran for, each of the whole budget; two arms are compared at equal runs, not "
        "only at equal trials."
    )
    if any(arm.importance for arm in sweep.arms):
        yield (
            "Importance is the share of the variance of trials' values that a parameter alone explains (fANOVA: "
            "Hutter, Hoos and Leyton-Brown, ICML 2014), over all trials with at least one seed, relative to the other "
            "parameters. It is of this search space: a wider range makes a parameter more important."
        )
    for arm in sweep.arms:
        if not arm.importance:
            yield f"{arm.arm} has no importance: {arm.importance_note or 'none is known'}."
        elif len(arm.searched) == 1:
            yield f"{arm.arm} searches one parameter, whose importance is 1 whatever it does."
    if pairs(sweep):
        yield (
            "Chosen configurations are compared as differences of differences, seed by seed. Both sides were chosen on "
            "these seeds, so the interval is no verdict."
        )
    if beside:
        yield (
            f"In the tuned study, less tuned {sweep.baseline} tells what is left between two arms that were tuned "
            f"alike, less untuned {sweep.baseline} what tuning and the arm bring together; left is the mean against "
            "test truth as a share of the gain that the sweep saw."
        )
    if any(arm.reads_truth for arm in sweep.arms):
        yield ORACLE


def warnings(sweep: Sweep) -> Iterator[str]:
    if not sweep.complete:
        stand = ", ".join(f"{arm.arm} {len(arm.trials)}" for arm in sweep.arms)
        yield (
            f"This sweep is not finished: of {count(sweep.trials, 'trial')} an arm there are {stand}; start it again "
            "to go on"
        )
    for arm in sweep.arms:
        if sweep.complete and len(arm.trials) < sweep.trials:
            yield f"{arm.arm}: it has {len(arm.trials)} of {sweep.trials} trials, all that its sampler had to propose"
        if arm.trials and not any(map(full, arm.trials)):
            yield f"{arm.arm}: none of its {count(len(arm.trials), 'trial')} is complete, so nothing was chosen"
        top = best(sweep, arm)
        for path, end in at_the_edge(sweep, arm).items():
            value = sampled_words(top.values[path]) if top else NOTHING
            yield (
                f"{arm.arm}: the chosen {path} of {value} lies at the {end} end of what was searched, so a better one "
                "may lie beyond"
            )
        reasons = [trial.reason for trial in settled(arm) if trial.state == "infeasible"]
        if any(reasons):
            yield f"{arm.arm}: {count(len(reasons), 'trial')} could not run: {'; '.join(_kinds(reasons))}"


def _kinds(reasons: Sequence[str]) -> list[str]:
    """Reasons that differ only in numbers and in what stands in brackets, as one of them and how many there are."""
    alike: dict[str, list[str]] = {}
    for reason in filter(None, reasons):
        alike.setdefault(re.sub(r"\[[^\]]*\]|\d[\d.,e+-]*", "", reason), []).append(reason)
    sentences = [f"{own[0]}{f' ({len(own)} alike)' if len(own) > 1 else ''}" for own in alike.values()]
    return sentences[:REASONS] + ([f"and {len(sentences) - REASONS} more reasons"] if len(sentences) > REASONS else [])
