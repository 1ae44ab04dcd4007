"""A probe that charges passes without running them, to find what a criterion will cost before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from splitbench.criteria.base import Criterion
from splitbench.criteria.proxies.base import Proxy, Scores
from splitbench.harness.budget import Cost, Meter, forward_pass, training_pass
from splitbench.harness.runs.step_prices import supernet_of
from splitbench.harness.stages.score import Score
from splitbench.harness.supernets.estimate import Evaluation
from splitbench.harness.supernets.probe import SupernetProbe, all_on_edge
from splitbench.harness.trainers.base import Job, Trainer
from splitbench.spaces.base import Choice, SearchSpace, Supernet, reaches
from splitbench.spaces.choices import with_operation
from splitbench.spaces.datasets.base import ImageData

VALIDATION = 1000


class PriceProbe(SupernetProbe):
    """Returns random numbers of the right shapes, and charges what the real probe would.

    A zero-cost proxy is run once on random images, since its number of passes is known only by running it; that cost is
    then charged for each of its scores.
    """

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        choice = with_operation(context, edge, operation)
        if not reaches(self.space, choice):
            return None
        self._meter.charge(training_pass(self.space, choice, self._trainer.batch_size))
        return torch.randn(sum(self.lengths(edge, outer)))

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        choice, size = with_operation(context, edge, operation), self._trainer.batch_size
        self._meter.charge(forward_pass(self.space, choice, size, size))
        return torch.randn(size, self._data.classes)

    def features(self, edge: int, operation: int, repetition: int, context: Choice) -> list[Tensor]:
        self.output(edge, operation, repetition, context)
        count = len(self._supernet.blocks(with_operation(context, edge, operation)))
        return [torch.randn(self._trainer.batch_size, 4, 2, 2) for _ in range(count)]

    def pullbacks(self, edge: int, repetition: int, context: Choice) -> list[Tensor | None]:
        operations = self.operations(edge)
        mixed = all_on_edge(context, self.space, edge, operations, self.subspace)
        self._meter.charge(training_pass(self.space, mixed, self._trainer.batch_size))
        return [torch.randn(64) for _ in operations]

    def accuracy(self, choice: Choice, images: int | None = None) -> tuple[float, float]:
        evaluation = Evaluation(images, VALIDATION)
        count = evaluation.count(len(self._data.labels["validation"]))
        self._meter.charge(evaluation.cost(self.space, choice, count, self._trainer.batch_size))
        return 100 * float(torch.rand(())), float(torch.rand(()))

    def score(self, proxy: Proxy, choice: Choice, repetition: int, initial: bool = False) -> Scores:
        if repr(proxy) not in self._proxies:
            terms = super().score(proxy, choice, repetition, initial)
            self._proxies[repr(proxy)] = terms, *self._taken
            return terms
        terms, forward, backward = self._proxies[repr(proxy)]
        self._meter.charge(self._passes(choice, forward, backward))
        scores: Scores = terms + torch.rand(len(terms)).double().numpy()
        return scores

    def _passes(self, choice: Choice, forward: float, backward: float) -> Cost:
        self._taken = forward, backward
        return super()._passes(choice, forward, backward)

    _proxies: dict[str, tuple[Scores, float, float]]
    _taken: tuple[float, float]


class ScorePrices:
    """Prices of the score stages of a study, computed once for each criterion, subspace and edge.

    Args:
        space: bound to the dataset's images.
        shape, classes: of these.
        images: how many validation images there are.
    """

    def __init__(self, space: SearchSpace, shape: tuple[int, int, int], classes: int, images: int) -> None:
        self.space = space
        self.data = random_images(shape, classes, images)
        self.unknown: dict[str, str] = {}
        self._known: dict[str, Cost] = {}
        self._proxies: dict[str, tuple[Scores, float, float]] = {}

    def __call__(self, stage: Score) -> Cost:
        """The price of one stage; zero, with a note in ``unknown``, where the criterion fails on random numbers."""
        key = repr((stage.criterion, stage.trainer, stage.subspace, stage.edge))
        if key not in self._known:
            try:
                self._known[key] = self.price(stage)
            except Exception as error:  # a plugin may raise anything
                self.unknown[stage.criterion.name] = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
                self._known[key] = Cost()
        return self._known[key]

    def price(self, stage: Score) -> Cost:
        """The price of one stage, by running its criterion on a probe that only charges.

        An oracle control costs nothing: it reads the ground truth, which a forecast must not open, and asks the
        probe for no pass.
        """
        trainer: Trainer = stage.trainer.build()
        criterion: Criterion = stage.criterion.build()
        supernet, meter = supernet_of(self.space), Meter()
        job = Job(self.space, stage.subspace, supernet, self.data, stage.training_seed, Meter())
        state = trainer.open(job).tensors()

        def initial() -> Supernet:
            return supernet_of(self.space)

        probe = PriceProbe(
            self.space, stage.subspace, supernet, self.data, trainer, state, stage.seed, stage.draw, meter, initial
        )
        probe._proxies = self._proxies
        if not stage.reads_truth:
            criterion(probe, stage.edge)
        return meter.cost


def random_images(shape: tuple[int, int, int], classes: int, validation: int) -> ImageData:
    """Random images, as many for validation as the dataset has."""
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(256, *shape, generator=generator).contiguous(memory_format=torch.channels_last)
    few = train[:1].expand(validation, *shape)
    labels = torch.randint(classes, (256,), generator=generator)
    return ImageData(
        {"train": train, "validation": few}, {"train": labels, "validation": labels[:1].expand(validation)}, classes
    )
