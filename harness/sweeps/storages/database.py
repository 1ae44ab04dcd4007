"""A database as the storage of a sweep: reached within seconds, read before it is opened, its password never shown.

Optuna's own constructor makes tables and writes versions before it checks anything. The database is therefore read
first, by SELECT alone, so that a database that is refused stays unchanged.
"""

from __future__ import annotations

import importlib.util
import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from splitbench.harness.errors import StoreError
from splitbench.harness.sweeps.optuna_backend import SCHEMA_VERSION, table_columns, table_revisions

CONNECT_SECONDS = 10
SQLITE_SECONDS = 60
_TIMEOUTS = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "mysqlconnector": "connection_timeout",
}


def is_url(place: str) -> bool:
    """Whether ``place`` is written as a database's URL, ``dialect[+driver]://...``, and not as a path."""
    return "://" in place


def check_place(place: str) -> None:
    """Refuse a mistyped URL, which would be taken for a path with the password in it.

    Raises:
        StoreError: if ``place`` begins like a URL without being one, and no such file exists.
    """
    begun = re.match(r"([A-Za-z][A-Za-z0-9+_-]+):", place)  # of two letters: one is a drive
    if begun is None or is_url(place) or os.path.exists(place):
        return
    scheme = begun[1]
    example = "sqlite:///FILE" if scheme.lower().startswith("sqlite") else "postgresql://host/name"
    raise StoreError(
        f"{scheme}:... is neither a path nor a URL; a URL looks like {example}, and a path that begins so is written "
        f"./{scheme}:..."
    )


def without_password(place: str | Path) -> str:
    """``place`` as messages may show it: without a password, and without the options of a URL."""
    if not is_url(str(place)):
        return str(place)
    try:
        url = sqlalchemy.make_url(str(place))
    except (SQLAlchemyError, ValueError):
        return f"{str(place).partition('://')[0]}://..."
    if "@" in (url.host or ""):
        return f"{url.drivername}://..."
    return url.set(query={}).render_as_string(hide_password=True)


def open_database(place: str) -> RDBStorage:
    """The storage at the URL ``place``; a missing SQLite file, and Optuna's tables where there are none, are made.

    Raises:
        StoreError: see ``storage.open_storage``.
    """
    where = f"the storage {without_password(place)}"
    url = _parsed(place, where)
    try:
        arguments = _engine_arguments(url)
        engine = sqlalchemy.create_engine(url, **arguments)
        try:
            _check_schema(engine, where)
        finally:
            engine.dispose()
        return _constructed(url, arguments)
    except NoSuchModuleError:
        raise StoreError(
            f"{where}: there is no database dialect {url.drivername!r} here; use sqlite, postgresql or mysql, or "
            "install the package that brings it"
        ) from None
    except ImportError as error:
        raise StoreError(
            f"{where} needs a driver that cannot be imported ({driver_reason(error, place)}); install it, or write "
            f"{url.get_backend_name()}+DRIVER:// with one that is installed"
        ) from None
    except (SQLAlchemyError, StorageInternalError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise StoreError(
            f"{where} cannot be used ({driver_reason(error, place)}); check that the database is running, its name, "
            "the user's password and rights"
        ) from None


def _parsed(place: str, where: str) -> URL:
    try:
        url = sqlalchemy.make_url(place)
    except (SQLAlchemyError, ValueError):
        url = None
    if url is None or "@" in (url.host or ""):
        raise StoreError(
            f"{where} is not a URL of a database; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME, "
            "with %40 for an @ in the password"
        ) from None
    if url.drivername == "postgresql":
        drivers = [driver for driver in ("psycopg", "psycopg2") if importlib.util.find_spec(driver)]
        if not drivers:
            raise StoreError(f"{where} needs a driver for PostgreSQL; install one: pip install 'psycopg[binary]'")
        return url.set(drivername=f"postgresql+{drivers[0]}")
    if url.get_backend_name() == "sqlite":
        _check_file(url, where)
    return url


def _check_file(url: URL, where: str) -> None:
    name = url.database or ":memory:"
    if ":memory:" in name or url.query.get("mode") == "memory":
        raise StoreError(f"{where} is gone when the process ends; name a file: sqlite:///FILE")
    if name.startswith("file:"):
        return
    path = Path(name)
    if not path.parent.is_dir():
        raise StoreError(f"{where}: there is no folder {path.parent}; make it first, or name another file")
    if path.is_dir():
        raise StoreError(f"{where} is a folder; name a file in it")
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.R_OK | os.W_OK)):
        raise StoreError(f"{where} cannot be written; choose a file and a folder with write permission")


def _engine_arguments(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {} if "timeout" in url.query else {"timeout": SQLITE_SECONDS}}
    option = _TIMEOUTS.get(url.get_driver_name())
    timeout = {option: CONNECT_SECONDS} if option is not None and option not in url.query else {}
    return {"pool_pre_ping": True, "connect_args": timeout}


def _check_schema(engine: Engine, where: str) -> None:
    """Refuse what Optuna would refuse after it had written, and tables of other programs that it would stumble over."""
    own = table_columns()
    with engine.connect() as connection:
        inspector = sqlalchemy.inspect(connection)
        tables = set(inspector.get_table_names())
        for name in ("version_info",) if "version_info" in tables else tables & own.keys():
            columns = {column["name"] for column in inspector.get_columns(name)}
            if not columns >= own[name]:
                raise StoreError(f"{where} holds a table {name!r} of another program; choose another database")
        revisions, made = [], None
        if "alembic_version" in tables:
            revisions = list(connection.scalars(sqlalchemy.text("SELECT version_num FROM alembic_version")))
        if "version_info" in tables:
            query = sqlalchemy.text("SELECT schema_version, library_version FROM version_info")
            made = connection.execute(query).first()
    head, known = table_revisions()
    if revisions == [head]:
        return
    if revisions and "version_info" not in tables:
        raise StoreError(
            f"{where} belongs to another program, which keeps its version where Optuna would; choose another database"
        )
    # Optuna has written its revision beside its version only since 0.9; one that is making its tables now has neither.
    if not revisions and (made is None or made.schema_version == SCHEMA_VERSION):
        return
    by = f"by optuna {made.library_version}" if made is not None else "by another optuna"
    if set(revisions) <= known if revisions else made is not None and made.schema_version < SCHEMA_VERSION:
        raise StoreError(
            f"{where} was made {by}, whose tables are older than those of {optuna.__version__}; upgrade it with "
            "`optuna storage upgrade --storage URL`, or choose another database"
        )
    raise StoreError(
        f"{where} was made {by}, whose tables {optuna.__version__} does not know; upgrade optuna, or choose another "
        "database"
    )


def _constructed(url: URL, arguments: dict[str, Any]) -> RDBStorage:
    # Optuna fills templates in braces in the URL.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    attempts = 6
    for attempt in range(1, attempts + 1):
        try:
            storage = RDBStorage(text, engine_kwargs=dict(arguments))
            break
        except (SQLAlchemyError, StorageInternalError):
            # Of two processes that make the tables at once, one finds them made.
            if attempt == attempts:
                raise
            time.sleep(0.1 * 2**attempt)
    if url.get_backend_name() == "sqlite":
        _make_atomic(storage.engine)
    return storage


def _make_atomic(engine: Engine) -> None:
    """Let each transaction on SQLite lock the file from its start.

    Optuna reads a trial's state and then writes it. Other databases lock the row by SELECT FOR UPDATE, which SQLite has
    not: there, two processes could both take the same waiting trial.
    """

    def manual(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", manual)
    sqlalchemy.event.listen(engine, "begin", begin)
    engine.dispose()


def driver_reason(error: BaseException, place: str) -> str:
    """A driver's error message as one line, without the password."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = [line.strip(" -\t") for line in said.splitlines() if line.strip()] or [type(error).__name__]
    text = next((line for line in lines if not line.endswith(":")), lines[0]).rstrip(".;")
    for secret in _secrets(place):
        text = text.replace(secret, "***")
    return text


def _secrets(place: str) -> list[str]:
    if not is_url(place):
        return []
    try:
        url = sqlalchemy.make_url(place)
    except (SQLAlchemyError, ValueError):
        return [place]
    queried = [value for key, value in url.query.items() if "pass" in key.lower() and isinstance(value, str)]
    plain = [str(url.password)] * (url.password is not None) + queried
    return sorted(
        {form for secret in plain if secret for form in (secret, quote(secret), quote_plus(secret))},
        key=len,
        reverse=True,
    )
