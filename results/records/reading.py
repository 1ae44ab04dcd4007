"""One file of a results folder: its content, or a sentence that says what is wrong with it and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from splitbench.results.records import archive
from splitbench.results.records.archive import MEASURED
from splitbench.results.records.listing import printable
from splitbench.results.records.record import SCHEMA, Measured, Record

NAMED = 3
ADDED: Mapping[int, str] = {3: "the names of edges and operations"}
"""What readers miss in records older than a schema."""


def read_record(path: str | Path, where: str) -> tuple[Record, str] | tuple[None, str]:
    """The record in ``path``, or None and a sentence about ``where``."""
    try:
        data = archive.content(path)
    except OSError as error:
        return None, f"{where}: left out, cannot be read ({error.strerror}); mend its permissions or delete it"
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        return None, f"{where}: left out, {_complaint(data, error)}"
    if record.schema_version > SCHEMA:
        return None, f"{where}: left out, {_newer(record.splitbench, record.schema_version)}"
    if record.schema_version < 1:
        return None, f"{where}: left out, there is no schema {record.schema_version}; delete it and run the study again"
    return record, ""


def read_measured(record: str, where: str) -> tuple[Measured | None, str]:
    """The measured costs beside a record, or None and a sentence."""
    try:
        return Measured.model_validate_json(archive.content(record.removesuffix(".json") + MEASURED)), ""
    except FileNotFoundError:
        problem = "is missing"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except ValidationError:
        problem = "is truncated or invalid"
    name = where.removesuffix(".json") + MEASURED
    return None, f"{name}: {problem}, so seconds and memory of this run are unknown; run the study again to have them"


def older(records: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """A sentence for each older schema among (schema, where) of records that are shown; three of them by name."""
    sentences = []
    for schema in sorted({schema for schema, _ in records if schema < SCHEMA}):
        names = sorted(where for version, where in records if version == schema)
        named = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
        lacking = " and ".join(ADDED[later] for later in range(schema + 1, SCHEMA + 1) if later in ADDED)
        sentences.append(
            f"{named}: shown, but of the older schema {schema} (this version writes {SCHEMA})"
            f"{f', which lacks {lacking}' if lacking else ''}; run the study again to renew "
            f"{'it' if len(names) == 1 else 'them'}"
        )
    return tuple(sentences)


def _complaint(data: bytes, error: ValidationError) -> str:
    again = "delete it and run the study again"
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return f"truncated or not JSON; {again}" if data.strip() else f"empty; {again}"
    if not isinstance(plain, dict) or not {"schema_version", "splitbench"} <= plain.keys():
        return "not a splitbench record; move it elsewhere"
    version = plain["schema_version"]
    if isinstance(version, int) and version > SCHEMA:
        return _newer(str(plain["splitbench"]), version)
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"invalid at {place!r} ({first['msg'].lower()}); {again}"


def _newer(version: str, schema: int) -> str:
    return f"written by splitbench {version} with schema {schema}; this version reads up to {SCHEMA}: upgrade"


@dataclass(frozen=True)
class SkippedArm:
    """An arm that did not run, because its criterion cannot serve the space, and why.

    ``folder`` names its results folder among several, and is empty for one.
    """

    arm: str
    reason: str
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.arm} (in {self.folder}): {self.reason}" if self.folder else f"{self.arm}: {self.reason}"


def read_skipped(path: Path, folder: Path) -> tuple[list[SkippedArm], str]:
    """The skipped arms in ``path``, a file of ``folder`` or of a results folder in it; and a warning, empty if none."""
    where = path.relative_to(folder)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        return [], f"{where.as_posix()}: left out, cannot be read ({error.strerror}); mend its permissions or delete it"
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not all(isinstance(reason, str) for reason in content.values()):
        return (
            [],
            f"{where.as_posix()}: left out, damaged, so arms that were skipped are not named; run the study again",
        )
    place = "" if where.parent == Path() else where.parent.as_posix()
    return [
        SkippedArm(printable(arm), printable(reason), printable(place)) for arm, reason in sorted(content.items())
    ], ""
