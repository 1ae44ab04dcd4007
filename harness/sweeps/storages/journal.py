"""Optuna's journal file as the storage of a sweep: read before it is opened, and free again once its writer dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from splitbench.harness.errors import StoreError
from splitbench.harness.sweeps.optuna_backend import JOURNAL_OPERATIONS

OTHER = "choose another --out or --storage"
TORN_SECONDS = 2.0
_UNLOCKABLE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class JournalLock(JournalFileSymlinkLock):
    """The lock that keeps two processes from writing at once: on the journal itself, released when its process ends.

    Optuna's own is a file beside it. One that a killed process leaves makes all others wait for 30 seconds; it serves
    where the file system has no locks. A program that locks in Optuna's way, such as its dashboard, may write beside
    this one: each entry is a single write at the file's end.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        handle = os.open(self._path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            os.close(handle)
            if error.errno not in _UNLOCKABLE:
                raise
            return super().acquire()
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        return True

    def release(self) -> None:
        if self._handle is None:
            super().release()
            return
        os.close(self._handle)
        self._handle = None


def open_journal(path: Path) -> JournalStorage:
    """The storage in the file ``path``; a missing file and its folders are made.

    Raises:
        StoreError: see ``storage.open_storage``.
    """
    try:
        if path.is_dir():
            raise StoreError(f"{path}: this is a folder, and a sweep is kept in a file; name a file in it")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _check_journal(path)
        if not os.access(path if path.exists() else path.parent, os.W_OK) or not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return JournalStorage(JournalFileBackend(str(path), JournalLock(str(path))))
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{path}: the sweep's journal cannot be read or written ({error.strerror or error}); choose a place with "
            "write permission and room"
        ) from error
    except Exception as error:
        # Lines of the right form that make no history fail in the replay, each in a way of its own.
        raise StoreError(f"{path}: this is not a journal that Optuna can read; {OTHER}") from error


def _check_journal(path: Path) -> None:
    end = time.monotonic() + TORN_SECONDS
    while torn := _read_journal(path):
        # Another process may be writing it at this moment.
        if time.monotonic() > end:
            raise StoreError(
                f"{path}: its last line, {torn}, is cut off, because writing it was interrupted; delete that line, "
                f"which loses one step of one trial, or {OTHER}"
            )
        time.sleep(0.1)


def _read_journal(path: Path) -> int:
    """The number of a last line that is cut off, or 0."""
    start = b'{"op_code":'
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") and line[: len(start)] == start[: len(line)]:
                return number
            try:
                code = json.loads(line)["op_code"]
                known = code in JOURNAL_OPERATIONS
            except (ValueError, TypeError, KeyError):
                raise StoreError(f"{path}: line {number} is not of an Optuna journal; {OTHER}") from None
            if not known:
                raise StoreError(
                    f"{path}: line {number} was written by another version of Optuna (operation {code}, unknown to "
                    f"{optuna.__version__}); upgrade optuna, or {OTHER}"
                )
    return 0
