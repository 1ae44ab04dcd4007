"""Rows of a leaderboard for estimates from files, measured on the populations that the arms ranked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY, ArmRuns, tables
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards, leaderboards_of, with_rows
from splitbench.results.boards.rows import BoardRow
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.loading import Loaded, StoredRun, read_estimates


def leaderboards_with(loaded: Loaded, given: Mapping[str, Mapping[str, float]]) -> Leaderboards:
    """The leaderboards of a folder, each with a row a file of estimates.

    Args:
        loaded: the folder's runs.
        given: name of the row -> function, as the space writes it -> estimate (higher is better).

    Raises:
        ConfigError: if a name is an arm's, or a file lacks a function that the arms ranked; StoreError: if the arms'
            own estimates cannot be read.
    """
    ordinary = leaderboards_of(loaded)
    boards = []
    for board, arms in zip(ordinary.boards, tables(loaded.runs, loaded.failed), strict=True):
        populations = {r: runs[0] for arm in reversed(arms) for r, runs in arm.repetitions.items()}
        boards.append(with_rows(board, [_row(board, arms, populations, *each) for each in given.items()]))
    return replace(ordinary, boards=tuple(boards))


def _row(
    board: Leaderboard,
    arms: tuple[ArmRuns, ...],
    populations: Mapping[int, StoredRun],
    name: str,
    estimates: Mapping[str, float],
) -> BoardRow:
    if name in {row.arm for row in board.rows}:
        raise ConfigError(f"--estimates {name}=: the leaderboard has a row of that name already; choose another")
    each = [_metrics(run, name, estimates) for run in populations.values()]
    shares = [
        tau / limit
        for run, metrics_here in zip(populations.values(), each, strict=True)
        if (tau := metrics_here[PRIMARY]) is not None
        and (limit := run.record.ceiling.get(PRIMARY)) is not None
        and limit > 0
    ]
    return BoardRow(
        arm=name,
        space=board.space,
        dataset=board.dataset,
        trainer=None,
        seeds=0,
        draws=0,
        runs=0,
        expected_runs=0,
        complete=True,
        baseline=False,
        outside=True,
        metrics={metric: _mean([metrics_here[metric] for metrics_here in each]) for metric in each[0]},
        of_ceiling=_mean(shares) if len(shares) == len(each) else None,
    )


def _metrics(run: StoredRun, name: str, estimates: Mapping[str, float]) -> dict[str, float | None]:
    """Of the architectures that a run ranked; those metrics that need neither FLOPs nor leaves."""
    import numpy as np

    from splitbench.results.measures import metrics

    frame = read_estimates(run)
    architectures = [str(architecture) for architecture in frame["architecture"]]
    if missing := [architecture for architecture in architectures if architecture not in estimates]:
        raise ConfigError(
            f"--estimates {name}=: the file lacks {len(missing):,} of the {len(architectures):,} functions that the "
            f"arms ranked in repetition {run.record.repetition}, as {missing[0]}; a row needs all of them"
        )
    score = np.unique([estimates[architecture] for architecture in architectures], return_inverse=True)[1]
    selection = run.record.selection
    return metrics.score_metrics(score, frame["truth_test"].to_numpy(np.float64), selection.test + selection.regret)


def _mean(values: Sequence[float | None]) -> Estimate | None:
    """The mean over the arms' populations, where each of them has a value."""
    defined = [value for value in values if value is not None]
    if not defined or len(defined) < len(values):
        return None
    return Estimate(math.fsum(defined) / len(defined), None, None, len(defined))
