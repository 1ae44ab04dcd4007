"""Arms: the parts of a study put together, built once and checked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from splitbench.criteria.base import (
    Criterion,
    EdgeRule,
    Partitioner,
    Parts,
    given_leaves,
    parts_of,
    reads_truth,
    splits,
    unfit,
)
from splitbench.harness.errors import ConfigError
from splitbench.harness.modifiers.base import Modifier
from splitbench.harness.part import Part
from splitbench.harness.registry import Spec, build, suggestion
from splitbench.harness.selectors.base import LeafChoice, Selector
from splitbench.harness.study.arm_checks import (
    check_burn,
    check_kept,
    check_keys,
    check_listed,
    check_selection,
    check_selector,
)
from splitbench.harness.study.complaints import complaint
from splitbench.harness.study.config import ArmConfig, ScheduleConfig, StudyConfig
from splitbench.harness.trainers.base import Trainer
from splitbench.spaces.base import SearchSpace, SubSpace


@dataclass(frozen=True)
class Judge:
    """A criterion, and the partitioner that groups operations by its affinities.

    Attributes:
        criterion: scores an edge, in stages.
        partitioner: affinity -> groups, in this process.
        draws: whether the criterion itself draws: its affinity then differs from draw to draw.
        reads_truth: whether it is an oracle control.
    """

    criterion: Part
    partitioner: Partitioner
    draws: bool
    reads_truth: bool

    def unfit(self, space: SearchSpace) -> str | None:
        """Why the criterion cannot serve a space; None if it can."""
        return unfit(self.criterion.build(), space)


@dataclass(frozen=True)
class Arm:
    """One combination of parts, checked: what runs are made of.

    Attributes:
        label: its name in the study.
        splits: whether the supernet is split at all.
        unfit: why the criterion cannot serve the study's space; None if it can.
        judge: the criterion and its partitioner.
        consulted: another criterion, which the edge rule asks about all edges; None if it asks none.
        whole_edges: whether only edges that still allow all operations may be split.
        burn: share of the budget that is charged as scoring and buys nothing (a control of what scoring costs).
        schedule: levels, branching, warm-up shares, weights.
        common: the study's own schedule, by which arms that do not split are trained.
        draws: runs a repetition.
        scoring: whether scoring is paid out of the budget: charged or free.
        decompose: whether its difference to no split is decomposed into terms.
        edge_rule, trainer, selector, leaf_choice: the parts that run in this process.
        modifiers: what changes its training; the first is innermost.
        parts: kind -> the same parts as stages carry them: name, parameters and identity.
        modifier_parts: the modifiers, likewise.
        leaves: the root's children, where the study file names them; none where edges are split.
    """

    label: str
    splits: bool
    unfit: str | None
    judge: Judge
    consulted: Judge | None
    whole_edges: bool
    burn: float
    schedule: ScheduleConfig
    common: ScheduleConfig
    draws: int
    scoring: str
    decompose: bool
    edge_rule: EdgeRule
    trainer: Trainer
    selector: Selector
    leaf_choice: LeafChoice
    parts: Mapping[str, Part]
    modifiers: tuple[Modifier, ...] = ()
    modifier_parts: tuple[Part, ...] = ()
    leaves: tuple[SubSpace, ...] = ()

    @property
    def shares_weights(self) -> bool:
        """Whether the leaves of its split live in one supernet."""
        return self.splits and any(modifier.shares_weights for modifier in self.modifiers)

    @property
    def joint(self) -> bool:
        """Whether sibling supernets are trained side by side in one stage."""
        return any(modifier.joint for modifier in self.modifiers)

    @property
    def reads_truth(self) -> bool:
        """Whether any part of it sees the ground truth: an oracle control, marked in every table."""
        return self.judge.reads_truth or (self.consulted is not None and self.consulted.reads_truth)

    @property
    def given(self) -> bool:
        """Whether its partition was written down in the study file: marked in every table."""
        return self.judge.criterion.name == "given"

    def config(self) -> dict[str, Any]:
        """Everything that makes this arm what it is, for its records."""
        parts = {kind: part.described() for kind, part in self.parts.items()}
        modifiers = [part.described() for part in self.modifier_parts]
        schedule = self.schedule.model_dump(mode="json")
        return {
            **parts,
            "modifiers": modifiers,
            "schedule": schedule,
            "draws": self.draws,
            "scoring": self.scoring,
            "decompose": self.decompose,
        }


def build_arm(study: StudyConfig, config: ArmConfig, index: int, space: SearchSpace) -> Arm:
    """The arm that a study file describes, on the study's space; called for every arm before any is run.

    Args:
        study: the whole study, whose parts an arm has where it names none of its own.
        config: the arm's entry.
        index: its place among the arms, for messages.
        space: bound to the dataset's images.

    Raises:
        ConfigError: naming the arm and the key.
    """
    where = f"arms[{index}] ({config.label})"
    check_keys(config, where)
    criterion: Criterion = build("criteria", config.criterion_spec, where)
    parts = parts_of(criterion)
    chosen = _chosen(study, config, parts, where)
    built = {kind: build(kind, spec, place) for kind, (place, spec) in chosen.items()}
    check_selector(built["selectors"], built["trainers"], where)
    schedule = _schedule(study.schedule, config.schedule, parts.schedule, where)
    modifiers = _modifiers(study, config, built["trainers"], space, where)
    check_kept(schedule, modifiers, where)
    check_selection(schedule, built["selectors"], where)
    check_listed(study, schedule, space, where)
    scoring = config.scoring or study.scoring
    check_burn(parts, scoring, study, where)
    consulted = _consulted(built["edge_rules"], f"{where}.edge_rule")
    own = {kind: Part.of(kind, spec, place) for kind, (place, spec) in chosen.items()}
    misfit = unfit(criterion, space)
    if misfit is not None and getattr(criterion, "given", False):
        raise ConfigError(f"{where}: {misfit}")
    return Arm(
        label=config.label,
        splits=splits(criterion),
        unfit=misfit or (consulted.unfit(space) if consulted else None),
        judge=_judge(criterion, own["criteria"], built["partitioners"]),
        consulted=consulted,
        whole_edges=parts.only_whole_edges,
        burn=parts.burn,
        schedule=schedule,
        common=study.schedule,
        draws=config.draws,
        scoring=scoring,
        decompose=study.decompose if config.decompose is None else config.decompose,
        edge_rule=built["edge_rules"],
        trainer=built["trainers"],
        selector=built["selectors"],
        leaf_choice=built["leaf_choices"],
        parts=own,
        modifiers=tuple(part.build() for part in modifiers),
        modifier_parts=modifiers,
        leaves=() if misfit else _leaves(criterion, config, schedule, space, where),
    )


def _chosen(study: StudyConfig, config: ArmConfig, parts: Parts, where: str) -> dict[str, tuple[str, Spec]]:
    """Kind -> the place in the study file and the spec of the arm's part: its own, its criterion's, or the study's."""
    chosen: dict[str, tuple[str, Spec]] = {
        "criteria": (where, config.criterion_spec),
        "partitioners": (f"{where}.partitioner", config.partitioner or parts.partitioner),
        "edge_rules": (f"{where}.edge_rule", config.edge_rule or parts.edge_rule),
    }
    for kind, key in (("trainers", "trainer"), ("selectors", "selector"), ("leaf_choices", "leaf_choice")):
        own = getattr(config, key)
        chosen[kind] = (key, getattr(study, key)) if own is None else (f"{where}.{key}", own)
    return chosen


def _leaves(
    criterion: Criterion, config: ArmConfig, schedule: ScheduleConfig, space: SearchSpace, where: str
) -> tuple[SubSpace, ...]:
    """The leaves that the criterion names itself; nothing else then decides how the root is split."""
    leaves = given_leaves(criterion, space)
    unread = [key for key in ("partitioner", "edge_rule") if leaves and getattr(config, key) is not None]
    if leaves and (unread or schedule.levels > 1):
        raise ConfigError(
            f"{where}: the leaves are given, so the root is split once and by nothing else; leave out "
            f"{' and '.join(unread) or 'schedule.levels'}"
        )
    return leaves


def _modifiers(
    study: StudyConfig, config: ArmConfig, trainer: Trainer, space: SearchSpace, where: str
) -> tuple[Part, ...]:
    """The arm's modifiers: its own, or the study's."""
    place, specs = ("modifiers", study.modifiers)
    if config.modifiers is not None:
        place, specs = f"{where}.modifiers", config.modifiers
    parts = tuple(Part.of("modifiers", spec, f"{place}[{index}]") for index, spec in enumerate(specs))
    for part in parts:
        if (reason := part.build().unfit(trainer, space)) is not None:
            raise ConfigError(f"{where}: the modifier {part.name} does not serve: {reason}")
    return parts


def _judge(criterion: Criterion, part: Part, partitioner: Partitioner) -> Judge:
    # By getattr: a criterion may be a bare function, which has no attributes of a class.
    return Judge(part, partitioner, bool(getattr(criterion, "draws", False)), reads_truth(criterion))


def _consulted(rule: EdgeRule, where: str) -> Judge | None:
    """The criterion that an edge rule consults, with that criterion's own partitioner."""
    spec: Spec | None = getattr(rule, "consults", None)
    if spec is None:
        return None
    criterion: Criterion = build("criteria", spec, where)
    partitioner: Partitioner = build("partitioners", parts_of(criterion).partitioner, where)
    return _judge(criterion, Part.of("criteria", spec, where), partitioner)


def _schedule(study: ScheduleConfig, own: Mapping[str, Any], method: Mapping[str, Any], where: str) -> ScheduleConfig:
    """The arm's schedule: the study's, then what the criterion's paper asks for, then the arm's own keys."""
    allowed = [key for key in ScheduleConfig.model_fields if key != "share"]
    if "share" in own:
        raise ConfigError(
            f"{where}.schedule.share: how leaves share a budget is one setting of the whole study, or arms would "
            "differ in it as well; set schedule.share of the study (an arm's criterion may bring that of its paper)"
        )
    for key in own:
        if key not in allowed and key != "splits":  # the schedule itself says what became of that one
            raise ConfigError(
                f"{where}.schedule: unknown key {key!r}{suggestion(key, allowed)}; allowed keys: {', '.join(allowed)}"
            )
    merged = study.model_dump() | dict(method) | dict(own)
    # The study lists a share a level, and this arm has another number of levels: it keeps the sum.
    if (
        isinstance(merged["warmup"], list)
        and "warmup" not in {*own, *method}
        and len(merged["warmup"]) != merged["levels"]
    ):
        merged["warmup"] = math.fsum(merged["warmup"])
    try:
        return ScheduleConfig.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(complaint(error, f"{where}.schedule", StudyConfig)) from error
