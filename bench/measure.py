"""How long ``splitbench measure`` takes for an estimate of each of the 15,625 strings of NAS-Bench-201.

    SPLITBENCH_DATA=... python bench/measure.py

Wall seconds of the whole command, start of Python and imports included, and its processor seconds, which do not grow
where other work shares the machine. The estimates are the table's 12-epoch validation accuracies on CIFAR-10.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 5
LIMIT = 10.0


def main() -> None:
    import pandas as pd

    data = os.environ.get("SPLITBENCH_DATA")
    if not data:
        raise SystemExit("bench/measure.py: set SPLITBENCH_DATA to the folder that holds nb201/nb201.csv.gz")
    frame = pd.read_csv(Path(data) / "nb201" / "nb201.csv.gz", dtype={"ops": str}, usecols=["ops", "c10_val_12"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "estimates.csv"
        frame.to_csv(path, index=False)
        words = [sys.executable, "-m", "splitbench", "measure", "nb201", "cifar10", "--estimates", str(path), "--json"]
        taken = []
        for _ in range(REPEATS):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(words, capture_output=True, check=True)
            wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append((wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime))
    wall, processor = min(taken)
    print(
        f"{len(frame):,} estimates: {wall:.1f} s of wall time (limit {LIMIT:.0f} s), {processor:.1f} s of processor "
        f"time (fastest of {REPEATS}; slowest {max(taken)[0]:.1f} s; load {os.getloadavg()[0]:.1f})"
    )
    raise SystemExit(wall >= LIMIT)


if __name__ == "__main__":
    main()
