"""Ground truth: what stand-alone training of an architecture gave, read from a table or a surrogate.

Held only by what judges (the stages measure, facts and decompose, and the verbs that compare with it: rank, geometry,
measure) and by an ``oracle`` control, through its own door: criteria, trainers and selectors never do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import DataError
from splitbench.spaces.base import Architecture, Rows, SearchSpace
from splitbench.spaces.doors import closed, require_open

__all__ = ["Asked", "Floats", "GroundTruth", "SurrogateTruth", "TableTruth", "closed", "open_truth", "require_open"]

Floats = npt.NDArray[np.float64]
Asked = Sequence[Architecture] | Rows
"""Architectures that a truth is asked about: tuples, or rows [A, edges]."""


class GroundTruth(Protocol):
    """Stand-alone accuracies in percent, of a table, a surrogate or a predictor."""

    @property
    def source(self) -> str:
        """Where the numbers come from, for the record."""

    @property
    def identity(self) -> str:
        """A checksum of everything that the numbers depend on."""

    @property
    def has_validation(self) -> bool:
        """Whether there are validation accuracies."""

    def validation(self, architectures: Asked) -> Floats:
        """Mean validation accuracy of one training: [A].

        Raises:
            DataError: if there are none.
        """

    def test(self, architectures: Asked) -> Floats:
        """Mean test accuracy of one training: [A].

        Raises:
            KeyError: of an architecture that nothing is known of.
        """

    def per_seed(self, architectures: Asked) -> Floats:
        """Test accuracy of each training: [A, seeds], NaN where missing. The noise ceiling is read from it; no seeds
        where single trainings are not known."""

    def best(self, validation: bool = False) -> float | None:
        """The best mean test (or validation) accuracy of all architectures; None where they cannot be listed: regret
        is then measured from the best of the population."""


def open_truth(space: SearchSpace, dataset: str) -> GroundTruth:
    """The ground truth of a space on a dataset: the one door for the harness, guarded by :func:`closed`.

    Raises:
        ConfigError: inside :func:`closed`, or if there is none for this dataset; DataError: if it is missing or
            damaged.
    """
    require_open()
    return space.ground_truth(dataset)


@dataclass(frozen=True)
class TableTruth:
    """Stand-alone accuracies in percent, a row an architecture of the table.

    Attributes:
        architectures: [A, edges] rows of the table, each once.
        validation_seeds, test_seeds: [A, seeds] accuracy of each training; NaN where a seed is missing. A benchmark
            that publishes test accuracies only has no ``validation_seeds`` (None): they are never filled in from test.
        canonical: maps an architecture to the row's key (the identity where the table holds every string).
        source: where the numbers come from, for the record.
    """

    architectures: Rows
    validation_seeds: Floats | None
    test_seeds: Floats
    canonical: Callable[[Architecture], Architecture]
    source: str

    def __post_init__(self) -> None:
        keys = {tuple(row): index for index, row in enumerate(self.architectures.tolist())}
        object.__setattr__(self, "_rows", keys)

    def rows(self, architectures: Asked) -> npt.NDArray[np.int64]:
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

    def validation(self, architectures: Asked) -> Floats:
        """Mean validation accuracy over the table's seeds: [A].

        Raises:
            DataError: if the benchmark publishes no validation accuracies.
        """
        if self.validation_seeds is None:
            raise DataError(f"{self.source} has no validation accuracies; use its test accuracies, and say so")
        mean: Floats = np.nanmean(self.validation_seeds[self.rows(architectures)], axis=1)
        return mean

    def test(self, architectures: Asked) -> Floats:
        """Mean test accuracy over the table's seeds: [A]."""
        mean: Floats = np.nanmean(self.test_seeds[self.rows(architectures)], axis=1)
        return mean

    def per_seed(self, architectures: Asked) -> Floats:
        """Test accuracy of each training: [A, seeds], NaN where missing. The noise ceiling is read from it."""
        return self.test_seeds[self.rows(architectures)]

    def best(self, validation: bool = False) -> float:
        """The best mean of the whole table."""
        everything = self.architectures
        return float((self.validation(everything) if validation else self.test(everything)).max())


@dataclass(frozen=True)
class SurrogateTruth:
    """Accuracies that models predict, which were fitted to some stand-alone trainings: one model a fold of these.

    It publishes no validation accuracies apart, and its architectures cannot be listed, so that regret is measured
    from the best of the population.

    Attributes:
        folds: rows [A, edges] of canonical architectures -> [A, folds], each model's prediction of the test accuracy,
            percent. The truth is their mean.
        noise: standard deviation of one training around its mean, percent, as the benchmark's authors measured it;
            None if nobody did: the noise ceiling is then unknown.
        canonical: maps an architecture to the one that the models know.
        source: where the models come from, for the record.
        fingerprint: a checksum of the models.
        seeds: simulated trainings of :meth:`per_seed`.
    """

    folds: Callable[[Rows], Floats]
    noise: float | None
    canonical: Callable[[Architecture], Architecture]
    source: str
    fingerprint: str
    seeds: int = 3

    @property
    def identity(self) -> str:
        text = f"{self.fingerprint} {self.noise!r} {self.seeds}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def has_validation(self) -> bool:
        return False

    def validation(self, architectures: Asked) -> Floats:
        """Raises DataError: there are none."""
        raise DataError(f"{self.source} has no validation accuracies; use its test accuracies, and say so")

    def predictions(self, architectures: Asked) -> Floats:
        """Of each fold's model: [A, folds]; their spread says how sure the surrogate is of an architecture."""
        if not len(architectures):
            return np.zeros((0, 1))
        rows = np.array([self.canonical(tuple(map(int, a))) for a in architectures])
        return self.folds(rows.astype(np.int8 if rows.max() < 128 else np.int16))

    def test(self, architectures: Asked) -> Floats:
        """Mean over the folds: [A]."""
        return np.asarray(self.predictions(architectures).mean(axis=1), dtype=np.float64)

    def per_seed(self, architectures: Asked) -> Floats:
        """Simulated trainings, [A, seeds]: the prediction and normal noise that is a function of the architecture
        alone; [A, 0] where the noise is unknown."""
        if self.noise is None:
            return np.zeros((len(architectures), 0))
        mean = self.test(architectures)
        draws = [self._draws(self.canonical(tuple(map(int, a)))) for a in architectures]
        return mean[:, None] + self.noise * np.array(draws).reshape(len(mean), self.seeds)

    def _draws(self, architecture: Architecture) -> Floats:
        return np.random.default_rng((0x5EED, *architecture)).standard_normal(self.seeds)

    def best(self, validation: bool = False) -> None:
        """None: its architectures cannot be listed."""
        return None
