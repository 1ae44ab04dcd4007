"""Random search with parameter sharing: single-path uniform training.

Li and Talwalkar, UAI 2019; Guo et al., ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from splitbench.harness.seeds import at_step
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.sgd import SgdSession, SgdTrainer
from splitbench.spaces.base import Choice, SearchSpace, SubSpace


@dataclass(frozen=True)
class Rsps(SgdTrainer):
    """Single-path uniform training: each step trains one random connected architecture, shared by all cells.

    Drawn from what the supernet's leaf ranks, by strings or by functions as the study's ``sampling`` says.

    SGD with Nesterov momentum, cosine learning rate over the arm's whole budget, clipped gradients.

    Attributes:
        batch_size: images a training step.
        learning_rate, final_learning_rate: where the cosine starts, and where it ends with the arm's budget.
        momentum: Nesterov's; 0 for none.
        weight_decay: times the weights, added to their gradients.
        clip: the largest norm that a step's gradient keeps, over all weights together.
    """

    version: ClassVar[int] = 3
    single_path: ClassVar[bool] = True

    def open(self, job: Job) -> RspsSession:
        return RspsSession(self, job)

    def context(
        self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: np.random.Generator
    ) -> Choice:
        return space.sample(rng, subspace)


class RspsSession(SgdSession):
    """Rsps at work."""

    def choices(self, step: int) -> Sequence[Choice]:
        return [self.job.sample(at_step(self.job.seed, step))]
