"""Zero-cost splitting: operations that a proxy scores alike may share weights."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from criteria.base import Affinity, Matrix, Probe, unfit
from criteria.proxies.base import Proxy, Scores, combined
from harness.errors import ConfigError
from harness.registry import Spec, build
from spaces.base import Choice, SearchSpace, reaches, with_operation


@dataclass(frozen=True)
class ZeroCost:
    """Difference of a zero-cost proxy between two operations of an edge: D(o, o') = mean over r of |f_r(o) - f_r(o')|.

    On masked supernets: Ly-Manson et al., "Analyzing Few-Shot Neural Architecture Search in a Metric-Driven
    Framework", AutoML 2024. On single paths the other edges are the same for all operations of a repetition, so the
    differences are paired. Cost: repetitions x operations scores of the proxy (one more score a repetition if
    ``relative``); what a score costs in passes, the proxy says.

    All scores of an edge are one pool for a proxy whose score depends on the set that is compared. A network that is
    cut off (``none`` may cut a path) is not scored, as nothing is compared there by the other criteria either, and a
    score that is not finite is left out: their pairs are not measured in that repetition. A pair that no repetition
    measured gets the mean of all that were, since the scale is the proxy's.

    Attributes:
        proxy: what scores.
        scored: ``paths``: the operation alone on the edge, in a context of the trainer's kind on the others;
            ``masked``: the supernet with everything it allows, but this operation alone on the edge.
        repetitions: batches, each with its own context on ``paths``. A proxy without data says the same of a masked
            supernet each time; one repetition is enough then.
        weights: ``trained`` as they are at the split, or ``initial`` as the supernet started.
        relative: divide by the absolute score of the supernet with nothing masked.
    """

    nested: ClassVar[Mapping[str, str]] = {"proxy": "proxies"}

    proxy: Spec = "synflow"
    scored: Literal["paths", "masked"] = "paths"
    repetitions: int = 10
    weights: Literal["trained", "initial"] = "trained"
    relative: bool = False

    def __post_init__(self) -> None:
        if self.repetitions < 1:
            raise ConfigError(
                f"criterion zero_cost: repetitions must be 1 or more, not {self.repetitions}; 10 is usual on paths"
            )

    @functools.cached_property
    def scorer(self) -> Proxy:
        """The proxy itself."""
        scorer: Proxy = build("proxies", self.proxy, "criterion zero_cost.proxy")
        return scorer

    def unfit(self, space: SearchSpace) -> str | None:
        """Why the proxy cannot serve the space."""
        return unfit(self.scorer, space)

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.subspace.allowed[edge]
        terms: list[list[Scores | None]] = []
        for r in range(self.repetitions):
            context = probe.whole() if self.scored == "masked" else probe.context(edge, r)
            choices = [with_operation(context, edge, op) for op in operations]
            if self.relative:
                choices.append(probe.whole())
            terms.append([self.score(probe, choice, r) for choice in choices])
        scores = pooled(self.scorer, terms)
        if self.relative:
            reference = np.abs(scores[:, -1:])
            scores = scores[:, :-1] / np.where(reference > 0, reference, np.nan)
        samples: Matrix = np.abs(scores[:, :, None] - scores[:, None, :])
        measured = samples[:, ~np.eye(len(operations), dtype=bool)]
        measured = measured[~np.isnan(measured)]
        return Affinity.of(operations, samples, undefined=float(measured.mean()) if len(measured) else 0.0)

    def score(self, probe: Probe, choice: Choice, repetition: int) -> Scores | None:
        """The proxy's terms [k]; None for a network that is cut off, whose score would be a convention of the proxy."""
        if not reaches(probe.space, choice):
            return None
        return probe.score(self.scorer, choice, repetition, initial=self.weights == "initial")


def pooled(proxy: Proxy, terms: Sequence[Sequence[Scores | None]]) -> Scores:
    """Scores [repetitions, networks] of one pool from terms, [k] for each; NaN where there are none, or one is not
    finite."""
    flat = [one for row in terms for one in row]
    scored = [i for i, one in enumerate(flat) if one is not None and np.isfinite(one).all()]
    scores = np.full(len(flat), np.nan)
    if scored:
        scores[scored] = combined(proxy, np.array([flat[i] for i in scored]))
    scores[~np.isfinite(scores)] = np.nan
    return scores.reshape(len(terms), -1)
