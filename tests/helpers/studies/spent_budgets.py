"""Arms of many shapes, and what a run of one may at most leave of its budget."""

from __future__ import annotations

from typing import Any

from splitbench.harness.budget import Account, Budget, Cost, Meter, training_pass
from splitbench.harness.registry import build
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.darts import Darts
from splitbench.results.records.record import NodeRecord, Record
from splitbench.spaces.base import Architecture, SubSpace
from splitbench.spaces.cells import NONE
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.micro.space import Micro

SPACE = Micro()
ARMS: dict[str, dict[str, Any]] = {
    "none": {"criterion": "none"},
    "random": {"criterion": "random"},
    "exhaustive": {"criterion": "exhaustive", "edges": [0]},
    "exhaustive 0 1": {"criterion": "exhaustive", "edges": [0, 1]},
    "gm": {"criterion": "gm", "repetitions": 1},
    "gm restart": {"criterion": "gm", "repetitions": 1, "schedule": {"weights": "restart"}},
    "random 2 levels": {"criterion": "random", "schedule": {"levels": 2}},
    "random 2 restart": {"criterion": "random", "schedule": {"levels": 2, "weights": "restart", "warmup": [0.1, 0.2]}},
    "no warm-up": {"criterion": "random", "schedule": {"warmup": 0}},
}
TRAINERS = {"rsps": {"name": "rsps", "batch_size": 16}, "darts": {"name": "darts", "batch_size": 16}}
FACTOR = {"rsps": 1, "darts": 4}  # a step of darts runs every operation, twice


def named(arms: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**arm, "name": name} for name, arm in arms.items()]


def dearest_path(subspace: SubSpace) -> Architecture:
    """Each edge's dearest operation; one that is there at all, where several are free, since it keeps others alive."""
    macs = SPACE.cell_macs.operation
    return tuple(max(operations, key=lambda op: (macs[op], op != NONE)) for operations in subspace.allowed)


def dearest_step(kind: str, trainer: Any, subspace: SubSpace) -> float:
    """The most that one training step on a subspace can cost."""
    component = build("trainers", trainer)
    if isinstance(component, Darts):
        job = Job(SPACE, subspace, SPACE.supernet(0), ImageData({}, {}, 10), 0, Meter())
        cost = component.open(job).next_cost(0)
    else:
        cost = training_pass(SPACE, dearest_path(subspace), component.batch_size)
    return Budget(kind, 1).amount(cost)


def account_of(record: Record) -> Account:
    account = Account(Budget(record.budget.kind, record.budget.limit))
    for phase, cost in record.cost.items():
        account.charge(phase, Cost(**cost.model_dump()), 0.0)
    return account


def trained(record: Record) -> list[SubSpace]:
    """The subspaces that a record's tree trained, one for each training: an arm without a split has two of its root."""

    def nodes(node: NodeRecord) -> list[NodeRecord]:
        return [node, *(inner for child in node.children for inner in nodes(child))]

    found = [SubSpace(tuple(tuple(ops) for ops in node.allowed)) for node in nodes(record.tree) if node.steps]
    return found if record.tree.children else found * 2
