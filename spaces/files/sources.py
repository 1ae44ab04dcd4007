"""Where ground-truth tables and images lie, how they are imported, and how they are verified. Needs no torch.

A reader looks first in the data home (where imported data lie, with checksums: see imported.py), then in the folder
that SPLITBENCH_DATA names.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.files import imported
from splitbench.spaces.files.source_kinds import Bytes, DataPlace, DataSource, Images, Integers, TruthTable

if TYPE_CHECKING:
    import pandas as pd


def data_home() -> Path:
    """SPLITBENCH_HOME, else splitbench below XDG_DATA_HOME, else ~/.local/share/splitbench."""
    if home := os.environ.get("SPLITBENCH_HOME"):
        return Path(home)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "splitbench"


@dataclass(frozen=True)
class Status:
    """State of one data set; ``path`` is its folder and ``size`` its bytes (None and 0 where it is missing)."""

    name: str
    state: Literal["imported", "found", "missing"]
    path: Path | None
    size: int


DATA: dict[str, DataSource] = {
    source.name: source
    for source in (
        TruthTable(
            "nb201",
            "NAS-Bench-201: 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120",
            "nb201",
            ("nb201.csv.gz", "nb201_seeds.npz"),
            "splitbench.spaces.nb201.table",
            15_625,
            (("c10_test", 94.37), ("c100_test", 73.51), ("in16_test", 47.31)),
        ),
        TruthTable(
            "nb_macro",
            "NAS-Bench-Macro: 6,561 chains of MobileNetV2 blocks on CIFAR-10",
            "nb_macro",
            ("nb_macro_cifar10.csv.gz",),
            "splitbench.spaces.nb_macro.table",
            6_561,
            (("acc", 93.13),),
        ),
        Images(
            "cifar10",
            "CIFAR-10 training images: 10 classes, 32x32, colour",
            "images/cifar10",
            ("meta.json", "train_labels.npy"),
            10,
            (0.4914, 0.4822, 0.4465),
            (0.2470, 0.2435, 0.2616),
        ),
        Images(
            "cifar100",
            "CIFAR-100 training images: 100 classes, 32x32, colour",
            "images/cifar100",
            ("meta.json", "train_labels.npy"),
            100,
            (0.5071, 0.4865, 0.4409),
            (0.2673, 0.2564, 0.2762),
        ),
    )
}


def source_of(name: str) -> DataSource:
    """The source called ``name``.

    Raises:
        ConfigError: if there is none.
    """
    if name not in DATA:
        raise ConfigError(f"there is no data set {name!r}; known are {', '.join(DATA)}")
    return DATA[name]


def locate(name: str) -> DataPlace:
    """Where a reader takes ``name`` from.

    Raises:
        DataError: if it is in neither place.
    """
    source = source_of(name)
    home = data_home() / name
    if (home / imported.MANIFEST).is_file():
        return DataPlace("imported", home)
    shared = os.environ.get("SPLITBENCH_DATA")
    folder = Path(shared or ".") / source.subfolder
    if shared and all((folder / file).is_file() for file in source.needs):
        return DataPlace("found", folder)
    below = str(folder) if shared else "SPLITBENCH_DATA (not set)"
    raise DataError(
        f"the data of {name} is missing: neither {home} nor {below} holds it; run `splitbench data import {name} "
        f"--from PATH`, or set SPLITBENCH_DATA to a folder whose {source.subfolder}/ holds {' and '.join(source.needs)}"
    )


def truth_table(name: str) -> pd.DataFrame:
    """A ground-truth table, checked. Raises DataError if it is missing or damaged."""
    source = source_of(name)
    assert isinstance(source, TruthTable), f"{name} is not a table"
    place = locate(name)
    frame = source.read(place)
    source.facts(frame, place.folder)
    return frame


def images(name: str, count: int) -> tuple[Bytes, Integers]:
    """The first ``count`` training images [count, 32, 32, 3] uint8 and labels [count] in balanced order.

    Raises:
        DataError: if they are missing, damaged, or fewer than ``count``.
    """
    source = source_of(name)
    assert isinstance(source, Images), f"{name} has no images"
    return source.read(locate(name), count)


def data_fingerprint(name: str) -> str:
    """A checksum that identifies the data a reader gets now: of the manifest's files, or of the files found."""
    place = locate(name)
    if place.state == "imported":
        entries = imported.manifest(place.folder)["files"]
        text = json.dumps({role: entry["sha256"] for role, entry in entries.items()}, sort_keys=True)
    else:
        source = source_of(name)
        files = [place.folder / file for file in source.needs]
        if isinstance(source, Images):  # every mosaic counts, not only what describes them
            files = sorted(file for file in place.folder.iterdir() if file.is_file())
        text = json.dumps([imported.sha256(file) for file in files])
    return hashlib.sha256(text.encode()).hexdigest()


def status(name: str) -> Status:
    """Whether ``name`` is imported, found or missing; raises ConfigError for an unknown name only."""
    source = source_of(name)
    try:
        place = locate(name)
    except DataError:
        return Status(name, "missing", None, 0)
    if isinstance(source, TruthTable) and place.state == "found":
        files = [place.folder / file for file in source.needs]
    else:
        files = [file for file in place.folder.iterdir() if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return Status(name, place.state, place.folder, size)


def verify_source(name: str) -> str:
    """Recompute checksums, check counts and known facts; returns a sentence that says what holds.

    Raises:
        DataError: if the data is missing or something does not hold.
    """
    place = locate(name)
    clause = source_of(name).check(place)
    if place.state == "imported":
        for role in imported.manifest(place.folder)["files"]:
            imported.imported_file(place.folder, role)
        clause += ", checksums match"
    return f"{name}: {clause} ({place.state} in {place.folder})"


def import_source(name: str, path: Path) -> Status:
    """Read the published files at ``path`` (a file or a folder), check them, and keep them in the data home.

    Raises:
        DataError: if the files are missing, damaged or not this data set, or the home cannot be written; what had been
            imported before is then still there.
    """
    source = source_of(name)
    if not path.exists():
        raise DataError(f"{path} does not exist: `splitbench data import {name} --from PATH` needs a file or a folder")
    imported.write_import(data_home() / name, path, source.summary, lambda folder: source.convert(path, folder))
    return status(name)
