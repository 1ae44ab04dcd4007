"""A store: where results of stages are kept, each under its stage's hash.

Stages and engines know this protocol alone. What it asks for can be served by a local folder, a shared one, or remote
files that are fetched when they are read.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from splitbench.harness.budget import Cost
from splitbench.harness.device import Machine

CHECKPOINT = "checkpoint.safetensors"
"""The file in which a stage that is under way saves itself; gone once its result is stored."""

PROGRESS = "progress.json"
"""The file in which a stage that is under way says how far it is; gone once its result is stored."""


@dataclass(frozen=True)
class Stored:
    """A stage's result as its store holds it: the output is plain JSON, which the stage's class reads."""

    key: str
    output: Any
    cost: Cost
    seconds: float
    peak_bytes: int
    machine: Machine


class Store(Protocol):
    """The results of stages. An engine may send it to other processes, so it can be pickled and holds nothing open."""

    def get(self, key: str) -> Stored | None:
        """The stored result, or None if the stage has not ended yet. Called before a stage is run.

        Raises:
            StoreError: if the result is damaged.
        """

    def put(self, result: Stored) -> None:
        """Store a result, and the files that its stage has left. Called when a stage's work has ended.

        Raises:
            StoreError: if it cannot be written.
        """

    def reading(self, key: str) -> AbstractContextManager[None]:
        """Around whatever reads a stored output: what goes wrong inside becomes a StoreError that names the result."""

    def progress(self, key: str) -> float | None:
        """The finished share of a stage that is under way, if it has said so. Called about once a second."""

    def folder(self, key: str) -> Path:
        """The local folder in which a stage works: for the files that it leaves, and for its checkpoints, which are
        there again when a stage that was cut off is run once more. It need not exist yet."""

    def open(self, key: str, name: str) -> Path:
        """A local path at which a file is read that an ended stage has left; a store that is elsewhere fetches it
        first. Called by the stages that read another one's results."""
