"""The stages that read the ground truth: what a population can tell at best, and how well an arm's estimates rank it.

Nothing else in the harness touches the truth; no later stage of training or selection takes these stages' results.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splitbench.harness.budget import Cost
from splitbench.harness.selectors.base import LeafChoice, Selected
from splitbench.harness.stages import load_tensors
from splitbench.harness.workbench import Workbench, component, subspace_of
from splitbench.results import metrics
from splitbench.results.store import digest, encode_estimates, write_atomically
from splitbench.spaces.base import Rows, SearchSpace
from splitbench.spaces.populations import by_leaf, population, reference
from splitbench.spaces.truth import GroundTruth, open_truth

ESTIMATES = "estimates.parquet"


def facts(bench: Workbench, inputs: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Cost]:
    """The facts stage: the noise ceiling and the trivial size baselines of one population.

    Args:
        bench: the space.
        inputs: ``population {sample, seed}``.
        folder: unused.
    """
    space, truth = bench.space, open_truth(bench.space, bench.dataset.name)
    rows = population(space, **inputs["population"])
    test, sizes = truth.test(rows), _sizes(space, rows)
    zeros = np.zeros(len(rows), dtype=int)
    trivial = metrics.trivial(sizes, test, zeros, _best(truth.best(), test))
    return {
        "size": len(rows),
        "source": truth.source,
        "ceiling": metrics.ceiling(truth.per_seed(rows), sizes["flops"]),
        "trivial": {name: _without_leaves(values) for name, values in trivial.items()},
    }, Cost()


def measure(bench: Workbench, inputs: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Cost]:
    """The measure stage: every metric of one arm's estimates, and the truth of what its selectors chose.

    Args:
        bench: the space.
        inputs: ``leaves [{subspace, predict, selected, kept}], leaf_choice, seed``: the predict stages' keys, what the
            select stages gave, and whether the leaf was trained to the end: only such a one can be the arm's answer.
        folder: ``estimates.parquet`` is left in it.
    """
    space, truth = bench.space, open_truth(bench.space, bench.dataset.name)
    leaves = inputs["leaves"]
    tables = [load_tensors(bench.store.folder(leaf["predict"]) / "estimates.safetensors")[0] for leaf in leaves]
    rows = np.concatenate([table["rows"].numpy() for table in tables])
    accuracy = np.concatenate([table["accuracy"].numpy() for table in tables])
    loss = np.concatenate([table["loss"].numpy() for table in tables])
    leaf = np.concatenate([np.full(len(table["rows"]), index) for index, table in enumerate(tables)])
    order = np.lexsort(rows.T[::-1])  # by architecture, so that the same estimates give the same file in any tree
    rows, accuracy, loss, leaf = rows[order], accuracy[order], loss[order], leaf[order]

    flops, test = _sizes(space, rows)["flops"], truth.test(rows)
    best = _best(truth.best(), test)
    columns = {
        "architecture": [space.encode(tuple(row)) for row in rows.tolist()],
        "leaf": leaf,
        "accuracy": accuracy,
        "loss": loss,
        "truth_test": test,
    }
    against_test = metrics.ranking_metrics(accuracy, loss, test, flops, leaf, best)
    against_validation: metrics.Metrics = {}
    if truth.has_validation:
        validation = truth.validation(rows)
        best_validation = _best(truth.best(validation=True), validation)
        columns["truth_validation"] = validation
        against_validation = metrics.ranking_metrics(accuracy, loss, validation, flops, leaf, best_validation)
    estimates = encode_estimates(columns)
    write_atomically(folder / ESTIMATES, estimates)
    return {
        "metrics": against_test,
        "validation_metrics": against_validation,
        "estimates_sha256": digest(estimates),
        "selection": _selection(space, truth, best, inputs, [len(table["rows"]) for table in tables]),
    }, Cost()


def _selection(
    space: SearchSpace,
    truth: GroundTruth,
    best: float,
    inputs: Mapping[str, Any],
    counts: list[int],
) -> dict[str, Any]:
    leaves = inputs["leaves"]
    selected = [
        Selected(tuple(leaf["selected"]["architecture"]), leaf["selected"]["accuracy"], leaf["selected"]["loss"])
        for leaf in leaves
    ]
    leaf_choice: LeafChoice = component("leaf_choices", inputs["leaf_choice"])
    kept = [index for index, leaf in enumerate(leaves) if leaf["kept"]]
    chosen = kept[leaf_choice.choose([selected[index] for index in kept], np.random.default_rng(inputs["seed"]))]
    test = truth.test([s.architecture for s in selected])
    # What selectors draw from: connected functions, each once, in the leaf that owns it.
    rows, owners = by_leaf(space, [subspace_of(leaves[index]["subspace"]) for index in kept])
    masks = [owners == number for number in range(len(kept))]
    return {
        "architecture": space.encode(selected[chosen].architecture),
        "leaf": chosen,
        "test": float(test[chosen]),
        "regret": float(best - test[chosen]),
        "oracle": float(test[kept].max()),
        "leaf_floor": metrics.leaf_floor(truth.test(rows), masks),
        "best_of_k": metrics.expected_best_of(truth.test(reference(space)), len(kept)),
        "leaves": [
            {
                "allowed": leaf["subspace"],
                "architecture": space.encode(s.architecture),
                "estimate": s.accuracy,
                "loss": s.loss,
                "population": count,
                "test": float(value),
                "kept": leaf["kept"],
            }
            for leaf, s, count, value in zip(leaves, selected, counts, test, strict=True)
        ],
    }


def _best(known: float | None, population: npt.NDArray[np.float64]) -> float:
    """What regret is measured from: the best of the whole truth, or of the population where that is not known."""
    return float(population.max()) if known is None else known


def _sizes(space: SearchSpace, rows: Rows) -> dict[str, list[float]]:
    """Size baseline -> its value of each architecture, for the baselines that the space offers."""
    sizes = [space.sizes(tuple(row)) for row in rows.tolist()]
    offered = [name for name in metrics.TRIVIAL if name in space.size_names]
    return {name: [one[name] for one in sizes] for name in offered}


def _without_leaves(values: metrics.Metrics) -> metrics.Metrics:
    return {name: value for name, value in values.items() if "_leaf[" not in name}
