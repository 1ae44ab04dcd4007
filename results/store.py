"""A results folder: one record a run, with its measured costs and its estimates beside it.

``records/<arm>--r<repetition>-d<draw>.json`` is the deterministic record, ``.measured.json`` what this machine took,
``.parquet`` every architecture's estimate; ``skipped.json`` says which arms cannot run on the space, and why. Files are
written atomically, the record last: where it stands, its companions do too. Reading never fails for one bad file: it
becomes a warning, and the rest is returned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from harness.errors import StoreError
from results.record import SCHEMA, Measured, Record
from results.skipped import Skipped, read_skipped

if TYPE_CHECKING:
    import pandas as pd

RECORDS = "records"
MEASURED = ".measured.json"
ESTIMATES = ".parquet"
SKIPPED = "skipped.json"
SLUG_LENGTH = 80


@dataclass(frozen=True)
class Run:
    """One run as it was found: ``measured`` is None where its file is missing or unreadable."""

    record: Record
    measured: Measured | None
    path: Path


@dataclass(frozen=True)
class Loaded:
    """The runs of a folder in a fixed order, and one sentence for every file that could not be used.

    ``skipped`` are the arms that did not run, because their criteria cannot serve the space.
    """

    runs: tuple[Run, ...]
    warnings: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()


def arm_slug(arm: str) -> str:
    """A file name for an arm that is safe on every file system, and its own: a changed name gets a hash of the arm."""
    slug = re.sub(r"[^a-z0-9._=+-]+", "-", arm.lower()).strip("-.")[:SLUG_LENGTH]
    return slug if slug and slug == arm else f"{slug or 'arm'}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"


def record_path(folder: str | Path, record: Record) -> Path:
    return Path(folder) / RECORDS / f"{arm_slug(record.arm)}--r{record.repetition}-d{record.draw}.json"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and a newline at the end; an object has a line a key, a list of plain values one line."""
    return _lines(value, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    deeper = indent + " "
    if isinstance(value, dict) and value:
        names = {key: json.dumps(key, ensure_ascii=False) for key in sorted(value)}
        inner = (f"{deeper}{name}: {_lines(value[key], deeper)}" for key, name in names.items())
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + ",\n".join(deeper + _lines(item, deeper) for item in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)


def encode(model: BaseModel) -> bytes:
    """The canonical bytes of a record or of measured costs: equal models give equal bytes."""
    return canonical_json(json.loads(model.model_dump_json())).encode()


def encode_estimates(columns: Mapping[str, Any]) -> bytes:
    """A Parquet file of ``columns`` (each [A]): architecture (str), leaf (int), accuracy, loss, truth_test, ...

    The same columns give the same bytes under one version of pyarrow; a record holds their SHA-256.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a kill, sees the old content or the new, never a part.

    Raises:
        StoreError: if the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        reason = error.strerror or str(error)
        raise StoreError(
            f"{path}: the results cannot be written ({reason}); choose a folder with write permission and room"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def prepare(folder: str | Path) -> None:
    """Make a results folder and try it, so that a study fails before it trains and not after.

    Raises:
        StoreError: if it cannot be written.
    """
    probe = Path(folder) / RECORDS / ".writable"
    write_atomically(probe, b"")
    probe.unlink(missing_ok=True)


def write_run(folder: str | Path, record: Record, measured: Measured, estimates: bytes) -> Path:
    """Write a run's three files, the record last, and give the record's path. A run of the same study is replaced.

    Raises:
        ValueError: if the record does not hold the digest of ``estimates``.
        StoreError: if the folder cannot be written, or holds a record of another study under the same name.
    """
    if record.estimates_sha256 != digest(estimates):
        raise ValueError("estimates_sha256 is not the digest of the estimates that are being written")
    path = record_path(folder, record)
    if path.exists():
        there, _ = _read_record(path, str(path))
        if there is not None and _study(there) != _study(record):
            raise StoreError(
                f"{path}: the folder holds a record of {' / '.join(_study(there))}, and {' / '.join(_study(record))} "
                "would overwrite it; give each study an output folder of its own"
            )
    write_atomically(path.with_suffix(ESTIMATES), estimates)
    write_atomically(path.with_suffix(MEASURED), encode(measured))
    write_atomically(path, encode(record))
    return path


def read_estimates(run: Run) -> pd.DataFrame:
    """The estimates of one run, a row an architecture.

    Raises:
        StoreError: if the file is missing or is not the one that the record names.
    """
    import io

    import pyarrow.parquet as pq

    path = run.path.with_suffix(ESTIMATES)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: the estimates cannot be read ({error.strerror}); run the study again") from error
    if digest(data) != run.record.estimates_sha256:
        raise StoreError(f"{path}: these are not the estimates that the record names; run the study again")
    frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas()
    return frame


def load(folder: str | Path) -> Loaded:
    """Every run in ``folder/records``, or, for a folder of results folders, in ``folder/*/records``.

    Raises:
        StoreError: if the folder is missing or holds no usable record at all.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StoreError(f"{folder}: there is no such results folder; name the --out folder of `splitbench run`")
    warnings: list[str] = []
    found: dict[tuple[Any, ...], Run] = {}
    for path in _files(folder, warnings):
        where = path.relative_to(folder).as_posix()
        record, warning = _read_record(path, where)
        if record is None:
            warnings.append(warning)
            continue
        measured, warning = _read_measured(path, where)
        if warning:
            warnings.append(warning)
        key = (*table_key(record), record.arm, record.repetition, record.draw)
        run = Run(record, measured, path)
        if key not in found:
            found[key] = run
            continue
        # The file that carries the run's own name is kept, whichever is read first.
        rightful = path.name == record_path(folder, record).name and found[key].path.name != path.name
        kept, dropped = (run, found[key]) if rightful else (found[key], run)
        found[key] = kept
        warnings.append(
            f"{dropped.path.relative_to(folder).as_posix()}: left out, because it is a second record of arm "
            f"{record.arm!r}, repetition {record.repetition}, draw {record.draw} beside "
            f"{kept.path.relative_to(folder).as_posix()}; delete one of the two"
        )
    if not found:
        reason = f": {warnings[0]}" if warnings else "; finish a run with `splitbench run STUDY.yaml --out` first"
        raise StoreError(f"{folder}: the results folder holds no usable record{reason}")
    skipped: list[Skipped] = []
    for path in _both(folder, SKIPPED):
        arms, warning = read_skipped(path, folder)
        skipped += arms
        warnings += [warning] if warning else []
    return Loaded(tuple(found[key] for key in sorted(found)), tuple(sorted(warnings)), tuple(skipped))


def write_skipped(folder: str | Path, skipped: Mapping[str, str]) -> None:
    """Keep which arms of the study do not run on its space, and why; no file where all of them do."""
    path = Path(folder) / SKIPPED
    if skipped:
        write_atomically(path, canonical_json(dict(skipped)).encode())
    else:
        path.unlink(missing_ok=True)


def _both(folder: Path, pattern: str) -> list[Path]:
    """Files of a results folder, or of a folder of results folders, sorted."""
    return sorted([*folder.glob(pattern), *folder.glob(f"*/{pattern}")])


def _files(folder: Path, warnings: list[str]) -> list[Path]:
    """Candidates for records, sorted; anything else in a records folder gets a warning."""
    paths = []
    for path in _both(folder, f"{RECORDS}/*"):
        if path.name.startswith(".") or path.name.endswith((MEASURED, ESTIMATES)):
            continue  # the companions of records, and what a killed write left behind
        if path.suffix == ".json":
            paths.append(path)
        else:
            warnings.append(f"{path.relative_to(folder).as_posix()}: left out, not a record; move it elsewhere")
    return paths


def table_key(record: Record) -> tuple[str, str, str, str, float, str, str]:
    """What the records of one table have in common: arms that differ in any of it were not compared fairly."""
    budget = record.budget
    return (*_study(record), budget.kind, budget.limit, record.population, record.protocol)


def _study(record: Record) -> tuple[str, str, str]:
    return record.study, record.space, record.dataset


def _read_record(path: Path, where: str) -> tuple[Record, str] | tuple[None, str]:
    """The record, or None and a sentence that says what is wrong with the file and what to do."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, f"{where}: left out, cannot be read ({error.strerror}); mend its permissions or delete it"
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        return None, f"{where}: left out, {_complaint(data, error)}"
    if record.schema_version > SCHEMA:
        return None, f"{where}: left out, {_newer(record.splitbench, record.schema_version)}"
    return record, ""


def _complaint(data: bytes, error: ValidationError) -> str:
    again = "delete it and run the study again"
    try:
        content = json.loads(data)
    except ValueError:
        return f"truncated or not JSON; {again}"
    if not isinstance(content, dict) or not {"schema_version", "splitbench"} <= content.keys():
        return "not a splitbench record; move it elsewhere"
    version = content["schema_version"]
    if isinstance(version, int) and version > SCHEMA:
        return _newer(str(content["splitbench"]), version)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"invalid at {place!r} ({first['msg'].lower()}); {again}"


def _newer(version: str, schema: int) -> str:
    return f"written by splitbench {version} with schema {schema}; this version reads up to {SCHEMA}: upgrade"


def _read_measured(record: Path, where: str) -> tuple[Measured | None, str]:
    path = record.with_suffix(MEASURED)
    try:
        return Measured.model_validate_json(path.read_bytes()), ""
    except OSError:
        problem = "cannot be read"
    except ValidationError:
        problem = "is truncated or invalid"
    name = Path(where).with_suffix(MEASURED).as_posix()
    return None, f"{name}: {problem}, so seconds and memory of this run are unknown; run the study again to have them"
