"""A process that runs a sweep's trials, and the signs by which other processes know whether it is alive.

Its lock file shows processes on the same machine at once that it is gone, whatever the storage. Processes on other
machines watch the ``beat``, a counter that it raises on its trials.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from splitbench.harness.sweeps.optuna_backend import trial_id

BEAT_SECONDS = 15.0
WORKER = "worker"
BEAT = "beat"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_held: set[int] = set()


def _close_inherited_locks() -> None:
    """A forked child that outlives its parent must not hold the parent's lock."""
    for handle in _held:
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_close_inherited_locks)


class Worker:
    """This process's name among those that share a sweep, and a thread that beats for the trials it runs; a context.

    ``name`` (str) is unique: host, process id, a random part. ``seconds`` is the time between two beats.
    """

    def __init__(self, seconds: float = BEAT_SECONDS) -> None:
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).lstrip(".-") or "host"
        self.name = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
        self._seconds = seconds
        self._owned: dict[int, tuple[optuna.Trial, int]] = {}
        self._guard = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweep heartbeat", daemon=True)
        self._handle: int | None = None

    def __enter__(self) -> Worker:
        # A machine without a place for the file still has the beats.
        with contextlib.suppress(OSError):
            folder = _folder()
            folder.mkdir(mode=0o700, exist_ok=True)
            self._handle = os.open(folder / self.name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            _held.add(self._handle)
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        # A beat that waits for a storage that is away ends with the process.
        self._thread.join(timeout=1.0)
        if self._handle is None:
            return
        if not self._owned:
            with contextlib.suppress(OSError):
                (_folder() / self.name).unlink(missing_ok=True)
        _held.discard(self._handle)
        os.close(self._handle)
        self._handle = None

    def own(self, trial: optuna.Trial) -> None:
        """Write this worker's name to a running trial, and beat for it from now on.

        Raises:
            UpdateFinishedTrialError: if another process has failed the trial meanwhile.
        """
        with self._guard:
            self._owned[trial_id(trial)] = (trial, 0)
        trial.set_user_attr(WORKER, self.name)
        trial.set_user_attr(BEAT, 0)

    def disown(self, trial: optuna.Trial | FrozenTrial) -> None:
        """Stop beating for a trial."""
        with self._guard:
            self._owned.pop(trial_id(trial), None)

    def owns(self, trial: optuna.Trial | FrozenTrial) -> bool:
        """Whether this process is running the trial."""
        with self._guard:
            return trial_id(trial) in self._owned

    def beat(self) -> None:
        """Beat once for every owned trial; one that another process has finished is owned no longer."""
        with self._guard:
            owned = dict(self._owned)
        for key, (trial, count) in owned.items():
            try:
                trial.set_user_attr(BEAT, count + 1)
            except (UpdateFinishedTrialError, KeyError):
                with self._guard:
                    self._owned.pop(key, None)
            except Exception:
                # The storage is away, in whatever words its driver says so. The next beat tries again.
                continue
            else:
                with self._guard:
                    if key in self._owned:
                        self._owned[key] = (trial, count + 1)

    def _run(self) -> None:
        while not self._end.wait(self._seconds):
            self.beat()


def worker_state(name: str) -> Literal["alive", "dead", "unknown"]:
    """The state of the worker ``name``, seen from here; ``unknown`` for another machine or user, or after its end."""
    if not _NAME.fullmatch(name):
        return "unknown"
    try:
        handle = os.open(_folder() / name, os.O_RDONLY)
    except OSError:
        return "unknown"
    try:
        # Shared, so that two processes that ask at once do not take each other for the worker.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "alive"
    except OSError:
        return "unknown"
    finally:
        os.close(handle)
    return "dead"


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"splitbench-workers-{os.getuid()}"
