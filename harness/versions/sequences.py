"""The committed golden sequences, and how others differ from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitbench.harness.versions.lock import TOP

PATH = TOP / "tests" / "golden.json"
RELATIVE = 1e-4
SMALLEST = 1e-6  # of a part's largest number: differences below are a rounding
NOTHING = 1e-9  # any number below is a rounding of zero

Part = str | list[float]
"""An exact choice, or numbers of one scale."""


@dataclass(frozen=True)
class Golden:
    """A sequence.

    Attributes:
        name: of the sequence.
        units: what it is a function of.
        parts: what was computed.
    """

    name: str
    units: tuple[str, ...]
    parts: list[Part]


def sequence_differences(committed: Mapping[str, list[Part]], now: Mapping[str, Golden]) -> dict[str, str]:
    """Sequences that are not those committed, and how each differs, in words."""
    sentences = dict.fromkeys(committed.keys() - now.keys(), "it is not computed any more")
    for name, golden in now.items():
        if name not in committed:
            sentences[name] = "it is new"
        elif said := first_sequence_difference(committed[name], golden.parts):
            sentences[name] = said
    return sentences


def first_sequence_difference(before: list[Part], after: list[Part]) -> str:
    """Where two sequences differ first, in words; nothing where they are equal to four digits."""
    if len(before) != len(after):
        return f"it has {len(after)} parts, and had {len(before)}"
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if isinstance(old, str) or isinstance(new, str) or len(old) != len(new):
            if old != new:
                return f"part {index} is {str(new)[:80]}, and was {str(old)[:80]}"
            continue
        smallest = max(SMALLEST * max(map(abs, old), default=0.0), NOTHING)
        for a, b in zip(old, new, strict=True):
            if not abs(a - b) <= max(RELATIVE * max(abs(a), abs(b)), smallest):
                return f"part {index} holds {b:g}, and {a:g} before"
    return ""


def read_sequences(path: Path = PATH) -> dict[str, list[Part]]:
    """The committed sequences."""
    sequences: dict[str, list[Part]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return sequences


def write_sequences(sequences: Mapping[str, Golden], path: Path = PATH) -> None:
    """Commit sequences to the file: a line each."""
    lines = [f"{json.dumps(name)}: {json.dumps(golden.parts)}" for name, golden in sorted(sequences.items())]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def numbers(values: Any) -> list[float]:
    """Numbers in a row, to eight digits; what is unknown is left out."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    return [float(f"{value:.8g}") for value in flat[~np.isnan(flat)]]
