"""What an arm may not combine: each check runs before anything is trained, and raises ConfigError naming the arm."""

from __future__ import annotations

from collections.abc import Sequence

from splitbench.criteria.base import Parts
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.registry import get, parameters, suggestion
from splitbench.harness.selectors.base import Selector
from splitbench.harness.study.config import ArmConfig, ScheduleConfig, StudyConfig
from splitbench.harness.trainers.base import Trainer
from splitbench.spaces.base import SearchSpace


def check_keys(config: ArmConfig, where: str) -> None:
    """Refuse a key that is neither an arm's nor a parameter of its criterion, naming both.

    Raises:
        ConfigError: with a suggestion.
    """
    own = [key for key in ArmConfig.model_fields if key != "criterion"]
    takes = list(parameters(get("criteria", config.criterion, where)))
    for key in config.model_extra or {}:
        if key not in takes:
            raise ConfigError(
                f"{where}: unknown key {key!r}{suggestion(key, takes + own)}; an arm takes: {', '.join(own)}; and the "
                f"criterion {config.criterion} takes: {', '.join(takes) or 'no parameters'}"
            )


def check_selector(selector: Selector, trainer: Trainer, where: str) -> None:
    """Refuse a selector that reads what this trainer does not learn: said now, not after the training."""
    if selector.reads_architecture_weights and not trainer.learns_architecture:
        raise ConfigError(
            f"{where}: the selector reads architecture parameters, and the trainer learns none; "
            "choose the trainer darts, or the selector random_best"
        )


def check_selection(schedule: ScheduleConfig, selector: Selector, where: str) -> None:
    """Refuse a selector whose price is known only once it has searched, where nothing says what it may spend."""
    if schedule.selection is None and type(selector).plan is Selector.plan:
        raise ConfigError(
            f"{where}: what this selector evaluates is not known beforehand, so nothing can be kept back for it; give "
            "it a share of the budget, as with schedule.selection: 0.1"
        )


def check_kept(schedule: ScheduleConfig, modifiers: Sequence[Part], where: str) -> None:
    """Refuse to compare leaves that have no weights of their own."""
    if any(part.build().shares_weights for part in modifiers) and schedule.keep == "best":
        raise ConfigError(
            f"{where}: keep: best compares supernets, and a modifier has all leaves share one; leave one out"
        )


def check_burn(parts: Parts, scoring: str, study: StudyConfig, where: str) -> None:
    """Refuse a control that burns budget where scoring is free, or where the budget is in seconds."""
    if parts.burn and scoring == "free":
        raise ConfigError(f"{where}: burn is a bill for scoring, and here scoring is free; leave one out")
    if parts.burn and study.budget.seconds is not None:
        raise ConfigError(f"{where}: seconds cannot be burnt; leave burn out, or give the budget in flops")


def check_listed(study: StudyConfig, schedule: ScheduleConfig, space: SearchSpace, where: str) -> None:
    """Refuse to count or draw functions that cannot be listed."""
    for key, value in (("sampling", study.sampling), (f"{where}.schedule.share", schedule.share)):
        if value == "functions" and not space.can_list:
            raise ConfigError(
                f"{key}: functions asks for all functions of a leaf, and those of space {space.name} cannot be listed; "
                f"take {'strings' if key == 'sampling' else 'sampler, steps or flops'}"
            )
