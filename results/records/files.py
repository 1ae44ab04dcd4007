"""Files of results: canonical JSON, Parquet, and writing that a kill cannot leave half done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from splitbench.harness.errors import StoreError


def readable_json(value: Any) -> str:
    """JSON with sorted keys and a newline at the end; an object has a line a key, a list of plain values one line."""
    return _lines(value, "") + "\n"


def _lines(value: Any, indent: str) -> str:
    deeper = indent + " "
    if isinstance(value, dict) and value:
        names = {key: json.dumps(key, ensure_ascii=False) for key in sorted(value)}
        inner = (f"{deeper}{name}: {_lines(value[key], deeper)}" for key, name in names.items())
        return "{\n" + ",\n".join(inner) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + ",\n".join(deeper + _lines(item, deeper) for item in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)


def encode(model: BaseModel) -> bytes:
    """The canonical bytes of a record or of measured costs: equal models give equal bytes."""
    return readable_json(json.loads(model.model_dump_json())).encode()


def encode_estimates(columns: Mapping[str, Any]) -> bytes:
    """A Parquet file of ``columns`` (each [A]): architecture (str), leaf (int), accuracy, loss, truth_test, ...

    The same columns give the same bytes under one version of pyarrow; a record holds their SHA-256.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a kill, sees the old content or the new, never a part.

    Raises:
        StoreError: if the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        reason = error.strerror or str(error)
        raise StoreError(
            f"{path}: the results cannot be written ({reason}); choose a folder with write permission and room"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        StoreError: if the folder cannot be written.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: it cannot be removed ({error.strerror}); mend the folder's permissions") from error
