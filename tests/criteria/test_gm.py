"""GM against gradients and cosines computed another way, on the micro space's supernet and on made-up gradients."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial.distance import cosine
from torch import Tensor
from torch.nn import functional

from splitbench.criteria.base import Affinity, Parts, Probe
from splitbench.criteria.gm import GradientMatching
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.spaces.base import Architecture, Choice, SubSpace
from splitbench.spaces.cells import NONE, SKIP
from splitbench.spaces.datasets.digits import digits
from splitbench.spaces.micro.space import Micro

pytestmark = pytest.mark.portable

Variant = Literal["corrected", "as_shipped"]
Distance = Literal["cosine", "per_layer_mean", "mse"]
SPACE = Micro()
SEED = 7
BATCH = 32
IMAGES, LABELS = digits("train")
# On edge 5 (2-3), ``none`` disconnects the first context, and nothing connects the second one.
BROKEN: tuple[Architecture, ...] = ((NONE, SKIP, NONE, NONE, NONE, SKIP), (NONE, NONE, SKIP, NONE, SKIP, SKIP))


class MicroProbe:
    """A probe of a freshly initialised supernet of the micro space, one context a repetition from a list."""

    def __init__(self, contexts: Sequence[Architecture], subspace: SubSpace | None = None) -> None:
        self.space, self.subspace = SPACE, subspace or SPACE.root()
        self.contexts = contexts
        self.supernet = SPACE.supernet(SEED).train()

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def rng(self, purpose: str) -> np.random.Generator:
        raise AssertionError("gm draws nothing of its own")

    def batch(self, repetition: int) -> tuple[Tensor, Tensor]:
        rows = slice(repetition * BATCH, (repetition + 1) * BATCH)
        return IMAGES[rows], LABELS[rows]

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        return self.contexts[repetition]

    def lengths(self, edge: int, outer: bool = True) -> list[int]:
        return [parameter.numel() for _, parameter in self.supernet.shared_parameters(edge, outer)]

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        assert isinstance(context, tuple)
        if not SPACE.connected((*context[:edge], operation, *context[edge + 1 :])):
            return None
        loss = self.loss(edge, operation, repetition, context)
        shared = [parameter for _, parameter in self.supernet.shared_parameters(edge, outer)]
        if not loss.requires_grad:
            return None
        gradients = torch.autograd.grad(loss, shared, allow_unused=True, materialize_grads=True)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        return flat if flat.any() else None

    def loss(self, edge: int, operation: int, repetition: int, context: Architecture) -> Tensor:
        images, labels = self.batch(repetition)
        logits = self.supernet(images, (*context[:edge], operation, *context[edge + 1 :]))
        return functional.cross_entropy(logits, labels)

    def output(self, edge: int, operation: int, repetition: int, context: Choice) -> Tensor:
        raise AssertionError("gm needs no outputs")


@functools.cache
def layers(
    edge: int, operation: int, repetition: int, context: Architecture, outer: bool
) -> list[npt.NDArray[np.float64]]:
    """The shared weights' gradients, tensor by tensor, by a backward pass through a fresh copy of the supernet."""
    network = SPACE.supernet(SEED)
    network.train()
    rows = slice(repetition * BATCH, (repetition + 1) * BATCH)
    path = list(context)
    path[edge] = operation
    if SPACE.connected(tuple(path)):  # the probe runs nothing else
        functional.cross_entropy(network(IMAGES[rows], tuple(path)), LABELS[rows]).backward()
    found = []
    for name, parameter in network.named_parameters():
        on_edge = f".edges.{edge}." in name
        around = name.split(".")[0] in ("stem", "tail", "classifier")
        if not on_edge and (outer or not around):
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            found.append(gradient.reshape(-1).numpy().astype(np.float64))
    return found


def distance_of(
    first: list[npt.NDArray[np.float64]], second: list[npt.NDArray[np.float64]], variant: Variant, distance: Distance
) -> float:
    """One pair's dissimilarity in one repetition; NaN where it is not defined."""

    def angle(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        if variant == "as_shipped":
            return 1 - float(a @ b) / (norm + 1e-6)
        return float(cosine(a, b)) if norm > 0 else float("nan")

    if distance == "mse":
        return sum(float(((a - b) ** 2).sum()) for a, b in zip(first, second, strict=True))
    if distance == "cosine":
        return angle(np.concatenate(first), np.concatenate(second))
    angles = [angle(a, b) for a, b in zip(first, second, strict=True) if a.any() or b.any()]
    defined = [value for value in angles if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def contexts(count: int, seed: int = 3) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("variant", ["corrected", "as_shipped"])
@pytest.mark.parametrize("distance", ["cosine", "per_layer_mean", "mse"])
@pytest.mark.parametrize("edge", [0, 3, 5])
def test_equals_a_direct_computation(variant: Variant, distance: Distance, edge: int) -> None:
    """Means and standard errors, over all five operations and connected, disconnecting and disconnected contexts."""
    drawn = [*contexts(2), *BROKEN]
    affinity = GradientMatching(variant, len(drawn), distance)(cast(Probe, MicroProbe(drawn)), edge)
    assert affinity.operations == (0, 1, 2, 3, 4)
    found = [[layers(edge, op, r, c, outer=variant == "corrected") for op in range(5)] for r, c in enumerate(drawn)]
    for i in range(5):
        for j in range(i):
            pair = np.array([distance_of(gradients[i], gradients[j], variant, distance) for gradients in found])
            pair = pair[~np.isnan(pair)]
            assert len(pair) >= 2
            assert affinity.dissimilarity[i, j] == pytest.approx(pair.mean(), abs=1e-6, rel=1e-6)
            error = pair.std(ddof=1) / np.sqrt(len(pair))
            assert affinity.standard_error[i, j] == pytest.approx(error, abs=1e-6, rel=1e-6)


def test_an_operation_that_disconnects_is_at_distance_1_as_shipped() -> None:
    affinity = GradientMatching("as_shipped", 1)(cast(Probe, MicroProbe(BROKEN[:1])), 5)
    assert affinity.dissimilarity[NONE, 1:] == pytest.approx(np.ones(4))
    others = affinity.dissimilarity[1:, 1:][np.triu_indices(4, 1)]
    assert (np.abs(others - 1) > 1e-3).all()


def test_a_network_that_nothing_connects_has_no_gradient_as_shipped() -> None:
    """Without the classifier no gradient is left, and the released formula then says 1 for every pair."""
    affinity = GradientMatching("as_shipped", 1)(cast(Probe, MicroProbe(BROKEN[1:])), 5)
    assert np.array_equal(affinity.dissimilarity, 1 - np.eye(5))


@pytest.mark.parametrize("operations", [(1, 3), (0, 2, 4), (0, 1, 2, 3), (0, 1, 2, 3, 4)])
def test_a_subspace_compares_only_what_it_allows(operations: tuple[int, ...]) -> None:
    drawn = contexts(2)
    whole = GradientMatching(repetitions=2)(cast(Probe, MicroProbe(drawn)), 2)
    part = GradientMatching(repetitions=2)(cast(Probe, MicroProbe(drawn, SPACE.root().only(2, operations))), 2)
    assert part.operations == operations
    rows = np.ix_(operations, operations)
    np.testing.assert_allclose(part.dissimilarity, whole.dissimilarity[rows], atol=1e-12)


def test_the_same_probe_gives_the_same_bits() -> None:
    first, second = (GradientMatching(repetitions=2)(cast(Probe, MicroProbe(contexts(2))), 1) for _ in range(2))
    assert np.array_equal(first.dissimilarity, second.dissimilarity)
    assert np.array_equal(first.standard_error, second.standard_error)


class Given:
    """A probe that hands out given gradients [repetitions][operations] and notes what it was asked."""

    def __init__(self, gradients: Sequence[Sequence[Tensor | None]], lengths: Sequence[int] = ()) -> None:
        self.gradients = gradients
        self.subspace = SubSpace((tuple(range(len(gradients[0]))),))
        self.parts = list(lengths)
        self.asked: list[tuple[Any, ...]] = []

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def lengths(self, edge: int, outer: bool = True) -> list[int]:
        return self.parts

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        self.asked.append(("context", repetition, connected))
        return (repetition,)

    def gradient(
        self, edge: int, operation: int, repetition: int, context: Choice, outer: bool = True
    ) -> Tensor | None:
        self.asked.append(("gradient", operation, repetition, context, outer))
        return self.gradients[repetition][operation]


def measure(
    variant: Variant, gradients: Sequence[Sequence[Tensor | None]], distance: Distance = "cosine", lengths: Any = ()
) -> Affinity:
    return GradientMatching(variant, len(gradients), distance)(cast(Probe, Given(gradients, lengths)), 0)


@pytest.mark.parametrize(("variant", "flag"), [("corrected", True), ("as_shipped", False)])
def test_all_operations_of_a_repetition_share_one_context(variant: Variant, flag: bool) -> None:
    probe = Given([[torch.ones(2)] * 3] * 2)
    GradientMatching(variant, 2)(cast(Probe, probe), 0)
    expected: list[tuple[Any, ...]] = []
    for r in range(2):
        expected += [("context", r, flag), *(("gradient", op, r, (r,), flag) for op in range(3))]
    assert probe.asked == expected


@pytest.mark.parametrize("variant", ["corrected", "as_shipped"])
@pytest.mark.parametrize("distance", ["cosine", "per_layer_mean"])
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_symmetric_with_zero_diagonal_within_0_and_2(variant: Variant, distance: Distance, n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    gradients: list[list[Tensor | None]] = [
        [torch.randn(6, generator=generator) * 10.0 ** (r - 3) for _ in range(n)] for r in range(6)
    ]
    gradients[0][1] = None
    gradients[1] = [None] * n
    gradients[2][1] = -cast(Tensor, gradients[2][0])
    gradients[3][1] = gradients[3][0]
    affinity = measure(variant, gradients, distance, (2, 4))
    assert np.array_equal(affinity.dissimilarity, affinity.dissimilarity.T)
    assert not affinity.dissimilarity.diagonal().any()
    assert not affinity.standard_error.diagonal().any()
    assert ((affinity.dissimilarity >= 0) & (affinity.dissimilarity <= 2)).all()
    assert np.isfinite(affinity.standard_error).all()


@pytest.mark.parametrize(
    ("first", "second", "expected"), [((1, 0), (3, 0), 0.0), ((1, 0), (0, 2), 1.0), ((1, 0), (-4, 0), 2.0)]
)
def test_known_angles(first: tuple[int, int], second: tuple[int, int], expected: float) -> None:
    gradients = [[torch.tensor(first).float(), torch.tensor(second).float()]]
    assert measure("corrected", gradients).dissimilarity[0, 1] == pytest.approx(expected, abs=1e-12)


def test_a_zero_gradient_is_not_measured_when_corrected_and_far_from_all_as_shipped() -> None:
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
    gradients = [[None, x, y], [x, x, None]]
    corrected, shipped = measure("corrected", gradients), measure("as_shipped", gradients)
    angle = 1 - np.sqrt(0.5)
    assert corrected.dissimilarity[0, 1] == pytest.approx(0.0, abs=1e-12)  # measured in the second repetition alone
    assert np.isnan(corrected.standard_error[0, 1])
    assert corrected.dissimilarity[0, 2] == 1.0  # never measured
    assert corrected.dissimilarity[1, 2] == pytest.approx(angle)
    assert shipped.dissimilarity[0, 1] == pytest.approx(0.5, abs=1e-6)
    assert shipped.dissimilarity[0, 2] == pytest.approx(1.0)
    assert shipped.dissimilarity[1, 2] == pytest.approx((angle + 1) / 2, abs=1e-6)


def test_small_gradients_look_dissimilar_as_shipped() -> None:
    """The released constant is added to the product of the norms: at norms of 1e-3 it halves the cosine."""
    gradients = [[torch.tensor([1e-3, 0.0]), torch.tensor([1e-3, 0.0])]]
    assert measure("corrected", gradients).dissimilarity[0, 1] == pytest.approx(0.0, abs=1e-12)
    assert measure("as_shipped", gradients).dissimilarity[0, 1] == pytest.approx(0.5, abs=1e-6)


def test_a_layer_with_large_gradients_rules_the_global_cosine_only() -> None:
    large = torch.tensor([100.0, 0.0, 1.0, 0.0]), torch.tensor([100.0, 0.0, 0.0, 1.0])
    assert measure("corrected", [large]).dissimilarity[0, 1] < 1e-3
    assert measure("corrected", [large], "per_layer_mean", (2, 2)).dissimilarity[0, 1] == pytest.approx(0.5)


def test_one_repetition_has_no_standard_error() -> None:
    affinity = measure("corrected", [[torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])]])
    assert affinity.repetitions == 1
    assert np.isnan(affinity.standard_error[np.triu_indices(3, 1)]).all()


def test_a_diverged_supernet_is_a_sentence() -> None:
    with pytest.raises(SplitbenchError, match="gradient on edge 0 is not finite"):
        measure("corrected", [[torch.ones(2), torch.tensor([1.0, float("nan")])]])


def test_parameters_and_parts() -> None:
    with pytest.raises(ConfigError, match="repetitions must be 1 or more, not 0"):
        GradientMatching(repetitions=0)
    assert GradientMatching().parts() == Parts("balanced", "normalised_max_cut")
    assert GradientMatching("as_shipped").parts() == Parts("balanced", "shipped_max_cut", only_whole_edges=True)


def test_rounding_does_not_lead_outside_0_to_2() -> None:
    """Of parallel and opposite gradients; without care, 1 - cosine is now and then -1e-16 or 2 + 1e-16."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        x = torch.randn(9, generator=generator)
        values = measure("corrected", [[x, 2 * x, -x, -4 * x, 8 * x]]).dissimilarity
        assert values.min() >= 0
        assert values.max() <= 2
