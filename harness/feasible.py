"""Whether a budget can work for an arm, found out before anything is trained."""

from __future__ import annotations

from splitbench.harness.arm import Arm
from splitbench.harness.errors import ConfigError
from splitbench.harness.pipeline import Run
from splitbench.harness.requests import Settings
from splitbench.harness.seeds import Seeds


def check_budget(settings: Settings, arm: Arm, seeds: Seeds) -> None:
    """Refuse a budget that cannot give each leaf one step, and edges that cannot be split.

    What scoring costs and which groups it finds is not known yet, so this goes by made-up groups and free scoring.

    Raises:
        ConfigError: naming the arm, what its parts take, and what to change.
    """
    space, budget = settings.space, settings.budget
    run = Run(settings, arm, seeds, 0)
    try:
        *before, leaves = run.rehearse()
    except ConfigError as error:
        raise ConfigError(f"arm {arm.label}: {error}") from error
    if budget.kind == "seconds":
        return
    step = next(arm.trainer.costs(space, space.root(), 0, 0))
    warm_up = sum(arm.schedule.shares) if arm.splits or arm.schedule.weights == "inherit" else 0.0
    looked_at = [*before[1:], leaves] if arm.schedule.keep == "best" else [leaves]
    selection = sum(run.selection_price(frontier) for frontier in looked_at)
    for level, (frontier, portion) in enumerate(zip(before, arm.schedule.shares, strict=False)):
        if 0 < portion * budget.limit < budget.amount(step) * len(frontier):
            raise ConfigError(
                f"arm {arm.label}: the warm-up of level {level + 1} is {portion * budget.limit:g} "
                f"{budget.kind}, and one training step of each of its {len(frontier)} supernets takes about "
                f"{budget.amount(step) * len(frontier):g}; raise budget.{budget.kind} or schedule.warmup"
            )
    share = (budget.limit * (1 - warm_up) - selection) / len(leaves)
    if share < budget.amount(step):
        raise ConfigError(
            f"arm {arm.label}: the budget of {budget.limit:g} {budget.kind} is too small for its schedule: "
            f"selection takes about {selection:g}, each of {len(leaves)} leaves gets at most "
            f"{max(share, 0):g}, and one training step takes about {budget.amount(step):g}; raise "
            f"budget.{budget.kind}, or lower schedule.levels, schedule.warmup or the selector's samples"
        )
