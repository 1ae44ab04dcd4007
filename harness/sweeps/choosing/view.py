"""What samplers and pruners of Optuna are shown in a study's place: one trial a slot, numbered by slot."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Sequence
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.sweeps.slots import SETTLED, chains


class View:
    """As much of a study as Optuna's samplers and pruners ask for; it notes what they want written.

    ``written`` are the system attributes, by name, of the one trial that they were asked about.
    """

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        self.study_name = study.study_name
        self.directions = study.directions
        self.direction = study.directions[0]
        self.trials = trials
        self.written: dict[str, Any] = {}
        self._study_id = 0
        self._storage = self

    def only(self, keep: Callable[[FrozenTrial], bool]) -> View:
        """The same with fewer trials; what is written to it is noted here too."""
        fewer = copy.copy(self)
        fewer.trials = [trial for trial in self.trials if keep(trial)]
        fewer._storage = self
        return fewer

    def _is_multi_objective(self) -> bool:
        return len(self.directions) > 1

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return [trial for trial in self.trials if states is None or trial.state in states]

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return self.get_trials(deepcopy, states)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.written[key] = value


def newest(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The newest trial of each slot: settled, or running if it is yet to be settled.

    Of an attempt that failed nothing is shown but its parameters.
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
