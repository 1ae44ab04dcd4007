"""Records packed into one file: ``records.tar.xz`` stands for the folder ``records``, and is read like it.

Records of one study resemble each other, and are a fifth of their size together (their own compression apart). Any tar
unpacks it, ``python -m tarfile -e records.tar.xz DIR`` too. Where the folder stands, the archive beside it is not read.
"""

from __future__ import annotations

import functools
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from splitbench.harness.errors import StoreError

RECORDS = "records"
MEASURED = ".measured.json"
ESTIMATES = ".parquet"
SUFFIX = ".tar.xz"
ARCHIVE = RECORDS + SUFFIX
LARGEST = 2**30
"""Bytes that an archive may hold: it is unpacked in memory, and a small file can claim to be an endless one."""


class DamagedError(Exception):
    """An archive cannot be read; the message says why, and what to do."""


def pack_records(records: Path) -> bytes:
    """The archive of a records folder: equal files give equal bytes on every machine.

    (Under one release of liblzma: another may compress the same tar differently.) Hidden files, which a killed write
    may leave behind, stay out.

    Raises:
        StoreError: if a file cannot be read, or there are more than an archive may hold.
    """
    import lzma

    stream = io.BytesIO()
    try:
        paths = sorted((path for path in records.iterdir() if not path.name.startswith(".")), key=_order)
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in paths:
                content = path.read_bytes()
                member = tarfile.TarInfo(f"{RECORDS}/{path.name}")  # no owner, no time, mode 0644
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    except OSError as error:
        raise StoreError(f"{error.filename or records}: cannot be packed ({error.strerror}); mend it first") from error
    if stream.tell() > LARGEST:
        raise StoreError(f"{records}: more than an archive may hold ({LARGEST / 2**30:g} GiB); publish fewer arms")
    return lzma.compress(stream.getvalue(), preset=6)


def _order(path: Path) -> tuple[bool, bool, str]:
    """Files of one kind together, which compresses better: records, measured costs, estimates."""
    return path.name.endswith(ESTIMATES), path.name.endswith(MEASURED), path.name


def packed(folder: Path) -> bool:
    """Whether the records of a results folder are packed."""
    return (folder / ARCHIVE).exists() and not os.path.lexists(folder / RECORDS)


def has_records(folder: Path) -> bool:
    """Whether a results folder has records, packed or not."""
    return (folder / RECORDS).exists() or (folder / ARCHIVE).exists()


def archive_members(archive: Path) -> Mapping[str, bytes]:
    """The files of an archive, by their names in the folder that it stands for.

    Raises:
        DamagedError: if it cannot be read, or holds anything else.
    """
    try:
        state = os.stat(archive)
        return _members(str(archive), state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise DamagedError(f"cannot be read ({error.strerror}); mend or delete it") from error


@functools.lru_cache(maxsize=4)
def _members(archive: str, changed: int, size: int) -> Mapping[str, bytes]:
    """``changed`` and ``size`` make a file that was replaced another one."""
    with open(archive, "rb") as file:
        data = file.read()
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(data)), mode="r:") as tar:
            contents = {}
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                plain = member.isfile() and not member.issparse()  # a sparse one can claim any size
                content = tar.extractfile(member) if plain else None
                if folder != RECORDS or not name or content is None or name in contents:
                    raise DamagedError(f"{member.name!r} in it is no file of {RECORDS}; pack the folder again")
                contents[name] = content.read()
            return contents
    except (tarfile.TarError, ValueError) as error:
        raise DamagedError(f"damaged, what is packed is no tar ({error}); get it again") from error


def _unpacked(data: bytes) -> bytes:
    try:
        import lzma
    except ImportError:
        raise DamagedError(f"this Python lacks lzma; unpack it with `tar -xf {ARCHIVE}`, and delete it") from None
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    try:
        content = decompressor.decompress(data, LARGEST + 1)
    except lzma.LZMAError as error:
        raise DamagedError(f"damaged ({str(error).lower()}); get it again") from error
    if len(content) > LARGEST:
        raise DamagedError(
            f"it holds more than {LARGEST / 2**30:g} GiB; unpack it with `tar -xf {ARCHIVE}`, and delete it"
        )
    if not decompressor.eof:
        raise DamagedError("truncated; get it again")
    return content


def content(path: str | Path) -> bytes:
    """A file of a records folder, from the archive where that stands in the folder's place.

    Raises:
        OSError: if there is no such file, or it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        folder, name = os.path.split(path)
        if os.path.basename(folder) != RECORDS or os.path.lexists(folder) or not os.path.exists(folder + SUFFIX):
            raise
        try:
            return archive_members(Path(folder + SUFFIX))[name]
        except (KeyError, DamagedError):
            pass  # a damaged one was named when it was listed
        raise


def exists(path: Path) -> bool:
    """Whether a file of a records folder is there, packed or not."""
    if path.exists():
        return True
    try:
        return packed(path.parent.parent) and path.name in archive_members(path.parent.parent / ARCHIVE)
    except DamagedError:
        return False
