"""Studies on real tables and real images, end to end, at the smallest size that still runs every stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import splitbench
from splitbench.results.records.loading import read_estimates

pytestmark = pytest.mark.real_data


def study(**changes: Any) -> dict[str, Any]:
    return {
        "name": "real",
        "dataset": {"name": "cifar10", "image_size": 8, "train": 400, "validation": 200},
        "trainer": {"name": "rsps", "batch_size": 16},
        "budget": {"steps": 90},
        "seeds": 1,
        "population": {"sample": 24},
        "evaluation": {"images": 64, "batch_size": 64},
        "selector": {"name": "random_best", "samples": 4},
        "arms": ["none", {"criterion": "exhaustive", "edges": [0]}, {"criterion": "gm", "repetitions": 1}],
    } | changes


@pytest.mark.parametrize(
    ("space", "ceiling"),
    [({"name": "nb201", "channels": 4, "cells": 1}, (0.6, 0.99)), ({"name": "nb_macro", "channels": 4}, (0.6, 0.99))],
)
def test_every_stage_on_real_data(
    space: dict[str, Any], ceiling: tuple[float, float], real_data: Path, tmp_path: Path
) -> None:
    loaded = splitbench.run(study(space=space), tmp_path, device="cpu")
    assert not loaded.warnings
    records = {run.record.arm: run.record for run in loaded.runs}
    assert set(records) == {"none", "exhaustive(edges=0)", "gm(repetitions=1)"}
    for record in records.values():
        assert ceiling[0] < (record.ceiling["tau[all]"] or 0) < ceiling[1]
        assert record.metrics["tau[all]"] is not None
        leaves = max(1, len(record.tree.children))  # what rounding leaves over is lost, a step a leaf at most
        assert 90 - leaves - 1 < record.budget.spent <= 90
        assert sum(leaf.population for leaf in record.selection.leaves) == 24
    estimates = read_estimates(loaded.runs[0])
    assert len(estimates) == 24
    assert estimates["truth_test"].between(9, 95).all()
