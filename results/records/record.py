"""The record of one run. It holds nothing that depends on a clock or a machine's name, so two runs of a study give
equal bytes on one CPU model and instruction set under one version of torch. On another the same training gives slightly
different numbers. Seconds, memory and machines are in a separate file beside the record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from splitbench.results.records.population_names import plain, with_population_names

SCHEMA = 3
PROTOCOL = r"^[A-Za-z0-9_-]{0,64}$"
"""What a protocol's hash may look like. It becomes part of a file's name, and a file may say anything."""


def config_fingerprint(config: Any) -> str:
    """A hash of an arm's configuration as its records hold it, in ``config["arm"]``."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class TopologyRecord(_Model):
    """The meaning of a record's indices: the names of edges, and on each edge of its candidate operations."""

    edges: list[str]
    operations: list[list[str]]


class EdgeScore(_Model):
    """The scores of one edge: matrices are n x n over ``operations``; null where no standard error exists."""

    operations: list[int]
    dissimilarity: list[list[float]]
    standard_error: list[list[float | None]]
    repetitions: int
    groups: list[list[int]]
    cut: float


class NodeRecord(_Model):
    """A node of the split tree: a subspace, and how it was split (not at all, for a leaf)."""

    allowed: list[list[int]]
    stage: str = Field(description="hash of the stage that trained this node's weights")
    steps: int = Field(description="training steps spent on this node")
    curve: list[tuple[int, float]] = Field(default=[], description="(step, training loss) along this node's training")
    edges: list[int] = Field(default=[], description="where it was split: one edge, or several at once")
    scores: dict[str, EdgeScore] = Field(default={}, description="by edge index")
    children: list[NodeRecord] = []

    @model_validator(mode="before")
    @classmethod
    def _schema_1(cls, data: Any) -> Any:
        """Records of schema 1 name the one edge of a split, or null."""
        if isinstance(data, dict) and "edge" in data:
            edge = data["edge"]
            return {key: value for key, value in data.items() if key != "edge"} | {
                "edges": [] if edge is None else [edge]
            }
        return data


class LeafRecord(_Model):
    """The selector's choice in one leaf (by validation images only), with its truth from the measure stage."""

    allowed: list[list[int]]
    architecture: str
    estimate: float = Field(description="supernet top-1 % on validation images")
    loss: float
    population: int = Field(description="how many architectures of the population lie in this leaf")
    test: float
    kept: bool = Field(default=True, description="whether it was trained to the end, and can be the arm's answer")


class Selection(_Model):
    """The honest choice, and the labelled columns that read the table."""

    architecture: str
    leaf: int
    test: float = Field(description="ground-truth test accuracy % of the honest choice")
    regret: float = Field(description="best test accuracy of the space minus that")
    oracle: float = Field(description="best test accuracy over the leaves' choices: reads the table")
    leaf_floor: float = Field(
        description="expected best of one random function a leaf, uniform over all connected ones "
        "(strings, where the population is of strings)"
    )
    best_of_k: float = Field(
        description="expected best of K random connected functions of the space, K the number of leaves"
    )
    leaves: list[LeafRecord]


class PhaseCost(_Model):
    """The cost of one phase. FLOPs are analytic; a pass is one forward (and backward, if it has one) of a batch."""

    flops: int = 0
    steps: int = 0
    examples: int = 0


class BudgetRecord(_Model):
    """Kind is flops, steps, examples or seconds."""

    kind: str
    limit: float
    spent: float


class Decomposition(_Model):
    """The difference to no split, term by term: :mod:`splitbench.results.payoff.decomposition` says what each is."""

    training_lost: float
    bill: float
    relief: float
    across: float
    calibration: float = Field(description="the part of across that comes from the leaves' offsets")
    difference: float
    tau_none: float
    tau_free: float
    tau_charged: float
    tau_arm: float


class Record(_Model):
    """One arm, one repetition, one draw."""

    schema_version: int = SCHEMA
    splitbench: str
    study: str
    arm: str
    repetition: int
    draw: int = 0
    baseline: bool = Field(description="whether other arms are compared with this one")
    expected_runs: int = Field(description="how many records this arm has when it is complete")
    space: str
    dataset: str
    trainer: str
    reads_truth: bool = Field(default=False, description="whether this is an oracle control, which sees the truth")
    config: dict[str, Any] = Field(description="the study and the arm with all defaults filled in")
    protocol: str = Field(
        default="", pattern=PROTOCOL, description="hash of all that the arms share; a table holds one protocol"
    )
    population: str = Field(description="in words: what the metrics are computed on")
    population_size: int
    topology: TopologyRecord | None = Field(
        default=None, description="names of edges and operations; records of schema 3 on"
    )
    tree: NodeRecord
    metrics: dict[str, float | None] = Field(description="against ground-truth test accuracy")
    validation_metrics: dict[str, float | None] = Field(description="against ground-truth validation accuracy")
    ceiling: dict[str, float | None] = Field(description="the same metrics between trainings of the ground truth")
    trivial: dict[str, dict[str, float | None]] = Field(description="the same metrics of size baselines")
    rank_sum: dict[str, float | None] | None = Field(
        default=None, description="the same metrics of the rank-sum of estimates and FLOPs; None in older records"
    )
    selection: Selection
    cost: dict[str, PhaseCost] = Field(description="by phase: warm_up, scoring, training, selection")
    budget: BudgetRecord
    estimates_sha256: str = Field(description="of the Parquet file with every architecture's estimates")
    decomposition: Decomposition | None = Field(
        default=None,
        description="None if it was not asked for, or is undefined: leaves that share weights, or given up",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, data: Any) -> Any:
        """Inside the program a metric has one name; the table says what its population is."""
        return _renamed(data, plain) if isinstance(data, dict) else data

    @field_validator("config")
    @classmethod
    def _mappings(cls, config: dict[str, Any]) -> dict[str, Any]:
        """Tables look into the parts of a configuration, and a file may say anything."""
        if strange := [key for key in ("study", "arm", "common") if not isinstance(config.get(key, {}), Mapping)]:
            raise ValueError(f"config.{strange[0]} is no mapping")
        return config

    @model_serializer(mode="wrap")
    def _shown_names(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A file's names say what population they are on."""
        return _renamed(handler(self), with_population_names)


def _renamed(record: dict[str, Any], rename: Callable[[Any, str], Any]) -> dict[str, Any]:
    population = str(record.get("population", ""))
    named = ("metrics", "validation_metrics", "ceiling", "trivial", "rank_sum")
    return record | {key: rename(record[key], population) for key in named if record.get(key) is not None}


class MachineRecord(_Model):
    """The properties of a machine that affect the last digits of a training; empty where not known."""

    device: str = Field(description="the GPU's name, or the CPU and its number of threads")
    cpu: str = Field(default="", description="the CPU's model")
    instructions: str = Field(default="", description="the set that torch used, and what held back its libraries")
    torch: str = Field(default="", description="its version")


class Measured(_Model):
    """Measured time and memory of a run. Reused stages count with the seconds of the machine that computed them."""

    seconds: dict[str, float] = Field(description="by phase, measurement included")
    peak_bytes: int
    device: str = Field(description="of the first stage")
    torch: str = Field(description="of the first stage")
    threads: int
    machines: list[MachineRecord] = Field(default=[], description="all that computed a stage; none in older records")

    @property
    def computed_on(self) -> tuple[MachineRecord, ...]:
        """Every machine that computed a stage of the run, as far as the record knows."""
        return tuple(self.machines) or (MachineRecord(device=self.device, torch=self.torch),)


def bare(component: Any) -> Any:
    """A component of a record's ``config`` as a study file would write it: without fingerprints, at any depth."""
    if isinstance(component, Mapping):
        return {key: bare(value) for key, value in component.items() if key != "fingerprint"}
    return component


def table_key(record: Record) -> tuple[str, str, str, str, float, str, str]:
    """The values that all records of one table share; arms that differ in any of them are not comparable."""
    budget = record.budget
    return (*study_key(record), budget.kind, budget.limit, record.population, record.protocol)


def study_key(record: Record) -> tuple[str, str, str]:
    """The study, the space and the data set of a record: one folder holds one of each."""
    return record.study, record.space, record.dataset
