"""Where ground-truth tables and images lie, how they are imported, and how they are verified. Needs no torch.

A reader looks first in the data home (where imported data lie, with checksums: see imported.py), then in the folder
that SPLITBENCH_DATA names.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.files import imported

if TYPE_CHECKING:
    import pandas as pd

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


def data_home() -> Path:
    """SPLITBENCH_HOME, else splitbench below XDG_DATA_HOME, else ~/.local/share/splitbench."""
    if home := os.environ.get("SPLITBENCH_HOME"):
        return Path(home)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "splitbench"


@dataclass(frozen=True)
class Place:
    """Where a reader found data: imported into the data home, or found below SPLITBENCH_DATA."""

    state: Literal["imported", "found"]
    folder: Path


@dataclass(frozen=True)
class Status:
    """State of one data set; ``path`` is its folder and ``size`` its bytes (None and 0 where it is missing)."""

    name: str
    state: Literal["imported", "found", "missing"]
    path: Path | None
    size: int


@dataclass(frozen=True)
class Source(ABC):
    """A data set that splitbench can read.

    Attributes:
        name: what the command calls it.
        summary: what it is.
        subfolder: its folder below SPLITBENCH_DATA.
        needs: files that must be there for it to be found.
    """

    name: str
    summary: str
    subfolder: str
    needs: tuple[str, ...]

    @abstractmethod
    def convert(self, path: Path, folder: Path) -> dict[str, int]:
        """Read and check the user's ``path``, write what is to be imported into ``folder``, return counts."""

    @abstractmethod
    def check(self, place: Place) -> str:
        """What was found true of the data at ``place``, in one clause; a DataError if a known fact does not hold."""


@dataclass(frozen=True)
class Table(Source):
    """A ground-truth table; ``module`` has ``read_source(path) -> DataFrame`` for the published files.

    Attributes:
        rows: number of architectures.
        best: accuracies and their largest value, in percent, as published (two decimals); an accuracy is a column,
            or the mean of three columns of single trainings.
    """

    module: str
    rows: int
    best: tuple[tuple[str, float], ...]

    def read(self, place: Place) -> pd.DataFrame:
        import pandas as pd

        if place.state == "imported":
            return pd.read_parquet(imported.file_of(place.folder, "table.parquet"))
        path = place.folder / self.needs[0]
        frame: pd.DataFrame = import_module(self.module).read_source(path)
        return frame

    def facts(self, frame: pd.DataFrame, where: Path) -> str:
        if len(frame) != self.rows:
            raise DataError(f"{where} is not {self.name}: {len(frame):,} rows where {self.rows:,} are expected")
        for column, best in self.best:
            trainings = [f"{column}_{seed}" for seed in range(3)]
            found = float((frame[column] if column in frame else frame[trainings].mean(axis=1)).max())
            if abs(found - best) > 0.00501:
                raise DataError(f"{where} is not {self.name}: the best {column} is {found:.2f} and not {best:.2f}")
        return f"{self.rows:,} rows, " + ", ".join(f"best {column} {best:.2f}" for column, best in self.best)

    def check(self, place: Place) -> str:
        return self.facts(self.read(place), place.folder)

    def convert(self, path: Path, folder: Path) -> dict[str, int]:
        for candidate in (path / self.needs[0], path / self.subfolder / self.needs[0]):
            if candidate.is_file():
                path = candidate
        frame: pd.DataFrame = import_module(self.module).read_source(path)
        self.facts(frame, path)
        frame.to_parquet(folder / "table.parquet", index=False, compression="zstd")
        return {"rows": len(frame)}


@dataclass(frozen=True)
class Images(Source):
    """Training images of one dataset, held in a class-balanced order: image k of every class before image k + 1 of any.

    Attributes:
        classes: number of classes.
        mean, deviation: published channel statistics of the training images, in [0, 1].
    """

    classes: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def read(self, place: Place, count: int | None = None) -> tuple[Bytes, Integers]:
        """The first ``count`` images [count, 32, 32, 3] and labels [count] of the balanced order (all by default)."""
        if place.state == "imported":
            pixels: Bytes = np.load(imported.file_of(place.folder, "images.npy"), mmap_mode="r")
            labels: Integers = np.load(imported.file_of(place.folder, "labels.npy")).astype(np.int64)
            self._enough(len(labels), count, place.folder)
            return np.array(pixels[:count]), labels[:count]
        from splitbench.spaces.files.mosaics import balanced_order, open_mosaics

        mosaics = open_mosaics(place.folder, "train")
        self._enough(len(mosaics.labels), count, place.folder)
        rows = balanced_order(mosaics.labels)[:count]
        return mosaics.read(rows), mosaics.labels[rows]

    def _enough(self, total: int, count: int | None, folder: Path) -> None:
        if count is not None and count > total:
            raise DataError(
                f"dataset {self.name}: train and validation ask for {count:,} images, and {folder} holds {total:,}: "
                "lower them, or import the official archive"
            )

    def check(self, place: Place) -> str:
        images, labels = self.read(place)
        per_class = np.bincount(labels, minlength=self.classes)
        if len(per_class) != self.classes or per_class.min() != per_class.max():
            raise DataError(f"{place.folder} is not {self.name}: its {self.classes} classes are not equally large")
        for channel in range(3):
            share = np.bincount(images[..., channel].ravel(), minlength=256) / (images.size / 3)
            level = np.arange(256) / 255
            mean = float(share @ level)
            deviation = float(np.sqrt(share @ (level - mean) ** 2))
            if max(abs(mean - self.mean[channel]), abs(deviation - self.deviation[channel])) > 0.003:
                raise DataError(
                    f"{place.folder} is not {self.name}: channel {channel} has mean {mean:.4f} and deviation "
                    f"{deviation:.4f}, published are {self.mean[channel]:.4f} and {self.deviation[channel]:.4f}"
                )
        return f"{len(labels):,} training images, {per_class[0]:,} a class, channel statistics as published"

    def convert(self, path: Path, folder: Path) -> dict[str, int]:
        from splitbench.spaces.files.archives import ARCHIVES, read_archive
        from splitbench.spaces.files.mosaics import balanced_order, open_mosaics

        archive = ARCHIVES[self.name]
        for candidate in (path / archive.file, path / self.subfolder, path):
            if candidate.is_file():
                images, labels = read_archive(candidate, archive)
                break
            if (candidate / "meta.json").is_file():
                mosaics = open_mosaics(candidate, "train")
                images, labels = mosaics.read(np.arange(len(mosaics.labels))), mosaics.labels
                break
        else:
            raise DataError(f"{path} holds neither {archive.file} nor mosaics with a meta.json: {self.name} needs one")
        if labels.min() < 0 or labels.max() >= self.classes:
            raise DataError(f"{path} is not {self.name}: labels go from {labels.min()} to {labels.max()}")
        order = balanced_order(labels)
        np.save(folder / "images.npy", images[order])
        np.save(folder / "labels.npy", labels[order].astype(np.uint8))
        return {"images": len(labels), "classes": self.classes}


DATA: dict[str, Source] = {
    source.name: source
    for source in (
        Table(
            "nb201",
            "NAS-Bench-201: 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120",
            "nb201",
            ("nb201.csv.gz", "nb201_seeds.npz"),
            "splitbench.spaces.nb201.table",
            15_625,
            (("c10_test", 94.37), ("c100_test", 73.51), ("in16_test", 47.31)),
        ),
        Table(
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


def source_of(name: str) -> Source:
    """The source called ``name``.

    Raises:
        ConfigError: if there is none.
    """
    if name not in DATA:
        raise ConfigError(f"there is no data set {name!r}; known are {', '.join(DATA)}")
    return DATA[name]


def locate(name: str) -> Place:
    """Where a reader takes ``name`` from.

    Raises:
        DataError: if it is in neither place.
    """
    source = source_of(name)
    home = data_home() / name
    if (home / imported.MANIFEST).is_file():
        return Place("imported", home)
    shared = os.environ.get("SPLITBENCH_DATA")
    folder = Path(shared or ".") / source.subfolder
    if shared and all((folder / file).is_file() for file in source.needs):
        return Place("found", folder)
    below = str(folder) if shared else "SPLITBENCH_DATA (not set)"
    raise DataError(
        f"the data of {name} is missing: neither {home} nor {below} holds it; run `splitbench data import {name} "
        f"--from PATH`, or set SPLITBENCH_DATA to a folder whose {source.subfolder}/ holds {' and '.join(source.needs)}"
    )


def table(name: str) -> pd.DataFrame:
    """A ground-truth table, checked. Raises DataError if it is missing or damaged."""
    source = source_of(name)
    assert isinstance(source, Table), f"{name} is not a table"
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


def fingerprint(name: str) -> str:
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
    if isinstance(source, Table) and place.state == "found":
        files = [place.folder / file for file in source.needs]
    else:
        files = [file for file in place.folder.iterdir() if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return Status(name, place.state, place.folder, size)


def verify(name: str) -> str:
    """Recompute checksums, check counts and known facts; returns a sentence that says what holds.

    Raises:
        DataError: if the data is missing or something does not hold.
    """
    place = locate(name)
    clause = source_of(name).check(place)
    if place.state == "imported":
        for role in imported.manifest(place.folder)["files"]:
            imported.file_of(place.folder, role)
        clause += ", checksums match"
    return f"{name}: {clause} ({place.state} in {place.folder})"


def import_data(name: str, path: Path) -> Status:
    """Read the published files at ``path`` (a file or a folder), check them, and keep them in the data home.

    Raises:
        DataError: if the files are missing, damaged or not this data set, or the home cannot be written; what had been
            imported before is then still there.
    """
    source = source_of(name)
    if not path.exists():
        raise DataError(f"{path} does not exist: `splitbench data import {name} --from PATH` needs a file or a folder")
    imported.write(data_home() / name, path, source.summary, lambda folder: source.convert(path, folder))
    return status(name)
