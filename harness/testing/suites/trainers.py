"""What every trainer must hold."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from splitbench.harness.budget import Cost, Meter
from splitbench.harness.modifiers.base import Modifier
from splitbench.harness.testing.checks import ComponentCheck, enforce
from splitbench.harness.testing.material import require, subspaces
from splitbench.harness.trainers.base import Job, Trainer, open_session
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData

State = tuple[dict[str, Tensor], dict[str, Tensor]]
"""A supernet's weights, and the tensors of its session."""


def check_trainer(trainer: Trainer, space: SearchSpace, data: ImageData, steps: int = 20) -> None:
    """Costs are known beforehand, steps are reproducible, and a session goes on from its tensors bit for bit."""
    enforce(trainer_checks(trainer, space, data, steps))


def trainer_checks(trainer: Trainer, space: SearchSpace, data: ImageData, steps: int = 20) -> Iterator[ComponentCheck]:
    """The suite of a trainer, on the whole of ``space`` and on a part of it."""
    for index, where in enumerate(("the whole space", "a part of the space")):
        run = functools.partial(check_steps, trainer, space, subspaces(space)[index], data, steps)
        yield ComponentCheck(f"{space.name}: costs, steps and checkpoints on {where}", run)
    yield ComponentCheck(
        f"{space.name}: a part goes on from the whole", lambda: check_leaf(trainer, space, data, steps)
    )


def check_steps(
    trainer: Trainer,
    space: SearchSpace,
    subspace: SubSpace,
    data: ImageData,
    steps: int,
    modifiers: Sequence[Modifier] = (),
) -> None:
    """Each step costs what ``next_cost`` says before it, and a session that is stopped goes on bit for bit."""
    name, middle = type(trainer).__name__, steps // 2
    whole, _, losses = trained(trainer, space, subspace, data, 0, steps, modifiers=modifiers)
    require(bool(np.isfinite(losses).all()), f"{name}: a training loss is not finite")

    half, _, first = trained(trainer, space, subspace, data, 0, middle, modifiers=modifiers)
    require(first == losses[:middle], f"{name}: the same steps twice give different losses")
    rest, _, second = trained(trainer, space, subspace, data, middle, steps, half, modifiers)
    require(second == losses[middle:], f"{name}: after load(tensors()) the losses differ")
    require(equal(rest, whole), f"{name}: after load(tensors()) the weights or tensors differ")
    check_contexts(trainer, space, subspace, whole[1])


def check_leaf(trainer: Trainer, space: SearchSpace, data: ImageData, steps: int) -> None:
    """A leaf goes on from its parent."""
    middle = steps // 2
    inherited = trained(trainer, space, space.root(), data, 0, middle)[0]
    trained(trainer, space, subspaces(space)[1], data, middle, middle + 1, inherited)


def check_contexts(trainer: Trainer, space: SearchSpace, subspace: SubSpace, state: dict[str, Tensor]) -> None:
    """Contexts lie in the subspace, and learnt preferences have a weight for each operation."""
    name, rng = type(trainer).__name__, np.random.default_rng(0)
    for _ in range(5):
        context = trainer.context(space, subspace, state, rng)
        require(runs_within(context, subspace), f"{name}: context() gives {context}, which is not of {subspace}")
    weights = trainer.architecture_weights(state)
    require(
        weights is None or tuple(weights.shape) == space.weights_shape,
        f"{name}: architecture_weights() are not {space.weights_shape}",
    )


def runs_within(context: Choice, subspace: SubSpace) -> bool:
    """Whether nothing runs that a subspace does not allow; a sample of one operation an edge may be a mixture, too."""
    if not isinstance(context, Mixture):
        return subspace.contains(context)
    return all(set(runs) <= set(ops) for runs, ops in zip(context.active.allowed, subspace.allowed, strict=True))


def trained(
    trainer: Trainer,
    space: SearchSpace,
    subspace: SubSpace,
    data: ImageData,
    first: int,
    last: int,
    start: State | None = None,
    modifiers: Sequence[Modifier] = (),
) -> tuple[State, list[Cost], list[float]]:
    """Steps ``first`` to ``last``: weights and the session's tensors, and the cost and loss of each step."""
    supernet, meter = space.supernet(0), Meter()
    session = open_session(trainer, modifiers, Job(space, subspace, supernet, data, 7, meter))
    if start is not None:
        supernet.load_state_dict(start[0])
        session.restore(start[1])
    costs, losses = [], []
    for step in range(first, last):
        meter.cost = Cost()
        said = session.seam.next_cost(step)
        require(said == session.seam.next_cost(step), f"{type(trainer).__name__}: next_cost({step}) changes when asked")
        losses.append(session.step(step, step / 100))
        costs.append(meter.cost)
        require(
            said == meter.cost,
            f"{type(trainer).__name__}: next_cost({step}) says {said}, and the session is charged {meter.cost}",
        )
    weights = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    return (weights, {name: tensor.clone() for name, tensor in session.state().items()}), costs, losses


def equal(first: State, second: State) -> bool:
    """Whether weights and tensors are the same, bit for bit."""
    return all(
        list(a) == list(b) and all(torch.equal(tensor, b[name]) for name, tensor in a.items())
        for a, b in zip(first, second, strict=True)
    )
