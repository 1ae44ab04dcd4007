"""A factory of synthetic sweeps."""

import math
import random
from typing import Any

from splitbench.results.inference.stats import lower_is_better
from splitbench.results.sweeps.sweep import SWEEP_SCHEMA, Sweep, SweptArm, TrialRecord

OPTIMUM = 0.05
SEARCH: dict[str, Any] = {
    "trainer.learning_rate": {"log": [0.001, 1.0]},
    "schedule.levels": [1, 2, 3],
    "partitioner": ["balanced", "max_cut", "gap[k=2]"],
    "schedule.warmup": {"range": [0.1, 0.5], "step": 0.1},
    "trainer.nesterov": [False, True],
    "criterion.repetitions": {"range": [1, 9]},
}
OWN: dict[str, Any] = {
    "trainer.learning_rate": 0.1,
    "schedule.levels": 1,
    "partitioner": "balanced",
    "schedule.warmup": 0.3,
    "trainer.nesterov": False,
    "criterion.repetitions": 5,
}


def make_trial(slot: int, differences: list[float], state: str = "complete", **changes: Any) -> TrialRecord:
    """A trial whose baseline has 0.5 at every seed; each seed costs 1000."""
    content: dict[str, Any] = {
        "number": slot,
        "slot": slot,
        "state": state,
        "values": {"trainer.learning_rate": 0.01 * (slot + 1)},
        "record": f"gm [learning_rate={0.01 * (slot + 1):.4g}]",
        "validation": [0.5 + difference for difference in differences],
        "differences": differences,
        "spent": 1000.0 * len(differences),
    }
    return TrialRecord.model_validate(content | changes)


def make_arm(arm: str = "gm", trials: list[TrialRecord] | None = None, **changes: Any) -> SweptArm:
    content: dict[str, Any] = {
        "arm": arm,
        "baseline": arm == "none",
        "reads_truth": False,
        "searched": ["trainer.learning_rate"],
        "own": {"trainer.learning_rate": 0.1},
        "trials": trials or [],
        "importance": {"trainer.learning_rate": 1.0},
    }
    return SweptArm.model_validate(content | changes)


def make_sweep(*arms: SweptArm, **changes: Any) -> Sweep:
    """A small, valid sweep; ``changes`` replaces any field of it."""
    content: dict[str, Any] = {
        "schema_version": SWEEP_SCHEMA,
        "splitbench": "0.1.0",
        "optuna": "4.0.0",
        "study": "toy",
        "space": "micro",
        "dataset": "digits",
        "budget_kind": "flops",
        "budget_limit": 1000.0,
        "protocol": "f00",
        "population": "a uniform sample of 400 functions",
        "metric": "tau[all]",
        "lower_is_better": lower_is_better(str(changes.get("metric", "tau[all]"))),
        "seeds": 3,
        "trials": max([1, *(len(arm.trials) for arm in arms)]),
        "baseline": "none",
        "baseline_validation": [0.5, 0.5, 0.5],
        "sampler": {"name": "tpe"},
        "pruner": {"name": "interval"},
        "search": {"trainer.learning_rate": {"log": [0.001, 1.0]}},
        "arms": list(arms),
        "complete": True,
    }
    return Sweep.model_validate(content | changes)


def searching(
    arms: int = 2, parameters: int = 3, trials: int = 12, seeds: int = 3, names: list[str] | None = None, **changes: Any
) -> Sweep:
    """A sweep with an optimum at a learning rate of OPTIMUM: bad trials are pruned, very bad ones could not run."""
    rng = random.Random(7)
    paths = list(SEARCH)[:parameters]
    labels = names or ["none", *(f"criterion {index}" for index in range(1, arms))]
    sign = -1 if lower_is_better(str(changes.get("metric", "tau[all]"))) else 1
    found = []
    for order, label in enumerate(labels):
        own = [_tried(slot, label, paths, rng, 0.01 * order, seeds, sign) for slot in range(trials)]
        weights = [rng.uniform(0.1, 1) for _ in paths]
        shares = {path: round(weight / sum(weights), 4) for path, weight in zip(paths, weights, strict=True)}
        arm = make_arm(
            label,
            own,
            searched=paths,
            own={path: OWN[path] for path in paths},
            baseline=order == 0,
            importance=shares,
        )
        found.append(arm)
    fixed: dict[str, Any] = {"seeds": seeds, "trials": trials, "search": {path: SEARCH[path] for path in paths}}
    return make_sweep(*found, **({"baseline": labels[0], "baseline_validation": [0.5] * seeds} | fixed | changes))


def _tried(
    slot: int, label: str, paths: list[str], rng: random.Random, worth: float, seeds: int, sign: int
) -> TrialRecord:
    values: dict[str, Any] = {}
    for path in paths:
        domain = SEARCH[path]
        if isinstance(domain, list):
            values[path] = rng.choice(domain)
        elif "log" in domain:
            values[path] = float(f"{10 ** rng.uniform(-3, 0):.4g}")
        else:
            low, high = domain["range"]
            values[path] = rng.randint(low, high) if isinstance(low, int) else round(rng.uniform(low, high), 1)
    far = abs(math.log10(values["trainer.learning_rate"] / OPTIMUM))
    mean = 0.04 + worth - 0.15 * far**2
    differences = [sign * (mean + rng.gauss(0, 0.01)) for _ in range(seeds)]
    state = "complete" if far < 0.8 or slot % 3 == 0 else "pruned" if far < 1.2 else "infeasible"
    ran = {"complete": seeds, "pruned": max(1, seeds - 1), "infeasible": 0}[state]
    reason = "the training diverged" if state == "infeasible" else ""
    spent = 1000.0 * (ran or 1)
    record = f"{label} [learning_rate={values['trainer.learning_rate']:.4g}]"
    return make_trial(slot, differences[:ran], state, values=values, record=record, reason=reason, spent=spent)
