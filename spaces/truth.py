"""Ground truth: what stand-alone training of an architecture gave, read from a table or a surrogate.

Only the measure stage holds one of these (and an ``oracle`` control, through its own door): selectors never do.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.base import Architecture

Floats = npt.NDArray[np.float64]


_closed = False


@contextlib.contextmanager
def closed() -> Iterator[None]:
    """No ground truth can be opened inside: training, scoring, selection and prediction run so.

    A plugin that asks its space for the truth there gets an error instead of a leak.
    """
    global _closed
    before, _closed = _closed, True
    try:
        yield
    finally:
        _closed = before


@dataclass(frozen=True)
class GroundTruth:
    """Stand-alone accuracies in percent, a row an architecture of the table.

    Attributes:
        architectures: [A, edges] rows of the table, each once.
        validation_seeds, test_seeds: [A, seeds] accuracy of each training; NaN where a seed is missing. A benchmark
            that publishes test accuracies only has no ``validation_seeds`` (None): they are never filled in from test.
        canonical: maps an architecture to the row's key (the identity where the table holds every string).
        source: where the numbers come from, for the record.
    """

    architectures: npt.NDArray[np.int8]
    validation_seeds: Floats | None
    test_seeds: Floats
    canonical: Callable[[Architecture], Architecture]
    source: str

    def __post_init__(self) -> None:
        if _closed:
            raise ConfigError(
                "a component asked for the ground truth while it was training, scoring or selecting; only the measure "
                "stage may read it: use validation images instead"
            )
        keys = {tuple(row): index for index, row in enumerate(self.architectures.tolist())}
        object.__setattr__(self, "_rows", keys)

    def rows(self, architectures: Sequence[Architecture] | npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """Row numbers in the table.

        Raises:
            KeyError: if the table lacks an architecture.
        """
        keys: dict[Architecture, int] = self._rows  # type: ignore[attr-defined]
        return np.array([keys[self.canonical(tuple(map(int, a)))] for a in architectures], dtype=np.int64)

    @property
    def identity(self) -> str:
        """A checksum of the table."""
        digest = hashlib.sha256(self.architectures.tobytes())
        values = [self.test(self.architectures), self.per_seed(self.architectures)]
        if self.has_validation:
            values.append(self.validation(self.architectures))
        for value in values:
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    @property
    def has_validation(self) -> bool:
        """Whether the benchmark publishes validation accuracies."""
        return self.validation_seeds is not None

    def validation(self, architectures: Sequence[Architecture] | npt.NDArray[np.int8]) -> Floats:
        """Mean validation accuracy over the table's seeds: [A].

        Raises:
            DataError: if the benchmark publishes no validation accuracies.
        """
        if self.validation_seeds is None:
            raise DataError(f"{self.source} has no validation accuracies; use its test accuracies, and say so")
        mean: Floats = np.nanmean(self.validation_seeds[self.rows(architectures)], axis=1)
        return mean

    def test(self, architectures: Sequence[Architecture] | npt.NDArray[np.int8]) -> Floats:
        """Mean test accuracy over the table's seeds: [A]."""
        mean: Floats = np.nanmean(self.test_seeds[self.rows(architectures)], axis=1)
        return mean

    def per_seed(self, architectures: Sequence[Architecture] | npt.NDArray[np.int8]) -> Floats:
        """Test accuracy of each training: [A, seeds], NaN where missing. The noise ceiling is read from it."""
        return self.test_seeds[self.rows(architectures)]
