"""Arms of a study that did not run, because their criterion cannot serve its space."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from splitbench.results.records.listing import shown


@dataclass(frozen=True)
class Skipped:
    """One arm and why it did not run; ``folder`` names its results folder among several, and is empty for one."""

    arm: str
    reason: str
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.arm} (in {self.folder}): {self.reason}" if self.folder else f"{self.arm}: {self.reason}"


def read_skipped(path: Path, folder: Path) -> tuple[list[Skipped], str]:
    """What ``path`` says, a file of ``folder`` or of a results folder in it; and a warning, empty if it is sound."""
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
    return [Skipped(shown(arm), shown(reason), shown(place)) for arm, reason in sorted(content.items())], ""
