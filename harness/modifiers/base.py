"""The modifier interface: what changes the sampler, the loss or the update of any trainer, without knowing which."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from splitbench.harness.budget import Cost
from splitbench.harness.trainers.base import Batch, Seam, Session, Trainer
from splitbench.spaces.base import Choice, SearchSpace


class Modifier(ABC):
    """A modifier component: a frozen dataclass of parameters, named by ``modifiers`` of a study or an arm.

    Attributes:
        shares_weights: whether the leaves of a split live in one supernet: it is then trained as a whole, its job's
            ``parts`` are the leaves' subspaces, and a split costs no training.
        joint: whether sibling supernets are trained side by side in one stage, each seeing the others in its job's
            ``siblings``.
    """

    shares_weights: ClassVar[bool] = False
    joint: ClassVar[bool] = False

    @abstractmethod
    def open(self, session: Session) -> Modification:
        """Wrap a session at its beginning; ``session.seam`` is what there was before."""

    def unfit(self, trainer: Trainer, space: SearchSpace) -> str | None:
        """Why it cannot serve a trainer or a space; None if it can. Asked before anything is trained."""
        return None


class Modification:
    """A modifier at work. It passes on what it does not change.

    Attributes:
        session: the trainer's.
        inner: what it wraps: the session itself, or an earlier modifier.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.inner: Seam = session.seam

    def next_cost(self, step: int) -> Cost:
        """The step's cost; add what this modifier will charge to the job's meter beyond it."""
        return self.inner.next_cost(step)

    def choices(self, step: int) -> Sequence[Choice]:
        """What the step runs; the same each time it is asked."""
        return self.inner.choices(step)

    def loss(self, batch: Batch, choice: Choice, logits: Tensor) -> Tensor:
        """What a pass descends on."""
        return self.inner.loss(batch, choice, logits)

    def update(self, step: int, choices: Sequence[Choice]) -> None:
        """What becomes of the gradients."""
        self.inner.update(step, choices)

    def tensors(self) -> dict[str, Tensor]:
        """What its next step depends on."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`tensors`. What a leaf inherits from its parent's modifier comes here too; nothing where
        there was none."""
