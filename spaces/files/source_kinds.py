"""The kinds of data that splitbench reads, ground-truth tables and images, and how each is checked and converted.

Needs no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import DataError
from splitbench.spaces.files import imported

if TYPE_CHECKING:
    import pandas as pd

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DataPlace:
    """Where a reader found data: imported into the data home, or found below SPLITBENCH_DATA."""

    state: Literal["imported", "found"]
    folder: Path


@dataclass(frozen=True)
class DataSource(ABC):
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
    def check(self, place: DataPlace) -> str:
        """What was found true of the data at ``place``, in one clause; a DataError if a known fact does not hold."""


@dataclass(frozen=True)
class TruthTable(DataSource):
    """A ground-truth table; ``module`` has ``read_source(path) -> DataFrame`` for the published files.

    Attributes:
        rows: number of architectures.
        best: accuracies and their largest value, in percent, as published (two decimals); an accuracy is a column,
            or the mean of three columns of single trainings.
    """

    module: str
    rows: int
    best: tuple[tuple[str, float], ...]

    def read(self, place: DataPlace) -> pd.DataFrame:
        import pandas as pd

        if place.state == "imported":
            return pd.read_parquet(imported.imported_file(place.folder, "table.parquet"))
        path = place.folder / self.needs[0]
        frame: pd.DataFrame = import_module(self.module).read_source(path)
        return frame

    def facts(self, frame: pd.DataFrame, where: Path) -> str:
        if len(frame) != self.rows:
            raise DataError(f"{where} is not {self.name}: {len(frame):,} rows where {self.rows:,} are expected")
        for column, best in self.best:
            trainings = [f"{column}_{seed}" for seed in range(3)]
            largest = float((frame[column] if column in frame else frame[trainings].mean(axis=1)).max())
            if abs(largest - best) > 0.00501:
                raise DataError(f"{where} is not {self.name}: the best {column} is {largest:.2f} and not {best:.2f}")
        return f"{self.rows:,} rows, " + ", ".join(f"best {column} {best:.2f}" for column, best in self.best)

    def check(self, place: DataPlace) -> str:
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
class Images(DataSource):
    """Training images of one dataset, held in a class-balanced order: image k of every class before image k + 1 of any.

    Attributes:
        classes: number of classes.
        mean, deviation: published channel statistics of the training images, in [0, 1].
    """

    classes: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def read(self, place: DataPlace, count: int | None = None) -> tuple[Bytes, Integers]:
        """The first ``count`` images [count, 32, 32, 3] and labels [count] of the balanced order (all by default)."""
        if place.state == "imported":
            pixels: Bytes = np.load(imported.imported_file(place.folder, "images.npy"), mmap_mode="r")
            labels: Integers = np.load(imported.imported_file(place.folder, "labels.npy")).astype(np.int64)
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

    def check(self, place: DataPlace) -> str:
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
