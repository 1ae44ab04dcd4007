"""A results folder: one record a run, with its measured costs and its estimates beside it.

``records/<arm>--<protocol>--r<repetition>-d<draw>.json`` is the deterministic record, ``.measured.json`` what this
machine took, ``.parquet`` every architecture's estimate (all of it packed in ``records.tar.xz``:
splitbench.results.records.archive); ``.failed.json`` stands instead of all three where the run failed.
``skipped.json`` says
which arms cannot run on the space, and why. Files are written atomically, the record last: where it stands, its
companions do too. Runs under different protocols never share a path. Reading never fails for
one bad file: it becomes a warning, and the rest is returned. Records without a protocol in their name are read alike.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from splitbench.harness.errors import StoreError
from splitbench.results.records import archive
from splitbench.results.records.failures import Failure, by_arm, read_failure, run_key, told
from splitbench.results.records.listing import ESTIMATES as ESTIMATES
from splitbench.results.records.listing import FAILED as FAILED
from splitbench.results.records.listing import MEASURED as MEASURED
from splitbench.results.records.listing import RECORDS as RECORDS
from splitbench.results.records.listing import SWEEP, Candidate, both, candidates, shown
from splitbench.results.records.reading import older, read_measured, read_record
from splitbench.results.records.record import Measured, Record
from splitbench.results.records.skipped import Skipped, read_skipped

if TYPE_CHECKING:
    import pandas as pd

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
    """The runs of a folder in a fixed order, and a sentence for every file that could not be used, or not fully.

    ``skipped`` are the arms that did not run, because their criteria cannot serve the space. ``notes`` are those of the
    warnings that take no number from the runs: records of an older schema, which are shown, and those of a sweep.
    ``failed`` are the runs that failed and have no record.
    """

    runs: tuple[Run, ...]
    warnings: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()


class AllFailedError(StoreError):
    """A results folder whose runs have all failed.

    Attributes:
        failed: the runs.
    """

    def __init__(self, message: str, failed: tuple[Failure, ...]) -> None:
        super().__init__(message)
        self.failed = failed


def arm_slug(arm: str) -> str:
    """A file name for an arm that is safe on every file system, and its own: a changed name gets a hash of the arm."""
    slug = re.sub(r"[^a-z0-9._=+-]+", "-", arm.lower()).strip("-.")[:SLUG_LENGTH]
    return slug if slug and slug == arm else f"{slug or 'arm'}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"


def record_path(folder: str | Path, run: Record | Failure) -> Path:
    """Where a run's record stands, or would stand."""
    return run_path(folder, run.arm, run.protocol, run.repetition, run.draw)


def run_path(folder: str | Path, arm: str, protocol: str, repetition: int, draw: int) -> Path:
    """Where the record of a run of this protocol stands."""
    mark = f"--{protocol}" if protocol else ""
    return Path(folder) / RECORDS / f"{arm_slug(arm)}{mark}--r{repetition}-d{draw}.json"


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
        StoreError: if it cannot be written, or its records are packed: a run beside them would hide them.
    """
    if archive.packed(Path(folder)):
        packed = Path(folder) / archive.ARCHIVE
        raise StoreError(
            f"{packed}: packed records are read, and none are added; unpack them with `python -m tarfile -e {packed} "
            f"{folder}` and delete the archive, or choose another --out"
        )
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
        there, _ = read_record(path, str(path))
        if there is not None and _study(there) != _study(record):
            raise StoreError(
                f"{path}: the folder holds a record of {' / '.join(_study(there))}, and {' / '.join(_study(record))} "
                "would overwrite it; give each study an output folder of its own"
            )
    write_atomically(path.with_suffix(ESTIMATES), estimates)
    write_atomically(path.with_suffix(MEASURED), encode(measured))
    write_atomically(path, encode(record))
    _remove(path.with_suffix(FAILED))
    return path


def write_failure(folder: str | Path, failure: Failure) -> Path:
    """Keep why a run failed, in the place of its record, and give the file's path. Writing the record removes it.

    Raises:
        StoreError: if the folder cannot be written.
    """
    path = record_path(folder, failure).with_suffix(FAILED)
    write_atomically(path, encode(failure))
    return path


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: it cannot be removed ({error.strerror}); mend the folder's permissions") from error


def read_estimates(run: Run) -> pd.DataFrame:
    """The estimates of one run, a row an architecture.

    Raises:
        StoreError: if the file is missing or is not the one that the record names.
    """
    import io

    import pyarrow.parquet as pq

    path = run.path.with_suffix(ESTIMATES)
    try:
        data = archive.content(path)
    except OSError as error:
        raise StoreError(f"{path}: the estimates cannot be read ({error.strerror}); run the study again") from error
    if digest(data) != run.record.estimates_sha256:
        raise StoreError(f"{path}: these are not the estimates that the record names; run the study again")
    frame: pd.DataFrame = pq.read_table(io.BytesIO(data)).to_pandas()
    return frame


def load(folder: str | Path) -> Loaded:
    """Every run in ``folder/records``, or, for a folder of results folders, in ``folder/*/records``.

    Raises:
        StoreError: if the folder is missing or holds no usable record at all; AllFailedError, which is one, if there
            are failed runs alone.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StoreError(f"{folder}: there is no such results folder; name the --out folder of `splitbench run`")
    files, warnings = candidates(folder)
    failed: list[Failure] = []
    found: dict[tuple[Any, ...], tuple[Run, str]] = {}
    with _uncollected():
        for file in files:
            if file.path.endswith(FAILED):
                failure, warning = _failure(file)
                failed += [failure] if failure else []
                warnings += [warning] if warning else []
                continue
            record, warning = read_record(file.path, file.where)
            if record is None:
                warnings.append(warning)
                continue
            measured, warning = read_measured(file.path, file.where)
            if warning:
                warnings.append(warning)
            key = (*table_key(record), record.arm, record.repetition, record.draw)
            run = Run(record, measured, Path(file.path)), file.where
            if key not in found:
                found[key] = run
                continue
            # The file that carries the run's own name is kept, whichever is read first.
            own = record_path(folder, record).name
            rightful = run[0].path.name == own and found[key][0].path.name != own
            kept, (_, dropped) = (run, found[key]) if rightful else (found[key], run)
            found[key] = kept
            warnings.append(
                f"{dropped}: left out, because it is a second record of arm {record.arm!r}, "
                f"repetition {record.repetition}, draw {record.draw} beside {kept[1]}; delete one of the two"
            )
    ended = {run_key(run.record) for run, _ in found.values()}
    failures = tuple(sorted((one for one in failed if one.run not in ended), key=lambda one: one.run))
    if not found and failures:
        arms = [f"{arm}, {told(own)}" for arm, own in by_arm(failures).items()]
        more = f", and {len(arms) - 1} more arms" if len(arms) > 1 else ""
        message = (
            f"{folder}: no run has succeeded, and {len(failures)} failed: {arms[0]}{more}; mend that and run it again"
        )
        raise AllFailedError(message, failures)
    if not found:
        reason = f": {min(warnings)}" if warnings else "; finish a run with `splitbench run STUDY.yaml --out` first"
        raise StoreError(f"{folder}: the results folder holds no usable record{reason}")
    skipped: list[Skipped] = []
    for path in both(folder, SKIPPED):
        found_there, warning = read_skipped(path, folder)
        skipped += found_there
        warnings += [shown(warning)] if warning else []
    notes = older([(run.record.schema_version, where) for run, where in found.values()])
    runs = tuple(found[key][0] for key in sorted(found))
    notes += _sweeps(folder, runs)
    return Loaded(runs, tuple(sorted([*warnings, *notes])), tuple(skipped), notes, failures)


def _failure(file: Candidate) -> tuple[Failure | None, str]:
    try:
        return read_failure(archive.content(file.path), file.where)
    except OSError as error:
        return None, f"{file.where}: left out, cannot be read ({error.strerror}); mend its permissions or delete it"


def _sweeps(folder: Path, runs: Iterable[Run]) -> tuple[str, ...]:
    """A sentence for each sweep whose trials are among ``runs``."""
    places = {run.path.parent.parent for run in runs}
    return tuple(
        f"{shown(os.path.relpath(path, folder))}: the arms beside it are trials of a sweep, so to take the best of "
        "this table is to choose by the test truth; what each arm chose by the validation truth is in the report that "
        "`splitbench sweep` prints and `python -m splitbench.results.publishing` publishes"
        for path in both(folder, SWEEP)
        if path.parent in places
    )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Reading makes many objects and no garbage: searching them for some takes longer than making them.

    Afterwards they count as old at once, by a freeze that is undone, so that they are not searched then either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        if enabled:
            gc.enable()


def write_skipped(folder: str | Path, skipped: Mapping[str, str]) -> None:
    """Keep which arms of the study do not run on its space, and why; no file where all of them do."""
    path = Path(folder) / SKIPPED
    if skipped:
        write_atomically(path, canonical_json(dict(skipped)).encode())
    else:
        _remove(path)


def table_key(record: Record) -> tuple[str, str, str, str, float, str, str]:
    """What the records of one table have in common: arms that differ in any of it were not compared fairly."""
    budget = record.budget
    return (*_study(record), budget.kind, budget.limit, record.population, record.protocol)


def _study(record: Record) -> tuple[str, str, str]:
    return record.study, record.space, record.dataset
