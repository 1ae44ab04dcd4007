"""A results folder: one record a run, with its measured costs and its estimates beside it.

``records/<arm>--<protocol>--r<repetition>-d<draw>.json`` is the deterministic record, ``.measured.json`` what this
machine took, ``.parquet`` every architecture's estimate (all of it packed in ``records.tar.xz``:
splitbench.results.records.archive); ``.failed.json`` stands instead of all three where the run failed.
``skipped.json`` says which arms cannot run on the space, and why. Files are written atomically, the record last: where
it stands, its companions do too. Runs under different protocols never share a path.

Written here, read in splitbench.results.records.loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from splitbench.harness.errors import StoreError
from splitbench.results.records import archive
from splitbench.results.records.failures import Failure
from splitbench.results.records.files import digest, encode, readable_json, remove_file, write_atomically
from splitbench.results.records.listing import ESTIMATES, FAILED, MEASURED, RECORDS, SKIPPED, record_path
from splitbench.results.records.reading import read_record
from splitbench.results.records.record import Measured, Record, study_key


def prepare_folder(folder: str | Path) -> None:
    """Make a results folder and check that it can be written, before a study trains.

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
    """Write a run's three files, the record last; returns the record's path. A run of the same study is replaced.

    Raises:
        ValueError: if the record does not hold the digest of ``estimates``.
        StoreError: if the folder cannot be written, or holds a record of another study under the same name.
    """
    if record.estimates_sha256 != digest(estimates):
        raise ValueError("estimates_sha256 is not the digest of the estimates that are being written")
    path = record_path(folder, record)
    if path.exists():
        there, _ = read_record(path, str(path))
        if there is not None and study_key(there) != study_key(record):
            raise StoreError(
                f"{path}: the folder holds a record of {' / '.join(study_key(there))}, and "
                f"{' / '.join(study_key(record))} would overwrite it; give each study an output folder of its own"
            )
    write_atomically(path.with_suffix(ESTIMATES), estimates)
    write_atomically(path.with_suffix(MEASURED), encode(measured))
    write_atomically(path, encode(record))
    remove_file(path.with_suffix(FAILED))
    return path


def write_failure(folder: str | Path, failure: Failure) -> Path:
    """Write why a run failed, in the place of its record; returns the file's path. Writing the record removes it.

    Raises:
        StoreError: if the folder cannot be written.
    """
    path = record_path(folder, failure).with_suffix(FAILED)
    write_atomically(path, encode(failure))
    return path


def write_skipped(folder: str | Path, skipped: Mapping[str, str]) -> None:
    """Write which arms of the study do not run on its space, and why; no file if all of them do."""
    path = Path(folder) / SKIPPED
    if skipped:
        write_atomically(path, readable_json(dict(skipped)).encode())
    else:
        remove_file(path)
