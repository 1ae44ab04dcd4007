"""NAS-Bench-Macro's ground truth: 3,969 networks, each trained three times on CIFAR-10.

The released training code holds out no validation images, and reports for each training the best test accuracy of its
50 epochs. So these are test accuracies, a little optimistic, and there are no validation accuracies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from splitbench.harness.errors import ConfigError
from splitbench.spaces.files import sources
from splitbench.spaces.nb_macro.space import identities_last
from splitbench.spaces.nb_macro.table import SEEDS, read_source
from splitbench.spaces.truth import TableTruth, require_open

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_nb_macro", "read_source", "truth_of"]

DATASETS = ("cifar10",)


def load_nb_macro(dataset: str) -> TableTruth:
    """The ground truth of the 3,969 distinct networks: test accuracies only.

    Raises:
        ConfigError: if ``dataset`` is not cifar10.
        DataError: if the table is missing or damaged.
    """
    require_open()
    if dataset not in DATASETS:
        raise ConfigError(
            f"space nb_macro has no ground truth on dataset {dataset!r}, only on {', '.join(DATASETS)}; choose that"
        )
    frame = sources.truth_table("nb_macro")
    return truth_of(frame, f"NAS-Bench-Macro, {dataset}; sha256 {sources.data_fingerprint('nb_macro')[:16]}")


def truth_of(frame: pd.DataFrame, source: str = "NAS-Bench-Macro") -> TableTruth:
    """The ground truth in a table as :func:`read_source` returns it.

    The table gives all strings of one network the same three accuracies, so the canonical string's row serves all.
    """
    strings = np.array([list(map(int, arch)) for arch in frame["arch"]], dtype=np.int8)
    distinct = np.array([identities_last(row) == row for row in map(tuple, strings.tolist())])
    return TableTruth(
        architectures=strings[distinct],
        validation_seeds=None,
        test_seeds=frame[list(SEEDS)].to_numpy(dtype=np.float64)[distinct],
        canonical=identities_last,
        source=source,
    )
