"""Synthetic records of unsplit supernets, with the configuration that a real record has."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from synthetic_records import make_record

from splitbench.results.records.record import Record

CONFIG: dict[str, Any] = {
    "study": {
        "seed": 0,
        "population": {"sample": 40},
        "evaluation": {"images": None, "batch_size": 1000},
        "schedule": {"levels": 1, "branching": 2, "warmup": 0.3, "weights": "inherit", "share": "sampler"},
        "sampling": "strings",
        "scoring": "charged",
        "leaf_choice": "best_estimate",
        "selector": {"name": "random_best", "samples": 20},
    },
    "arm": {
        "criteria": {"name": "none", "fingerprint": "none-1"},
        "trainers": {"name": "rsps", "fingerprint": "rsps-1", "batch_size": 64, "learning_rate": 0.1},
        "selectors": {"name": "random_best", "fingerprint": "random_best-1", "samples": 20},
        "leaf_choices": {"name": "best_estimate", "fingerprint": "best_estimate-1"},
        "modifiers": [],
        "schedule": {"levels": 1, "branching": 2, "warmup": 0.3, "weights": "inherit", "share": "sampler"},
    },
    "common": {
        "space": {"name": "micro", "fingerprint": "micro-1"},
        "dataset": {"name": "digits", "fingerprint": "digits-1"},
        "precision": "float32",
        "device": "cpu",
    },
}
BEST = 90.0


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """``CONFIG`` with values at dotted keys replaced; ``None`` takes a key away."""
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = config
        for part in path:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return config


def supernets(
    taus: Sequence[float | None],
    steps: int = 100,
    arm: str = "none",
    first: int = 0,
    best: float = BEST,
    config: Mapping[str, Any] | None = None,
    **changes: Any,
) -> list[Record]:
    """The runs of an unsplit arm, a repetition each from ``first`` on; its budget is 1e6 flops a step."""
    found = []
    for repetition, tau in enumerate(taus, start=first):
        record = make_record(arm, repetition, tau).model_dump(mode="json")
        given = {
            "expected_runs": len(taus),
            "config": changed(config or {}),
            "population": "a uniform sample of 40 distinct connected functions",
            "population_size": 40,
            "tree": {"allowed": [[0, 1]], "stage": "abc", "steps": steps},
            "budget": {"kind": "flops", "limit": steps * 1e6, "spent": steps * 1e6},
            "selection": record["selection"] | {"regret": best - record["selection"]["test"]},
            "cost": {"training": {"flops": steps * 10**6, "steps": steps, "examples": steps * 64}},
            **changes,
        }
        found.append(make_record(arm, repetition, tau, **given))
    return found
