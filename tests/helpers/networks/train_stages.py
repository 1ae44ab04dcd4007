"""Train stages of the embedded space: made small, stopped before a step, and looked at in the store."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from splitbench.harness.budget import Allowance
from splitbench.harness.part import Part
from splitbench.harness.stages.base import Scene
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.train import Member, Train
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.trainers.darts import DartsSession
from splitbench.harness.trainers.rsps import RspsSession
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro

SPACE = Micro()
STEPS = 12
SESSIONS: dict[str, Any] = {"rsps": RspsSession, "darts": DartsSession}
PASSES = {"rsps": 1, "darts": 2}


def stage_of(
    scene: Scene,
    trainer: str = "rsps",
    steps: int = STEPS,
    window: tuple[float, float] = (0.0, 1.0),
    parent: WeightsPlace | None = None,
    subspace: SubSpace | None = None,
    rate: float = 0.05,
) -> Train:
    allowance = Allowance("steps", steps * PASSES[trainer])
    return Train(
        scene=scene,
        trainer=Part.of("trainers", {"name": trainer, "batch_size": 16, "learning_rate": rate}),
        members=(Member(subspace or SPACE.root(), parent, allowance),),
        window=window,
        initial_seed=1,
        seed=2,
    )


def state(store: StageStore, stage: Train, member: int = 0) -> dict[str, torch.Tensor]:
    return load_tensors(store.folder(stage.key) / WeightsPlace.file(member))[0]


class StoppedError(Exception):
    """What stops a training in the middle."""


class Steps:
    """Counts the steps of sessions, notes them, and stops before the n-th."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, session: type, stop: int | None = None) -> None:
        self.taken: list[int] = []
        self.stop, step = stop, session.step  # type: ignore[attr-defined]

        def counted(session: Any, number: int, position: float) -> float:
            if len(self.taken) == self.stop:
                raise StoppedError
            self.taken.append(number)
            loss: float = step(session, number, position)
            return loss

        monkeypatch.setattr(session, "step", counted)
