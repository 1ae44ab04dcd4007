"""The rank-sum of any two rankers of a leaderboard: two arms, or an arm and FLOPs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY, ArmRuns, tables
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards, with_baselines
from splitbench.results.boards.rows import BoardRow, summed_row, whole_interval
from splitbench.results.measures.families import family
from splitbench.results.records.loading import Loaded, StoredRun, read_estimates

if TYPE_CHECKING:
    from splitbench.results.measures.metrics import Floats, Metrics

FLOPS = "flops"


def with_rank_sum(boards: Leaderboards, loaded: Loaded, first: str, second: str) -> Leaderboards:
    """The leaderboards of these runs, with a row that ranks by the sum of two rankers' ranks.

    A ranker is an arm's name, or ``flops``. A table that lacks one of them stays as it is.

    Raises:
        ConfigError: if no table has both, or they are one; StoreError: if estimates cannot be read.
    """
    if first == second:
        raise ConfigError(f"--rank-sum {first} {second}: these are one ranker; name two")
    arms = tables(loaded.runs, loaded.failed)
    rows = [_row(board, own, first, second) for board, own in zip(boards.boards, arms, strict=True)]
    if not any(rows):
        known = sorted({FLOPS, *(arm.name for own in arms for arm in own if arm.complete)})
        raise ConfigError(
            f"--rank-sum {first} {second}: no table has complete runs of both; there are: {', '.join(known)}"
        )
    pairs = zip(boards.boards, rows, strict=True)
    return replace(boards, boards=tuple(board if row is None else with_baselines(board, [row]) for board, row in pairs))


def _row(board: Leaderboard, arms: Sequence[ArmRuns], first: str, second: str) -> BoardRow | None:
    complete: dict[str, Mapping[int, Sequence[StoredRun]]] = {arm.name: arm.repetitions for arm in arms if arm.complete}
    rankers = [complete[name] for name in (first, second) if name != FLOPS and name in complete]
    if len(rankers) < 2 - (FLOPS in (first, second)):
        return None
    turns = sorted(set.intersection(*(set(own) for own in rankers)))
    if not turns:
        return None
    each = [_averaged([own[turn] for own in rankers]) for turn in turns]
    ceilings = [rankers[0][turn][0].record.ceiling.get(PRIMARY) for turn in turns]
    shares = [
        None if tau is None or not limit else tau / limit
        for tau, limit in zip((own[PRIMARY] for own in each), ceilings, strict=True)
    ]
    return summed_row(
        f"{first} + {second}",
        (board.space, board.dataset),
        seeds=len(turns),
        metrics={name: whole_interval([own[name] for own in each], family(name).range) for name in each[0]},
        of_ceiling=whole_interval(shares),
    )


def _averaged(runs: Sequence[Sequence[StoredRun]]) -> Metrics:
    """Of one seed, averaged over all combinations of its draws; None where one combination lacks the value."""
    each = [_metrics(pair) for pair in itertools.product(*runs)]
    averaged: Metrics = {}
    for name in each[0]:
        values = [value for own in each if (value := own[name]) is not None]
        averaged[name] = math.fsum(values) / len(values) if len(values) == len(each) else None
    return averaged


def _metrics(runs: Sequence[StoredRun]) -> Metrics:
    """Of one arm's run and FLOPs, or of two arms' runs of one seed."""
    import numpy as np

    from splitbench.results.measures import metrics, ranking

    frames = [read_estimates(run).set_index("architecture") for run in runs]
    order = frames[0].index
    if any(set(frame.index) != set(order) for frame in frames):
        arms = " and ".join(run.record.arm for run in runs)
        raise ConfigError(f"--rank-sum: {arms} did not rank the same architectures")
    scores: list[Floats] = []
    for frame in frames:
        own = frame.loc[order]
        scores.append(
            metrics.lexicographic_score(own["accuracy"].to_numpy(np.float64), own["loss"].to_numpy(np.float64))
        )
    flops = frames[0][FLOPS].to_numpy(np.float64) if FLOPS in frames[0] else None
    if len(scores) == 1:
        if flops is None:
            raise ConfigError(
                f"--rank-sum: {runs[0].path} is of a version that did not keep FLOPs; run the study again, or name two "
                "arms"
            )
        scores.append(flops)
    selection = runs[0].record.selection
    truth = frames[0]["truth_test"].to_numpy(np.float64)
    return metrics.score_metrics(ranking.rank_sum(*scores), truth, selection.test + selection.regret, flops)
