"""What each kind of stage does: train, score, predict, select, measure. All are pure functions of their inputs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitbench.criteria.base import Affinity, Criterion, reads_truth
from splitbench.harness import device
from splitbench.harness.budget import Cost, Meter
from splitbench.harness.estimate import Evaluation, estimate, predict
from splitbench.harness.measure import facts, measure
from splitbench.harness.probe import SupernetProbe
from splitbench.harness.selectors.base import Leaf, Selector
from splitbench.harness.stages import Result, Stage, StageStore, load_tensors, save_tensors
from splitbench.harness.trainers.base import Job, Trainer
from splitbench.harness.training import checkpoint_seconds, train
from splitbench.harness.workbench import Workbench, component, subspace_of
from splitbench.spaces.base import Choice, Supernet
from splitbench.spaces.populations import population
from splitbench.spaces.truth import GroundTruth, closed, open_truth

Work = Callable[[Workbench, Mapping[str, Any], Path], tuple[dict[str, Any], Cost]]


def run_stage(stage: Stage, store: StageStore) -> Result:
    """Do a stage's work and store its result; a result that is already there is returned."""
    if (done := store.get(stage.key)) is not None:
        return done
    folder = store.folder(stage.key)
    bench = Workbench(store, stage.inputs)
    blind = stage.inputs.get("truth") is None
    if stage.kind not in ("facts", "measure"):
        _ = bench.data  # loaded once a process: its seconds are nobody's
    device.reset_peak(bench.device)
    start = time.perf_counter()
    with closed() if blind else contextlib.nullcontext():
        output, cost = WORK[stage.kind](bench, stage.inputs, folder)
    seconds = time.perf_counter() - start
    result = Result(stage.key, output, cost, seconds, device.peak_bytes(bench.device), device.describe(bench.device))
    store.put(result)
    return result


def score(bench: Workbench, inputs: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Cost]:
    """The score stage: one criterion on one edge of one trained node.

    Args:
        bench: space, images, weights.
        inputs: ``subspace, state, initial_seed, training_seed, trainer, criterion, edge, seed, draw``, and ``truth``
            for an oracle control.
        folder: unused.

    Returns:
        The affinity as JSON, and what the criterion spent.
    """
    trainer: Trainer = component("trainers", inputs["trainer"])
    supernet, state = bench.supernet(inputs["initial_seed"], inputs["state"])
    subspace, meter = subspace_of(inputs["subspace"]), Meter()
    if not state:  # no training before the split: the trainer's own beginning
        job = Job(bench.space, subspace, supernet, bench.data, inputs["training_seed"], Meter())
        state = trainer.open(job).tensors()
    criterion: Criterion = component("criteria", inputs["criterion"])

    def initial() -> Supernet:
        return bench.supernet(inputs["initial_seed"])[0]

    def truth() -> GroundTruth:
        return open_truth(bench.space, bench.dataset.name)

    probe = SupernetProbe(
        bench.space,
        subspace,
        supernet,
        bench.data,
        trainer,
        state,
        inputs["seed"],
        inputs["draw"],
        meter,
        initial,
        truth if reads_truth(criterion) else None,
    )
    return affinity_json(criterion(probe, inputs["edge"])), meter.cost


def affinity_json(affinity: Affinity) -> dict[str, Any]:
    errors = [[None if math.isnan(x) else x for x in row] for row in affinity.standard_error.tolist()]
    return {
        "operations": list(affinity.operations),
        "dissimilarity": affinity.dissimilarity.tolist(),
        "standard_error": errors,
        "repetitions": affinity.repetitions,
        "worth": [[[list(group) for group in groups], value] for groups, value in affinity.worth],
    }


def affinity_of(data: Mapping[str, Any]) -> Affinity:
    errors = [[math.nan if x is None else x for x in row] for row in data["standard_error"]]
    worth = tuple((tuple(tuple(group) for group in groups), value) for groups, value in data["worth"])
    operations = tuple(data["operations"])
    return Affinity(operations, np.array(data["dissimilarity"]), np.array(errors), data["repetitions"], worth)


def select(bench: Workbench, inputs: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Cost]:
    """The select stage: one architecture from one leaf, by validation images; every evaluation is charged.

    Args:
        bench: space, images, weights.
        inputs: those of :func:`leaf_of`, and ``state, trainer, selector, evaluation``.
        folder: unused.
    """
    trainer: Trainer = component("trainers", inputs["trainer"])
    selector: Selector = component("selectors", inputs["selector"])
    supernet, state = bench.supernet(0, inputs["state"])
    evaluation, meter = Evaluation(**inputs["evaluation"]), Meter()
    count = evaluation.count(len(bench.data.labels["validation"]))

    memory = Memory(folder)

    def evaluate(choice: Choice) -> tuple[float, float]:
        meter.charge(evaluation.cost(bench.space, choice, count, trainer.batch_size))
        return memory.recall(lambda: estimate(supernet, choice, bench.data, evaluation))

    chosen = selector.select(leaf_of(bench, inputs), evaluate, trainer.architecture_weights(state))
    return {
        "architecture": list(chosen.architecture),
        "accuracy": chosen.accuracy,
        "loss": chosen.loss,
    }, meter.cost


class Memory:
    """The estimates of a select stage in the order they were asked for, so that a killed one goes on where it was."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkpoint.safetensors"
        self.known: list[list[float]] = load_tensors(self.path)[1]["known"] if self.path.exists() else []
        self.asked, self.saved = 0, time.monotonic()

    def recall(self, compute: Callable[[], tuple[float, float]]) -> tuple[float, float]:
        """The next estimate: remembered, or computed now."""
        if self.asked == len(self.known):
            self.known.append(list(compute()))
            if time.monotonic() - self.saved > checkpoint_seconds():
                self.saved = time.monotonic()
                save_tensors(self.path, {}, {"known": self.known})
        self.asked += 1
        accuracy, loss = self.known[self.asked - 1]
        return accuracy, loss


def leaf_of(bench: Workbench, inputs: Mapping[str, Any]) -> Leaf:
    """The leaf that a select stage's inputs describe: ``subspace, index, count, population, seed``, and ``earlier``."""
    subspace = subspace_of(inputs["subspace"])
    earlier = tuple(subspace_of(lists) for lists in inputs.get("earlier", ()))
    inside = population(bench.space, **inputs["population"], subspace=subspace, earlier=earlier)
    return Leaf(bench.space, subspace, inputs["index"], inputs["count"], inside, inputs["seed"], earlier)


WORK: dict[str, Work] = {
    "train": train,  # type: ignore[dict-item]
    "score": score,
    "predict": predict,
    "select": select,
    "facts": facts,
    "measure": measure,
}
