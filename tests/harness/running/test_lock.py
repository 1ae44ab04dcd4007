"""A results folder has one owner: a living one is respected, a dead one replaced; who was replaced writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from splitbench.harness.errors import StoreError
from splitbench.harness.running import folder_lock as lock
from splitbench.harness.running.folder_lock import LOCK, FolderLock


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_LOCK_SECONDS", "2")


def put(folder: Path, **changes: object) -> Path:
    """A lock file of a process on another machine, which nobody raises."""
    about = {"counter": 7, "host": "elsewhere", "pid": 12, "place": "another boot", "token": "f00"} | changes
    path = folder / LOCK
    path.write_text(json.dumps(about))
    return path


def stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks taken from now on are never raised, as those of a stopped process."""
    monkeypatch.setattr(FolderLock, "_beat", lambda self: None)


def test_the_file_is_there_as_long_as_the_owner(tmp_path: Path) -> None:
    with FolderLock(tmp_path).held() as held:
        owner = json.loads((tmp_path / LOCK).read_text())
        assert (owner["pid"], owner["token"]) == (os.getpid(), held.token)
        held.check()
    assert list(tmp_path.iterdir()) == []


def test_a_living_owner_is_respected(tmp_path: Path) -> None:
    with FolderLock(tmp_path).held() as first:
        with (
            pytest.raises(StoreError, match=rf"in use by another splitbench \(process {os.getpid()} on .*other --out"),
            FolderLock(tmp_path).held(),
        ):
            raise AssertionError("two owners")
        first.check()
    assert list(tmp_path.iterdir()) == []


def test_a_counter_that_stands_still_is_a_dead_owners(tmp_path: Path) -> None:
    put(tmp_path)
    said: list[str] = []
    with FolderLock(tmp_path).held(said.append) as held:
        held.check()
    assert said == [f"{tmp_path} is locked by process 12 on elsewhere; waiting up to 2 s to see whether that is alive"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"host": 1}', b"\xff" * 9, b"[" * 100_000])
def test_a_damaged_lock_is_a_dead_ones(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK).write_bytes(content)
    with FolderLock(tmp_path).held() as held:
        held.check()


@pytest.mark.skipif(not lock._place(), reason="whether a process has gone cannot be told here")
def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    put(tmp_path, pid=ended.pid, place=lock._place())
    monkeypatch.setattr(FolderLock, "_watch", lambda *_: pytest.fail("waited for a process that is gone"))
    with FolderLock(tmp_path).held() as held:
        held.check()


def test_an_owner_that_stood_still_ends_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stopped:
        stand_still(stopped)
        first = FolderLock(tmp_path).held()
        stood = first.__enter__()
    with FolderLock(tmp_path).held() as second:
        with pytest.raises(StoreError, match="has taken this results folder over, because this process stood still"):
            stood.check()
        before = json.loads((tmp_path / LOCK).read_text())["token"]
        stood._write()  # a late beat
        first.__exit__(None, None, None)
        assert json.loads((tmp_path / LOCK).read_text())["token"] == before == second.token
        second.check()


def test_a_lock_that_was_removed_is_told(tmp_path: Path) -> None:
    with FolderLock(tmp_path).held() as held:
        (tmp_path / LOCK).unlink()
        with pytest.raises(StoreError, match="was removed or damaged while this process worked here"):
            held.check()


def test_of_two_that_take_over_at_once_one_is_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen the dead one; the later replaces the earlier, who sees that and does not go on."""
    put(tmp_path)
    earlier, later = FolderLock(tmp_path), FolderLock(tmp_path)
    dead = lock._read(tmp_path / LOCK)

    def replace(seconds: float) -> None:
        later._create(tmp_path / "later")
        os.replace(tmp_path / "later", tmp_path / LOCK)

    monkeypatch.setattr(lock.time, "sleep", replace)
    assert not earlier._take_over(dead)
    assert json.loads((tmp_path / LOCK).read_text())["token"] == later.token
    later._close()
