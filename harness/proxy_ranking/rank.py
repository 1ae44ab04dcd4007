"""Zero-cost proxies as rankers: which architectures are ranked, and how well their scores agree with the ground truth.

Test accuracies are read in this module alone, after everything has been scored (harness/proxy_ranking/scoring.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy import stats

from splitbench.criteria.proxies.base import Proxy, combined
from splitbench.harness.errors import ConfigError, DataError
from splitbench.harness.proxy_ranking.scoring import RankingJob, proxy_label
from splitbench.harness.registry import Spec, build
from splitbench.harness.stages.score_networks import NetworkScore
from splitbench.results.measures import ranking
from splitbench.spaces.base import Architecture, SearchSpace
from splitbench.spaces.functions import listed
from splitbench.spaces.truth import closed, open_truth

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
POPULATIONS = ("strings", "functions")
DRAWS = 1000
_PERMUTED = 10**6  # larger spaces are sampled without listing them


def pool(space: SearchSpace, population: str, count: int | None, seed: int) -> list[Architecture]:
    """A uniform sample without repetition, in random order: of all strings of the space, disconnected ones included,
    or of its distinct connected functions. A smaller sample of the same seed is the beginning of a larger one.

    Args:
        space: the space.
        population: ``strings`` or ``functions``.
        count: how many; all, if None or if there are no more.
        seed: of the sample.

    Raises:
        ConfigError: if there is no such population of this space, or no architecture is asked for.
    """
    if population not in POPULATIONS:
        raise ConfigError(f"--population {population}: there are: {', '.join(POPULATIONS)}")
    if count is not None and count < 1:
        raise ConfigError(f"--sample {count}: at least 1 architecture is needed")
    root = space.root()
    rng = np.random.default_rng((seed, 0x706F6F6C))
    if population == "functions" and not space.can_list:
        if count is None:
            raise ConfigError(
                f"--population functions: those of space {space.name} cannot be listed; name a number with --sample"
            )
        return list(islice(space.drawn_functions(rng, root), count))
    if population == "functions":
        rows = listed(space, root)
        return [tuple(rows[i].tolist()) for i in _first(len(rows), count, rng)]
    if not space.every_string:
        raise ConfigError(
            f"--population strings: most strings of space {space.name} are no architectures, because a rule holds "
            "between its edges; take --population functions"
        )
    return [_string(number, root.allowed) for number in _first(root.size, count, rng)]


def _first(size: int, count: int | None, rng: np.random.Generator) -> list[int]:
    count = size if count is None else min(count, size)
    if size <= _PERMUTED:
        numbers: list[int] = rng.permutation(size)[:count].tolist()
        return numbers
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn.setdefault(int.from_bytes(rng.bytes(32), "big") % size)
    return list(drawn)


def _string(number: int, allowed: Sequence[Sequence[int]]) -> Architecture:
    digits = []
    for operations in reversed(allowed):
        number, digit = divmod(number, len(operations))
        digits.append(operations[digit])
    return tuple(reversed(digits))


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its sampling error, by bootstrap over functions.

    Attributes:
        value: on the sample.
        error: standard deviation over the draws; None, as the next, for architectures of a single function, which
            have no spread.
        low, high: 2.5th and 97.5th percentile of the draws.
    """

    value: float
    error: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RankedProxy:
    """One proxy as a ranker.

    Attributes:
        proxy: its label.
        tau, rho: Kendall's tau-b and Spearman's correlation with stand-alone test accuracy; None where the scores
            are constant.
        architectures: how many were compared.
        unanswered: how many of them have no score, or none that is finite: they count as the worst.
        forward, backward: mean passes, in batches of the job's size.
        flops: mean FLOPs charged.
        milliseconds: mean time of one network, its making included.
    """

    proxy: str
    tau: Correlation | None
    rho: Correlation | None
    architectures: int
    unanswered: int
    forward: float
    backward: float
    flops: float
    milliseconds: float


def pooled_scores(spec: Spec, scores: Mapping[str, NetworkScore]) -> Floats:
    """One score a network [A], higher is better: terms of set-dependent proxies are combined over all that are given.

    A score that is missing or infinite becomes minus infinity, so that such a network never ranks as the best.
    """
    together = np.array([scored.terms for scored in scores.values()], dtype=np.float64)
    proxy: Proxy = build("proxies", spec, "proxy")
    with closed():
        values = np.asarray(combined(proxy, together), dtype=np.float64)
    return np.where(np.isnan(values), -np.inf, values)


def stand_alone_accuracies(job: RankingJob, architectures: Sequence[Architecture]) -> Floats:
    """Stand-alone test accuracies [A], percent.

    Raises:
        DataError: if there is no ground truth, or it lacks one of the architectures.
    """
    space, dataset = job.built
    truth = open_truth(space, dataset.name)
    try:
        return truth.test(architectures)
    except KeyError as error:
        raise DataError(
            f"the ground truth of {space.name} on {dataset.name} lacks an architecture of the sample; "
            "take --population functions"
        ) from error


def measure_proxies(
    job: RankingJob, proxies: Sequence[Spec], scores: Mapping[str, Mapping[str, NetworkScore]], draws: int = DRAWS
) -> list[RankedProxy]:
    """Compare every proxy with the ground truth, on the architectures that were scored.

    A set-dependent proxy is combined once, over the whole sample; the bootstrap over functions draws from the combined
    scores.
    """
    space = job.bound
    measured = []
    for spec in proxies:
        networks = scores[proxy_label(spec)]
        architectures = [space.decode(name) for name in networks]
        values, truth, same = (
            pooled_scores(spec, networks),
            stand_alone_accuracies(job, architectures),
            functions_of(space, architectures),
        )
        passes = np.array([(s.forward, s.backward, s.milliseconds) for s in networks.values()])
        flops = [scored.flops(space) for scored in networks.values()]
        forward, backward, milliseconds = passes.mean(axis=0).tolist()
        measured.append(
            RankedProxy(
                proxy_label(spec),
                rank_correlation(ranking.tau_b, values, truth, same, draws),
                rank_correlation(fast_spearman, values, truth, same, draws),
                len(networks),
                int(sum(not np.isfinite(s.terms).all() for s in networks.values())),
                forward / job.batch_size,
                backward / job.batch_size,
                float(np.mean(flops)),
                milliseconds,
            )
        )
    return measured


def functions_of(space: SearchSpace, architectures: Sequence[Architecture]) -> Integers:
    """The number [A] of each architecture's function, from 0 on; all disconnected architectures have one number."""
    known: dict[Architecture | None, int] = {}
    keys = (space.function(a) if space.connected(a) else None for a in architectures)
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def rank_correlation(
    statistic: Callable[[Floats, Floats], float | None],
    score: Floats,
    truth: Floats,
    functions: Integers,
    draws: int = DRAWS,
) -> Correlation | None:
    """A rank correlation, and its spread over bootstrap samples of the functions (a fixed seed).

    A bootstrap over architectures would take strings of one function for independent ones and make intervals too
    narrow. So functions are drawn, as many as there are, with replacement; each brings all of its architectures.

    Args:
        statistic: of two vectors [A].
        score, truth: [A]; a score may be infinite.
        functions: [A], equal for architectures that are drawn together (:func:`functions_of`).
        draws: bootstrap samples.
    """
    ranks = np.unique(score, return_inverse=True)[1].astype(np.float64)
    value = statistic(ranks, truth)
    if value is None:
        return None
    number = np.unique(functions, return_inverse=True)[1]
    members = [np.flatnonzero(number == group) for group in range(number.max() + 1)]
    rng, again = np.random.default_rng(0), []
    for drawn in rng.integers(len(members), size=(draws, len(members))):
        rows = np.concatenate([members[group] for group in drawn])
        again.append(statistic(ranks[rows], truth[rows]))
    resampled = np.array([correlation for correlation in again if correlation is not None])
    if len(members) < 2 or len(resampled) < 2:
        return Correlation(value, None, None, None)
    low, high = np.percentile(resampled, [2.5, 97.5]).tolist()
    return Correlation(value, float(resampled.std(ddof=1)), low, high)


def fast_spearman(score: Floats, truth: Floats) -> float | None:
    """Spearman's correlation, without the test of significance that makes scipy's too slow to draw a thousand."""
    if ranking.constant(score) or ranking.constant(truth):
        return None
    return float(np.corrcoef(stats.rankdata(score), stats.rankdata(truth))[0, 1])
