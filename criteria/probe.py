"""What a criterion gets: the probe, through which alone it runs the supernet, and which charges every pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from splitbench.criteria.proxies.base import Proxy, Scores
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace
from splitbench.spaces.truth import GroundTruth


class Probe(Protocol):
    """The only way for a criterion to touch a supernet; every pass is charged to the arm's scoring phase.

    Repetition r gives the same batch for every edge and operation, and the same context for every operation of an
    edge, whatever the criterion: all comparisons are paired.
    """

    @property
    def space(self) -> SearchSpace:
        """The search space (topology, counts); no ground truth."""

    @property
    def subspace(self) -> SubSpace:
        """What the probed supernet still allows."""

    def operations(self, edge: int) -> tuple[int, ...]:
        """The operations of ``edge`` to compare, ascending: those that a split separates. An affinity's operations are
        exactly these. Where some stay in every child (as ``none`` on the edges of DARTS), they are fewer than
        ``subspace.allowed[edge]``; contexts and mixtures still run all."""

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of this node of the split tree and this purpose, the same in every arm (and new in every draw
        of an arm that has draws). Each call starts the stream anew: name the edge in the purpose where edges differ."""

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        """Training images [N, C, H, W] with training augmentation, and labels [N]."""

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        """What runs on the other edges: a path for single-path trainers, a mixture for others.

        Args:
            edge: the probed edge; its own entry is whatever was drawn.
            repetition: which context.
            connected: redraw until every one of :meth:`operations` that puts something on the edge leaves input and
                output connected;
                otherwise only the drawn architecture itself is connected, as released code has it.
        """

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        """Gradient of the cross-entropy for all weights that the edge's operations share, with ``operation`` alone
        on ``edge`` (weight 1): flat [P], zeros for weights that did not run; None if all of it is zero,
        or if the operation cuts the input off from the output (nothing runs then, and nothing is charged).
        Of operations that are slices of one weight: the slice that all operations allowed on the edge use.

        ``outer=False`` leaves out the first layer, the last normalisation and the classifier.
        """

    def lengths(self, edge: int, outer: bool = True) -> Sequence[int]:
        """Entries of each shared parameter tensor (or shared slice of one), in the order of :meth:`gradient`; they sum
        to P. Costs nothing."""

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        """Logits [N, classes] with ``operation`` alone on ``edge``; forward only."""

    def features(self, edge: int, operation: int, repetition: int, context: Choice) -> list[Tensor]:
        """What each cell, and each layer between cells, puts out with ``operation`` alone on ``edge``: each
        [N, C, H, W], from input to output; forward only."""

    def pullbacks(self, edge: int, repetition: int, context: Choice) -> list[Tensor | None]:
        """What each of :meth:`operations` sends back to the input of ``edge`` when all run as one mixture.

        One forward and one backward pass give all of them. With y = sum of w_o o(x) on the edge, entry o is
        w_o J_o^T dL/dy, flat, over all cells and images; None if it is zero or the operation has no module. A path as
        context gives all operations the same weight, a mixture its own.

        Raises:
            SplitbenchError: where operations have no modules of their own; declare needs = ("separate_operations",).
        """

    def whole(self) -> Mixture:
        """The supernet with everything it allows: the trainer's own mixture, or equal weights for one that has none."""

    def accuracy(self, choice: Choice, images: int | None = None) -> tuple[float, float]:
        """Top-1 accuracy in percent and cross-entropy on fixed, unaugmented validation images.

        Args:
            choice: a path or a mixture.
            images: how many, from the front of their fixed order; all by default.
        """

    def score(self, proxy: Proxy, choice: Choice, repetition: int, initial: bool = False) -> Scores:
        """The terms [k] of a zero-cost proxy on the batch of ``repetition``; ``combined`` (criteria.proxies.base) makes
        one number of them.

        Args:
            proxy: the proxy.
            choice: a path or a mixture of the supernet.
            repetition: which batch.
            initial: on the weights that the supernet started from, not on those it has now.
        """

    def truth(self) -> GroundTruth:
        """The ground truth. For criteria that declare ``reads_truth``: the oracle controls, and nobody else.

        Raises:
            ConfigError: for any other criterion.
        """
