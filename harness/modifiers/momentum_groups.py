"""Few-shot learning of the optimizer's momentum instead of the weights."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from splitbench.harness.modifiers.base import Modification, Modifier
from splitbench.harness.trainers.base import Session, Trainer, load_optimizer, optimizer_tensors
from splitbench.harness.trainers.sgd import SgdSession, SgdTrainer
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace


@dataclass(frozen=True)
class MomentumGroups(Modifier):
    """One supernet with one set of weights, and a momentum of its own for each leaf of the split.

    A step takes the momentum of the leaf that owns its path's function. A new group goes on from the momentum of the
    group that it was split from. DYNAS (CVPR 2025) does so for the operations of one random edge; here the groups are
    those of any criterion and partitioner. It costs nothing beyond scoring.
    """

    version: ClassVar[int] = 2
    shares_weights: ClassVar[bool] = True

    def open(self, session: Session) -> MomentumGroupsAtWork:
        if not isinstance(session, SgdSession):
            raise TypeError(f"{type(session).__name__} has no momentum of SGD")
        return MomentumGroupsAtWork(session)

    def unfit(self, trainer: Trainer, space: SearchSpace) -> str | None:
        if not (isinstance(trainer, SgdTrainer) and trainer.single_path and trainer.momentum > 0):
            return (
                "the trainer runs no single paths, so no path says whose momentum a step takes, or has no momentum; "
                "choose the trainer rsps with a momentum, or leave the modifier momentum_groups out"
            )
        return None


class MomentumGroupsAtWork(Modification):
    """MomentumGroups at work: it puts a group's momentum into the optimizer while that group steps."""

    session: SgdSession

    def __init__(self, session: SgdSession) -> None:
        super().__init__(session)
        self.parts = session.job.parts
        self.states: dict[SubSpace, Any] = {part: defaultdict(dict) for part in self.parts}

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        if not self.parts:
            self.inner.update(step, choices)
            return
        (path,) = choices
        assert not isinstance(path, Mixture)  # unfit() has refused trainers of mixtures
        function = self.session.job.space.function(path)
        group = next(part for part in self.parts if part.contains(function))
        optimizer = self.session.optimizer
        before, optimizer.state = optimizer.state, self.states[group]
        self.inner.update(step, choices)
        self.states[group], optimizer.state = optimizer.state, before

    def tensors(self) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        for part, state in self.states.items():
            kept[f"{tensor_prefix(part)}.known"] = torch.ones(1)
            with Swapped(self.session.optimizer, state):
                kept |= optimizer_tensors(self.session.optimizer, self.session.weights, tensor_prefix(part))
        return kept

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        known = [name.removesuffix(".known") for name in tensors if name.endswith(".known")]
        for part in self.parts:
            prefix = next((name for name in known if holds(name, part)), None)
            if prefix is None:
                self.states[part] = copy.copy(self.session.optimizer.state)
                for parameter, values in list(self.states[part].items()):
                    self.states[part][parameter] = {key: copy.deepcopy(value) for key, value in values.items()}
                continue
            with Swapped(self.session.optimizer, self.states[part]):
                load_optimizer(self.session.optimizer, self.session.weights, prefix, tensors)


class Swapped:
    """While inside, an optimizer has another state."""

    def __init__(self, optimizer: torch.optim.Optimizer, state: Any) -> None:
        self.optimizer, self.state = optimizer, state

    def __enter__(self) -> None:
        self.before, self.optimizer.state = self.optimizer.state, self.state

    def __exit__(self, *_: object) -> None:
        self.optimizer.state = self.before


def tensor_prefix(part: SubSpace) -> str:
    """A subspace as the prefix of tensors' names."""
    return "-".join("+".join(map(str, operations)) for operations in part.allowed)


def holds(name: str, part: SubSpace) -> bool:
    """Whether the subspace of a prefix is a part, or holds it."""
    allowed = [set(map(int, operations.split("+"))) for operations in name.split("-")]
    return all(set(mine) <= theirs for mine, theirs in zip(part.allowed, allowed, strict=True))
