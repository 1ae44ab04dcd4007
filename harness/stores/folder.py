"""The store of a results folder: each stage has a folder that is called by its hash.

A stage's folder holds its files and, written last, ``result.json``; while the stage runs it may also hold its
checkpoint and its progress.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from splitbench.harness.budget import Cost
from splitbench.harness.device import Machine
from splitbench.harness.errors import StoreError
from splitbench.harness.hashing import canonical_json
from splitbench.harness.stores.base import CHECKPOINT, PROGRESS, Store
from splitbench.harness.stores.base import Stored as Stored
from splitbench.results.records.files import write_atomically

RESULT = "result.json"


class StageStore(Store):
    """The stages of a results folder, which several processes and machines may share: nothing is locked."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "stages"

    def folder(self, key: str) -> Path:
        return self.root / key[:2] / key

    def open(self, key: str, name: str) -> Path:
        return self.folder(key) / name

    def get(self, key: str) -> Stored | None:
        """The stored result, or None if the stage has not ended yet.

        Raises:
            StoreError: if the result is damaged.
        """
        path = self.folder(key) / RESULT
        with self.reading(key):
            try:
                data = json.loads(path.read_text())
            except FileNotFoundError:
                return None
            return Stored(**{**data, "cost": Cost(**data["cost"]), "machine": Machine(**data["machine"])})

    @contextlib.contextmanager
    def reading(self, key: str) -> Iterator[None]:
        """Whatever goes wrong inside while a result is read is a StoreError that names it."""
        try:
            yield
        except (OSError, ValueError, TypeError, KeyError) as error:
            path, said = self.folder(key) / RESULT, str(error).partition("\n")[0]
            raise StoreError(f"{path} is damaged ({said}); delete that folder and run the study again") from error

    def put(self, result: Stored) -> None:
        """Store a result; its files must already be in the stage's folder."""
        folder = self.folder(result.key)
        data = {**result.__dict__, "cost": result.cost.as_dict(), "machine": asdict(result.machine)}
        write_atomically(folder / RESULT, canonical_json(data).encode())
        for name in (CHECKPOINT, PROGRESS):
            (folder / name).unlink(missing_ok=True)

    def progress(self, key: str) -> float | None:
        """The finished share of a running stage, if it has said so."""
        try:
            return float(json.loads((self.folder(key) / PROGRESS).read_text())["share"])
        except (OSError, ValueError, KeyError):
            return None


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Tensors and JSON notes in one safetensors file, atomically.

    Convolution weights are stored in standard order; the reader restores channels-last.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(flat, {"notes": canonical_json(dict(notes))}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of :func:`save_tensors`.

    Raises:
        StoreError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
        return tensors, notes
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(f"{path} is damaged ({error}); delete its folder and run the study again") from error
