"""Imported data: a folder of data files whose names carry their own checksum, and a manifest that names them.

The manifest is written last, by a rename, so a reader sees the old import or the new one, and an import that fails or
is killed changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splitbench.harness.errors import DataError

MANIFEST = "source.json"
IMPORTER = 1  # version of this layout


def write_import(target: Path, path: Path, summary: str, convert: Callable[[Path], dict[str, int]]) -> None:
    """Import into the folder ``target``: ``convert`` fills an empty folder from the user's ``path``, returning counts.

    Raises:
        DataError: from ``convert``, or if ``target`` cannot be written; what was imported before is then still there.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".importing-", dir=target) as name:
            temporary = Path(name)
            counts = convert(temporary)
            old = _files_of(target)
            files: dict[str, dict[str, Any]] = {}
            for file in sorted(temporary.iterdir()):
                digest = sha256(file)
                final = target / f"{file.stem}-{digest[:16]}{file.suffix}"
                files[file.name] = {"file": final.name, "sha256": digest, "bytes": file.stat().st_size}
                _sync(file)
                os.replace(file, final)
            entries = {"name": target.name, "source": summary, "imported_from": path.name, "importer": IMPORTER}
            text = json.dumps({**entries, "counts": counts, "files": files}, indent=1)
            (temporary / MANIFEST).write_text(text + "\n")
            _sync(temporary / MANIFEST)
            os.replace(temporary / MANIFEST, target / MANIFEST)
            _sync(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error}): set SPLITBENCH_HOME to a folder that can") from error
    for file_name in old - {entry["file"] for entry in files.values()}:
        (target / file_name).unlink(missing_ok=True)


def imported_file(folder: Path, role: str) -> Path:
    """The imported file that plays ``role``, its size and checksum compared with the manifest's.

    Raises:
        DataError: if it is missing, truncated or changed.
    """
    entry = manifest(folder)["files"].get(role)
    path = folder / Path(entry["file"]).name if entry else folder / role
    if not entry or not path.is_file():
        raise DataError(f"{path} is missing from the imported data: {_again(folder)}")
    if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
        raise DataError(f"{path} is not what was imported (size or checksum differs): {_again(folder)}")
    return path


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest: ``importer``, ``source``, ``imported_from``, ``counts``, ``files`` (role -> file, sha256, bytes).

    Raises:
        DataError: if it is missing, damaged, or a newer version's.
    """
    path = folder / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        version = int(content["importer"])
        well_formed = all({"file", "sha256", "bytes"} <= set(entry) for entry in content["files"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {_again(folder)}") from error
    if version > IMPORTER:
        raise DataError(f"{path} was written by a newer splitbench (importer {version}): update splitbench")
    if not well_formed:
        raise DataError(f"{path} is damaged: {_again(folder)}")
    return content


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _again(folder: Path) -> str:
    return f"import it again with `splitbench data import {folder.name} --from PATH`"


def _files_of(folder: Path) -> set[str]:
    """Data files of an earlier import; none if its manifest is missing or damaged."""
    try:
        return {Path(entry["file"]).name for entry in manifest(folder)["files"].values()}
    except DataError:
        return set()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
