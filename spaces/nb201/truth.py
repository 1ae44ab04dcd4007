"""The ground truth of nb201: stand-alone accuracies of trainings of 200 or of 12 epochs, for all 15,625 strings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.base import Architecture
from splitbench.spaces.files import sources
from splitbench.spaces.nb201.table import SEED_COUNT
from splitbench.spaces.truth import Asked, Floats, TableTruth, require_open

PREFIX = {"cifar10": "c10", "cifar100": "c100", "imagenet16": "in16"}


@dataclass(frozen=True)
class PublishedMeans(TableTruth):
    """A table whose published means cover more trainings than were published one by one.

    On CIFAR-10 test, 2,356 cells have fewer single trainings than went into their mean (up to 2.2 points apart), so
    means are taken as published; single trainings serve the noise ceiling alone.

    Attributes:
        validation_means, test_means: [A] published means in percent.
    """

    validation_means: Floats
    test_means: Floats

    def validation(self, architectures: Asked) -> Floats:
        """Published mean validation accuracy: [A]."""
        return self.validation_means[self.rows(architectures)]

    def test(self, architectures: Asked) -> Floats:
        """Published mean test accuracy: [A]."""
        return self.test_means[self.rows(architectures)]


def unchanged(architecture: Architecture) -> Architecture:
    """Every string has a row of its own: equal functions were trained apart, and differ by noise."""
    return architecture


def load_nb201(dataset: str, epochs: int = 200) -> TableTruth:
    """Stand-alone accuracies on cifar10, cifar100 or imagenet16 (ImageNet16-120), rows in the table's order.

    Validation accuracies of cifar10 come from training on half of the training images (the table's cifar10-valid), test
    accuracies from training on all of them. Single trainings of 12 epochs are not in the table, so nothing is known of
    their noise.

    Args:
        dataset: which.
        epochs: 200, or 12: a recipe of its own.

    Raises:
        ConfigError: if the benchmark has no such dataset; DataError: if the table is missing, damaged, or was imported
            without this recipe.
    """
    require_open()
    if dataset not in PREFIX:
        raise ConfigError(f"space nb201 has no ground truth on dataset {dataset!r}; it has one on {', '.join(PREFIX)}")
    frame = sources.truth_table("nb201")
    prefix, short = PREFIX[dataset], "" if epochs == 200 else f"_{epochs}"
    if f"{prefix}_test{short}" not in frame:
        raise DataError(
            f"space nb201: the imported table has no trainings of {epochs} epochs; import it again from a file with "
            f"them ({prefix}_val_{epochs}, {prefix}_test_{epochs}), or choose recipe: 200"
        )
    single = range(SEED_COUNT) if epochs == 200 else range(0)

    def column(name: str) -> Floats:
        return np.asarray(frame[f"{prefix}_{name}"], dtype=np.float64)

    return PublishedMeans(
        architectures=np.array([list(map(int, text)) for text in frame["architecture"]], dtype=np.int8),
        validation_seeds=np.array([column(f"val_{seed}") for seed in single]).reshape(-1, len(frame)).T,
        test_seeds=np.array([column(f"test_{seed}") for seed in single]).reshape(-1, len(frame)).T,
        canonical=unchanged,
        source=f"NAS-Bench-201, {epochs} epochs, {dataset}; sha256 {sources.data_fingerprint('nb201')[:16]}",
        validation_means=column(f"val{short}"),
        test_means=column(f"test{short}"),
    )
