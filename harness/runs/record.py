"""Makes the record of a run, and the file of what it took on this machine, from its outcome."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from splitbench.harness.device import Machine
from splitbench.harness.hashing import canonical_json, hashed
from splitbench.harness.part import Part
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.protocol import Outcome, Run
from splitbench.harness.runs.tree import Node
from splitbench.harness.stages.kinds import KINDS
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import StudyConfig
from splitbench.results.records.population_names import STRINGS
from splitbench.results.records.record import (
    BudgetRecord,
    Decomposition,
    EdgeScore,
    MachineRecord,
    Measured,
    PhaseCost,
    Record,
    TopologyRecord,
    config_fingerprint,
)
from splitbench.results.records.record import NodeRecord as TreeNode
from splitbench.spaces.base import SearchSpace

MEMBERS = {"functions": "distinct connected functions", "strings": STRINGS}
"""What a population is of, in words."""
SHARED_PARTS = {"trainer": "trainers", "selector": "selectors", "leaf_choice": "leaf_choices"}
"""Keys of a study file that arms may replace, and the kinds of what they name."""


def make_record(
    study: StudyConfig, settings: Settings, arm: Arm, repetition: int, draw: int, outcome: Outcome
) -> Record:
    """The record of one run: a pure function of the study."""
    measured, facts = outcome.measured.output, outcome.facts.output
    budget, size = settings.budget, facts.size
    whole = settings.sample is None or size < settings.sample
    return Record(
        **which_run(study, settings, arm, repetition, draw),
        config={
            "study": study.model_dump(mode="json", exclude={"arms", "search", "sweep"}),
            "arm": arm.config(),
            "common": settings.scene.described(),
        },
        population=f"{'all' if whole else 'a uniform sample of'} {size:,} {MEMBERS[settings.of]}"
        + ("" if whole else ", drawn anew for each seed and shared by all arms"),
        population_size=size,
        topology=_topology(settings.space),
        tree=_tree(outcome.tree),
        metrics=measured.metrics,
        validation_metrics=measured.validation_metrics,
        ceiling=facts.ceiling,
        trivial=facts.trivial,
        rank_sum=measured.rank_sum,
        selection=measured.selection,
        cost={phase: PhaseCost(**cost.as_dict()) for phase, cost in outcome.account.phases.items()},
        budget=BudgetRecord(kind=budget.kind, limit=budget.limit, spent=outcome.account.spent),
        estimates_sha256=measured.estimates_sha256,
        decomposition=_decomposition(outcome),
    )


def which_run(study: StudyConfig, settings: Settings, arm: Arm, repetition: int, draw: int) -> dict[str, Any]:
    """The fields that records of runs and of failed runs share."""
    return {
        "splitbench": importlib.metadata.version("splitbench"),
        "study": study.name,
        "arm": arm.label,
        "repetition": repetition,
        "draw": draw,
        "baseline": arm.label == study.baseline,
        "expected_runs": study.seeds * arm.draws,
        "space": settings.space.name,
        "dataset": settings.dataset,
        "trainer": arm.parts["trainers"].name,
        "reads_truth": arm.reads_truth,
        "protocol": protocol(study, settings),
    }


def protocol(study: StudyConfig, settings: Settings) -> str:
    """A hash of all that the arms of a study share; records with different ones never stand in one table.

    What may change without making arms incomparable is left out: the arms themselves, the number of seeds, the name,
    which arm is the baseline, what a sweep searches, and whether differences are decomposed.
    """
    return hashlib.sha256(canonical_json(protocol_parts(study, settings)).encode()).hexdigest()[:16]


def protocol_parts(study: StudyConfig, settings: Settings) -> dict[str, Any]:
    """All that the arms of a study share, as plain JSON: what the study file means, however it is spelled.

    Components stand with their defaults filled in and their values as they were checked, so that ``0.1`` and ``1e-1``,
    ``digits`` and ``{name: digits}``, a default and nothing are one protocol. Space and dataset stand in ``common``.
    """
    apart = {"arms", "seeds", "name", "baseline", "search", "sweep", "decompose", "space", "dataset", *SHARED_PARTS}
    shared = study.model_dump(mode="json", exclude=apart)
    if shared["population"]["of"] == "functions":  # as all were before there were others
        del shared["population"]["of"]
    shared["schedule"] = schedule_parts(shared["schedule"])
    for key, kind in SHARED_PARTS.items():
        shared[key] = Part.of(kind, getattr(study, key), key).written()
    shared["modifiers"] = [Part.of("modifiers", spec, "modifiers").written() for spec in study.modifiers]
    versions = {"run": Run.version, **{kind.kind: kind.version for kind in KINDS}}
    parts = {"stages": versions, "study": shared, "common": hashed(settings.scene), "truth": settings.truth}
    return {key: one_spelling(value) for key, value in parts.items()}


def arm_mark(config: Any) -> str:
    """A hash of an arm's configuration, as its record or :meth:`Arm.config` has it, however it is spelled."""
    if isinstance(config, dict) and isinstance(config.get("schedule"), dict):
        config = {**config, "schedule": schedule_parts(config["schedule"])}
    return config_fingerprint(one_spelling(config))


def schedule_parts(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule with one warm-up share a level, as it is used; a study file may give their sum instead."""
    warmup, levels = schedule.get("warmup"), schedule.get("levels")
    if isinstance(warmup, int | float) and isinstance(levels, int) and levels > 0:
        warmup = [warmup / levels] * levels
    return {**schedule, "warmup": warmup}


def one_spelling(value: Any) -> Any:
    """Plain JSON in which equal numbers are written alike: ``1.0`` as ``1``."""
    if isinstance(value, Mapping):
        return {str(key): one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [one_spelling(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def make_measured(outcome: Outcome, torch_version: str) -> Measured:
    """Seconds by phase, peak memory and machines; a reused stage counts with the seconds and the machine of its own
    computation."""
    machines = list(dict.fromkeys(result.machine for result in outcome.results))
    return Measured(
        seconds={**outcome.account.seconds, "measurement": outcome.measuring},
        peak_bytes=max(result.peak_bytes for result in outcome.results),
        device=machines[0].device,
        torch=machines[0].torch or torch_version,
        threads=threads_of(machines[0]),
        machines=[MachineRecord(**asdict(machine)) for machine in machines],
    )


def threads_of(machine: Machine) -> int:
    """torch's threads on a machine, as :func:`splitbench.harness.device.describe_device` says them; 1 on a GPU."""
    words = re.search(r"(\d+) thread", machine.device)
    return int(words[1]) if words else 1


def _decomposition(outcome: Outcome) -> Decomposition | None:
    terms = outcome.decomposed.output.terms if outcome.decomposed is not None else None
    return None if terms is None else Decomposition(**terms)


def _topology(space: SearchSpace) -> TopologyRecord:
    return TopologyRecord(
        edges=list(space.edges), operations=[list(space.operations(edge)) for edge in range(len(space.edges))]
    )


def _tree(node: Node) -> TreeNode:
    return TreeNode(
        allowed=[list(operations) for operations in node.subspace.allowed],
        stage=node.state.stage if node.state else "",
        steps=node.own_steps,
        curve=node.curve,
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
