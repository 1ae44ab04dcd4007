"""The ground truth of nb201: stand-alone accuracies after 200 epochs, for all 15,625 strings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitbench.harness.errors import ConfigError
from splitbench.spaces import sources
from splitbench.spaces.base import Architecture
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


def identity(architecture: Architecture) -> Architecture:
    """Every string has a row of its own: equal functions were trained apart, and differ by noise."""
    return architecture


def load(dataset: str) -> TableTruth:
    """Stand-alone accuracies on cifar10, cifar100 or imagenet16 (ImageNet16-120), rows in the table's order.

    Validation accuracies of cifar10 come from training on half of the training images (the table's cifar10-valid), test
    accuracies from training on all of them.

    Raises:
        ConfigError: if the benchmark has no such dataset; DataError: if the table is missing or damaged.
    """
    require_open()
    if dataset not in PREFIX:
        raise ConfigError(f"space nb201 has no ground truth on dataset {dataset!r}; it has one on {', '.join(PREFIX)}")
    frame = sources.table("nb201")
    prefix = PREFIX[dataset]

    def column(name: str) -> Floats:
        return np.asarray(frame[f"{prefix}_{name}"], dtype=np.float64)

    return PublishedMeans(
        architectures=np.array([list(map(int, text)) for text in frame["architecture"]], dtype=np.int8),
        validation_seeds=np.stack([column(f"val_{seed}") for seed in range(SEED_COUNT)], axis=1),
        test_seeds=np.stack([column(f"test_{seed}") for seed in range(SEED_COUNT)], axis=1),
        canonical=identity,
        source=f"NAS-Bench-201, 200 epochs, {dataset}; sha256 {sources.fingerprint('nb201')[:16]}",
        validation_means=column("val"),
        test_means=column("test"),
    )
