"""Content-addressed stages: a stage's result is stored under a hash of exactly what it is a function of.

Resume is looking results up; reuse is two arms asking for the same hash. A stage's folder holds its files and, written
last, ``result.json``; while it runs it may also hold ``checkpoint.safetensors`` and ``progress.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from splitbench.harness.budget import Cost
from splitbench.harness.device import Machine
from splitbench.harness.errors import StoreError
from splitbench.results.store import write_atomically

FORMAT = 2
"""Raised when a stage computes something else from the same inputs."""


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Stage:
    """A unit of work, wholly described by JSON.

    Attributes:
        kind: which function runs it (splitbench.harness.work).
        inputs: everything the result depends on; parents stand as their keys.
        title: for progress lines; not part of the hash.
    """

    kind: str
    inputs: Mapping[str, Any]
    title: str = ""

    @cached_property
    def key(self) -> str:
        text = canonical_json({"format": FORMAT, "kind": self.kind, "inputs": self.inputs})
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Result:
    """What a stage gave.

    Attributes:
        key: the stage's hash.
        output: plain JSON, a pure function of the stage's inputs.
        cost: what its passes cost, analytically.
        seconds, peak_bytes: what they took on the machine that computed it.
        machine: that machine.
    """

    key: str
    output: dict[str, Any]
    cost: Cost
    seconds: float
    peak_bytes: int
    machine: Machine


class StageStore:
    """The stages of a results folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "stages"

    def folder(self, key: str) -> Path:
        return self.root / key[:2] / key

    def get(self, key: str) -> Result | None:
        """The stored result, or None if the stage has not ended yet.

        Raises:
            StoreError: if the result is damaged.
        """
        path = self.folder(key) / "result.json"
        try:
            data = json.loads(path.read_text())
            if "machine" not in data:  # of a version that kept the device alone
                data["machine"] = {"device": data.pop("device")}
            return Result(**{**data, "cost": Cost(**data["cost"]), "machine": Machine(**data["machine"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path} is damaged ({error}); delete that folder and run the study again") from error

    def put(self, result: Result) -> None:
        """Store a result; its files must already be in the stage's folder."""
        folder = self.folder(result.key)
        data = {**result.__dict__, "cost": result.cost.as_dict(), "machine": asdict(result.machine)}
        write_atomically(folder / "result.json", canonical_json(data).encode())
        for name in ("checkpoint.safetensors", "progress.json"):
            (folder / name).unlink(missing_ok=True)

    def progress(self, key: str) -> float | None:
        """The finished share of a running stage, if it has said so."""
        try:
            return float(json.loads((self.folder(key) / "progress.json").read_text())["share"])
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
