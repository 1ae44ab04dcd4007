"""Perturbation: operations whose removal costs the supernet equally much may share weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from splitbench.criteria.base import Affinity, Parts, Probe
from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Choice, Mixture, reaches
from splitbench.spaces.choices import with_operation


@dataclass(frozen=True)
class Perturbation:
    """Difference of the drops in validation accuracy when one operation or the other is masked on the edge.

    drop_o = A - A_without_o as in the selection of DARTS-PT (Wang et al., "Rethinking Architecture Selection in
    Differentiable NAS", ICLR 2021), and D(o, o') = |drop_o - drop_o'| = |A_without_o - A_without_o'|, so A itself is
    never needed. In percent of images, or in nats for ``metric: loss``.

    - Mixtures (as of DARTS): A_without_o is that of the trainer's whole mixture with o's weight set to 0. The other
      weights are left as they are, as released, unless ``renormalise``. Nothing is random, so there is one repetition
      and no standard error. Cost: one validation pass of the mixture an operation.
    - Paths: A is the mean over contexts and the operations of the edge of a single path's accuracy a_o(c), and
      A_without_o the mean over the other operations, so that with n operations the drops differ by
      |mean over contexts c of a_o(c) - a_o'(c)| / (n - 1). D(o, o') is this without the division, so that edges with
      different numbers of operations compare. Each operation runs once in each context, but not where it cuts the
      path: such paths are never trained. Cost: one validation pass of a path for each repetition and operation.

    Attributes:
        images: validation images a pass, from the front of their fixed order; all by default.
        repetitions: contexts, for a trainer of single paths.
        metric: top-1 ``accuracy``, or the cross-entropy ``loss``.
        renormalise: scale the other weights of the edge's mixture to their sum before the masking.
    """

    images: int | None = None
    repetitions: int = 10
    metric: Literal["accuracy", "loss"] = "accuracy"
    renormalise: bool = False

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.repetitions < 1:
            raise ConfigError(
                f"criterion perturbation: repetitions must be 1 or more, not {self.repetitions}; 10 is usual"
            )
        if self.images is not None and self.images < 1:
            raise ConfigError(
                f"criterion perturbation: images must be 1 or more, not {self.images}; leave it out for all of them"
            )

    def parts(self) -> Parts:
        """Groups of any size: equal sizes would pair the operations with the largest and the smallest drop."""
        return Parts(partitioner="max_cut")

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        if len(operations) == 1:  # nothing would be left of the edge
            return Affinity.assumed(operations, np.zeros((1, 1)))
        if isinstance(probe.context(edge, 0), Mixture):
            whole = probe.whole()
            values = np.array([[self.measured(probe, self.masked(whole, edge, op)) for op in operations]])
        else:
            contexts = [probe.context(edge, r) for r in range(self.repetitions)]
            values = np.array([[self.path(probe, with_operation(c, edge, op)) for op in operations] for c in contexts])
        return difference_of_means(operations, values)

    def path(self, probe: Probe, choice: Choice) -> float:
        """What is measured of a path; NaN if it is cut."""
        return self.measured(probe, choice) if reaches(probe.space, choice) else float("nan")

    def measured(self, probe: Probe, choice: Choice) -> float:
        accuracy, loss = probe.accuracy(choice, self.images)
        return accuracy if self.metric == "accuracy" else loss

    def masked(self, mixture: Mixture, edge: int, operation: int) -> Mixture:
        """The mixture without one operation on the edge."""
        others = [op for op in mixture.active.allowed[edge] if op != operation]
        weights = mixture.weights.clone()
        weights[edge, operation] = 0
        if self.renormalise:
            left, whole = weights[edge, others].sum(), mixture.weights[edge, [operation, *others]].sum()
            weights[edge, others] = weights[edge, others] * whole / left if left > 0 else whole / len(others)
        return Mixture(mixture.active.only(edge, others), weights)


def difference_of_means(operations: tuple[int, ...], values: npt.NDArray[np.float64]) -> Affinity:
    """|mean of x_o - x_o'| over repetitions, and the standard error of that mean.

    Args:
        operations: the n operation indices.
        values: x [repetitions, n]; NaN where it was not measured.
    """
    gaps = values[:, :, None] - values[:, None, :]
    signs = np.sign(np.nansum(gaps, axis=0))  # the mean of |gaps| would count their spread as a difference
    return Affinity.of(operations, gaps * np.where(signs == 0, 1.0, signs))
