"""The lock file: every version, and the hashes of the code that it stands for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import splitbench.harness
from splitbench.harness.versions.code import Definition
from splitbench.harness.versions.units import Unit, covered

TOP = Path(splitbench.harness.__file__).resolve().parents[1]
LOCK = TOP / "versions.lock"
COMMAND = "python -m splitbench.harness.versions lock"


@dataclass(frozen=True)
class LockState:
    """Versions and code, as they are or as they were locked.

    Attributes:
        versions: unit -> its version.
        code: module -> definition -> hash.
    """

    versions: Mapping[str, int]
    code: Mapping[str, Mapping[str, str]]

    def hash_of(self, definition: Definition) -> str | None:
        return self.code.get(definition[0], {}).get(definition[1])

    def text(self) -> str:
        """What the lock file says of it."""
        return json.dumps({"versions": self.versions, "code": self.code}, indent=1, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Change:
    """A unit whose code or version is not what was locked.

    Attributes:
        unit: which.
        locked: its version in the lock file; None where it is new.
        definitions: ``module: definition`` of what changed.
    """

    unit: Unit
    locked: int | None
    definitions: tuple[str, ...]

    @property
    def raised(self) -> bool:
        """Whether its version says that it is another."""
        return self.locked is None or self.unit.version > self.locked

    def __str__(self) -> str:
        name, version = self.unit.name, self.unit.version
        if self.locked is not None and version < self.locked:
            return f"{name}: its version went from {self.locked} down to {version}; raise it above {self.locked}"
        shown = ", ".join(self.definitions[:3]) + (" and more" if len(self.definitions) > 3 else "")
        return (
            f"{name}: {shown} changed, and its version is still {version}; raise the version if it computes anything "
            f"else now, or run `{COMMAND}` if it does not, which the golden sequences then have to show"
        )


def current() -> tuple[LockState, list[tuple[Unit, dict[Definition, str]]]]:
    """The state of the code, and its units with their definitions."""
    units = list(covered())
    code: dict[str, dict[str, str]] = {}
    for _, definitions in units:
        for (module, name), digest in definitions.items():
            code.setdefault(module, {})[name] = digest
    return LockState({unit.name: unit.version for unit, _ in units}, code), units


def read_lock(path: Path = LOCK) -> LockState:
    """The locked state; an empty one where there is no lock file yet."""
    if not path.exists():
        return LockState({}, {})
    content = json.loads(path.read_text("utf-8"))
    return LockState(content["versions"], content["code"])


def changed_units(locked: LockState) -> list[Change]:
    """The units that are not as they were locked."""
    changed = []
    for unit, definitions in current()[1]:
        other = sorted(each for each, digest in definitions.items() if locked.hash_of(each) != digest)
        version = locked.versions.get(unit.name)
        if other or version != unit.version:
            changed.append(Change(unit, version, tuple(f"{module}: {name}" for module, name in other)))
    return changed
