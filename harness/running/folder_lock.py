"""The lock of a results folder, which one process at a time may own; a counter shows whether the owner is alive.

The owner writes a small file, ``lock.json``, and raises the counter in it about once a second. Another process that
wants the folder reads the counter, waits, and reads it again: if the counter has moved, the owner is alive; if not, the
lock is taken over. No clocks are compared, and the file system only has to create, write and rename files, so this
works on network file systems too.

An owner that was stopped for a while (SIGSTOP, a laptop's lid) may lose its lock. It checks before each write of a
result, and stops with an error if the lock is no longer its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from splitbench.harness.errors import StoreError

LOCK = "lock.json"
BEATS = 10
"""Beats of a living owner within the time after which it is thought dead."""
Say = Callable[[str], None]


def patience() -> float:
    """For how many seconds a counter must stand still before its owner is thought dead; the environment may shorten it
    for tests, for all processes alike."""
    return float(os.environ.get("SPLITBENCH_LOCK_SECONDS", "10"))


@dataclass(frozen=True)
class Owner:
    """The owner that a lock file names. ``place`` identifies the machine and the process namespace of ``pid``."""

    host: str
    pid: int
    place: str
    token: str
    counter: int

    @property
    def words(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def gone(self) -> bool:
        """Whether it ran among the processes that can be seen from here, and is not there any more."""
        return bool(self.place) and self.place == _place() and not _runs(self.pid)


class FolderLock:
    """The lock of one results folder, as one process sees it.

    Args:
        folder: the results folder; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / LOCK
        self.token = secrets.token_hex(8)
        self._counter = 0
        self._handle: int | None = None
        self._released = threading.Event()

    @contextlib.contextmanager
    def held(self, say: Say = lambda sentence: None) -> Iterator[FolderLock]:
        """Own the folder for the length of a ``with`` block.

        Raises:
            StoreError: if a living process owns it, or the lock cannot be written.
        """
        self._acquire(say)
        beat = threading.Thread(target=self._beat, daemon=True)
        beat.start()
        try:
            yield self
        finally:
            self._released.set()
            beat.join()
            self._release()

    def check(self) -> None:
        """Called before each write of a result.

        Raises:
            StoreError: if another process has taken the folder over.
        """
        owner = _read(self.path)
        if owner is None:
            time.sleep(patience() / BEATS)  # a network file system may have to look again
            owner = _read(self.path)
        if owner is None:
            raise StoreError(
                f"{self.path} was removed or damaged while this process worked here; nothing more is written: run the "
                "same command again"
            )
        if owner.token != self.token:
            raise StoreError(
                f"{self.folder}: {owner.words} has taken this results folder over, because this process stood still; "
                "nothing more is written here: let the other one finish, and run the same command again if anything is "
                "missing"
            )

    def _acquire(self, say: Say) -> None:
        while True:
            try:
                self._create(self.path)
                return
            except FileExistsError:
                seen = _read(self.path)
            except OSError as error:
                raise self._unwritable(error) from error
            if seen is None and not self.path.exists():
                continue  # given up between the two looks
            if not (seen and seen.gone):
                seen = self._watch(seen, say)
            if self._take_over(seen):
                return

    def _watch(self, seen: Owner | None, say: Say) -> Owner | None:
        """Wait until an owner is seen to be dead.

        Raises:
            StoreError: if it is alive.
        """
        who = seen.words if seen else "another process"
        say(f"{self.folder} is locked by {who}; waiting up to {patience():g} s to see whether that is alive")
        start = time.monotonic()
        while time.monotonic() - start < patience():
            time.sleep(patience() / BEATS / 2)
            now = _read(self.path)
            if now is None and not self.path.exists():
                return seen
            if now is not None and now != seen:
                raise StoreError(
                    f"{self.folder} is in use by another splitbench ({now.words}): wait until it has ended, or end it, "
                    "and run the same command again; or choose another --out"
                )
        return seen

    def _take_over(self, dead: Owner | None) -> bool:
        """Put this process's lock in the place of a dead one's; returns whether that worked."""
        if _read(self.path) != dead and self.path.exists():
            return False
        new = self.path.with_name(f".{LOCK}.{self.token}")
        try:
            self._create(new)
            os.replace(new, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise self._unwritable(error) from error
        time.sleep(patience() / BEATS / 2)  # another process may replace it now: the last one owns it
        owner = _read(self.path)
        if owner is not None and owner.token == self.token:
            return True
        self._close()
        return False

    def _create(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self._write()

    def _write(self) -> None:
        """The same number of bytes each time, into the file that this process has made: one that has taken over has
        made another, so that a late beat spoils nothing."""
        assert self._handle is not None
        about = {"host": socket.gethostname(), "pid": os.getpid(), "place": _place(), "token": self.token}
        text = json.dumps(about)[1:]
        os.pwrite(self._handle, f'{{"counter": {self._counter:>12}, {text}\n'.encode(), 0)
        os.fsync(self._handle)

    def _beat(self) -> None:
        while not self._released.wait(patience() / BEATS):
            self._counter += 1
            with contextlib.suppress(OSError):  # a full disk is reported where results are written
                self._write()

    def _release(self) -> None:
        owner = _read(self.path)
        if owner is not None and owner.token == self.token:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: the lock cannot be written ({error.strerror}); choose another --out")


def _read(path: Path) -> Owner | None:
    """The owner in a lock file; None if there is no file, or it cannot be read (it is being written, or damaged)."""
    try:
        owner = json.loads(path.read_bytes())
        return Owner(
            str(owner["host"]), int(owner["pid"]), str(owner["place"]), str(owner["token"]), int(owner["counter"])
        )
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None


def _place() -> str:
    """This start of this machine, and the processes that can be seen; empty where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _runs(pid: int) -> bool:
    """Whether a process of this place is there, and more than the entry that its parent has not read yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return state[:1] != ["Z"]
    except OSError:
        return False
