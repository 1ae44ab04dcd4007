"""NAS-Bench-Macro's published table: reading and checking it. Needs no torch."""

from __future__ import annotations

import itertools
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitbench.harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SEEDS = ("acc_0", "acc_1", "acc_2")
COLUMNS = ("arch", *SEEDS, "params", "flops")
REMEDY = "fetch the file again"


def read_source(path: Path) -> pd.DataFrame:
    """The benchmark as published: the authors' JSON, or the same as a (gzipped) CSV file.

    Returns:
        6,561 rows ordered by ``arch`` (a string of eight digits), with ``acc_0`` to ``acc_2`` (test accuracy of each
        training in percent), ``params``, and ``flops`` (multiply-adds).

    Raises:
        DataError: if the file is missing, truncated, or not the whole benchmark.
    """
    import pandas as pd

    try:
        if path.suffix == ".json":
            frame = _from_json(json.loads(path.read_bytes()))
        else:
            frame = pd.read_csv(path, dtype={"arch": str})
        frame = frame[list(COLUMNS)].astype({**dict.fromkeys(SEEDS, float), "params": int, "flops": int})
    except OSError as error:  # gzip's BadGzipFile is one too
        raise DataError(f"{path} cannot be read ({error}); {REMEDY}") from error
    except (EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0].strip("'\"") if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged or not NAS-Bench-Macro ({reason}); {REMEDY}") from error
    frame = frame.sort_values("arch", ignore_index=True)
    strings = ["".join(digits) for digits in itertools.product("012", repeat=8)]
    if frame["arch"].tolist() != strings:
        raise DataError(
            f"{path} is incomplete: it has {frame['arch'].nunique()} architectures in {len(frame)} rows, but "
            f"NAS-Bench-Macro has {len(strings)}, each once; {REMEDY}"
        )
    accuracies = frame[list(SEEDS)].to_numpy()
    if not ((accuracies > 0) & (accuracies <= 100)).all():
        raise DataError(f"{path} is damaged: accuracies must lie between 0 and 100 percent; {REMEDY}")
    return frame


def _from_json(entries: dict[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rows = [(arch, *entry["test_acc"], entry["params"], entry["flops"]) for arch, entry in entries.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
