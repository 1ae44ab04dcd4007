"""A throwaway PostgreSQL server from the machine's own binaries: ``pytest_plugins = ["postgres_server"]`` gives it.

It listens on a free port of the loopback interface, asks for a password, keeps its data in a temporary folder, and ends
with the tests, also when they are killed. The binaries are found on PATH or where Debian puts them. Where there are
none the tests skip, with a sentence; with SPLITBENCH_REQUIRE_POSTGRES=1, as in CI, they fail.

PYTEST_DONT_REWRITE: test modules import it before pytest takes it as a plugin.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

USER, PASSWORD = "splitbench", "s3cret/p@ss{1}"
DEBIAN = "usr/lib/postgresql/*/bin"
START_SECONDS = 60.0
TEMPORARY = tempfile.gettempdir()


@dataclass
class Server:
    """A running server. ``fresh`` makes an empty database and gives its URL."""

    port: int
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str, password: str = PASSWORD) -> str:
        made = sqlalchemy.URL.create("postgresql", USER, password, "127.0.0.1", self.port, database)
        return made.render_as_string(hide_password=False)

    def fresh(self) -> str:
        name = f"fresh{next(self.numbers)}"
        with engine(self.url("postgres"), isolation_level="AUTOCOMMIT") as one, one.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        return self.url(name)


@contextlib.contextmanager
def engine(url: str, **options: Any) -> Iterator[sqlalchemy.Engine]:
    """An engine that leaves no connection behind, with the driver that is installed."""
    made = sqlalchemy.make_url(url)
    if made.drivername == "postgresql":
        made = made.set(drivername=f"postgresql+{driver()}")
    one = sqlalchemy.create_engine(made, **options)
    try:
        yield one
    finally:
        one.dispose()


def driver() -> str | None:
    from importlib.util import find_spec

    return next((name for name in ("psycopg", "psycopg2") if find_spec(name)), None)


def binaries() -> Path | None:
    """The folder of initdb and postgres, the newest version's where there are several."""
    for name in ("initdb", "pg_ctl"):
        found = shutil.which(name)
        if found is not None and (Path(found).resolve().parent / "postgres").exists():
            return Path(found).resolve().parent
    folders = [folder for folder in Path("/").glob(DEBIAN) if (folder / "postgres").exists()]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


def missing() -> str:
    """What is missing for a server to run and be reached, or nothing."""
    if binaries() is None:
        return "needs a PostgreSQL server: install Debian's package postgresql, or put initdb on PATH"
    return "" if driver() else "needs a driver for PostgreSQL: pip install 'psycopg[binary]'"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    lack = missing()
    if lack and os.environ.get("SPLITBENCH_REQUIRE_POSTGRES") == "1":
        pytest.fail(f"SPLITBENCH_REQUIRE_POSTGRES is set, and there is no server: this test {lack}")
    if lack:
        pytest.skip(lack)
    with running() as server:
        yield server


@contextlib.contextmanager
def running() -> Iterator[Server]:
    owner = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="splitbench-postgres-", dir=room(owner)))
    try:
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        initialise(folder, owner)
        process, port = start(folder, owner)
        try:
            yield Server(port)
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: the data is thrown away
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged() -> dict[str, Any]:
    """How to run as another user where this is root, whom PostgreSQL refuses."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def room(owner: dict[str, Any]) -> str:
    """A folder for temporary files that the server's user can enter, from the root on."""
    for place in (TEMPORARY, "/var/tmp"):
        path = Path(place).resolve()
        if path.is_dir() and (not owner or all(one.stat().st_mode & 0o001 for one in (path, *path.parents))):
            return place
    raise AssertionError("there is no folder for temporary files that an unprivileged user can enter")


def initialise(folder: Path, owner: dict[str, Any]) -> None:
    tool = binaries()
    assert tool is not None
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    if owner:
        os.chown(password, owner["user"], owner["group"])
    command = [tool / "initdb", "-D", folder / "data", "-U", USER, "--pwfile", password, "--auth=scram-sha-256"]
    options = ["--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd=folder, **owner)
    assert done.returncode == 0, done.stderr


def start(folder: Path, owner: dict[str, Any]) -> tuple[subprocess.Popen[bytes], int]:
    """The server and its port; another port is tried where one is taken between its choice and its use."""
    tool = binaries()
    assert tool is not None
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "full_page_writes": "off",
        "max_connections": "40",
        "shared_buffers": "16MB",
    }
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    log = folder / "log"
    for _ in range(5):
        port = free_port()
        command = [tool / "postgres", "-D", folder / "data", "-p", str(port), *options]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder, preexec_fn=end_with_me, **owner
            )
        if answers(process, port):
            return process, port
    raise AssertionError(f"the server does not start: {log.read_text()}")


def end_with_me() -> None:
    """Have Linux stop the server when the tests are killed."""
    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGQUIT)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(sqlalchemy.exc.OperationalError), engine(Server(port).url("postgres")) as one:
            one.connect().close()
            return process.poll() is None
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
        process.wait()
    return False
