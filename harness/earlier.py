"""A results folder follows its study file: records that the file no longer asks for are set aside, never mixed.

They move to ``earlier/<protocol>/records`` in the same folder, where ``splitbench leaderboard`` reads them like any
results folder. Stages stay where they are, so going back to the earlier file costs no training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from results.record import SCHEMA
from results.store import ESTIMATES, MEASURED, RECORDS

EARLIER = "earlier"
Wanted = tuple[str, str, int, int]
"""Protocol, arm, repetition, draw."""


def set_aside(folder: Path, wanted: Collection[Wanted]) -> list[str]:
    """Move the records that are not wanted, and say so: a sentence for each group of them.

    Records that cannot be read stay: the leaderboard names them, and their runs are done again.

    Raises:
        StoreError: if a record was written by a newer version (nothing is moved then), or a file cannot be moved.
    """
    found = {path: content for path in _candidates(folder) if (content := _content(path)) is not None}
    for path, content in found.items():
        if content["schema_version"] > SCHEMA:
            raise StoreError(
                f"{path} was written by splitbench {content.get('splitbench', 'of a newer version')} with schema "
                f"{content['schema_version']}, and this version writes {SCHEMA}: upgrade, or choose another --out"
            )
    moved: dict[Path, set[str]] = {}
    for path, content in found.items():
        if _run_of(content) not in wanted:
            protocol = str(content.get("protocol") or "unknown")
            target = folder / EARLIER / protocol
            _move(path, target / RECORDS)
            moved.setdefault(target, set()).add(str(content.get("arm")))
    return [
        f"set aside, because the study as it is now does not ask for them: records of {', '.join(sorted(arms))}; "
        f"see them with: splitbench leaderboard {target}"
        for target, arms in moved.items()
    ]


def _candidates(folder: Path) -> list[Path]:
    paths = sorted((folder / RECORDS).glob("*.json"))
    return [path for path in paths if not path.name.startswith(".") and not path.name.endswith(MEASURED)]


def _content(path: Path) -> dict[str, Any] | None:
    """A record's fields, whatever its version; None for a file that is none."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        return None
    return content


def _run_of(content: dict[str, Any]) -> tuple[Any, ...]:
    return content.get("protocol"), content.get("arm"), content.get("repetition"), content.get("draw")


def _move(record: Path, target: Path) -> None:
    """The record moves last: a move that is cut short is completed next time."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in (record.with_suffix(ESTIMATES), record.with_suffix(MEASURED), record):
            if path.exists():
                os.replace(path, target / path.name)
    except OSError as error:
        raise StoreError(f"{record} cannot be moved to {target} ({error.strerror}); choose another --out") from error
