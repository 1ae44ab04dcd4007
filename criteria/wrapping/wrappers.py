"""Criteria made of another criterion: its reverse, and a published setting around it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Criterion, Parts, Probe, parts_of, reads_truth, splits, unfit
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, build
from splitbench.spaces.base import SearchSpace


@dataclass(frozen=True)
class Wrapper:
    """What every criterion around another one passes on: whether it draws, reads the truth, or cannot serve a space.

    Attributes:
        of: the criterion inside; it pays for its passes as if it stood alone.
    """

    nested: ClassVar[Mapping[str, str]] = {"of": "criteria"}
    called: ClassVar[str]

    of: Spec

    def __post_init__(self) -> None:
        if not splits(self.inner):
            raise ConfigError(
                f"criterion {self.called}.of: {self.of!r} never splits, so it has no affinity; name a criterion that "
                "does, as gm"
            )

    @functools.cached_property
    def inner(self) -> Criterion:
        """The criterion inside, built once."""
        inner: Criterion = build("criteria", self.of, f"criterion {self.called}.of")
        return inner

    @property
    def draws(self) -> bool:
        return bool(getattr(self.inner, "draws", False))

    @property
    def reads_truth(self) -> bool:
        return reads_truth(self.inner)

    def unfit(self, space: SearchSpace) -> str | None:
        return unfit(self.inner, space)


@dataclass(frozen=True)
class Inverted(Wrapper):
    """The reverse of another criterion: what it would separate first stays together longest.

    D'(o, o') = max D - D(o, o') between different operations, with the maximum over the edge's pairs; standard errors
    stay, and worths of whole partitions are turned around in the same way. A control: a criterion that says something
    true must beat its own reverse. Each edge is turned around by its own maximum, so an edge rule that compares edges
    sees how far an edge's pairs lie below the largest. Parts and cost are those of the criterion inside.

    Attributes:
        of: any criterion that splits.
    """

    called: ClassVar[str] = "inverted"
    version: ClassVar[int] = 1

    of: Spec = "gm"

    def parts(self) -> Parts:
        return parts_of(self.inner)

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        affinity = self.inner(probe, edge)
        d = affinity.dissimilarity
        different = ~np.eye(len(d), dtype=bool)
        largest = d[different].max(initial=-np.inf)
        best = max((value for _, value in affinity.worth), default=0.0)
        return replace(
            affinity,
            dissimilarity=np.where(different, largest - d, 0.0),
            worth=tuple((groups, best - value) for groups, value in affinity.worth),
        )


def _synflow() -> dict[str, Any]:
    return {
        "name": "zero_cost",
        "proxy": {"name": "synflow", "log": False},
        "scored": "masked",
        "repetitions": 1,
        "weights": "initial",
        "relative": True,
    }


@dataclass(frozen=True)
class MetricDriven(Wrapper):
    """Metric-driven few-shot NAS (Ly-Manson et al., AutoML 2024) as one preset around any criterion.

    The first edges in order, one a level; two groups of any size with the largest raw cut; no training before the
    splits; every leaf starts afresh. With edges 0, 1, 2 that makes 8 leaves. The criterion inside says how far apart
    two operations are: for a scalar metric, its difference between the supernets masked to one operation or the other,
    at initial weights, relative to the supernet with nothing masked. Affinity and cost are those of the criterion
    inside; only the edge of a level is scored.

    The released code scores one batch of 16 images, and draws the metrics' networks by Kaiming's normal initialisation;
    here a batch is the trainer's, and the initial weights are those that the supernet starts from (torch's uniform
    ones). Its jacobcov is of gradients for parameters; ``jacov`` here is of gradients for images.

    Attributes:
        of: the metric, as a criterion.
        edges: the edge split at each level.
    """

    called: ClassVar[str] = "metric_driven"
    version: ClassVar[int] = 1

    of: Spec = field(default_factory=_synflow)
    edges: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.edges or min(self.edges) < 0 or len(set(self.edges)) < len(self.edges):
            raise ConfigError(
                "criterion metric_driven: edges must be a list of different edge indices from 0, one a level, not "
                f"{list(self.edges)}; name each edge once"
            )

    def parts(self) -> Parts:
        return Parts(
            partitioner="max_cut",
            edge_rule={"name": "fixed", "edges": self.edges},
            schedule={"levels": len(self.edges), "branching": 2, "warmup": 0.0, "weights": "restart", "share": "steps"},
        )

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return self.inner(probe, edge)
