"""Where a sweep's trials are kept: Optuna's journal file, or a database that Optuna knows; and the studies in it.

An existing storage is checked before anything is written, so that one that is refused stays unchanged.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from sqlalchemy.exc import SQLAlchemyError

from splitbench.harness.errors import StoreError
from splitbench.harness.sweeps.identity import identity_differences
from splitbench.harness.sweeps.storages.database import driver_reason, is_url, open_database, without_password
from splitbench.harness.sweeps.storages.journal import OTHER, open_journal

Identity = Mapping[str, Any]
"""What makes a sweep what it is, as plain JSON: one that differs in any of it is another sweep."""

STORAGES = ("optuna.storages", "splitbench.harness.sweeps.storages.journal")
MARK = "splitbench"
SCHEMA = 1
MARK_SECONDS = 5.0


def open_storage(place: str | Path) -> BaseStorage:
    """The storage at ``place``: the path of a journal file, or any URL that Optuna takes. A missing one is made.

    Raises:
        StoreError: if it cannot be reached, read or written, is no storage of Optuna's, or is of another version of it.
            Nothing in it has changed then.
    """
    optuna.logging.set_verbosity(max(optuna.logging.WARNING, optuna.logging.get_verbosity()))
    return open_database(str(place)) if is_url(str(place)) else open_journal(Path(place))


@contextlib.contextmanager
def storage_errors(place: str | Path) -> Iterator[None]:
    """Around work with an open storage: its failures become one sentence.

    Raises:
        StoreError: if the storage at ``place`` cannot be read or written any more.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, json.JSONDecodeError, OSError) as error:
        if isinstance(error, json.JSONDecodeError | OSError) and not _in_storage(error):
            raise
        raise StoreError(
            f"the storage {without_password(place)} cannot be used any more "
            f"({driver_reason(error, str(place))}); what had ended is kept: run the same command again when it can"
        ) from error


def _in_storage(error: BaseException) -> bool:
    """Whether an error came out of a storage, by the code that raised it: other code may raise the same class."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).startswith(STORAGES) for frame in frames)


def open_studies(
    storage: BaseStorage, wanted: Mapping[str, Identity], direction: str = "maximize"
) -> dict[str, optuna.Study]:
    """The Optuna studies of these names, made where they are missing; all existing ones are checked before.

    Each carries the user attribute ``splitbench``: its identity and the version of this scheme. What the storage
    itself raises is not translated: see `storage_errors`.

    Raises:
        StoreError: if a study of that name is another program's, a newer version's, or another sweep's.
    """
    identities = {name: json.loads(json.dumps(identity)) for name, identity in wanted.items()}
    missing = [name for name, identity in identities.items() if not _check(storage, name, identity, direction)]
    for name in missing:
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction=StudyDirection[direction.upper()])
        except DuplicatedStudyError:
            _check(storage, name, identities[name], direction)
        else:
            study.set_user_attr(MARK, {**identities[name], "schema": SCHEMA})
    return {name: optuna.load_study(study_name=name, storage=storage) for name in identities}


def _check(storage: BaseStorage, name: str, identity: Identity, direction: str) -> bool:
    """Whether the study is there. One that is there is this sweep's."""
    end = time.monotonic() + MARK_SECONDS
    while True:
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            return False
        mark = study.user_attrs.get(MARK)
        trials = len(study.get_trials(deepcopy=False)) if mark is None else 0
        # Another process that has just made it sets the mark next, before there is any trial.
        if mark is not None or trials or time.monotonic() > end:
            break
        time.sleep(0.1)
    if not isinstance(mark, dict) or not isinstance(mark.get("schema"), int):
        remedy = OTHER if trials else f"delete it with `optuna delete-study`, for it has no trials, or {OTHER}"
        raise StoreError(f"the storage holds a study {name!r} that another program made; {remedy}")
    if mark["schema"] != SCHEMA:
        raise StoreError(
            f"the sweep of {name!r} was written by another version of splitbench (schema {mark['schema']}, and this "
            f"one writes {SCHEMA}); upgrade splitbench, or {OTHER}"
        )
    was = [stored.name.lower() for stored in study.directions]
    changed = identity_differences({key: value for key, value in mark.items() if key != "schema"}, identity)
    if was != [direction]:
        changed = f"to {' and '.join(was)}, and is now to {direction}"
    if changed:
        raise StoreError(f"the sweep of {name!r} was started {changed}; restore it as it was, or {OTHER}")
    return True
