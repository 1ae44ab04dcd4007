"""Paired seeds: a seed is a hash of what it is for, with the arm left out.

Every arm of a study therefore sees the same initial weights, data order and evaluated architectures.
"""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seeds:
    """The seeds of one repetition of a study.

    Attributes:
        study: the study's seed.
        space, dataset: their names.
        repetition: counts from 0.
    """

    study: int
    space: str
    dataset: str
    repetition: int

    def of(self, purpose: str) -> int:
        """A 63-bit seed for one purpose, e.g. ``initial weights``."""
        text = f"{self.study}/{self.space}/{self.dataset}/{self.repetition}/{purpose}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(self.of(purpose))


def at_step(seed: int, step: int) -> np.random.Generator:
    """The random numbers of one training step: no state to save, so a resumed run draws what it would have drawn."""
    return np.random.default_rng((seed, step))
