"""Arms: the parts of a study put together, built once and checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from criteria.base import Criterion, EdgeRule, Partitioner, parts_of, splits
from harness.config import ArmConfig, ScheduleConfig, StudyConfig
from harness.errors import ConfigError
from harness.registry import build, resolved, suggestion
from harness.selectors.base import Selector
from harness.trainers.base import Trainer


@dataclass(frozen=True)
class Arm:
    """One combination of parts.

    Attributes:
        label: its name in the study.
        splits: whether the supernet is split at all.
        whole_edges: whether only edges that still allow all operations may be split.
        schedule: levels, branching, warm-up shares, weights.
        draws: runs a repetition.
        partitioner, edge_rule, trainer, selector: the parts that run in this process.
        specs: part -> its spec with all defaults and fingerprint, as stages are hashed by.
    """

    label: str
    splits: bool
    whole_edges: bool
    schedule: ScheduleConfig
    draws: int
    partitioner: Partitioner
    edge_rule: EdgeRule
    trainer: Trainer
    selector: Selector
    specs: Mapping[str, Mapping[str, Any]]


def build_arm(study: StudyConfig, config: ArmConfig, index: int) -> Arm:
    """The arm that a study file describes.

    Raises:
        ConfigError: naming the arm and the key.
    """
    where = f"arms[{index}] ({config.label})"
    criterion: Criterion = build("criteria", config.criterion_spec, where)
    parts = parts_of(criterion)
    chosen = {
        "criteria": config.criterion_spec,
        "partitioners": config.partitioner or parts.partitioner,
        "edge_rules": config.edge_rule or parts.edge_rule,
        "trainers": config.trainer or study.trainer,
        "selectors": config.selector or study.selector,
        "leaf_choices": config.leaf_choice or study.leaf_choice,
    }
    built = {kind: build(kind, spec, f"{where}.{kind}") for kind, spec in chosen.items()}
    return Arm(
        label=config.label,
        splits=splits(criterion),
        whole_edges=parts.only_whole_edges,
        schedule=_schedule(study.schedule, config.schedule, parts.levels, where),
        draws=config.draws,
        partitioner=built["partitioners"],
        edge_rule=built["edge_rules"],
        trainer=built["trainers"],
        selector=built["selectors"],
        specs={kind: resolved(kind, spec, f"{where}.{kind}") for kind, spec in chosen.items()},
    )


def _schedule(study: ScheduleConfig, own: Mapping[str, Any], levels: int | None, where: str) -> ScheduleConfig:
    allowed = list(ScheduleConfig.model_fields)
    for key in own:
        if key not in allowed:
            raise ConfigError(
                f"{where}.schedule: unknown key {key!r}{suggestion(key, allowed)}; allowed keys: {', '.join(allowed)}"
            )
    merged = study.model_dump() | ({} if levels is None else {"levels": levels}) | dict(own)
    if isinstance(merged["warmup"], list) and "warmup" not in own and len(merged["warmup"]) != merged["levels"]:
        merged["warmup"] = sum(merged["warmup"])
    try:
        return ScheduleConfig.model_validate(merged)
    except ValueError as error:
        raise ConfigError(f"{where}.schedule: {str(error).splitlines()[-2].strip()}") from error
