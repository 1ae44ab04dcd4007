"""Files of scores: one file for each proxy, with its protocol on the first line, then a line for each network.

They are written whole from the results of stages. Scores are a function of the protocol and the architecture alone, so
one file serves every sample of architectures, and grows with them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import StoreError
from splitbench.harness.hashing import canonical_json
from splitbench.harness.stages.score_networks import COLUMNS, NetworkScore
from splitbench.results.records.files import write_atomically


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

    def read(self) -> dict[str, NetworkScore]:
        """Architecture -> score, in the order in which they were written; none if there is no file yet. A torn last
        line, as a killed run of an older version may have left, is left out.

        Raises:
            StoreError: if the file was made under another protocol, or is damaged.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read ({error})") from error
        lines = content[: content.rfind(b"\n") + 1].decode(errors="replace").splitlines()
        if not lines:
            return {}
        _agree(self.path, _header(self.path, lines[0]), json.loads(canonical_json(self.protocol)))
        scores = {}
        for number, line in enumerate(lines[1:], start=2):
            try:
                scored = NetworkScore.of_row(json.loads(line))
            except (ValueError, TypeError) as error:
                raise StoreError(f"{self.path}: line {number} is damaged; delete the file, or that line") from error
            scores[scored.architecture] = scored
        return scores

    def write(self, scores: Mapping[str, NetworkScore]) -> None:
        """Replace the file by these scores, in their order.

        Raises:
            StoreError: if it cannot be written.
        """
        text = "".join(f"{line}\n" for line in (self.header, *(scored.line() for scored in scores.values())))
        try:
            write_atomically(self.path, text.encode())
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written ({error}); choose another --out") from error


def open_existing(path: Path) -> ScoreFile:
    """The score file at ``path``, with the protocol under which it was made.

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


def _agree(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in sorted(stored.keys() | wanted.keys()):
        if stored.get(key) != wanted.get(key):
            raise StoreError(
                f"{path} was made under another protocol: its {key} is {canonical_json(stored.get(key))}, and "
                f"{canonical_json(wanted.get(key))} is asked for; choose another --out, or delete the file"
            )
