"""The slots of a study and the trials that ran each, as the trials' numbers and attributes tell."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

ORIGINAL = "failed_trial"
HISTORY = "retry_history"
REASON = "reason"
SURPLUS = "surplus"
WRITTEN = "splitbench:sampler"  # what a sampler keeps with a trial, in one attribute: all of it or nothing
SETTLED = (TrialState.COMPLETE, TrialState.PRUNED)


def slot_of(trials: Sequence[FrozenTrial], number: int) -> int:
    """The slot of trial ``number``: the rank of its original among the originals that are not surplus, from 0 on.

    Raises:
        KeyError: if ``trials`` holds no trial of that number.
    """
    trial = {trial.number: trial for trial in trials}[number]
    original = trial.system_attrs.get(ORIGINAL, number)
    return sum(1 for other in _originals(trials) if other.number < original)


def chains(trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    """By slot, its trials from the original on. A retry in no chain is surplus: a lower number came first."""
    following: dict[int, FrozenTrial] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        if ORIGINAL in trial.system_attrs:
            history = trial.system_attrs.get(HISTORY) or [trial.system_attrs[ORIGINAL]]
            following.setdefault(history[-1], trial)
    found = []
    for trial in _originals(trials):
        chain = [trial]
        while chain[-1].number in following:
            chain.append(following[chain[-1].number])
        found.append(chain)
    return found


def deaths(chain: Sequence[FrozenTrial]) -> int:
    """How many of the trials ended with their process: whoever gives a trial back says why, and the dead cannot."""
    return sum(trial.state is TrialState.FAIL and REASON not in trial.user_attrs for trial in chain)


def _originals(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    found = [t for t in trials if ORIGINAL not in t.system_attrs and t.user_attrs.get(REASON) != SURPLUS]
    return sorted(found, key=lambda trial: trial.number)
