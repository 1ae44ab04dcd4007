"""A results folder follows its study file: records that the file no longer asks for are set aside, never mixed.

They move to ``earlier/<protocol>/records`` in the same folder, where ``splitbench leaderboard`` reads them like any
results folder. Stages stay where they are, so going back to the earlier file costs no training. A failed run that is no
longer asked for is deleted: it holds no numbers.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from splitbench.harness.errors import StoreError
from splitbench.harness.runs.record import arm_mark
from splitbench.results.records.listing import ESTIMATES, FAILED, MEASURED, RECORDS
from splitbench.results.records.record import PROTOCOL, SCHEMA

EARLIER = "earlier"
Wanted = tuple[str, str, str, int, int]
"""Protocol, arm, mark of the arm's configuration, repetition, draw."""


def set_aside(folder: Path, wanted: Collection[Wanted]) -> list[str]:
    """Move the records that are not wanted; returns a sentence for each group that was moved.

    Records that cannot be read stay: the leaderboard names them, and their runs are done again.

    Raises:
        StoreError: if a record was written by a newer version (nothing is moved then), or a file cannot be moved.
    """
    contents = {path: content for path in _candidates(folder) if (content := _content(path)) is not None}
    for path, content in contents.items():
        if content["schema_version"] > SCHEMA:
            raise StoreError(
                f"{path} was written by splitbench {content.get('splitbench', 'of a newer version')} with schema "
                f"{content['schema_version']}, and this version writes {SCHEMA}: upgrade, or choose another --out"
            )
    leaving: dict[str, list[Path]] = {}
    for path, content in contents.items():
        if _run_of(content) in wanted:
            continue
        if path.name.endswith(FAILED):
            _forget(path)
        else:
            leaving.setdefault(content.get("protocol") or "unknown", []).append(path)
    sentences = []
    for protocol, paths in leaving.items():
        target = _room_for(paths, folder / EARLIER / protocol)
        for path in paths:
            _move(path, target / RECORDS)
        arms = ", ".join(sorted({str(contents[path].get("arm")) for path in paths}))
        sentences.append(
            f"set aside, because the study as it is now does not ask for them: records of {arms}; "
            f"see them with: splitbench leaderboard {target}"
        )
    return sentences


def _candidates(folder: Path) -> list[Path]:
    paths = sorted((folder / RECORDS).glob("*.json"))
    return [p for p in paths if not p.name.startswith(".") and not p.name.endswith(MEASURED) and p.is_file()]


def _content(path: Path) -> dict[str, Any] | None:
    """A record's (or failed run's) fields, whatever its version; None for a file that is none, or is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        return None
    protocol = content.get("protocol", "")
    if not isinstance(protocol, str) or not re.fullmatch(PROTOCOL, protocol):
        return None  # it becomes a folder's name
    return content if isinstance(content.get("config", {}), dict) else None


def _run_of(content: dict[str, Any]) -> tuple[Any, ...]:
    config = content.get("config", {}).get("arm")
    run = (content.get(key) for key in ("repetition", "draw"))
    return (
        content.get("protocol"),
        str(content.get("arm")),
        arm_mark(config),
        *(x if isinstance(x, int) else None for x in run),
    )


def _room_for(paths: list[Path], target: Path) -> Path:
    """``target``, or it with a number: a folder where none of the records would replace a different one."""
    for number in itertools.count(2):
        there = [target / RECORDS / path.name for path in paths]
        if all(not new.exists() or new.read_bytes() == old.read_bytes() for new, old in zip(there, paths, strict=True)):
            break
        target = target.with_name(f"{target.name.partition('-')[0]}-{number}")
    return target


def _move(record: Path, target: Path) -> None:
    """The record moves last: a move that is cut short is completed next time."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in (record.with_suffix(ESTIMATES), record.with_suffix(MEASURED), record):
            if path.exists():
                os.replace(path, target / path.name)
    except OSError as error:
        raise StoreError(f"{record} cannot be moved to {target} ({error.strerror}); choose another --out") from error


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be removed ({error.strerror}); choose another --out") from error
