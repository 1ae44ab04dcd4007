"""Ten thousand runs that fill a page as real ones do: six edges, curves of sixty points, two leaves, four phases."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pandas as pd
import pytest
from synthetic_records import make_record

from splitbench.results.records.loading import Loaded, StoredRun
from splitbench.results.records.record import Measured, PhaseCost, Record

POPULATION = 400
ARMS, SEEDS = 2_500, 4
CONTROLS = 50  # every so many arms, one is a random control
RANDOM = {
    "criteria": {"name": "random"},
    "partitioners": {"name": "random_groups"},
    "edge_rules": {"name": "random_edge"},
}
NAMES = [
    *("tau[all]", "rho[all]", "tau[top50%]", "tau[top10%]", "weighted_tau[all]", "ndcg[all]", "p@5%[all]"),
    *("br@10[all]", "regret[all]", "tau_loss[all]", "tau_in_leaf[all]", "tau_cross_leaf[all]"),
    "partial_tau[all|flops]",
]
PHASES = ("warm_up", "scoring", "training", "selection")
FRAME = pd.DataFrame(
    {
        "architecture": [f"{i:06d}" for i in range(POPULATION)],
        "leaf": [i % 2 for i in range(POPULATION)],
        "accuracy": [random.Random(i).uniform(10, 90) for i in range(POPULATION)],
        "truth_test": [random.Random(-i - 1).uniform(10, 90) for i in range(POPULATION)],
    }
)


@functools.cache
def crowded_page() -> bytes:
    """The page of 10,000 runs, built once a session."""
    from splitbench.results.page import page

    with pytest.MonkeyPatch.context() as patch:
        crowded(patch, ARMS, SEEDS)
        return page("unread")


def crowded(monkeypatch: pytest.MonkeyPatch, arms: int, seeds: int) -> None:
    """Let pages be made of these runs, whatever the folder: writing ten thousand files takes a minute."""
    monkeypatch.setattr("splitbench.results.page.load_runs", lambda folder: crowd(arms, seeds))
    monkeypatch.setattr("splitbench.results.page.run_details.read_estimates", lambda run: FRAME)


def _tree(rng: random.Random) -> dict[str, object]:
    def curve(start: int) -> list[tuple[int, float]]:
        return [(start + 6 * i, rng.uniform(0.5, 2.5)) for i in range(60)]

    def matrix() -> list[list[float]]:
        rows = [[0.0] * 5 for _ in range(5)]
        for i in range(5):
            for j in range(i):
                rows[i][j] = rows[j][i] = rng.random()
        return rows

    whole = [list(range(5))] * 6
    scores = {
        str(edge): {
            "operations": list(range(5)),
            "dissimilarity": matrix(),
            "standard_error": matrix(),
            "repetitions": 5,
            "groups": [[0, 1, 2], [3, 4]],
            "cut": rng.random(),
        }
        for edge in range(6)
    }
    halves = [[*whole[:5], group] for group in ([0, 1, 2], [3, 4])]
    leaves = [{"allowed": half, "stage": "b", "steps": 300, "curve": curve(300)} for half in halves]
    return {
        "allowed": whole,
        "stage": "a",
        "steps": 300,
        "curve": curve(0),
        "edges": [5],
        "scores": scores,
        "children": leaves,
    }


@functools.cache
def crowd(arms: int, seeds: int) -> Loaded:
    """``arms`` x ``seeds`` runs in one table, all split into groups of the same sizes; the first arm is the baseline,
    and one in fifty is a random control."""
    rng = random.Random(0)
    pattern = make_record(tree=_tree(rng))
    names = ["none", *(f"{'criterion' if i % CONTROLS else 'random'} {i:04d} of a study" for i in range(1, arms))]
    runs = []
    for name in sorted(names):
        level = rng.uniform(0.3, 0.7)
        for repetition in range(seeds):
            record, measured = _run(pattern, name, repetition, seeds, level, rng)
            runs.append(StoredRun(record, measured, Path(f"{name}--r{repetition}-d0.json")))
    return Loaded(tuple(runs), ())


def _run(
    pattern: Record, name: str, repetition: int, seeds: int, level: float, rng: random.Random
) -> tuple[Record, Measured]:
    metrics = {metric: level + rng.uniform(-0.1, 0.1) for metric in NAMES}
    cost = {
        phase: PhaseCost(flops=rng.randrange(10**9, 10**10), steps=rng.randrange(900), examples=rng.randrange(50_000))
        for phase in PHASES
    }
    selection = pattern.selection.model_copy(
        update={"test": rng.uniform(80, 90), "regret": rng.uniform(1, 9), "oracle": rng.uniform(85, 93)}
    )
    record = pattern.model_copy(
        update={
            "arm": name,
            "repetition": repetition,
            "baseline": name == "none",
            "expected_runs": seeds,
            "metrics": metrics,
            "validation_metrics": {metric: value + 0.01 for metric, value in metrics.items()},
            "cost": cost,
            "selection": selection,
            "config": {
                "arm": RANDOM if name.startswith("random") else {"criteria": {"name": name}},
                "study": {"seeds": seeds},
            },
        }
    )
    seconds = {phase: rng.uniform(1, 9) for phase in (*PHASES, "measurement")}
    return record, Measured(seconds=seconds, peak_bytes=rng.randrange(2**30), device="cpu", torch="2.13.0", threads=1)
