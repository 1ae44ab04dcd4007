"""Records, metrics, statistics and leaderboards: everything after the training, and nothing that needs torch.

import splitbench

found = splitbench.load("runs/quickstart")
found.leaderboard()         # a DataFrame, one row an arm
found.frame()               # one row a run; found.frame("long"): one row a run and metric
found.estimates("none", 0)  # one row an architecture
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if __name__ != "splitbench.results":
    raise ImportError(
        "import splitbench.results: under the name " + repr(__name__) + " this would be a second copy of it"
    )

if TYPE_CHECKING:
    from splitbench.results.frames.frame import Results as Results

__all__ = ["Results", "load"]


def load(folder: str | Path) -> Results:
    """Read a results folder, or a folder of results folders; a notebook shows its leaderboard.

    A file that cannot be used is named in ``.warnings``, and the rest is there.

    Raises:
        splitbench.harness.errors.StoreError: if the folder is missing or holds no usable record at all.
    """
    from splitbench.results.frames.frame import load_frames as read

    return read(folder)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """``Results`` is imported when it is asked for, so that importing a module of this package stays quick."""
        if name == "Results":
            from splitbench.results.frames.frame import Results

            return Results
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
