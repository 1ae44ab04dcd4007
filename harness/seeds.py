"""Paired seeds: a seed is a hash of what it is for, with the arm left out.

Every arm of a study therefore sees the same initial weights, data order and evaluated architectures, and a difference
between two arms has none of the scatter of these. A hash, and not a counter: what is drawn for one purpose does not
depend on what else has been drawn, so a new stage or arm changes no number of the others.
"""

from __future__ import annotations

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
        # Records hold numbers that were drawn by these words: another spelling of the text would change them all.
        text = f"{self.study}/{self.space}/{self.dataset}/{self.repetition}/{purpose}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1  # fits a signed 64-bit integer

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose, from their beginning at every call."""
        return np.random.default_rng(self.of(purpose))


def at_step(seed: int, step: int) -> np.random.Generator:
    """The random numbers of one training step: no state to save, so a resumed run draws what it would have drawn."""
    return np.random.default_rng((seed, step))
