"""The file names of a results folder: which files are records, and a sentence for each file that is not."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from splitbench.harness.errors import StoreError
from splitbench.results.records.archive import ARCHIVE, DamagedError, archive_members
from splitbench.results.records.archive import ESTIMATES as ESTIMATES
from splitbench.results.records.archive import MEASURED as MEASURED
from splitbench.results.records.archive import RECORDS as RECORDS

if TYPE_CHECKING:
    from splitbench.results.records.failures import Failure
    from splitbench.results.records.record import Record

SWEEP = "sweep.json"
SWEEP_STUDY = "sweep.yaml"  # the study file, as a sweep keeps it
FAILED = ".failed.json"
SKIPPED = "skipped.json"
SLUG_LENGTH = 80
ELSEWHERE = "left out, not a record; move it elsewhere"


@dataclass(frozen=True)
class Candidate:
    """A file that has the name of a record or a failed run. ``where`` names it in sentences, relative to the folder."""

    path: str
    where: str


def arm_slug(arm: str) -> str:
    """A file name for an arm that is safe on every file system, and its own: a changed name gets a hash of the arm."""
    slug = re.sub(r"[^a-z0-9._=+-]+", "-", arm.lower()).strip("-.")[:SLUG_LENGTH]
    return slug if slug and slug == arm else f"{slug or 'arm'}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"


def record_path(folder: str | Path, run: Record | Failure) -> Path:
    """The path of a run's record, whether it exists or not."""
    return run_path(folder, run.arm, run.protocol, run.repetition, run.draw)


def run_path(folder: str | Path, arm: str, protocol: str, repetition: int, draw: int) -> Path:
    """The path of the record of a run under this protocol."""
    mark = f"--{protocol}" if protocol else ""
    return Path(folder) / RECORDS / f"{arm_slug(arm)}{mark}--r{repetition}-d{draw}.json"


def candidates(folder: Path) -> tuple[list[Candidate], list[str]]:
    """The files in ``folder/records`` and ``folder/*/records`` that may be read, and the sentences, both sorted.

    Packed files (splitbench.results.records.archive) are listed as if their folder were there. Hidden files, which a
    killed write may leave behind, are neither.

    Raises:
        StoreError: if ``folder`` itself cannot be listed.
    """
    files: list[Candidate] = []
    sentences: list[str] = []
    for place in both(folder, RECORDS):
        where = printable(os.path.relpath(place, folder))
        try:
            with os.scandir(place) as entries:
                there = {entry.name: entry for entry in entries if not entry.name.startswith(".")}
        except OSError as error:
            sentences.append(f"{where}: left out with all that is in it, cannot be read ({error.strerror})")
            continue
        for name, entry in there.items():
            problem = _problem(entry, there.keys())
            if problem:
                sentences.append(f"{where}/{printable(name)}: {problem}")
            elif not name.endswith((MEASURED, ESTIMATES)):
                files.append(Candidate(entry.path, f"{where}/{printable(name)}"))
    for archive in both(folder, ARCHIVE):
        _list_packed(archive, folder, files, sentences)
    return sorted(files, key=lambda file: (file.where, file.path)), sorted(sentences)


def _list_packed(archive: Path, folder: Path, files: list[Candidate], sentences: list[str]) -> None:
    place = archive.with_name(RECORDS)
    where, own = (printable(os.path.relpath(path, folder)) for path in (place, archive))
    if os.path.lexists(place):
        sentences.append(f"{own}: left out, because the folder {RECORDS} stands beside it; delete one of the two")
        return
    try:
        names = archive_members(archive)
    except DamagedError as error:
        sentences.append(f"{own}: left out with all that is in it, {error}")
        return
    for name in names:
        problem = _misplaced(name, names)
        if problem:
            sentences.append(f"{where}/{printable(name)}: {problem}")
        elif not name.endswith((MEASURED, ESTIMATES)):
            files.append(Candidate(str(place / name), f"{where}/{printable(name)}"))


def both(folder: Path, name: str) -> list[Path]:
    """``name`` in a results folder, or in each of a folder of results folders, sorted; where it is there at all.

    Raises:
        StoreError: if ``folder`` cannot be listed.
    """
    try:
        children = sorted(os.listdir(folder))
    except OSError as error:
        raise StoreError(f"{folder}: the results folder cannot be read ({error.strerror})") from error
    paths = [folder / name, *(folder / child / name for child in children)]
    return [path for path in paths if os.path.lexists(path)]


def printable(name: str) -> str:
    """A file's name as a sentence can hold it: what cannot be printed, or is not UTF-8, is escaped."""
    if name.isprintable():
        return name
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in name
    )


def _misplaced(name: str, names: Collection[str]) -> str:
    """Why a file among ``names`` has neither a record's name nor that of a companion of one; empty if it has."""
    for suffix in (MEASURED, ESTIMATES):
        if name.endswith(suffix):
            record = name.removesuffix(suffix) + ".json"
            missing = f"left out, its record {printable(record)} is missing; run the study again, or delete it"
            return "" if record in names else missing
    return "" if name.endswith(".json") else ELSEWHERE


def _problem(entry: os.DirEntry[str], names: Collection[str]) -> str:
    """Why an entry of a records folder is neither a record nor a companion of one; empty if it is."""
    misplaced = _misplaced(entry.name, names)
    if misplaced or entry.name.endswith((MEASURED, ESTIMATES)):
        return misplaced
    try:
        if entry.is_file():
            return ""
        if entry.is_dir():
            return "left out, a folder and not a record; move it elsewhere"
        os.stat(entry.path)
    except OSError as error:
        return f"left out, cannot be read ({error.strerror}); mend or delete it"
    return "left out, not a regular file; move it elsewhere"
