"""gradient_contribution, output_distance, perturbation, nonlinearity and conv_size, each worked out another way."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.special import rel_entr, softmax
from torch import Tensor
from torch.nn import functional

from splitbench.criteria.base import Affinity, Criterion, Parts, Probe, parts_of
from splitbench.criteria.gradient_contribution import GradientContribution
from splitbench.criteria.outputs import OutputDistance
from splitbench.criteria.partitioners.cuts import MaxCut
from splitbench.criteria.perturbation import Perturbation
from splitbench.criteria.structure import ConvSize, Nonlinearity
from splitbench.harness.budget import Meter
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import check_criterion, images_of
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Architecture, Choice, Mixture, SearchSpace, SubSpace
from splitbench.spaces.cells import CONV1, CONV3, NONE, POOL, SKIP
from splitbench.spaces.choices import with_operation
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb_macro.space import NBMacro

SPACE = Micro()
Distance = Literal["l2", "kl", "l1"]
CONVOLUTIONS = (CONV1, CONV3)


def real_probe(trainer: Rsps | Darts, meter: Meter | None = None, subspace: SubSpace | None = None) -> SupernetProbe:
    """A probe of supernet 5 of the micro space."""
    data, supernet = images_of((1, 8, 8), 10), SPACE.supernet(5)
    inside = subspace or SPACE.root()
    state = trainer.open(Job(SPACE, inside, supernet, data, 0, Meter())).tensors()
    return SupernetProbe(SPACE, inside, supernet, data, trainer, state, 3, 0, meter or Meter())


def mean_and_error(samples: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float]:
    values = np.array(samples, dtype=np.float64)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


# --- gradient contribution --------------------------------------------------------------------------------------------


class Pullbacks:
    """A probe that hands out given pullbacks [repetitions][operations]."""

    def __init__(self, pullbacks: Sequence[Sequence[Tensor | None]]) -> None:
        self.given = pullbacks
        self.subspace = SubSpace((tuple(range(len(pullbacks[0]))),))

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        assert connected
        return (repetition,)

    def pullbacks(self, edge: int, repetition: int, context: Choice) -> Sequence[Tensor | None]:
        assert context == (repetition,)
        return self.given[repetition]


def test_gradient_contribution_is_one_minus_cosine_and_none_is_not_measured() -> None:
    x, y, z = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, -2.0])
    probe = Pullbacks([[None, x, y, z], [None, 5 * x, x, None]])
    affinity = GradientContribution(repetitions=2)(cast(Probe, probe), 0)
    d, error = affinity.dissimilarity, affinity.standard_error
    known = [d[1, 2], d[1, 3], d[2, 3]]
    assert d[0, 1:] == pytest.approx([np.mean(known)] * 3)  # never measured: the mean of what was
    assert np.isnan(error[0, 1:]).all()
    near = 1 - math.sqrt(0.5)
    assert (d[1, 2], error[1, 2]) == pytest.approx((near / 2, near / 2))  # of near and 0
    assert d[1, 3] == pytest.approx(1)
    assert d[2, 3] == pytest.approx(1 + math.sqrt(0.5))
    assert np.isnan(error[1, 3])


def noting(into: list[tuple[Tensor, Tensor]]) -> Callable[..., Tensor]:
    """A forward hook that keeps a module's input and a copy of its output, which goes on in its place: an identity
    puts out its input itself, whose gradient would be that of all operations."""

    def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        own = output.clone()
        own.retain_grad()
        into.append((inputs[0].detach(), own))
        return own

    return hook


@pytest.mark.parametrize("trainer", [Rsps(batch_size=8), Darts(batch_size=8)], ids=["paths", "mixture"])
def test_gradient_contribution_equals_vector_jacobian_products(trainer: Rsps | Darts) -> None:
    """Each operation's own vector-Jacobian product, with its input and its output's gradient taken from one run."""
    edge, meter = 3, Meter()
    probe = real_probe(trainer, meter)
    samples = []
    for r in range(2):
        context = probe.context(edge, r)
        if isinstance(context, Mixture):
            mixed = context
        else:
            weights = functional.one_hot(torch.tensor(context), 5).float()
            weights[edge] = 0.2
            allowed = [(op,) for op in context]
            mixed = Mixture(SubSpace((*allowed[:edge], (0, 1, 2, 3, 4), *allowed[edge + 1 :])), weights)
        network = SPACE.supernet(5)
        seen: dict[int, list[tuple[Tensor, Tensor]]] = {op: [] for op in range(5)}
        for op, modules in network.operation_modules(edge).items():
            for module in modules:
                module.register_forward_hook(noting(seen[op]))
        images, labels = probe.batch(r)
        functional.cross_entropy(network(images, mixed), labels).backward()  # type: ignore[no-untyped-call]
        fresh = SPACE.supernet(5).operation_modules(edge)
        pulled = {}
        for op in range(1, 5):
            parts = []
            for module, (x, output) in zip(fresh[op], seen[op], strict=True):
                assert output.grad is not None
                _, product = torch.autograd.functional.vjp(module, x, output.grad)  # type: ignore[no-untyped-call]
                parts.append(product.flatten())
            pulled[op] = torch.cat(parts).double().numpy()
        samples.append([[cosine(pulled[i], pulled[j]) for j in range(1, 5)] for i in range(1, 5)])
    affinity = GradientContribution(repetitions=2)(probe, edge)
    np.testing.assert_allclose(affinity.dissimilarity[1:, 1:], np.mean(samples, axis=0), atol=1e-5)
    assert meter.cost.steps == 2  # one forward and one backward pass a repetition


def test_gradient_contribution_of_a_diverged_supernet_is_a_sentence() -> None:
    probe = Pullbacks([[torch.ones(2), torch.tensor([1.0, float("nan")])]])
    with pytest.raises(SplitbenchError, match="gradient_contribution: a gradient on edge 0 is not finite"):
        GradientContribution(1)(cast(Probe, probe), 0)


# --- output distance --------------------------------------------------------------------------------------------------


def distance_of(p: npt.NDArray[Any], q: npt.NDArray[Any], distance: Distance) -> float:
    """Mean over images, from probabilities [N, classes]."""
    if distance == "kl":
        return float(np.mean((rel_entr(p, q) + rel_entr(q, p)).sum(1) / 2))
    norm = 2 if distance == "l2" else 1
    return float(np.mean([np.linalg.norm(a - b, norm) for a, b in zip(p, q, strict=True)]))


@torch.no_grad()
@pytest.mark.parametrize("distance", ["l2", "kl", "l1"])
def test_output_distance_equals_distances_of_probabilities(distance: Distance) -> None:
    edge, meter, repetitions = 3, Meter(), 5
    probe = real_probe(Rsps(batch_size=8), meter)
    affinity = OutputDistance(repetitions, distance)(probe, edge)
    network, flops = SPACE.supernet(5), 0
    samples: dict[tuple[int, int], list[float]] = {pair: [] for pair in itertools.combinations(range(5), 2)}
    for r in range(repetitions):
        context = probe.context(edge, r)
        assert isinstance(context, tuple)
        outputs = {}
        for op in range(5):
            path = (*context[:edge], op, *context[edge + 1 :])
            if SPACE.connected(path):
                outputs[op] = softmax(network(probe.batch(r)[0], path).double().numpy(), axis=1)
                flops += 8 * SPACE.flops(path).forward
        for i, j in samples:
            if i in outputs and j in outputs:
                samples[i, j].append(distance_of(outputs[i], outputs[j], distance))
    lengths = {len(found) for found in samples.values()}
    assert lengths == {repetitions, repetitions - 1}  # ``none`` cuts one context
    for (i, j), found in samples.items():
        expected = mean_and_error(found)
        got = affinity.dissimilarity[i, j], affinity.standard_error[i, j]
        assert got == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert meter.cost.flops == flops


class Logits:
    """A probe of a chain whose operation ``op`` gives the logits of ``rows[op]``."""

    space = NBMacro()
    subspace = SubSpace(((0, 2),))

    def __init__(self, rows: Mapping[int, Sequence[float]]) -> None:
        self.rows = rows

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        return (0,)

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        return torch.tensor([self.rows[operation]] * 3)


@pytest.mark.parametrize(("distance", "expected"), [("l2", math.sqrt(2)), ("l1", 2.0), ("kl", 100.0)])
def test_opposite_outputs(distance: Distance, expected: float) -> None:
    """Two classes with certainty: the largest distances there are; KL is the difference of the logits."""
    probe = Logits({0: (100.0, 0.0), 2: (0.0, 100.0)})
    affinity = OutputDistance(1, distance)(cast(Probe, probe), 0)
    assert affinity.operations == (0, 2)
    assert affinity.dissimilarity[0, 1] == pytest.approx(expected)


def test_output_distance_of_a_diverged_supernet_is_a_sentence() -> None:
    with pytest.raises(SplitbenchError, match="output_distance: an output on edge 0 is not finite"):
        OutputDistance(1)(cast(Probe, Logits({0: (0.0, 0.0), 2: (float("nan"), 0.0)})), 0)


# --- perturbation -----------------------------------------------------------------------------------------------------


class Accuracies:
    """A probe with a table of accuracies [contexts, operations] of single paths; the loss is a tenth of it."""

    def __init__(self, table: npt.NDArray[np.float64]) -> None:
        self.table = table
        self.subspace = SubSpace((tuple(range(table.shape[1])),))
        self.space = self
        self.asked: list[tuple[Choice, int | None]] = []

    def connected(self, choice: Choice) -> bool:
        """NaN in the table: that operation cuts that context."""
        assert isinstance(choice, tuple)
        return not np.isnan(self.table[choice[1], choice[0]])

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        return (-1, repetition)

    def accuracy(self, choice: Choice, images: int | None = None) -> tuple[float, float]:
        self.asked.append((choice, images))
        assert isinstance(choice, tuple)
        value = float(self.table[choice[1], choice[0]])
        return value, value / 10


def test_a_path_that_is_cut_has_no_accuracy() -> None:
    """Chance accuracy of a path that is never trained is not what masking the operation costs."""
    probe = Accuracies(np.array([[np.nan, 50.0, 40.0], [30.0, 50.0, 20.0]]))
    affinity = Perturbation(repetitions=2)(cast(Probe, probe), 0)
    assert affinity.dissimilarity[0, 1] == pytest.approx(20)
    assert affinity.dissimilarity[0, 2] == pytest.approx(10)
    assert affinity.dissimilarity[1, 2] == pytest.approx((10 + 30) / 2)
    assert len(probe.asked) == 5
    assert parts_of(Perturbation()).partitioner == "max_cut"


@pytest.mark.parametrize("n", [2, 3, 5])
def test_perturbation_of_paths_is_the_difference_of_masked_supernets(n: int) -> None:
    """The masked supernet, taken at its word: the mean accuracy over contexts and all operations but one."""
    table = np.random.default_rng(n).uniform(10, 90, (4, n))
    probe = Accuracies(table)
    affinity = Perturbation(images=7, repetitions=4)(cast(Probe, probe), 0)
    whole = table.mean()
    drop = [whole - np.delete(table, op, axis=1).mean() for op in range(n)]
    for i, j in itertools.combinations(range(n), 2):
        assert affinity.dissimilarity[i, j] == pytest.approx((n - 1) * abs(drop[i] - drop[j]))
        _, error = mean_and_error(table[:, i] - table[:, j])
        assert affinity.standard_error[i, j] == pytest.approx(error)
    assert probe.asked == [((op, r), 7) for r in range(4) for op in range(n)]


def test_perturbation_by_loss_and_on_one_operation() -> None:
    table = np.array([[10.0, 30.0], [20.0, 30.0]])
    by_loss = Perturbation(repetitions=2, metric="loss")(cast(Probe, Accuracies(table)), 0)
    assert by_loss.dissimilarity[0, 1] == pytest.approx(1.5)
    alone = Accuracies(table[:, :1])
    assert Perturbation(repetitions=2)(cast(Probe, alone), 0).dissimilarity.tolist() == [[0.0]]
    assert not alone.asked


def test_equal_operations_do_not_differ() -> None:
    affinity = Perturbation(repetitions=2)(cast(Probe, Accuracies(np.array([[10.0, 20.0], [20.0, 10.0]]))), 0)
    assert affinity.dissimilarity.tolist() == [[0, 0], [0, 0]]
    assert affinity.standard_error[0, 1] == affinity.standard_error[1, 0] == pytest.approx(10.0)


@torch.no_grad()
@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("operations", [(0, 1, 2, 3, 4), (1, 3)])
def test_perturbation_of_a_mixture(renormalise: bool, operations: tuple[int, ...]) -> None:
    """Losses of a second supernet with the operation's weight at 0 and every operation run."""
    edge, meter = 4, Meter()
    subspace = SPACE.root().only(edge, operations)
    probe = real_probe(Darts(batch_size=8), meter, subspace)
    affinity = Perturbation(metric="loss", renormalise=renormalise)(probe, edge)
    whole, data, losses, flops = probe.whole(), images_of((1, 8, 8), 10), [], 0
    for op in operations:
        weights = whole.weights.clone()
        weights[edge, op] = 0
        if renormalise:
            weights[edge] /= weights[edge].sum()
        logits = SPACE.supernet(5)(data.images["validation"], Mixture(whole.active, weights))
        losses.append(float(functional.cross_entropy(logits, data.labels["validation"])))
        others = tuple(o for o in operations if o != op)
        flops += 48 * SPACE.flops(Mixture(whole.active.only(edge, others), weights)).forward
    np.testing.assert_allclose(affinity.dissimilarity, np.abs(np.subtract.outer(losses, losses)), atol=1e-5)
    assert affinity.dissimilarity.max() > 1e-3
    assert (affinity.repetitions, np.isnan(affinity.standard_error[0, 1])) == (1, True)
    assert meter.cost.flops == flops


# --- nonlinearity and convolutions ------------------------------------------------------------------------------------


class Structure:
    """A probe without a supernet."""

    def __init__(self, space: SearchSpace, subspace: SubSpace | None = None) -> None:
        self.space, self.subspace = space, subspace or space.root()
        self.purposes: list[str] = []

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def rng(self, purpose: str) -> np.random.Generator:
        self.purposes.append(purpose)
        return np.random.default_rng((3, *purpose.encode()))


def test_banks_are_switched_by_the_count_up_to_the_cell() -> None:
    banks = Nonlinearity().banks
    assert banks(0) == [0] * 15
    assert banks(1) == [0] * 15  # 15 does not pass 15
    assert banks(2) == [0] * 7 + [1] * 3 + [2] * 5  # cell 8 has 16, cell 11 has 22
    assert banks(3) == [0] * 5 + [1] + [2] * 9  # cell 6 has 18, cell 7 has 21


def longest(path: Architecture) -> int | None:
    """Convolutions on the open path with most of them, all four paths by hand; None if none is open."""
    routes = [(3,), (0, 4), (1, 5), (0, 2, 5)]
    open_ones = [route for route in routes if all(path[e] != NONE for e in route)]
    return max((sum(path[e] in CONVOLUTIONS for e in route) for route in open_ones), default=None)


@pytest.mark.parametrize("edge", [0, 3])
def test_nonlinearity_equals_shares_of_cells(edge: int) -> None:
    shares = np.array([[np.mean(np.not_equal(*pair)) for pair in row] for row in _bank_pairs()])
    probe = Structure(SPACE)
    affinity = Nonlinearity(repetitions=60)(cast(Probe, probe), edge)
    rng = np.random.default_rng((3, *f"nonlinearity, edge {edge}".encode()))
    samples: dict[tuple[int, int], list[float]] = {pair: [] for pair in itertools.combinations(range(5), 2)}
    for _ in range(60):
        drawn = SPACE.sample(rng, SPACE.root())
        depths = [longest((*drawn[:edge], op, *drawn[edge + 1 :])) for op in range(5)]
        for (i, j), found in samples.items():
            first, second = depths[i], depths[j]
            if first is not None and second is not None:
                found.append(float(shares[first, second]))
    for (i, j), found in samples.items():
        assert (affinity.dissimilarity[i, j], affinity.standard_error[i, j]) == pytest.approx(mean_and_error(found))
    assert len(samples[0, 1]) < 60  # ``none`` cut some
    assert affinity.dissimilarity[SKIP, POOL] == affinity.dissimilarity[CONV1, CONV3] == 0
    assert probe.purposes == [f"nonlinearity, edge {edge}"]


def _bank_pairs() -> list[list[tuple[list[int], list[int]]]]:
    """The banks of two depths, cell by cell, for thresholds 15 and 20."""
    rows = [[(d * i > 15) + (d * i > 20) for i in range(1, 16)] for d in range(4)]
    return [[(first, second) for second in rows] for first in rows]


def test_nonlinearity_of_what_always_cuts_is_not_measured() -> None:
    """Only 0-1-3 is open: ``none`` on its first edge always cuts."""
    space = SPACE.root()
    for edge in (1, 2, 3, 5):
        space = space.only(edge, [NONE])
    space = space.only(4, [SKIP])
    affinity = Nonlinearity(repetitions=5)(cast(Probe, Structure(SPACE, space)), 0)
    assert np.isnan(affinity.standard_error[NONE, 1:]).all()
    # skip has depth 0, a convolution 1: 15 cells pass no threshold either way
    assert not affinity.dissimilarity[1:, 1:].any()
    finer = Nonlinearity((4,), 5, 3)(cast(Probe, Structure(SPACE, space)), 0)
    assert finer.dissimilarity[SKIP, CONV3] == pytest.approx(1 / 5)


def test_conv_size_separates_convolutions_from_the_rest() -> None:
    probe = Structure(SPACE, SPACE.root().only(2, [0, 1, 3, 4]).only(5, [1, 4]))
    for edge, groups in {
        0: ((0, 1, 4), (2, 3)),
        2: ((0, 1, 4), (3,)),
    }.items():
        affinity = ConvSize()(cast(Probe, probe), edge)
        operations = affinity.operations
        for i, j in itertools.product(range(len(operations)), repeat=2):
            different = (operations[i] in CONVOLUTIONS) != (operations[j] in CONVOLUTIONS)
            assert affinity.dissimilarity[i, j] == different
        found = MaxCut()(affinity, 2, np.random.default_rng(0))
        assert (found.groups, found.cut, found.intra) == (groups, 1.0, 0.0)
    assert not ConvSize()(cast(Probe, probe), 5).dissimilarity.any()
    assert ConvSize()(cast(Probe, probe), 0).repetitions == 0
    macro = ConvSize()(cast(Probe, Structure(NBMacro())), 7)
    assert MaxCut()(macro, 2, np.random.default_rng(0)).groups == ((0,), (1, 2))


# --- all of them ------------------------------------------------------------------------------------------------------


def test_parts() -> None:
    for criterion in (GradientContribution(), OutputDistance(), Nonlinearity()):
        assert parts_of(criterion) == Parts()
    assert parts_of(ConvSize()) == Parts(partitioner="max_cut")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GradientContribution(0), "gradient_contribution: repetitions must be 1 or more, not 0"),
        (lambda: OutputDistance(0), "output_distance: repetitions must be 1 or more, not 0"),
        (lambda: Perturbation(repetitions=0), "perturbation: repetitions must be 1 or more, not 0"),
        (lambda: Perturbation(images=0), "perturbation: images must be 1 or more, not 0"),
        (lambda: Nonlinearity(cells=0), "nonlinearity: cells must be 1 or more, not 0"),
        (lambda: Nonlinearity(repetitions=0), "nonlinearity: repetitions must be 1 or more, not 0"),
        (lambda: Nonlinearity(()), "thresholds must be ascending counts"),
        (lambda: Nonlinearity((20, 15)), "thresholds must be ascending counts"),
        (lambda: Nonlinearity((-1, 15)), "thresholds must be ascending counts"),
    ],
)
def test_parameters_are_checked(make: Callable[[], Criterion], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    "criterion",
    [
        GradientContribution(repetitions=2),
        OutputDistance(repetitions=2),
        Perturbation(repetitions=1, images=20),
        Nonlinearity(repetitions=3),
        ConvSize(),
    ],
    ids=lambda criterion: type(criterion).__name__,
)
def test_conforms(criterion: Criterion) -> None:
    check_criterion(criterion, SPACE, images_of((1, 8, 8), 10))


def test_masking_leaves_the_given_mixture_alone() -> None:
    mixture = Mixture(SPACE.root(), torch.full((6, 5), 0.2))
    masked = Perturbation(renormalise=True).masked(mixture, 2, SKIP)
    assert masked.active.allowed[2] == (0, 2, 3, 4)
    assert masked.weights[2].tolist() == pytest.approx([0.25, 0, 0.25, 0.25, 0.25])
    assert (mixture.weights == 0.2).all()
    assert isinstance(with_operation(masked, 2, 0), Mixture)
    assert Affinity.assumed((1,), np.zeros((1, 1))).operations == (1,)
