"""Micro's ground truth, read from the table that ``splitbench.spaces.micro.build`` wrote."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.cells import EDGES, canonical
from splitbench.spaces.truth import Floats, TableTruth, require_open

TABLE = Path(__file__).with_name("table.parquet")
DATASETS = ("digits",)
REMEDY = "install splitbench again, or build the table with splitbench.spaces.micro.build"


def read_table(path: Path = TABLE) -> tuple[npt.NDArray[np.int8], dict[str, Floats]]:
    """The whole table, checked against the checksum beside it (``table.json``).

    Returns:
        architectures [A, 6], and [A, seeds] by name: ``validation_accuracy`` and ``test_accuracy`` in percent,
        ``validation_loss`` and ``test_loss`` as mean cross-entropy in nats.

    Raises:
        DataError: if table or checksum is missing, or they do not belong together.
    """
    import pyarrow.parquet as parquet

    beside = path.with_suffix(".json")
    try:
        provenance = json.loads(beside.read_bytes())
        expected, seeds = str(provenance["sha256"]), int(provenance["seeds"])
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"micro's ground truth cannot be read ({error}); {REMEDY}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{beside} is not the provenance of micro's ground truth; {REMEDY}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise DataError(
            f"{path} is damaged: its {len(content)} bytes have SHA-256 {digest}, but {beside.name} promises "
            f"{expected}; {REMEDY}"
        )
    table = parquet.read_table(io.BytesIO(content))
    digits = np.array(table["architecture"].to_pylist(), dtype=f"S{len(EDGES)}").view(np.uint8)
    architectures = (digits - ord("0")).astype(np.int8).reshape(-1, len(EDGES))
    return architectures, {
        name: np.stack([table[f"{name}_{seed}"].to_numpy() for seed in range(seeds)], axis=1).astype(np.float64)
        for name in ("validation_accuracy", "validation_loss", "test_accuracy", "test_loss")
    }


def load_micro(dataset: str, path: Path = TABLE) -> TableTruth:
    """The ground truth of all 9,445 functions, the empty one included, three seeds each.

    Raises:
        ConfigError: if ``dataset`` is not digits.
        DataError: if the table is missing or damaged.
    """
    require_open()
    if dataset not in DATASETS:
        raise ConfigError(
            f"space micro has no ground truth for dataset {dataset!r}, only for {', '.join(DATASETS)}; choose that"
        )
    architectures, columns = read_table(path)
    return TableTruth(
        architectures=architectures,
        validation_seeds=columns["validation_accuracy"],
        test_seeds=columns["test_accuracy"],
        canonical=canonical,
        source="micro's own trainings on scikit-learn's digits",
    )
