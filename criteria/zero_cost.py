"""Zero-cost splitting: operations that a proxy scores alike may share weights."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.stats import rankdata

from splitbench.criteria.base import Affinity, Matrix, Parts, Probe
from splitbench.criteria.proxies.base import Proxy, Scores, combined, unfit_proxy
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, build, split_spec
from splitbench.spaces.base import Choice, SearchSpace, reaches
from splitbench.spaces.choices import with_operation


@dataclass(frozen=True)
class ZeroCost:
    """Difference of a zero-cost proxy between two operations of an edge: D(o, o') = mean over r of |f_r(o) - f_r(o')|.

    On masked supernets: Ly-Manson et al., "Analyzing Few-Shot Neural Architecture Search in a Metric-Driven
    Framework", AutoML 2024. On single paths the other edges are the same for all operations of a repetition, so the
    differences are paired. Cost: repetitions x operations scores of the proxy (one more score a repetition if
    ``relative``); what a score costs in passes, the proxy says.

    All scores of an edge are one pool for a proxy whose score depends on the set that is compared. A network that is
    cut off (``none`` may cut a path) is not scored, as nothing is compared there by the other criteria either, and a
    score that is not finite is left out: their pairs are not measured in that repetition. Where none is finite, the run
    fails. A mean of absolute
    differences counts noise as difference: proxies whose score depends on the batch have a floor that does not fall
    with repetitions. Where contexts are a mixture that never changes, repetitions of a proxy without data are all the
    same: take one.

    Attributes:
        proxy: what scores.
        scored: ``paths``: the operation alone on the edge, in a context of the trainer's kind on the others;
            ``masked``: the supernet with everything it allows, but this operation alone on the edge.
        repetitions: batches, each with its own context on ``paths``. A proxy without data says the same of a masked
            supernet each time; one repetition is enough then.
        weights: ``trained`` as they are at the split, or ``initial`` as the supernet started.
        relative: divide by the absolute score of the supernet with nothing masked.
        scale: compare scores, or their ranks over all contexts and operations of the edge (0 to 1): for proxies that
            leave their scale where a network is nearly linear, such as jacov, ntk, nwot and linear_regions, one such
            context would decide otherwise. Ranks lose the edge's scale, so edges compare by order alone.
    """

    nested: ClassVar[Mapping[str, str]] = {"proxy": "proxies"}
    version: ClassVar[int] = 1

    proxy: Spec = "synflow"
    scored: Literal["paths", "masked"] = "paths"
    repetitions: int = 10
    weights: Literal["trained", "initial"] = "trained"
    relative: bool = False
    scale: Literal["value", "rank"] = "value"

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

    def parts(self) -> Parts:
        """Groups of any size, as in metric-driven few-shot NAS: equal sizes would pair the two ends of the scores.

        Raises:
            ConfigError: if ranks were to be divided by a rank.
        """
        if self.relative and (self.scale == "rank" or hasattr(self.scorer, "combine")):
            raise ConfigError(
                "criterion zero_cost: relative divides by a score, and one cannot divide by ranks; use scale: value "
                "and a proxy that does not rank, or leave relative out"
            )
        return Parts(partitioner="max_cut")

    def unfit(self, space: SearchSpace) -> str | None:
        """Why the proxy cannot serve the space."""
        return unfit_proxy(self.scorer, space)

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        terms: list[list[Scores | None]] = []
        for r in range(self.repetitions):
            context = probe.whole() if self.scored == "masked" else probe.context(edge, r)
            choices = [with_operation(context, edge, op) for op in operations]
            if self.relative:
                choices.append(probe.whole())
            terms.append([self.score(probe, choice, r) for choice in choices])
        scores = pool_terms(self.scorer, terms)
        scored = sum(term is not None for row in terms for term in row)
        if scored and np.isnan(scores).all():
            name = split_spec(self.proxy, "proxy")[0]
            raise ConfigError(
                f"criterion zero_cost: the proxy {name} gives no finite score for any of the {scored} networks of edge "
                f"{edge}, so there is nothing to split by; take another proxy, or mend this one"
            )
        if self.relative:
            reference = np.abs(scores[:, -1:])
            scores = scores[:, :-1] / np.where(reference > 0, reference, np.nan)
        if self.scale == "rank":
            scores = rank_shares(scores)
        samples: Matrix = np.abs(scores[:, :, None] - scores[:, None, :])
        return Affinity.of(operations, samples)

    def score(self, probe: Probe, choice: Choice, repetition: int) -> Scores | None:
        """The proxy's terms [k]; None for a network that is cut off, whose score would be a convention of the proxy."""
        if not reaches(probe.space, choice):
            return None
        return probe.score(self.scorer, choice, repetition, initial=self.weights == "initial")


def rank_shares(scores: Scores) -> Scores:
    """Ranks of scores [repetitions, networks] among all of them, from 0 to 1; NaN stays, ties share their mean."""
    ranks = np.full_like(scores, np.nan)
    known = ~np.isnan(scores)
    if (count := int(known.sum())) > 1:
        ranks[known] = (rankdata(scores[known]) - 1) / (count - 1)
    return ranks


def pool_terms(proxy: Proxy, terms: Sequence[Sequence[Scores | None]]) -> Scores:
    """Scores [repetitions, networks] of one pool from terms, [k] for each; NaN where there are none, or one is not
    finite."""
    flat = [term for row in terms for term in row]
    scored = [i for i, term in enumerate(flat) if term is not None]
    scores = np.full(len(flat), np.nan)
    if scored:
        scores[scored] = combined(proxy, np.array([flat[i] for i in scored]))
    return scores.reshape(len(terms), -1)
