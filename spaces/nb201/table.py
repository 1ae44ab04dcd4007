"""Reads the NAS-Bench-201 table as published in two files; needs no torch, so that listing and verifying are quick.

``nb201.csv.gz`` holds a row a cell: ``ops`` (six digits, edges by target node) and, by dataset prefix c10, c100 and
in16, mean accuracies of trainings of 200 epochs (and of 12, where the file has them) in percent, multiply-adds and
parameters in millions. ``nb201_seeds.npz`` holds the single trainings of 200 epochs, float32 [15625, 3], NaN where a
seed is missing.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from splitbench.harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

TABLE = "nb201.csv.gz"
SEEDS = "nb201_seeds.npz"
PREFIXES = ("c10", "c100", "in16")
PARTS = ("val", "test")
CELLS = 5**6
SEED_COUNT = 3


def read_source(path: Path) -> pd.DataFrame:
    """The table, from the folder that holds both files (or its parent), or from the path of the csv file.

    Returns:
        15,625 rows: ``architecture``; for each prefix p and part in val, test: ``p_part`` (the published mean, percent)
        and ``p_part_0`` .. ``p_part_2`` (single trainings, NaN where missing); ``p_part_12`` (the published mean of the
        12-epoch trainings) where the file has both parts; ``p_macs_M``; ``p_params_M``.

    Raises:
        DataError: if a file is missing, damaged, or not this table.
    """
    import pandas as pd

    folder = path.parent if path.is_file() else path
    if not (folder / TABLE).is_file() and (folder / "nb201" / TABLE).is_file():
        folder /= "nb201"
    for name in (TABLE, SEEDS):
        if not (folder / name).is_file():
            raise DataError(f"{folder} holds no {name}: nb201 needs {TABLE} and {SEEDS} side by side")
    frame = _read_means(folder / TABLE)
    seeds = _read_seeds(folder / SEEDS)
    columns = {"architecture": frame["ops"].to_numpy()}
    for prefix in PREFIXES:
        for part in ("val", "test"):
            mean = frame[f"{prefix}_{part}_200"].to_numpy(dtype=np.float64)
            single = seeds[f"{prefix}_{part}_200"]
            # Some published means cover trainings that were not published singly, so not all rows can agree.
            if np.mean(np.abs(np.nanmean(single.astype(np.float64), axis=1) - mean) < 0.02) < 0.8:
                raise DataError(f"{folder / SEEDS} does not belong to {TABLE}: the means of {prefix}_{part} disagree")
            columns[f"{prefix}_{part}"] = mean
            columns |= {f"{prefix}_{part}_{seed}": single[:, seed] for seed in range(SEED_COUNT)}
        if {f"{prefix}_val_12", f"{prefix}_test_12"} <= set(frame):
            columns |= {f"{prefix}_{part}_12": frame[f"{prefix}_{part}_12"].to_numpy(np.float64) for part in PARTS}
        for size in ("macs_M", "params_M"):
            columns[f"{prefix}_{size}"] = frame[f"{prefix}_{size}"].to_numpy(dtype=np.float64)
    return pd.DataFrame(columns)


def _read_means(path: Path) -> pd.DataFrame:
    import pandas as pd

    needed = ["ops"]
    for prefix in PREFIXES:
        needed += [f"{prefix}_{name}" for name in ("val_200", "test_200", "macs_M", "params_M")]
    optional = {f"{prefix}_{part}_12" for prefix in PREFIXES for part in PARTS}
    try:
        frame = pd.read_csv(path, dtype={"ops": str}, usecols=lambda name: name in optional or name in needed)
        if missing := [name for name in needed if name not in frame]:
            raise ValueError(f"it has no columns {', '.join(missing)}")
    except (OSError, EOFError, ValueError, zlib.error) as error:  # pandas' parser errors are ValueErrors
        reason = " ".join(str(error).split())  # the parser's messages end lines
        raise DataError(f"{path} cannot be read as the NAS-Bench-201 table ({reason}): fetch it again") from error
    architectures = frame["ops"]
    if len(frame) != CELLS or architectures.nunique() != CELLS or not architectures.str.fullmatch("[0-4]{6}").all():
        raise DataError(f"{path} does not hold each of the {CELLS:,} cells once ({len(frame):,} rows): fetch it again")
    numbers = frame.drop(columns="ops").apply(pd.to_numeric, errors="coerce")
    if not np.isfinite(numbers.to_numpy(dtype=np.float64)).all():
        raise DataError(f"{path} lacks numbers that the NAS-Bench-201 table has: fetch it again")
    return frame


def _read_seeds(path: Path) -> dict[str, np.ndarray]:
    names = [f"{prefix}_{part}_200" for prefix in PREFIXES for part in ("val", "test")]
    try:
        with np.load(path, allow_pickle=False) as archive:
            seeds = {name: archive[name] for name in names}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as the single trainings of nb201 ({error}): fetch it again") from error
    for name, values in seeds.items():
        if values.shape != (CELLS, SEED_COUNT) or values.dtype.kind != "f" or np.isnan(values).all(axis=1).any():
            raise DataError(f"{path}: {name} is not a float array [{CELLS}, {SEED_COUNT}] with a training in each row")
    return seeds
