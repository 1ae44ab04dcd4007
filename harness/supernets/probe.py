"""The probe that a criterion gets: batches, contexts, gradients and the like of a supernet, every pass charged."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from splitbench.criteria.proxies.base import Network, Proxy, Scores, recording, terms
from splitbench.harness.budget import Cost, Meter, forward_pass, training_pass
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.seeds import at_step
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.harness.trainers.base import Trainer
from splitbench.spaces.base import ActiveWeight, Choice, Mixture, SearchSpace, SubSpace, Supernet, reaches
from splitbench.spaces.choices import with_operation
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.truth import GroundTruth

_TRIES = 1000
_APART = 10_000  # the second batch of a proxy is none that another repetition sees
_BATCH = 1000  # validation images a pass: batch statistics need many


class SupernetProbe:
    """Implements ``splitbench.criteria.base.Probe`` on a trained supernet.

    Args:
        space, subspace, supernet, data: what is probed; training images only.
        trainer: whose kind of context is drawn, and whose batch size.
        state: the trainer's tensors at the end of its training.
        seed: of this node of the split tree; leaves the arm out.
        draw: which draw of an arm with several; it changes :meth:`rng` alone.
        meter: charged for every pass.
        initial: makes a supernet with the weights that this one started from.
        truth: opens the ground truth, for an oracle control only.
    """

    def __init__(
        self,
        space: SearchSpace,
        subspace: SubSpace,
        supernet: Supernet,
        data: ImageData,
        trainer: Trainer,
        state: dict[str, Tensor],
        seed: int,
        draw: int,
        meter: Meter,
        initial: Callable[[], Supernet] | None = None,
        truth: Callable[[], GroundTruth] | None = None,
    ) -> None:
        self.space, self.subspace = space, subspace
        self._supernet, self._data, self._trainer, self._state = supernet, data, trainer, state
        self._seed, self._draw, self._meter = seed, draw, meter
        self._initial, self._truth = initial, truth
        self._scratch: dict[bool, tuple[Supernet, dict[str, Tensor]]] = {}

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.space.comparable(self.subspace, edge)

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng((self._seed, self._draw, *purpose.encode()))

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        return self._data.batch("train", self._seed, repetition, self._trainer.batch_size)

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        # One context serves all operations of the edge, or a comparison of two of them would also be one of contexts.
        # So it must be connected for each: one that is cut off by an operation has no gradient to compare.
        rng = at_step(self._seed + 1, repetition)
        operations = [o for o in self.operations(edge) if o not in self.space.absent(edge)]
        for _ in range(_TRIES):
            try:
                context = self._trainer.context(self.space, self.subspace, self._state, rng)
            except ValueError as error:  # nothing in the subspace is connected
                raise SplitbenchError(f"edge {edge}: no context can be drawn: {error}") from error
            if not connected or isinstance(context, Mixture):
                return context
            if all(self.space.connected((*context[:edge], o, *context[edge + 1 :])) for o in operations):
                return context
        raise SplitbenchError(f"edge {edge}: no context in {self.subspace} is connected for all of its operations")

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        choice = with_operation(context, edge, operation)
        if not reaches(self.space, choice):
            return None  # the images do not reach the loss: only the classifier's bias would get a gradient
        images, labels = self.batch(repetition)
        # None, and not zero: what did not run in this pass has no gradient, whatever an earlier pass left there.
        self._supernet.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self._supernet(images, choice), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self._meter.charge(training_pass(self.space, choice, len(labels)))
        shared = self._shared(edge, outer)
        slices = [None if w.parameter.grad is None else w.part(w.parameter.grad) for w in shared]
        if not any(gradient is not None and bool(gradient.any()) for gradient in slices):
            return None
        flat = [(torch.zeros_like(w.view) if g is None else g).flatten() for w, g in zip(shared, slices, strict=True)]
        return torch.cat(flat)

    def _shared(self, edge: int, outer: bool) -> list[ActiveWeight]:
        """What the operations that are compared share."""
        return self._supernet.shared_weights(edge, outer, self.operations(edge))

    def lengths(self, edge: int, outer: bool = True) -> list[int]:
        return [weight.view.numel() for weight in self._shared(edge, outer)]

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        images, _ = self.batch(repetition)
        return self._forward(images, with_operation(context, edge, operation))

    def features(self, edge: int, operation: int, repetition: int, context: Choice) -> list[Tensor]:
        images, _ = self.batch(repetition)
        choice = with_operation(context, edge, operation)
        with recording(self._supernet.blocks(choice)) as seen:
            self._forward(images, choice)
        return [call.output for call in seen]

    @torch.no_grad()
    def _forward(self, images: Tensor, choice: Choice) -> Tensor:
        logits: Tensor = self._supernet(images, choice)
        self._meter.charge(forward_pass(self.space, choice, len(images), self._trainer.batch_size))
        return logits

    def pullbacks(self, edge: int, repetition: int, context: Choice) -> list[Tensor | None]:
        images, labels = self.batch(repetition)
        operations = self.operations(edge)
        mixed = all_on_edge(context, self.space, edge, operations, self.subspace)
        modules = self._supernet.operation_modules(edge)
        inputs: dict[int, list[Tensor]] = {op: [] for op in operations}
        handles = []
        for op in operations:
            own = inputs[op]

            def branch(module: nn.Module, given: tuple[Tensor, ...], own: list[Tensor] = own) -> tuple[Tensor]:
                x = given[0].view_as(given[0])  # a node of the graph that this operation alone sends gradients to
                x = x if x.requires_grad else x.detach().requires_grad_()
                own.append(x)
                return (x,)

            handles += [module.register_forward_pre_hook(branch) for module in modules.get(op, ())]
        self._supernet.zero_grad(set_to_none=True)
        try:
            loss = functional.cross_entropy(self._supernet(images, mixed), labels)
        finally:
            for handle in handles:
                handle.remove()
        for own in inputs.values():
            for x in own:
                x.retain_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._meter.charge(training_pass(self.space, mixed, len(labels)))
        return [_flat([x.grad for x in inputs[op]]) for op in operations]

    def whole(self) -> Mixture:
        context = self._trainer.context(self.space, self.subspace, self._state, at_step(self._seed + 1, 0))
        if isinstance(context, Mixture):
            return context
        weights = torch.zeros(self.space.weights_shape)
        for edge, operations in enumerate(self.subspace.allowed):
            weights[edge, list(operations)] = 1 / len(operations)
        return Mixture(self.subspace, weights.to(self._data.device))

    def accuracy(self, choice: Choice, images: int | None = None) -> tuple[float, float]:
        evaluation = Evaluation(images, _BATCH)
        count = evaluation.count(len(self._data.labels["validation"]))
        self._meter.charge(evaluation.cost(self.space, choice, count, self._trainer.batch_size))
        return estimate(self._supernet, choice, self._data, evaluation)

    def score(self, proxy: Proxy, choice: Choice, repetition: int, initial: bool = False) -> Scores:
        passes = [0.0, 0.0]

        def charge(forward: float, backward: float) -> None:
            passes[0] += forward
            passes[1] += backward

        # A proxy may change the weights that it scores: it gets a copy, so that no later score sees the change.
        network = Network(
            self.space,
            self._copy(initial),
            choice,
            lambda step: self.batch(repetition + step * _APART),
            charge,
            self._seed ^ (repetition + 1) * 0x9E3779B97F4A7C15,
        )
        values = terms(proxy, network)
        self._meter.charge(self._passes(choice, *passes))
        return values

    def _passes(self, choice: Choice, forward: float, backward: float) -> Cost:
        """Counted in images. A step is a forward and a backward pass; further backward passes are further steps."""
        flops, size, most = self.space.flops(choice), self._trainer.batch_size, max(forward, backward)
        spent = round(flops.forward * forward + flops.backward * backward)
        return Cost(spent, math.ceil(most / size), math.ceil(most))

    def _copy(self, initial: bool) -> Supernet:
        """A scratch copy of the supernet (or of what it started from), its weights put back to what they were."""
        if initial not in self._scratch:
            if initial and self._initial is None:
                raise ConfigError("this probe has no initial weights; score the weights that the supernet has now")
            source = self._initial() if initial and self._initial is not None else self._supernet
            self._scratch[initial] = copy.deepcopy(source), {n: p.detach() for n, p in source.named_parameters()}
        scratch, weights = self._scratch[initial]
        scratch.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, parameter in scratch.named_parameters():
                parameter.copy_(weights[name])
        return scratch

    def truth(self) -> GroundTruth:
        if self._truth is None:
            raise ConfigError(
                "a criterion asked its probe for the ground truth; only an oracle control may, and it declares "
                "reads_truth = True, so that every table marks it"
            )
        return self._truth()


def all_on_edge(
    context: Choice, space: SearchSpace, edge: int, operations: tuple[int, ...], subspace: SubSpace | None = None
) -> Mixture:
    """The context with all ``operations`` on ``edge``.

    Of equal weight where the context is a path. A mixture keeps its own weights, and runs what ``subspace`` allows
    there besides: the operations that stay in every child.
    """
    if isinstance(context, Mixture):
        running = operations if subspace is None else subspace.allowed[edge]
        return Mixture(context.active.only(edge, running), context.weights)
    weights = torch.zeros(space.weights_shape)
    weights[range(len(context)), list(context)] = 1
    weights[edge] = 0
    weights[edge, list(operations)] = 1 / len(operations)
    path = SubSpace(tuple((op,) for op in context))
    return Mixture(path.only(edge, operations), weights)


def _flat(gradients: list[Tensor | None]) -> Tensor | None:
    pieces = [gradient.flatten() for gradient in gradients if gradient is not None]
    flat = torch.cat(pieces) if pieces else None
    return flat if flat is not None and bool(flat.any()) else None
