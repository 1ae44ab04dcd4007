"""Decides which trial of an Optuna study runs next: slots, their retries, and trials of killed processes.

A study has N slots. An *original* trial opens one; a trial with the system attribute ``failed_trial`` runs it again.
Optuna's RetryHeartbeatStaleTrialCallback uses the same attribute, so that Optuna's own helpers can read the history.
COMPLETE and PRUNED settle a slot, FAIL asks for a retry. No storage of Optuna locks across two operations, so two
processes may open a slot too many or queue a retry twice. Which trials are *surplus* follows from their numbers alone;
they are never run, and end as FAIL with the reason ``surplus``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.sweeps.attempts import HISTORY, ORIGINAL, REASON, SETTLED, SURPLUS, WRITTEN, chains, deaths
from splitbench.harness.sweeps.optuna_backend import fail_trial, open_trial, set_user_attribute, take_trial
from splitbench.harness.sweeps.worker import BEAT, WORKER, Worker, worker_state

GRACE_SECONDS = 60.0
RETRIES = 3
COST = ("values", "record", "spent", "validation", "differences")  # user attributes that outlive a slot given up


@dataclass(frozen=True)
class _Sighting:
    mark: tuple[Any, Any]
    still: float
    looked: float


class TrialLedger:
    """The slots of one study, for one of the processes that share it.

    Errors of the storage are raised as they are: see ``storage_errors``.

    Args:
        study: the Optuna study of one arm.
        wanted: the number of slots; slots beyond it, from an earlier call with more, count too.
        worker: this process, whose name and beats stand on its trials.
        distributions: the arm's search space, by path.
        grace: seconds by this process's ``clock`` without a beat after which another machine's trial is taken over.
        retries: how many deaths of its process a slot may have before it is given up.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        study: optuna.Study,
        wanted: int,
        worker: Worker,
        distributions: Mapping[str, BaseDistribution],
        grace: float = GRACE_SECONDS,
        retries: int = RETRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study = study
        self.wanted = wanted
        self._worker = worker
        self._distributions = dict(distributions)
        self._grace = grace
        self._retries = retries
        self._clock = clock
        self._seen: dict[int, _Sighting] = {}

    def claim(self) -> optuna.Trial | None:
        """The next trial to run, with all its parameters, or None if there is none now.

        A waiting retry comes first, so that a sweep goes on as if it had not been cut off. From the second death of a
        process on it comes after all fresh slots: a configuration that kills whatever runs it must not keep others
        from running. Of those, the one with fewest deaths is first.
        """
        while True:
            chains = self._chains(self._trials())
            waiting = [chain for chain in chains if chain[-1].state is TrialState.WAITING]
            late = [chain for chain in waiting if deaths(chain[-2:]) and deaths(chain) > 1]
            trial = self._take(chain for chain in waiting if chain not in late)
            if trial is None:
                trial = open_trial(self.study) if len(chains) < self.wanted else self._take(sorted(late, key=deaths))
            if trial is None:
                return None
            try:
                # What another process asked for meanwhile has a number by now, so the ranks up to this trial's stand.
                if self._is_surplus(self._trials(), trial.number):
                    self._drop(trial)
                    continue
                self._worker.own(trial)
                for name, distribution in self._distributions.items():
                    _suggest(trial, name, distribution)
            except UpdateFinishedTrialError:
                self._worker.disown(trial)
                continue
            except BaseException:
                with contextlib.suppress(Exception):
                    self.release(trial, "interrupted before it began")
                raise
            return trial

    def finish(self, trial: optuna.Trial, value: float) -> bool:
        """Complete a claimed trial; False if another process has taken it over: its slot is then not settled by it.

        Raises:
            ValueError: if ``value`` is not a number.
        """
        return self._tell(trial, TrialState.COMPLETE, value)

    def prune(self, trial: optuna.Trial, reason: str = "") -> bool:
        """Settle a claimed trial as pruned; False if another process has taken it over."""
        return self._tell(trial, TrialState.PRUNED, reason=reason)

    def release(self, trial: optuna.Trial, reason: str | None) -> None:
        """Give a claimed trial back, to be run again by any process.

        With a reason this counts as no death of its process; with None it does, as if :meth:`revive` had found it.
        """
        try:
            if reason is not None:
                trial.set_user_attr(REASON, reason)
            if fail_trial(self.study, trial):
                self._requeue(trial.number)
        except UpdateFinishedTrialError:
            return
        finally:
            self._worker.disown(trial)

    def revive(self) -> list[int]:
        """Fail and queue again what processes that are gone left running: the numbers of the trials that failed.

        A retry that was due and is missing is queued too, because its process ended between the two steps. Call it
        every few seconds: a look adds at most a quarter of ``grace`` to the time that a beat has stood still, so that
        trials are not taken over only because this process, or the storage, was away.
        """
        trials, now = self._trials(), self._clock()
        running = [trial for trial in trials if trial.state is TrialState.RUNNING]
        self._seen = {trial.number: self._seen[trial.number] for trial in running if trial.number in self._seen}
        for trial in trials:
            if not trial.state.is_finished() and self._is_surplus(trials, trial.number):
                self._drop(trial)
            elif trial.state is TrialState.RUNNING and self._is_gone(trial, now):
                fail_trial(self.study, trial)
        return self._requeue()

    def slots(self) -> list[FrozenTrial]:
        """The newest trial of each slot, by slot."""
        return [chain[-1] for chain in self._chains(self._trials())]

    @property
    def claimed(self) -> int:
        """How many slots are open or settled."""
        return len(self.slots())

    @property
    def finished(self) -> int:
        """How many slots are settled."""
        return sum(trial.state in SETTLED for trial in self.slots())

    @property
    def running(self) -> int:
        """How many slots some process is running, or was when it died."""
        return sum(trial.state is TrialState.RUNNING for trial in self.slots())

    @property
    def settled(self) -> bool:
        """Whether no trial is left to run: there are ``wanted`` slots, and all are complete or pruned."""
        trials = self.slots()
        return len(trials) >= self.wanted and all(trial.state in SETTLED for trial in trials)

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _take(self, waiting: Iterable[Sequence[FrozenTrial]]) -> optuna.Trial | None:
        """The newest trial of the first of these slots that no other process takes."""
        return next(filter(None, (take_trial(self.study, chain[-1]) for chain in waiting)), None)

    def _chains(self, trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
        """By slot, its trials from the original on. Whatever is in no chain is surplus."""
        # Beyond the wanted slots, a worker's name tells one that was asked for from one that is a slot too many.
        return [
            chain
            for rank, chain in enumerate(chains(trials))
            if rank < self.wanted or len(chain) > 1 or WORKER in chain[0].user_attrs
        ]

    def _is_surplus(self, trials: Sequence[FrozenTrial], number: int) -> bool:
        return not any(trial.number == number for chain in self._chains(trials) for trial in chain)

    def _is_gone(self, trial: FrozenTrial, now: float) -> bool:
        """Whether no process is running a trial. One without a worker's name was left right after it was asked for."""
        worker = trial.user_attrs.get(WORKER)
        if worker == self._worker.name:
            return not self._worker.owns(trial)
        known = worker_state(worker) if isinstance(worker, str) else "unknown"
        if known != "unknown":
            return known == "dead"
        mark = (worker, trial.user_attrs.get(BEAT))
        last = self._seen.get(trial.number)
        if last is None or last.mark != mark:
            self._seen[trial.number] = _Sighting(mark, 0.0, now)
            return False
        still = last.still + min(now - last.looked, self._grace / 4)
        self._seen[trial.number] = _Sighting(mark, still, now)
        return still >= self._grace

    def _requeue(self, number: int | None = None) -> list[int]:
        """Give every slot that ended with FAIL, or only the one that ended with trial ``number``, its next trial."""
        trials = self._trials()
        numbers = []
        for chain in self._chains(trials):
            last = chain[-1]
            if last.state is not TrialState.FAIL or number not in (None, last.number):
                continue
            died, history = deaths(chain), [trial.number for trial in chain]
            given_up = died > self._retries
            kept_attributes = {**_cost(chain), REASON: f"the process that ran it died {died} times"} if given_up else {}
            # What a pruner kept belongs to the attempt that failed, and what a sampler kept to the slot.
            kept = {WRITTEN: last.system_attrs[WRITTEN]} if WRITTEN in last.system_attrs else {}
            self.study.add_trial(
                optuna.create_trial(
                    state=TrialState.PRUNED if given_up else TrialState.WAITING,
                    params=last.params,
                    distributions=last.distributions,
                    user_attrs=kept_attributes,
                    system_attrs={**kept, ORIGINAL: history[0], HISTORY: history},
                )
            )
            numbers.append(last.number)
        return numbers

    def _tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None, reason: str = "") -> bool:
        try:
            if reason:
                trial.set_user_attr(REASON, reason)
            self.study.tell(trial, value, state=state)
        except UpdateFinishedTrialError:
            return False
        except ValueError:
            if self._trials()[trial.number].state is TrialState.RUNNING:
                raise
            return False
        finally:
            self._worker.disown(trial)
        return True

    def _drop(self, trial: optuna.Trial | FrozenTrial) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            set_user_attribute(self.study, trial, REASON, SURPLUS)
            fail_trial(self.study, trial)


def _cost(chain: Sequence[FrozenTrial]) -> dict[str, Any]:
    """What the attempt that came furthest, the last of equals, wrote of its configuration and of what it cost."""
    attempts = [{key: trial.user_attrs[key] for key in COST if key in trial.user_attrs} for trial in chain]
    return max(reversed(attempts), key=len)


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    """Draw one parameter; one that a retry brought along stays as it is."""
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_int(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            trial.suggest_categorical(name, choices)
        case _:
            raise TypeError(f"{name}: {distribution} is no distribution of Optuna's")
