"""Images stored as lossless mosaics: many tiles an image file, row by row. Pillow reads them; torch is not needed.

A folder holds ``meta.json`` (``cols``: tiles a row; ``splits``: for each split ``n``, ``files`` and ``tile``),
``SPLIT_labels.npy``, and the files. Only the files that hold the wanted rows are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import DataError

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


def balanced_order(labels: Integers) -> Integers:
    """An order of the rows whose every prefix is class-balanced: the k-th of every class before the k+1-th of any."""
    rank = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(int(members.sum()))
    return np.lexsort((labels, rank))


@dataclass(frozen=True)
class Mosaics:
    """One split of a folder of mosaics.

    Attributes:
        folder: where the files are.
        files: their names, in order.
        labels: [N] of all tiles, in order.
        tile: height and width of a tile in pixels.
        columns: tiles a row of a mosaic.
    """

    folder: Path
    files: tuple[str, ...]
    labels: Integers
    tile: tuple[int, int]
    columns: int

    def read(self, rows: Integers) -> Bytes:
        """The tiles with these numbers, in this order: [len(rows), height, width, 3].

        Raises:
            DataError: if a file that is needed is missing, truncated or of the wrong size.
        """
        out = np.empty((len(rows), *self.tile, 3), dtype=np.uint8)
        per_file = self._per_file()
        if -(-len(self.labels) // per_file) != len(self.files):
            raise DataError(f"{self.folder}: {len(self.labels)} labels do not fit {len(self.files)} mosaics")
        owner = rows // per_file
        for number in np.unique(owner):
            wanted = owner == number
            tiles = self._tiles(self.folder / self.files[number])
            inside = rows[wanted] - number * per_file
            if inside.max() >= len(tiles):
                raise DataError(f"{self.folder / self.files[number]} holds {len(tiles)} tiles, too few: get it again")
            out[wanted] = tiles[inside]
        return out

    def _per_file(self) -> int:
        """Tiles a file, all but the last: from the header of the first."""
        from PIL import Image

        path = self.folder / self.files[0]
        try:
            with Image.open(path) as image:
                return max(1, image.height // self.tile[0] * self.columns)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}): get it again") from error

    def _tiles(self, path: Path) -> Bytes:
        from PIL import Image

        height, width = self.tile
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:  # Pillow reports a damaged file as any of these
            raise DataError(f"{path} cannot be read ({error}): get it again") from error
        if pixels.shape[1] != self.columns * width or pixels.shape[0] % height:
            raise DataError(f"{path} is {pixels.shape[1]} pixels wide, not {self.columns} x {width}: get it again")
        grid = pixels.reshape(-1, height, self.columns, width, 3).swapaxes(1, 2)
        return grid.reshape(-1, height, width, 3)


def open_mosaics(folder: Path, split: str) -> Mosaics:
    """The mosaics of one split: 32x32 tiles; reads meta.json and the labels, no image.

    Raises:
        DataError: if either is missing or damaged.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text())
        entry = meta["splits"][split]
        labels = np.load(folder / f"{split}_labels.npy", allow_pickle=False)
        tile = (int(entry["tile"][0]), int(entry["tile"][1]))
        mosaics = Mosaics(folder, tuple(map(str, entry["files"])), labels.astype(np.int64), tile, int(meta["cols"]))
        count = int(entry["n"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{folder} holds no readable mosaics of split {split} ({error!r}): get it again") from error
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or not mosaics.files or tile != (32, 32):
        raise DataError(f"{folder}: meta.json and {split}_labels.npy disagree on {count} tiles of 32x32: get it again")
    return mosaics
