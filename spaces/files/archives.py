"""The official CIFAR archives for Python: tar files of pickles. Checked by MD5 before anything in them is read.

Unpickling can run code, so only the three names that these files use (NumPy's array, data type and array constructor)
can be looked up; anything else in a pickle is refused. Nothing is extracted to disk.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import DataError

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Archive:
    """What is known of an official archive: its checksum, the training members, the key of the labels, image count."""

    file: str
    md5: str
    members: tuple[str, ...]
    labels: bytes
    images: int


ARCHIVES = {
    "cifar10": Archive(
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
        b"labels",
        50_000,
    ),
    "cifar100": Archive(
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        ("cifar-100-python/train",),
        b"fine_labels",
        50_000,
    ),
}


def _dtype(name: bytes | str, align: int = 0, copy: int = 1) -> np.dtype[Any]:
    """Old pickles pass integers for the flags and bytes for the name, which NumPy no longer takes silently."""
    return np.dtype(name.decode("ascii") if isinstance(name, bytes) else name, bool(align), bool(copy))


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
}


class ArrayUnpickler(pickle.Unpickler):
    """Loads containers, numbers, byte strings and arrays; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the name {module}.{name} is not allowed")
        return _ALLOWED[module, name]


def read_archive(path: Path, archive: Archive) -> tuple[Bytes, Integers]:
    """Training images [N, 32, 32, 3] and labels [N], in the archive's order.

    Raises:
        DataError: if the checksum is wrong, or a member is missing or is not what it should be.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    if digest != archive.md5:
        raise DataError(
            f"{path} has MD5 {digest}, and {archive.file} has {archive.md5}: it is truncated or another file; "
            "fetch it again"
        )
    images, labels = [], []
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in archive.members:
                file_object = tar.extractfile(member)
                if file_object is None:
                    raise DataError(f"{path}: {member} is not a file")
                batch = ArrayUnpickler(io.BytesIO(file_object.read()), encoding="bytes").load()
                data, label = batch[b"data"], np.asarray(batch[archive.labels])
                if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(label), 3072):
                    raise DataError(f"{path}: {member} does not hold 32x32 colour images with a label each")
                images.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
                labels.append(label.astype(np.int64))
    except (
        tarfile.TarError,
        zlib.error,
        pickle.UnpicklingError,
        OSError,
        EOFError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
    ) as error:
        raise DataError(f"{path} cannot be read as {archive.file} ({error}): fetch it again") from error
    total = sum(map(len, labels))
    if total != archive.images:
        raise DataError(f"{path} holds {total:,} training images where {archive.images:,} are expected")
    return np.concatenate(images), np.concatenate(labels)
