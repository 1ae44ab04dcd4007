"""What every modifier must hold."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from splitbench.harness.modifiers.base import Modifier
from splitbench.harness.testing.checks import ComponentCheck, SkippedCheck, enforce
from splitbench.harness.testing.material import subspaces
from splitbench.harness.testing.suites.trainers import check_steps
from splitbench.harness.trainers.base import Trainer
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.datasets.base import ImageData

TRAINERS: dict[str, Trainer] = {"rsps": Rsps(batch_size=8), "darts": Darts(batch_size=8)}


def check_modifier(modifier: Modifier, space: SearchSpace, data: ImageData, steps: int = 10) -> None:
    """Around every built-in trainer that it serves, steps cost what is said before, and go on bit for bit."""
    enforce(modifier_checks(modifier, space, data, steps))


def modifier_checks(
    modifier: Modifier, space: SearchSpace, data: ImageData, steps: int = 10
) -> Iterator[ComponentCheck]:
    """The suite of a modifier."""
    for name, trainer in TRAINERS.items():
        run = functools.partial(check_around, modifier, trainer, space, data, steps)
        yield ComponentCheck(f"{space.name}: around {name}: costs, steps and checkpoints", run)


def check_around(modifier: Modifier, trainer: Trainer, space: SearchSpace, data: ImageData, steps: int) -> None:
    """The suite of a trainer's steps, with the modifier around them."""
    if (reason := modifier.unfit(trainer, space)) is not None:
        raise SkippedCheck(f"it does not serve: {reason}")
    for subspace in subspaces(space)[:2]:
        check_steps(trainer, space, subspace, data, steps, [modifier])
