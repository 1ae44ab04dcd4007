"""The elastic test space: paths, mixtures, sizes and truth against stand-alone networks, hand and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from elastic_networks import DATA, LARGEST, PATHS, SMALLEST, SPACE, trained_like
from torch import Tensor
from torch.nn import functional

from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.testing import check_space, images_of, random_architectures
from splitbench.harness.testing.small_spaces.elastic import Elastic, accuracy
from splitbench.harness.testing.small_spaces.elastic_alone import extracted
from splitbench.harness.testing.small_spaces.elastic_supernet import CHANNELS, KERNELS, SPAN, WIDTHS, ElasticSlot
from splitbench.harness.testing.suites.spaces import check_flops
from splitbench.spaces.base import Architecture, Mixture, SubSpace

EDGES = len(SPACE.edges)


def one_hot(architecture: Architecture) -> Tensor:
    weights = torch.zeros(EDGES, 3)
    weights[range(EDGES), list(architecture)] = 1
    return weights


def test_it_is_a_space() -> None:
    check_space(SPACE, (1, 8, 8))
    check_flops(Elastic((3, 9, 11), 4), images_of((3, 9, 11), 4), count=10)


def test_its_functions_are_those_that_differ() -> None:
    """Strings are one function exactly where their live parts agree: 6 + 36 of the 72 of a stage."""
    strings = list(itertools.product(*SPACE.root().allowed))
    assert len(strings) == 5184
    assert len({SPACE.function(a) for a in strings}) == 42**2 == len(SPACE.functions(SPACE.root()))
    assert SPACE.function((0, 1, 2, 1, 2, 1, 0, 0, 1, 1)) == (0, 1, 2, 0, 0, 1, 0, 0, 1, 1)
    supernet, images = trained_like(), DATA.batch("train", 0, 0, 8)[0]
    with torch.no_grad():
        outputs = {a: supernet(images, a) for a in itertools.islice(strings, 0, None, 40)}
        for a, b in itertools.combinations(outputs, 2):
            alike = torch.equal(outputs[a], outputs[b])
            assert alike == (SPACE.function(a) == SPACE.function(b)), (a, b)


def test_a_path_is_the_network_of_its_slices() -> None:
    supernet, (images, labels) = trained_like(), DATA.batch("train", 0, 0, 8)
    for a in [*PATHS, *random_architectures(SPACE, 40)]:
        alone = extracted(supernet, SPACE.function(a))
        torch.testing.assert_close(supernet(images, a), alone(images, a), rtol=1e-5, atol=1e-5)
        assert SPACE.parameters(a) == sum(p.numel() for p in alone.parameters())
        supernet.zero_grad(set_to_none=True)
        functional.cross_entropy(supernet(images, a), labels).backward()  # type: ignore[no-untyped-call]
        functional.cross_entropy(alone(images, a), labels).backward()  # type: ignore[no-untyped-call]
        own = dict(alone.named_parameters())
        for weight in supernet.active_weights(a):
            whole = weight.parameter.grad
            assert whole is not None
            torch.testing.assert_close(weight.part(whole), own[weight.name].grad, rtol=1e-4, atol=1e-5)
            outside = whole.clone()
            weight.part(outside).zero_()
            assert not outside.any()


def test_sizes_by_hand() -> None:
    stem, between, classifier = 64 * 3, 16 * 3 * 4, 4 * 10
    # expand, depthwise 3x3 and project with two hidden channels
    smallest = 64 * (3 * 2 + 9 * 2 + 2 * 3) + 16 * (4 * 2 + 9 * 2 + 2 * 4)
    assert SPACE.macs(SMALLEST) == stem + between + classifier + smallest == 2_888
    largest = 64 * 2 * (3 * 6 + 25 * 6 + 6 * 3) + 16 * 2 * (4 * 6 + 25 * 6 + 6 * 4)
    assert SPACE.macs(LARGEST) == stem + between + classifier + largest
    assert (SPACE.convolutions(SMALLEST), SPACE.convolutions(LARGEST)) == (2, 4)
    assert (SPACE.nonlinear_depth(SMALLEST), SPACE.nonlinear_depth(LARGEST)) == (2, 4)
    everything = sum(p.numel() for p in SPACE.supernet(0).parameters())
    assert SPACE.parameters(LARGEST) == everything


def test_a_mixture_is_the_weighted_sum_of_its_blocks() -> None:
    """Written out anew: every block of a slot is the slot of a path, and depths are weighed behind each slot."""
    supernet, images = trained_like(), DATA.batch("train", 0, 0, 8)[0]
    weights = torch.rand(EDGES, 3, generator=torch.Generator().manual_seed(3))
    active = SubSpace(((0, 1), (0, 1), (0, 2), (1,), (0, 1, 2), (1,), (0, 1), (1, 2), (0, 1), (2,)))
    with torch.no_grad():
        x = supernet.stem(images)
        for index, stage in enumerate(supernet.stages):
            x, outputs = stage.entry(x), []  # type: ignore[operator, union-attr]
            edges = range(index * SPAN, (index + 1) * SPAN)
            for slot, (kernel, width) in zip(stage.slots, (edges[1:3], edges[3:5]), strict=True):  # type: ignore[arg-type, union-attr]
                assert isinstance(slot, ElasticSlot)
                branches = [
                    weights[kernel, k] * weights[width, w] * (slot(x, (k,), (w,), None) - x)
                    for k in active.allowed[kernel]
                    for w in active.allowed[width]
                ]
                x = x + torch.stack(branches).sum(0)
                outputs.append(x)
            depth = edges[0]
            x = torch.stack([weights[depth, d] * outputs[d] for d in active.allowed[depth]]).sum(0)
        expected = supernet.classifier(supernet.head(x).flatten(1))
        torch.testing.assert_close(supernet(images, Mixture(active, weights)), expected, rtol=1e-4, atol=1e-5)


def test_a_straight_through_sample_runs_one_path_and_trains_its_weights() -> None:
    supernet, (images, labels) = trained_like(), DATA.batch("train", 0, 0, 8)
    alpha = torch.randn(EDGES, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    soft = alpha.softmax(1)
    for path in PATHS:
        sample = Mixture(SubSpace(tuple((op,) for op in path)), one_hot(path) - soft.detach() + soft)
        logits = supernet(images, sample)
        torch.testing.assert_close(logits, supernet(images, path), rtol=1e-4, atol=1e-5)
        assert SPACE.flops(sample) == SPACE.flops(path)
        (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels), alpha, retain_graph=True)
        live = [bool(operations) for operations in supernet.running(path)]
        assert gradient.any(1).tolist() == live


def test_active_weights_of_a_mixture_are_the_union_of_its_paths() -> None:
    supernet = trained_like()
    active = SubSpace(((0, 1), (0,), (0, 1), (0, 1), (1,), (0,), (0, 1), (2,), (1,), (1,)))
    union = {w.name: w.view.shape for w in supernet.active_weights(Mixture(active, torch.rand(EDGES, 3)))}
    found: dict[str, Tensor] = {}
    for path in itertools.product(*active.allowed):
        for weight in supernet.active_weights(path):
            mask = found.setdefault(weight.name, torch.zeros(weight.parameter.shape, dtype=torch.bool))
            weight.part(mask).fill_(True)
    assert {name: shape.numel() for name, shape in union.items()} == {n: int(m.sum()) for n, m in found.items()}
    assert union["stages.0.slots.0.spatial.weight"] == (4, 1, 3, 3)
    assert not any(name.startswith("stages.1.slots.1") for name in union)


def test_what_operations_share_is_the_slice_that_all_of_them_use() -> None:
    supernet = trained_like()

    def shared(edge: int, *operations: int) -> dict[str, tuple[int, ...]]:
        return {w.name: tuple(w.view.shape) for w in supernet.shared_weights(edge, True, operations or None)}

    kernel, width, depth = 1, 2, 0
    first = "stages.0.slots.0"
    assert shared(kernel)[f"{first}.spatial.weight"] == (6, 1, 3, 3)
    assert shared(kernel, 1)[f"{first}.spatial.weight"] == (6, 1, 5, 5)
    assert shared(width)[f"{first}.expand.weight"] == (2, 3, 1, 1)
    assert shared(width, 1, 2)[f"{first}.project.weight"] == (3, 4, 1, 1)
    assert not any(name.startswith("stages.0.slots.1") for name in shared(depth))
    assert shared(depth)[f"{first}.spatial.weight"] == (6, 1, 5, 5)
    assert [name for name, _ in supernet.edge_parameters(kernel)] == []
    assert {name.rsplit(".", 2)[0] for name, _ in supernet.edge_parameters(depth)} == {"stages.0.slots.1"}


def test_it_has_no_modules_of_operations() -> None:
    with pytest.raises(SplitbenchError, match="ElasticSupernet has no modules of single operations"):
        trained_like().operation_modules(0)


def test_its_truth_is_the_formula_with_noise() -> None:
    """50 + (3 + k + 1.5 w) for a first slot and half of it for a second; 0.4 a training."""
    assert accuracy(SMALLEST) == 56.0
    assert accuracy(LARGEST) == 50 + 2 * (3 + 1 + 3 - 0.5) * 1.5
    truth, rows = SPACE.ground_truth("digits"), SPACE.functions(SPACE.root())
    means = np.array([accuracy(tuple(row)) for row in rows.tolist()])
    for seeds in (truth.per_seed(rows),):
        scatter = (seeds - means[:, None]) / 0.4
        assert abs(scatter.mean()) < 4 / scatter.size**0.5
        assert abs(scatter.std() - 1) < 4 / (2 * scatter.size) ** 0.5
    assert np.array_equal(SPACE.ground_truth("digits").test(rows), truth.test(rows))
    dead = (0, 1, 2, 1, 2, 0, 0, 0, 0, 0)
    assert truth.test([dead]) == truth.test([SPACE.function(dead)])


def test_where_it_says_that_it_cannot_be_listed_everything_agrees() -> None:
    """Drawn functions are functions; with enough draws they are all of them; its truth has the same means."""
    hidden = Elastic(listable=False)
    with pytest.raises(ConfigError, match="cannot be listed"):
        hidden.functions(hidden.root())
    leaf = SPACE.root().only(0, (0,)).only(7, (1,))
    expected = SPACE.functions(leaf)
    drawn = hidden.sample_functions(10_000, np.random.default_rng(0), leaf)
    assert np.array_equal(drawn, expected)
    few = hidden.sample_functions(20, np.random.default_rng(1))
    assert len(few) == 20
    assert all(SPACE.function(tuple(row)) == tuple(row) for row in few.tolist())
    truth, table = hidden.ground_truth("digits"), SPACE.ground_truth("digits")
    np.testing.assert_allclose(truth.test(expected), table.test(expected), rtol=1e-12)
    assert (truth.has_validation, table.has_validation) == (False, True)
    assert hidden.count(leaf) >= SPACE.count(leaf) == len(expected) == 6 * 14
    # a leaf of a dead slot's second kernel holds no canonical architecture
    nothing = SPACE.root().only(0, (0,)).only(3, (1,))
    assert SPACE.is_empty(nothing)
    assert hidden.is_empty(nothing)


def test_its_kernels_and_widths_are_nested() -> None:
    assert sorted(KERNELS) == list(KERNELS)
    assert sorted(WIDTHS) == list(WIDTHS)
    assert len(CHANNELS) * SPAN == EDGES
