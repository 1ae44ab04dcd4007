"""A factory of synthetic records."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from splitbench.results.records.failures import Failure
from splitbench.results.records.files import digest, encode_estimates
from splitbench.results.records.record import MachineRecord, Measured, Record

Writer = Callable[..., Path]

ESTIMATES = encode_estimates(
    {
        "architecture": ["00", "01"],
        "leaf": [0, 1],
        "accuracy": [10.0, 20.0],
        "loss": [2.0, 1.5],
        "truth_test": [50.0, 60.0],
    }
)


def make_record(arm: str = "none", repetition: int = 0, tau: float | None = 0.5, **changes: Any) -> Record:
    """A small, valid record; ``changes`` replaces any field of it."""
    metrics = {"tau[all]": tau, "rho[all]": 0.7, "tau[top50%]": 0.3, "regret[all]": 1.0}
    leaf = {"allowed": [[0, 1]], "architecture": "01", "estimate": 20.0, "loss": 1.5, "population": 2, "test": 60.0}
    content: dict[str, Any] = {
        "splitbench": "0.1.0",
        "study": "toy",
        "arm": arm,
        "repetition": repetition,
        "baseline": arm == "none",
        "expected_runs": 3,
        "space": "micro",
        "dataset": "digits",
        "trainer": "rsps",
        "config": {"seeds": 3},
        "population": "all distinct connected functions",
        "population_size": 2,
        "tree": {"allowed": [[0, 1]], "stage": "abc", "steps": 10, "curve": [(1, 2.3), (10, 1.5)]},
        "metrics": metrics,
        "validation_metrics": {"tau[all]": 0.45},
        "ceiling": {"tau[all]": 0.88, "rho[all]": 0.97, "tau[top50%]": 0.7},
        "trivial": {
            "flops": {"tau[all]": 0.6, "rho[all]": 0.75, "tau_in_leaf[all]": 0.5},
            "convolutions": {"tau[all]": 0.4, "rho[all]": 0.55, "tau_in_leaf[all]": 0.3},
        },
        "selection": {
            "architecture": "01",
            "leaf": 0,
            "test": 60.0 + repetition,
            "regret": 3.0,
            "oracle": 61.0,
            "leaf_floor": 55.0,
            "best_of_k": 56.0,
            "leaves": [leaf, leaf],
        },
        "cost": {
            "warm_up": {"flops": 200, "steps": 2, "examples": 20},
            "training": {"flops": 800, "steps": 8, "examples": 80},
        },
        "budget": {"kind": "flops", "limit": 1000.0, "spent": 1000.0},
        "estimates_sha256": digest(ESTIMATES),
    }
    return Record.model_validate(content | changes)


def make_failure(arm: str = "gm", repetition: int = 0, **changes: Any) -> Failure:
    """A failed run of the study that :func:`make_record` makes records of."""
    content: dict[str, Any] = {
        "splitbench": "0.1.0",
        "study": "toy",
        "arm": arm,
        "repetition": repetition,
        "baseline": arm == "none",
        "expected_runs": 3,
        "space": "micro",
        "dataset": "digits",
        "trainer": "rsps",
        "config": {},
        "protocol": "",
        "budget_kind": "flops",
        "budget_limit": 1000.0,
        "stage": "train root",
        "component": "trainer rsps from splitbench",
        "reason": "the supernet has diverged",
        "traceback": "Traceback ...",
    }
    return Failure.model_validate(content | changes)


def make_measured(seconds: float = 2.0, machines: Sequence[MachineRecord] = ()) -> Measured:
    """What a run took; without ``machines`` it is of a version that noted device and torch alone."""
    return Measured(
        seconds={"warm_up": seconds / 4, "training": seconds * 3 / 4, "measurement": 9.0},
        peak_bytes=2**20,
        device="cpu",
        torch="2.13.0",
        threads=1,
        machines=list(machines),
    )


def arm_records(arm: str, taus: list[float | None], **changes: Any) -> list[Record]:
    """One complete arm: a record a repetition."""
    changes = {"expected_runs": len(taus), **changes}
    return [make_record(arm, repetition, tau, **changes) for repetition, tau in enumerate(taus)]
