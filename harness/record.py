"""From a run's outcome to its record, and to what it took on this machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from dataclasses import asdict
from typing import Any

from splitbench.harness.arm import Arm
from splitbench.harness.config import StudyConfig
from splitbench.harness.pipeline import Outcome
from splitbench.harness.requests import Settings
from splitbench.harness.stages import FORMAT, canonical_json
from splitbench.harness.tree import Node
from splitbench.results.record import Budget, EdgeScore, Leaf, Machine, Measured, PhaseCost, Record, Selection, Topology
from splitbench.results.record import Node as TreeNode
from splitbench.spaces.base import SearchSpace


def make_record(
    study: StudyConfig, settings: Settings, arm: Arm, repetition: int, draw: int, outcome: Outcome
) -> Record:
    """The record of one run: a pure function of the study."""
    found, facts = outcome.measured.output, outcome.facts.output
    budget = settings.budget
    size = facts["size"]
    whole = settings.sample is None or size < settings.sample
    return Record(
        splitbench=importlib.metadata.version("splitbench"),
        study=study.name,
        arm=arm.label,
        repetition=repetition,
        draw=draw,
        baseline=arm.label == study.baseline,
        expected_runs=study.seeds * arm.draws,
        space=settings.space.name,
        dataset=str(settings.common["dataset"]["name"]),
        trainer=str(arm.specs["trainers"]["name"]),
        reads_truth=arm.reads_truth,
        config={
            "study": study.model_dump(mode="json", exclude={"arms", "search", "sweep"}),
            "arm": arm.config(),
            "common": settings.common,
        },
        protocol=protocol(study, settings),
        population=f"{'all' if whole else 'a uniform sample of'} {size:,} distinct connected functions"
        + ("" if whole else ", drawn anew for each seed and shared by all arms"),
        population_size=size,
        topology=_topology(settings.space),
        tree=_tree(outcome.tree),
        metrics=found["metrics"],
        validation_metrics=found["validation_metrics"],
        ceiling=facts["ceiling"],
        trivial=facts["trivial"],
        selection=Selection(
            **{**found["selection"], "leaves": [Leaf(**leaf) for leaf in found["selection"]["leaves"]]}
        ),
        cost={phase: PhaseCost(**cost.as_dict()) for phase, cost in outcome.account.phases.items()},
        budget=Budget(kind=budget.kind, limit=budget.limit, spent=outcome.account.spent),
        estimates_sha256=found["estimates_sha256"],
    )


def protocol(study: StudyConfig, settings: Settings) -> str:
    """A hash of all that the arms of a study share; records with different ones never stand in one table.

    What may change without making arms incomparable is left out: the arms themselves, the number of seeds, the name,
    which arm is the baseline, and what a sweep searches.
    """
    return hashlib.sha256(canonical_json(protocol_parts(study, settings)).encode()).hexdigest()[:16]


def protocol_parts(study: StudyConfig, settings: Settings) -> dict[str, Any]:
    """All that the arms of a study share, as plain JSON."""
    shared = study.model_dump(mode="json", exclude={"arms", "seeds", "name", "baseline", "search", "sweep"})
    return {"format": FORMAT, "study": shared, "common": settings.common, "truth": settings.truth}


def make_measured(outcome: Outcome, threads: int, torch_version: str) -> Measured:
    """Seconds by phase, peak memory and machines; a reused stage counts with what it took, and where, when it was
    computed."""
    machines = list(dict.fromkeys(result.machine for result in outcome.results))
    return Measured(
        seconds={**outcome.account.seconds, "measurement": outcome.measuring},
        peak_bytes=max(result.peak_bytes for result in outcome.results),
        device=machines[0].device,
        torch=machines[0].torch or torch_version,
        threads=threads,
        machines=[Machine(**asdict(machine)) for machine in machines],
    )


def _topology(space: SearchSpace) -> Topology:
    return Topology(
        edges=list(space.edges), operations=[list(space.operations(edge)) for edge in range(len(space.edges))]
    )


def _tree(node: Node) -> TreeNode:
    return TreeNode(
        allowed=[list(operations) for operations in node.subspace.allowed],
        stage=node.stage or "",
        steps=node.own_steps,
        curve=[(int(step), loss) for step, loss in node.curve],
        edges=list(node.edges),
        scores={str(edge): _edge_score(*score) for edge, score in node.scores.items()},
        children=[_tree(child) for child in node.children],
    )


def _edge_score(affinity: Any, partition: Any) -> EdgeScore:
    errors = [[None if math.isnan(x) else x for x in row] for row in affinity.standard_error.tolist()]
    return EdgeScore(
        operations=list(affinity.operations),
        dissimilarity=affinity.dissimilarity.tolist(),
        standard_error=errors,
        repetitions=affinity.repetitions,
        groups=[list(group) for group in partition.groups],
        cut=partition.cut,
    )
