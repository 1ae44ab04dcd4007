"""The attempts at each slot of a study: which trials ran it, as their numbers and attributes say.

A slot is one of the trials that were asked for. Its first trial is the *original*, and those after it are retries.
"""

from __future__ import annotations

import copy
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
    by_slot = []
    for trial in _originals(trials):
        chain = [trial]
        while chain[-1].number in following:
            chain.append(following[chain[-1].number])
        by_slot.append(chain)
    return by_slot


def deaths(chain: Sequence[FrozenTrial]) -> int:
    """The number of trials that ended because their process died: any other end of an attempt leaves a reason."""
    return sum(trial.state is TrialState.FAIL and REASON not in trial.user_attrs for trial in chain)


def newest_by_slot(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that pruners see: the newest of each slot, settled, or running if the slot is not settled yet.

    Trials are numbered by slot. Of an attempt that failed only the parameters are shown.
    """
    shown = []
    for slot, chain in enumerate(chains(trials)):
        trial = copy.copy(chain[-1])
        trial.number = slot
        if trial.state not in SETTLED:
            if trial.state is not TrialState.RUNNING:
                trial.intermediate_values, trial.system_attrs = {}, {}
            trial.state = TrialState.RUNNING
        shown.append(trial)
    return shown


def _originals(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    originals = [t for t in trials if ORIGINAL not in t.system_attrs and t.user_attrs.get(REASON) != SURPLUS]
    return sorted(originals, key=lambda trial: trial.number)
