"""Reading a results folder: its runs in a fixed order, and a sentence for every file that cannot be used.

Reading never fails for one bad file: it becomes a warning, and the rest is returned. Records without a protocol in
their name are read alike.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitbench.harness.errors import StoreError
from splitbench.results.records import archive
from splitbench.results.records.failures import Failure, by_arm, failure_words, read_failure, run_key
from splitbench.results.records.files import digest
from splitbench.results.records.listing import (
    ESTIMATES,
    FAILED,
    SKIPPED,
    SWEEP,
    Candidate,
    both,
    candidates,
    printable,
    record_path,
)
from splitbench.results.records.reading import SkippedArm, older, read_measured, read_record, read_skipped
from splitbench.results.records.record import Measured, Record, table_key

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StoredRun:
    """One run, read from its files; ``measured`` is None where that file is missing or unreadable."""

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

    runs: tuple[StoredRun, ...]
    warnings: tuple[str, ...]
    skipped: tuple[SkippedArm, ...] = ()
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


@dataclass
class _Reading:
    """What has been read so far: runs by what identifies them, each with the file's name for sentences."""

    runs: dict[tuple[Any, ...], tuple[StoredRun, str]]
    failed: list[Failure]
    warnings: list[str]

    def add(self, file: Candidate) -> None:
        """Read one file: a failure, a record, or a warning."""
        if file.path.endswith(FAILED):
            failure, warning = _failure(file)
            self.failed += [failure] if failure else []
            self.warnings += [warning] if warning else []
            return
        record, warning = read_record(file.path, file.where)
        if record is None:
            self.warnings.append(warning)
            return
        measured, warning = read_measured(file.path, file.where)
        if warning:
            self.warnings.append(warning)
        key = (*table_key(record), record.arm, record.repetition, record.draw)
        run = StoredRun(record, measured, Path(file.path)), file.where
        if key in self.runs:
            self._second(key, run)
        else:
            self.runs[key] = run

    def _second(self, key: tuple[Any, ...], run: tuple[StoredRun, str]) -> None:
        """Two files are records of one run: the one that carries the run's own name is kept, in whatever order."""
        record, first = run[0].record, self.runs[key]
        own = record_path("", record).name
        rightful = run[0].path.name == own and first[0].path.name != own
        kept, (_, dropped) = (run, first) if rightful else (first, run)
        self.runs[key] = kept
        self.warnings.append(
            f"{dropped}: left out, because it is a second record of arm {record.arm!r}, "
            f"repetition {record.repetition}, draw {record.draw} beside {kept[1]}; delete one of the two"
        )


def load_runs(folder: str | Path) -> Loaded:
    """Every run in ``folder/records``, or, for a folder of results folders, in ``folder/*/records``.

    Raises:
        StoreError: if the folder is missing or holds no usable record at all; AllFailedError, which is one, if there
            are failed runs alone.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StoreError(f"{folder}: there is no such results folder; name the --out folder of `splitbench run`")
    files, warnings = candidates(folder)
    reading = _Reading({}, [], warnings)
    with _uncollected():
        for file in files:
            reading.add(file)
    # A run that failed once and succeeded later has a record, and its failure is history.
    ended = {run_key(run.record) for run, _ in reading.runs.values()}
    failed = (failure for failure in reading.failed if failure.run not in ended)
    failures = tuple(sorted(failed, key=lambda failure: failure.run))
    if not reading.runs:
        raise _nothing(folder, failures, warnings)
    skipped: list[SkippedArm] = []
    for path in both(folder, SKIPPED):
        arms, warning = read_skipped(path, folder)
        skipped += arms
        warnings += [printable(warning)] if warning else []
    notes = older([(run.record.schema_version, where) for run, where in reading.runs.values()])
    runs = tuple(reading.runs[key][0] for key in sorted(reading.runs))
    notes += _sweeps(folder, runs)
    return Loaded(runs, tuple(sorted([*warnings, *notes])), tuple(skipped), notes, failures)


def _nothing(folder: Path, failures: tuple[Failure, ...], warnings: list[str]) -> StoreError:
    """The error of a folder without any record."""
    if not failures:
        reason = f": {min(warnings)}" if warnings else "; finish a run with `splitbench run STUDY.yaml --out` first"
        return StoreError(f"{folder}: the results folder holds no usable record{reason}")
    arms = [f"{arm}, {failure_words(own)}" for arm, own in by_arm(failures).items()]
    more = f", and {len(arms) - 1} more arms" if len(arms) > 1 else ""
    return AllFailedError(
        f"{folder}: no run has succeeded, and {len(failures)} failed: {arms[0]}{more}; mend that and run it again",
        failures,
    )


def _failure(file: Candidate) -> tuple[Failure | None, str]:
    try:
        return read_failure(archive.content(file.path), file.where)
    except OSError as error:
        return None, f"{file.where}: left out, cannot be read ({error.strerror}); mend its permissions or delete it"


def _sweeps(folder: Path, runs: Iterable[StoredRun]) -> tuple[str, ...]:
    """A sentence for each sweep whose trials are among ``runs``."""
    places = {run.path.parent.parent for run in runs}
    return tuple(
        f"{printable(os.path.relpath(path, folder))}: the arms beside it are trials of a sweep, so to take the best of "
        "this table is to choose by the test truth; what each arm chose by the validation truth is in the report that "
        "`splitbench sweep` prints and `python -m splitbench.results.publishing` publishes"
        for path in both(folder, SWEEP)
        if path.parent in places
    )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Inside, garbage collection is off: reading makes many objects and no garbage, and searching them takes longer.

    Afterwards a freeze that is undone marks them as old at once, so that they are not searched later either.
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


def read_estimates(run: StoredRun) -> pd.DataFrame:
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
