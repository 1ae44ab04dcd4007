"""Output distance: operations after which a supernet says the same may share weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from splitbench.criteria.base import Affinity, Matrix, Probe
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.spaces.base import reaches
from splitbench.spaces.choices import with_operation


@dataclass(frozen=True)
class OutputDistance:
    """Distance between the class probabilities that two operations of an edge lead to, mean over images.

    After the clustering of architectures by their output vectors in hierarchical tree search for NAS (ICLR 2025
    submission). With p and q the softmax outputs of one image:

    - ``l2``: the Euclidean norm of p - q, from 0 to the root of 2;
    - ``l1``: sum |p - q|, from 0 to 2;
    - ``kl``: (KL(p || q) + KL(q || p)) / 2 in nats, without upper bound.

    Cost: repetitions x operations forward passes an edge; no labels, no backward pass. An operation that cuts the
    input off from the output is not measured in that context (nothing runs then, and nothing is charged); a pair that
    no context measured gets the mean of those that were.

    Attributes:
        repetitions: batches, each with one context for all operations of the edge.
        distance: ``l2``, ``kl`` or ``l1``.
    """

    repetitions: int = 100
    distance: Literal["l2", "kl", "l1"] = "l2"

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.repetitions < 1:
            raise ConfigError(
                f"criterion output_distance: repetitions must be 1 or more, not {self.repetitions}; 100 is usual"
            )

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        samples = np.full((self.repetitions, len(operations), len(operations)), np.nan)
        for r in range(self.repetitions):
            context = probe.context(edge, r)
            ran = [i for i, op in enumerate(operations) if reaches(probe.space, with_operation(context, edge, op))]
            if not ran:
                continue
            logits = torch.stack([probe.output(edge, operations[i], r, context) for i in ran])
            if not bool(torch.isfinite(logits).all()):
                raise SplitbenchError(
                    f"criterion output_distance: an output on edge {edge} is not finite; the supernet has diverged "
                    "before the split, so lower the trainer's learning rate"
                )
            samples[r][np.ix_(ran, ran)] = self.compare(logits)
        return Affinity.of(operations, samples)

    def compare(self, logits: Tensor) -> Matrix:
        """Logits [n, N, classes] -> mean distances [n, n]."""
        logs = logits.double().log_softmax(dim=2)
        probabilities = logs.exp()
        rows = []
        for log, p in zip(logs, probabilities, strict=True):  # row by row: all pairs at once need n times the memory
            gaps = p - probabilities
            if self.distance == "kl":
                each = (gaps * (log - logs)).sum(dim=2) / 2
            elif self.distance == "l1":
                each = gaps.abs().sum(dim=2)
            else:
                each = gaps.square().sum(dim=2).sqrt()
            rows.append(each.mean(dim=1))
        return np.asarray(torch.stack(rows).cpu().numpy())
