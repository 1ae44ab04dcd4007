"""Scores of stand-alone networks on disk: one file a proxy, its protocol on the first line, then a line a network.

A line is appended when a network has been scored, so a killed run loses only the networks under way. Scores are a
function of the protocol and the architecture alone: a file serves every sample, and grows with it.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import StoreError
from splitbench.harness.hashing import canonical_json
from splitbench.results.records.store import write_atomically

COLUMNS = ("architecture", "terms", "milliseconds", "forward", "backward")


@dataclass(frozen=True)
class Scored:
    """What a proxy said of one network.

    Attributes:
        architecture: as the space encodes it.
        terms: what the proxy returned, a number or several; NaN where it has no answer.
        milliseconds: what that took, the making of the network (and of the proxy's own copy) included.
        forward, backward: passes that were charged, in images of the network's own size.
    """

    architecture: str
    terms: tuple[float, ...]
    milliseconds: float
    forward: float
    backward: float

    def line(self) -> str:
        """One line of JSON; what JSON has no number for is written as a word (``"nan"``, ``"inf"``, ``"-inf"``)."""
        terms = [term if math.isfinite(term) else str(term) for term in map(float, self.terms)]
        counts = [_short(self.forward), _short(self.backward)]
        return json.dumps([self.architecture, terms, self.milliseconds, *counts], separators=(",", ":"))

    @classmethod
    def parse(cls, line: str) -> Scored:
        """The inverse of :meth:`line`.

        Raises:
            ValueError: if the line is no such thing.
        """
        row = json.loads(line)
        if not (isinstance(row, list) and len(row) == len(COLUMNS) and isinstance(row[1], list) and row[1]):
            raise ValueError("not a score")
        return cls(str(row[0]), tuple(map(float, row[1])), float(row[2]), float(row[3]), float(row[4]))


@dataclass(frozen=True)
class ScoreFile:
    """The scores of one proxy under one protocol.

    Attributes:
        path: of the file; it need not exist.
        protocol: everything a score depends on beside the architecture, as plain JSON.
    """

    path: Path
    protocol: Mapping[str, Any]

    @property
    def header(self) -> str:
        return canonical_json({"protocol": self.protocol, "columns": COLUMNS})

    def read(self) -> dict[str, Scored]:
        """Architecture -> score, in the order in which they were written. A torn last line is left out.

        Raises:
            StoreError: if the file was made under another protocol, or is damaged.
        """
        return self._read()[0]

    @contextlib.contextmanager
    def writer(self) -> Iterator[_Writer]:
        """Appends scores to the file; what a killed run tore off is cut away first.

        Raises:
            StoreError: as :meth:`read`, or if the file cannot be written.
        """
        whole = self._read()[1]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(whole)
                writer = _Writer(file)
                if not whole:
                    writer.write(self.header)
                yield writer
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written ({error}); choose another --out") from error

    def write(self, scores: Mapping[str, Scored]) -> None:
        """Replace the file by these scores, in their order."""
        text = "".join(f"{line}\n" for line in (self.header, *(scored.line() for scored in scores.values())))
        write_atomically(self.path, text.encode())

    def _read(self) -> tuple[dict[str, Scored], int]:
        """Scores, and how many bytes of the file are whole lines."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}, 0
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read ({error})") from error
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].decode(errors="replace").splitlines()
        if not lines:
            return {}, 0
        _agree(self.path, _header(self.path, lines[0]), json.loads(canonical_json(self.protocol)))
        scores = {}
        for number, line in enumerate(lines[1:], start=2):
            try:
                scored = Scored.parse(line)
            except (ValueError, TypeError) as error:
                raise StoreError(f"{self.path}: line {number} is damaged; delete the file, or that line") from error
            scores[scored.architecture] = scored
        return scores, whole


class _Writer:
    """A file open for appending lines."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def append(self, scored: Scored) -> None:
        self.write(scored.line())

    def write(self, line: str) -> None:
        self._file.write(f"{line}\n".encode())
        self._file.flush()


def open_existing(path: Path) -> ScoreFile:
    """The score file at ``path``, under whatever protocol it was made.

    Raises:
        StoreError: if there is no such file.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return ScoreFile(path, _header(path, file.readline()))
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read as a file of scores ({error})") from error


def _header(path: Path, line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        protocol: dict[str, Any] = json.loads(line)["protocol"]
        if isinstance(protocol, dict):
            return protocol
    raise StoreError(f"{path} does not begin with a protocol, so it is no file of scores; move it away")


def _agree(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise StoreError(
                f"{path} was made under another protocol: its {key} is {canonical_json(found.get(key))}, and "
                f"{canonical_json(wanted.get(key))} is asked for; choose another --out, or delete the file"
            )


def _short(count: float) -> float | int:
    return int(count) if count == int(count) else count
