"""All uses of Optuna's private interface, each with the reason why the public one is not enough.

No other module may use a name of Optuna that begins with an underscore, so a new version of Optuna is checked against
this file alone. It was written for Optuna 5.0.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, cast

import optuna
from alembic.script import ScriptDirectory
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import HyperbandPruner
from optuna.storages._rdb import models
from optuna.storages.journal._storage import JournalOperation
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

# Optuna makes its tables and replays a journal before it says that it cannot read them. What it knows is in no public
# place, so that a storage of another version can be refused before anything is written to it.
JOURNAL_OPERATIONS = frozenset(int(operation) for operation in JournalOperation)
SCHEMA_VERSION: int = models.SCHEMA_VERSION


def table_columns() -> dict[str, set[str]]:
    """Optuna's tables in a database, each with its columns. A table of another program may have the same name."""
    tables = models.BaseModel.metadata.tables
    return {name: {column.name for column in table.columns} for name, table in tables.items()}


@functools.cache
def table_revisions() -> tuple[str | None, frozenset[str]]:
    """The revision of the tables that the installed Optuna makes, and all that it knows.

    ``RDBStorage.get_head_version`` gives the first, but needs an open storage, and opening one writes to it.
    """
    scripts = ScriptDirectory(str(Path(models.__file__).with_name("alembic")))
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())


def trial_id(trial: optuna.Trial | FrozenTrial) -> int:
    """The trial's id, which is unique in its storage; the public number is unique in its study only."""
    return trial._trial_id


def open_trial(study: Study) -> optuna.Trial:
    """A new running trial. ``Study.ask`` would take any waiting trial first, but the ledger decides which is next.

    The trial's parameters that are sampled together are drawn here, by the study's sampler.
    """
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id))


def take_trial(study: Study, waiting: FrozenTrial) -> optuna.Trial | None:
    """This waiting trial, now running; None if another process has taken it.

    ``Study.ask`` takes the waiting trial of the lowest number, not one that is named.
    """
    try:
        if study._storage.set_trial_state_values(waiting._trial_id, TrialState.RUNNING):
            return optuna.Trial(study, waiting._trial_id)
    except UpdateFinishedTrialError:
        pass
    return None


def fail_trial(study: Study, trial: optuna.Trial | FrozenTrial) -> bool:
    """End a trial as failed; False if another process has ended it.

    ``Study.tell`` refuses a trial that still waits, and does not say who of two processes has ended a trial.
    """
    try:
        return study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False


def set_user_attribute(study: Study, trial: optuna.Trial | FrozenTrial, key: str, value: Any) -> None:
    """Write to a trial that another process opened: ``Trial.set_user_attr`` is only for one's own.

    Raises:
        UpdateFinishedTrialError: if the trial has ended.
    """
    study._storage.set_trial_user_attr(trial._trial_id, key, value)


def set_system_attribute(study: Study, trial: FrozenTrial, key: str, value: Any) -> None:
    """Store what a sampler or pruner needs at a later call. Optuna's own do the same; there is no public way."""
    study._storage.set_trial_system_attr(trial._trial_id, key, value)


class StudyBySlot:
    """As much of a study as Optuna's samplers and pruners ask for: the given trials, and nothing of the storage.

    A study that is made in memory by ``Study.add_trial`` would do, but costs a copy of all trials at each draw, and
    Optuna would number the trials anew. What samplers and pruners ask a study for is partly private: hence the
    underscores. It is made anew for each draw and each look.

    Args:
        study: the real one.
        trials: what is shown of it.

    Attributes:
        written: system attributes, by name, for the one trial that the sampler or pruner was asked about.
    """

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        self.study_name = study.study_name
        self.directions = study.directions
        self.direction = study.directions[0]
        self.trials = trials
        self.written: dict[str, Any] = {}
        self._study_id = 0
        self._storage = self

    def as_study(self) -> Study:
        """The same, as the type that samplers and pruners declare."""
        return cast(Study, self)

    def only(self, keep: Callable[[FrozenTrial], bool]) -> StudyBySlot:
        """The same with fewer trials; what is written to it is noted here too."""
        fewer = copy.copy(self)
        fewer.trials = [trial for trial in self.trials if keep(trial)]
        fewer._storage = self
        return fewer

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The shown trials, as of a study."""
        return [trial for trial in self.trials if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As of a storage."""
        self.written[key] = value

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return self.get_trials(deepcopy, states)

    def _is_multi_objective(self) -> bool:
        return len(self.directions) > 1


class HyperbandBySlot(HyperbandPruner):
    """Optuna's, for a :class:`StudyBySlot`; a slot's bracket follows from the study's name and the slot.

    Optuna's makes the study of one bracket of a whole study with a storage, and has no public place to say otherwise.
    """

    def _create_bracket_study(self, study: Study, bracket_id: int) -> Study:
        shown = cast(StudyBySlot, study)
        return shown.only(lambda trial: self._get_bracket_id(study, trial) == bracket_id).as_study()
