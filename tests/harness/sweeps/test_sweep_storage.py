"""Storages of sweeps: what is opened, what is refused, and that nothing changes in what is refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from postgres_server import PASSWORD, Server, engine

from splitbench.harness.errors import StoreError
from splitbench.harness.sweeps.storages import journal
from splitbench.harness.sweeps.storages import storage as storages
from splitbench.harness.sweeps.storages.database import check_place
from splitbench.harness.sweeps.storages.storage import is_url, open_storage, open_studies, storage_errors

pytest_plugins = ["postgres_server"]

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
IDENTITY = {"protocol": "p1", "search": {"trainer.lr": {"log": [0.005, 0.1]}, "schedule.levels": [1, 2, 3]}}


@pytest.fixture(params=["journal", "sqlite", POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres").fresh()
    return str(tmp_path / "new" / "sweep.journal") if request.param == "journal" else f"sqlite:///{tmp_path}/sweep.db"


@pytest.fixture(params=["sqlite", POSTGRES])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("postgres").fresh()
    return f"sqlite:///{tmp_path}/sweep.db"


def content(place: str) -> Any:
    """All that a storage holds: a file's bytes and its neighbours, or a database's columns and rows."""
    if is_url(place) and not place.startswith("sqlite"):
        with engine(place) as one, one.connect() as connection:
            query = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = "
            columns = connection.execute(sqlalchemy.text(query + "'public' ORDER BY 1, 2")).all()
            tables = {column.table_name for column in columns}
            rows = {t: connection.execute(sqlalchemy.text(f'SELECT * FROM "{t}" ORDER BY 1')).all() for t in tables}
            return columns, rows
    path = Path(place.removeprefix("sqlite:///"))
    neighbours = sorted(entry.name for entry in path.parent.iterdir())
    return neighbours, path.read_bytes() if path.is_file() else None


def execute(place: str, *statements: str) -> None:
    with engine(place) as one, one.begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))


def refused(place: str, message: str) -> None:
    """The storage is refused with one sentence, and is as it was."""
    before = content(place)
    with pytest.raises(StoreError, match=message) as caught:
        open_storage(place)
    assert "\n" not in str(caught.value)
    assert content(place) == before


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("sqlite:///a.db", True),
        ("postgresql+psycopg://u:p@h/x", True),
        ("out/sweep.journal", False),
        ("C:/sweep.journal", False),
        ("http:sweep", False),
    ],
)
def test_what_is_written_as_a_url(place: str, url: bool) -> None:
    assert is_url(place) is url


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "postgresql:/me:s3cret@h/x",
            "postgresql:... is neither a path nor a URL; a URL looks like postgresql://host/name, and a path that "
            "begins so is written ./postgresql:...",
        ),
        (
            "sqlite:/foo.db",
            "sqlite:... is neither a path nor a URL; a URL looks like sqlite:///FILE, and a path that begins so is "
            "written ./sqlite:...",
        ),
        (
            "mysql+pymysql:me:s3cret@h/x",
            "mysql+pymysql:... is neither a path nor a URL; a URL looks like postgresql://host/name, and a path that "
            "begins so is written ./mysql+pymysql:...",
        ),
    ],
)
def test_a_mistyped_url_is_refused_without_its_password(place: str, sentence: str) -> None:
    with pytest.raises(StoreError) as caught:
        check_place(place)
    assert str(caught.value) == sentence


def test_paths_and_urls_are_no_mistyped_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("sqlite:///a.db", "postgresql+psycopg://u:p@h/x", "C:/sweep.journal", "out/a:b", "./run:1", "sweep"):
        check_place(place)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError):
        check_place("run:1.journal")
    Path("run:1.journal").touch()
    check_place("run:1.journal")


# -- opening ---------------------------------------------------------------------------------------------------------


def test_a_new_storage_is_made_and_opens_again_as_it_is(place: str) -> None:
    wanted = {"demo/none": IDENTITY, "demo/gm": {**IDENTITY, "protocol": "p2"}}
    made = open_studies(open_storage(place), wanted)
    made["demo/gm"].add_trial(optuna.create_trial(value=0.25))
    before = content(place)

    again = open_studies(open_storage(place), wanted)
    assert content(place) == before
    assert list(again) == ["demo/none", "demo/gm"]
    assert [study.study_name for study in again.values()] == ["demo/none", "demo/gm"]
    assert again["demo/gm"].user_attrs["splitbench"] == {"schema": 1, **IDENTITY, "protocol": "p2"}
    assert again["demo/gm"].best_value == 0.25
    assert again["demo/none"].direction is optuna.study.StudyDirection.MAXIMIZE
    assert optuna.logging.get_verbosity() >= optuna.logging.WARNING


def test_tables_of_other_programs_stay_beside_optunas(database: str) -> None:
    execute(database, "CREATE TABLE recipes (name VARCHAR(20))", "INSERT INTO recipes VALUES ('soup')")
    open_studies(open_storage(database), {"demo/gm": IDENTITY})
    with engine(database) as one, one.connect() as connection:
        assert connection.scalars(sqlalchemy.text("SELECT name FROM recipes")).all() == ["soup"]
        assert connection.scalars(sqlalchemy.text("SELECT study_name FROM studies")).all() == ["demo/gm"]


@pytest.mark.postgres
def test_braces_and_signs_in_a_password_are_taken_as_they_are(postgres: Server) -> None:
    assert set("@/{}") < set(PASSWORD)
    storage = open_storage(postgres.fresh())
    assert storage.get_all_studies() == []


def test_processes_that_start_at_once_share_the_studies(place: str) -> None:
    wanted = {"demo/none": IDENTITY, "demo/gm": IDENTITY}
    barrier, ended = threading.Barrier(4), []

    def start() -> None:
        barrier.wait()
        studies = open_studies(open_storage(place), wanted)
        ended.append([study.user_attrs["splitbench"] for study in studies.values()])

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [[{"schema": 1, **IDENTITY}] * 2] * 4
    assert sorted(study.study_name for study in open_storage(place).get_all_studies()) == sorted(wanted)


def test_a_study_that_another_process_is_just_making_is_waited_for(place: str) -> None:
    theirs = optuna.create_study(storage=open_storage(place), study_name="demo/gm", direction="maximize")
    begun = threading.Event()
    storage = open_storage(place)
    attributes = storage.get_study_user_attrs

    def looked(study_id: int) -> dict[str, Any]:
        read = attributes(study_id)
        begun.set()
        return read

    storage.get_study_user_attrs = looked  # type: ignore[method-assign]

    def mark() -> None:
        begun.wait()
        theirs.set_user_attr("splitbench", {"schema": 1, **IDENTITY})

    thread = threading.Thread(target=mark)
    thread.start()
    studies = open_studies(storage, {"demo/gm": IDENTITY})
    thread.join()
    assert list(studies) == ["demo/gm"]


def test_a_study_made_between_the_check_and_the_making_is_checked_too(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = optuna.create_study
    other = open_storage(place)

    def later(**options: Any) -> optuna.Study:
        monkeypatch.setattr(optuna, "create_study", make)
        open_studies(other, {"demo/gm": {**IDENTITY, "protocol": "theirs"}})
        return make(**options)

    monkeypatch.setattr(optuna, "create_study", later)
    with pytest.raises(StoreError, match='with protocol "theirs", and the study file now says "p1"'):
        open_studies(open_storage(place), {"demo/gm": IDENTITY})


# -- studies that are refused ----------------------------------------------------------------------------------------

CHANGES: list[tuple[dict[str, Any], str]] = [
    (
        {"search": {**IDENTITY["search"], "trainer.lr": {"log": [0.01, 0.1]}}},
        r"started with search.trainer.lr.log \[0.005, 0.1\], and the study file now says \[0.01, 0.1\]; restore",
    ),
    (
        {"search": {"schedule.levels": [1, 2, 3]}},
        r"with search.trainer.lr.log \[0.005, 0.1\], and the study file now says nothing",
    ),
    ({"extra": None}, "with extra nothing, and the study file now says null"),
    ({"protocol": "p2", "extra": 1}, r"with extra nothing, and the study file now says 1 \(and 1 more\)"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_another_identity_is_refused_by_its_first_difference(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    place = str(tmp_path / "sweep.journal")
    open_studies(open_storage(place), {"demo/gm": IDENTITY})
    before = content(place)
    with pytest.raises(StoreError, match=message):
        open_studies(open_storage(place), {"demo/new": IDENTITY, "demo/gm": {**IDENTITY, **change}})
    assert content(place) == before  # no study was made beside it either


FOREIGN: list[tuple[Callable[[optuna.Study], Any], str]] = [
    (lambda study: study.add_trial(optuna.create_trial(value=1.0)), "'demo/gm' that another program made; choose"),
    (lambda study: None, "another program made; delete it with `optuna delete-study`, for it has no trials, or choose"),
    (lambda study: study.set_user_attr("splitbench", "mine"), "another program made"),
    (lambda study: study.set_user_attr("splitbench", {"schema": 2}), r"\(schema 2, and this one writes 1\); upgrade"),
]


@pytest.mark.parametrize(("make", "message"), FOREIGN)
def test_another_programs_study_is_refused(
    make: Callable[[optuna.Study], Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "MARK_SECONDS", 0.0)
    place = f"sqlite:///{tmp_path}/sweep.db"
    make(optuna.create_study(storage=open_storage(place), study_name="demo/gm", direction="maximize"))
    before = content(place)
    with pytest.raises(StoreError, match=message):
        open_studies(open_storage(place), {"demo/aa": IDENTITY, "demo/gm": IDENTITY})
    assert content(place) == before


def test_another_direction_is_refused(place: str) -> None:
    open_studies(open_storage(place), {"demo/gm": IDENTITY}, "minimize")
    before = content(place)
    with pytest.raises(StoreError, match="started to minimize, and is now to maximize; restore it as it was"):
        open_studies(open_storage(place), {"demo/gm": IDENTITY})
    assert content(place) == before


# -- databases that are refused --------------------------------------------------------------------------------------

DATABASES = {
    "older": (["UPDATE alembic_version SET version_num = 'v2.6.0.a'"], "are older than .*`optuna storage upgrade"),
    "newer": (["UPDATE alembic_version SET version_num = 'v99.0.0.a'"], "does not know; upgrade optuna"),
    "before revisions": (
        ["DROP TABLE alembic_version", "UPDATE version_info SET schema_version = 1, library_version = '0.8.0'"],
        r"was made by optuna 0.8.0, .* older .*`optuna storage upgrade --storage URL`",
    ),
    "newer without revisions": (
        ["DELETE FROM alembic_version", "UPDATE version_info SET schema_version = 99"],
        "upgrade optuna",
    ),
}


@pytest.mark.parametrize("which", DATABASES)
def test_a_database_of_another_version_of_optuna_is_refused(database: str, which: str) -> None:
    statements, message = DATABASES[which]
    open_studies(open_storage(database), {"demo/gm": IDENTITY})
    execute(database, *statements)
    refused(database, message)


TABLES = {
    "its own revisions": ["CREATE TABLE alembic_version (version_num VARCHAR(32))"]
    + ["INSERT INTO alembic_version VALUES ('ab12')"],
    "its own versions": ["CREATE TABLE version_info (release VARCHAR(9))"],
    "its own studies": ["CREATE TABLE studies (title VARCHAR(9))", "INSERT INTO studies VALUES ('law')"],
}


@pytest.mark.parametrize("which", TABLES)
def test_another_programs_database_is_refused(database: str, which: str) -> None:
    execute(database, *TABLES[which])
    refused(database, "another program.*; choose another database")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sweep.db").write_text("a diary, and long enough to be taken for something else than an empty file")
    refused(f"sqlite:///{tmp_path}/sweep.db", "file is not a database")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("postgresql://u:hush@127.0.0.1:{port}/x", "cannot be used .*Connection refused"),
        ("postgresql://u:hush@127.0.0.1:{port}/x?password=hush", "cannot be used .*Connection refused"),
        ("postgresql://u:hush@127.0.0.1:port/x", r"postgresql://\.\.\. is not a URL"),
        ("postgresql://u:hu@hush@127.0.0.1/x", "with %40 for an @ in the password"),
        ("postgresql://u:hush@127.0.0.1/x?no_such_option=1", "no_such_option"),
        ("postgresql+no_such_driver://u:hush@h/x", "no database dialect 'postgresql.no_such_driver' here"),
        ("ledger://u:hush@h/x", "no database dialect 'ledger' here; use sqlite, postgresql or mysql"),
        ("://hush", "is not a URL"),
        ("sqlite://", "gone when the process ends; name a file"),
        ("sqlite:///{folder}/absent/sweep.db", "there is no folder .*absent; make it first"),
        ("sqlite:///{folder}", "is a folder; name a file in it"),
    ],
)
def test_what_cannot_be_reached_is_told_without_its_password(place: str, message: str, tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    from postgres_server import free_port

    with pytest.raises(StoreError, match=message) as caught:
        open_storage(place.format(port=free_port(), folder=tmp_path))
    assert "\n" not in str(caught.value)
    assert "hush" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__suppress_context__ or "hush" not in "".join(traceback.format_exception(caught.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.postgres
def test_a_server_that_refuses_is_told_without_the_password(postgres: Server) -> None:
    for url, message in (
        (postgres.url("postgres", "hush"), "password authentication failed"),
        (postgres.url("absent"), 'database "absent" does not exist'),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            open_storage(url)
        assert "\n" not in str(caught.value)
        assert "hush" not in str(caught.value)
        assert PASSWORD not in str(caught.value)


# -- journals that are refused ---------------------------------------------------------------------------------------

LINE = b'{"op_code":0,"worker_id":"w","study_name":"a","directions":[2]}\n'
JOURNALS = {
    "prose": (b"Dear diary,\n", "line 1 is not of an Optuna journal"),
    "prose without an end": (b"Dear diary", "line 1 is not of an Optuna journal"),
    "bytes": (b"\x00\xff\x89PNG\n", "line 1 is not of an Optuna journal"),
    "other json": (LINE + b"[1, 2]\n", "line 2 is not of an Optuna journal"),
    "other objects": (b'{"a": 1}\n', "line 1 is not of an Optuna journal"),
    "a newer version's": (LINE + b'{"op_code":99,"worker_id":"w"}\n', "operation 99, unknown to .*upgrade optuna"),
    "cut off": (LINE + LINE[:30], "last line, 2, is cut off, .*delete that line"),
    "cut off and written on": (LINE + LINE[:30] + LINE, "line 2 is not of an Optuna journal"),
    "no history": (b'{"op_code":1,"worker_id":"w"}\n', "not a journal that Optuna can read"),
}


@pytest.mark.parametrize("which", JOURNALS)
def test_a_file_that_is_no_journal_is_refused(which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "TORN_SECONDS", 0.0)
    data, message = JOURNALS[which]
    path = tmp_path / "sweep.journal"
    path.write_bytes(data)
    refused(str(path), message)


def test_a_line_that_another_process_is_writing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep.journal"
    path.write_bytes(LINE + LINE[:30])

    def pause(_: float) -> None:
        with path.open("ab") as file:
            file.write(LINE[30:].replace(b'"a"', b'"b"'))

    monkeypatch.setattr(time, "sleep", pause)
    assert [study.study_name for study in open_storage(path).get_all_studies()] == ["a", "b"]


def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "sweep.journal").touch()
    assert open_storage(tmp_path / "sweep.journal").get_all_studies() == []


def test_a_journal_where_no_file_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be read or written"):
        open_storage(tmp_path / "file" / "sweep.journal")
    with pytest.raises(StoreError, match="this is a folder"):
        open_storage(tmp_path)
    for place in (str(tmp_path / "sweep.journal"), f"sqlite:///{tmp_path}/sweep.db"):
        with monkeypatch.context() as patched:
            patched.setattr("os.access", lambda *_: False)  # the permissions of a user who is not root
            with pytest.raises(StoreError, match="write permission"):
                open_storage(place)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]


def test_a_process_that_dies_in_mid_write_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "sweep.journal"
    open_studies(open_storage(place), {"demo/none": IDENTITY})
    child = os.fork()
    if child == 0:
        journal.JournalLock(str(place)).acquire()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (tmp_path / "sweep.journal.lock").symlink_to(place)  # another program of Optuna's died too
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    assert list(open_studies(open_storage(place), {"demo/gm": IDENTITY})) == ["demo/gm"]


def test_writers_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "sweep.journal").touch()
    first, second = (journal.JournalLock(str(tmp_path / "sweep.journal")) for _ in range(2))
    order: list[str] = []
    first.acquire()
    thread = threading.Thread(target=lambda: (second.acquire(), order.append("second"), second.release()))
    thread.start()
    thread.join(0.05)
    order.append("first")
    first.release()
    thread.join()
    assert order == ["first", "second"]


def test_a_file_system_without_locks_has_optunas_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    (tmp_path / "sweep.journal").touch()
    one = journal.JournalLock(str(tmp_path / "sweep.journal"))
    one.acquire()
    assert (tmp_path / "sweep.journal.lock").is_symlink()
    one.release()
    assert list(tmp_path.iterdir()) == [tmp_path / "sweep.journal"]


# -- failures in the middle of a sweep -------------------------------------------------------------------------------


def test_a_storage_that_goes_away_is_told(database: str) -> None:
    study = open_studies(open_storage(database), {"demo/gm": IDENTITY})["demo/gm"]
    with storage_errors(database):
        study.ask()
    if database.startswith("sqlite"):
        Path(database.removeprefix("sqlite:///")).write_text("overwritten " * 1000)
    else:
        url = sqlalchemy.make_url(database)
        with engine(url.set(database="postgres").render_as_string(False), isolation_level="AUTOCOMMIT") as one:
            one.connect().execute(sqlalchemy.text(f"DROP DATABASE {url.database} WITH (FORCE)"))
    message = r"cannot be used any more \(.+\); what had ended is kept: run"
    with pytest.raises(StoreError, match=message) as caught, storage_errors(database):
        study.get_trials()
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_journal_that_goes_away_is_told(tmp_path: Path) -> None:
    place = tmp_path / "sweep.journal"
    study = open_studies(open_storage(place), {"demo/gm": IDENTITY})["demo/gm"]
    place.unlink()
    message = r"sweep.journal cannot be used any more \(No such file or directory\)"
    with pytest.raises(StoreError, match=message), storage_errors(place):
        study.get_trials()
    with pytest.raises(StoreError, match="as it is"), storage_errors(place):
        raise StoreError("as it is")


def test_an_attribute_of_a_study_is_what_the_dashboard_reads(tmp_path: Path) -> None:
    place = tmp_path / "sweep.journal"
    open_studies(open_storage(place), {"demo/gm": IDENTITY})
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    assert [line.get("user_attr", {}).get("splitbench") for line in lines][-1] == {"schema": 1, **IDENTITY}


def test_what_is_not_the_storages_is_not_told_as_its(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path / "sweep.journal"):
        (tmp_path / "images.bin").read_bytes()
