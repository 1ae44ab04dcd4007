"""Subspaces, and what every search space must hold. The checks below the first part take any space."""

from __future__ import annotations

import itertools
import random
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from harness.errors import ConfigError
from spaces.base import Architecture, Choice, Mixture, SearchSpace, SubSpace, Supernet
from spaces.micro.space import Micro
from spaces.nb201.space import NB201
from spaces.nb_macro.space import NBMacro

BATCH = 3
ROOT = SubSpace(((0, 1, 2), (0, 1), (0, 1, 2, 3)))


# --- subspaces --------------------------------------------------------------------------------------------------------


def test_split_is_a_partition_of_the_subspace() -> None:
    children = ROOT.split(2, [(3, 0), (1, 2)])
    assert [child.allowed for child in children] == [((0, 1, 2), (0, 1), (0, 3)), ((0, 1, 2), (0, 1), (1, 2))]
    assert ROOT.size == 24
    for architecture in itertools.product(*ROOT.allowed):
        assert sum(child.contains(architecture) for child in children) == 1
    assert sum(child.size for child in children) == ROOT.size


@pytest.mark.parametrize("groups", [[(0, 1)], [(0, 1), (1, 2)], [(0, 1), (2, 3)], [(0,), (1,), (2,), ()]])
def test_split_rejects_what_is_no_partition(groups: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"not a partition|ascending and not empty"):
        ROOT.split(0, groups)


@pytest.mark.parametrize("allowed", [((0,), ()), ((1, 0),), ((0, 0),)])
def test_allowed_operations_are_ascending_and_not_empty(allowed: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="ascending and not empty"):
        SubSpace(allowed)


def test_only_changes_one_edge() -> None:
    assert ROOT.only(0, [2, 1]) == SubSpace(((1, 2), (0, 1), (0, 1, 2, 3)))
    assert ROOT.only(2, (3,)).size == 6
    assert hash(ROOT.only(0, (0, 1, 2))) == hash(ROOT)


def test_mask_agrees_with_contains() -> None:
    rows = np.array(list(itertools.product(range(4), repeat=3)), dtype=np.int8)
    sub = ROOT.only(0, (0, 2)).only(2, (1,))
    mask = sub.mask(rows)
    assert mask.tolist() == [sub.contains(tuple(row)) for row in rows.tolist()]
    assert mask.sum() == sub.size == 4


def test_contains_rejects_another_length() -> None:
    with pytest.raises(ValueError, match="longer than argument"):
        ROOT.contains((0, 0))


def test_draw_is_uniform_and_stays_inside() -> None:
    sub = ROOT.only(0, (0, 2)).only(2, (1, 2, 3))
    rng = np.random.default_rng(0)
    draws = [sub.draw(rng) for _ in range(2400)]
    counts = {a: draws.count(a) for a in itertools.product(*sub.allowed)}
    assert sum(counts.values()) == len(draws)
    assert all(abs(count - 200) < 5 * 200**0.5 for count in counts.values())  # 12 architectures, 5 deviations
    assert [sub.draw(np.random.default_rng(1)) for _ in range(2)] == [sub.draw(np.random.default_rng(1))] * 2


# --- what every space must hold ---------------------------------------------------------------------------------------


def images_for(space: SearchSpace, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, *shape, generator=generator), torch.arange(BATCH)


def random_architectures(space: SearchSpace, count: int) -> list[Architecture]:
    """Uniform strings, connected or not."""
    rng = np.random.default_rng(7)
    return [space.root().draw(rng) for _ in range(count)]


def random_mixture(space: SearchSpace, active: SubSpace, requires_grad: bool = True) -> Mixture:
    most = max(len(space.operations(edge)) for edge in range(len(space.edges)))
    weights = torch.rand(len(space.edges), most, generator=torch.Generator().manual_seed(1))
    return Mixture(active, weights.requires_grad_(requires_grad))


def one_hot(space: SearchSpace, architecture: Architecture, active: SubSpace) -> Mixture:
    mixture = random_mixture(space, active, requires_grad=False)
    weights = torch.zeros_like(mixture.weights)
    weights[torch.arange(len(space.edges)), torch.tensor(architecture)] = 1.0
    return Mixture(active, weights)


def check_paths_equal_their_function(space: SearchSpace, shape: tuple[int, int, int]) -> None:
    """For spaces whose function removes dead operations: they change no logit."""
    supernet = space.supernet(0)
    images, _ = images_for(space, shape)
    changed = 0
    for architecture in random_architectures(space, 60):
        function = space.function(architecture)
        changed += function != architecture
        with torch.no_grad():
            assert torch.equal(supernet(images, architecture), supernet(images, function)), architecture
    assert changed > 5


def check_one_hot_mixture_is_the_path(space: SearchSpace, shape: tuple[int, int, int]) -> None:
    supernet = space.supernet(0)
    images, _ = images_for(space, shape)
    for architecture in random_architectures(space, 10):
        with torch.no_grad():
            path = supernet(images, architecture)
            assert path.shape == (BATCH, 10)
            for active in (space.root(), SubSpace(tuple((op,) for op in architecture))):
                mixed = supernet(images, one_hot(space, architecture, active))
                torch.testing.assert_close(mixed, path, rtol=1e-4, atol=1e-5)


def check_inactive_operations_are_ignored(space: SearchSpace, shape: tuple[int, int, int]) -> None:
    """A mixture's weights of inactive operations may hold anything, NaN included."""
    supernet = space.supernet(0)
    images, _ = images_for(space, shape)
    active = space.root().only(0, (1,)).only(2, (1, 2))
    mixture = random_mixture(space, active, requires_grad=False)
    poisoned = torch.full_like(mixture.weights, torch.nan)
    for edge, operations in enumerate(active.allowed):
        poisoned[edge, list(operations)] = mixture.weights[edge, list(operations)]
    with torch.no_grad():
        assert torch.equal(supernet(images, Mixture(active, poisoned)), supernet(images, mixture))


def convolution_backward_flop(
    grad_out: Any, x: Any, w: Any, _bias: Any, _stride: Any, _padding: Any, _dilation: Any, transposed: bool,
    _output_padding: Any, groups: int, output_mask: list[bool], out_shape: Any, **_: Any,
) -> int:  # fmt: skip
    """torch's formula, but with the weight gradient's cost divided by the groups.

    torch (2.13 still) counts the weight gradient as if each input channel met each output channel; with g groups
    each meets 1/g of them only (``test_flop_counter_overcounts_groups``).
    """
    count = conv_flop_count(grad_out, w, out_shape[0], not transposed) if output_mask[0] else 0
    if output_mask[1]:
        images, filters, outputs = ([shape[1], shape[0], *shape[2:]] for shape in (x, grad_out, out_shape[1]))
        count += conv_flop_count(images, filters, outputs) // groups
    return count


def counted(supernet: nn.Module, images: Tensor, labels: Tensor, choice: Choice, corrected: bool) -> tuple[int, int]:
    """FLOPs an image, forward and backward, by torch's counter."""
    mapping = {torch.ops.aten.convolution_backward: convolution_backward_flop} if corrected else {}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        loss = functional.cross_entropy(supernet(images, choice), labels)
        forward = counter.get_total_flops()
        loss.backward()  # type: ignore[no-untyped-call]
    backward = counter.get_total_flops() - forward
    assert forward % len(labels) == backward % len(labels) == 0
    return forward // len(labels), backward // len(labels)


def check_flops(space: SearchSpace, shape: tuple[int, int, int], grouped: bool) -> None:
    """50 random architectures and mixtures of random subspaces, forward and backward."""
    supernet = space.supernet(0)
    images, labels = images_for(space, shape)
    choices: list[Choice] = list(random_architectures(space, 50))
    choices.append(random_mixture(space, space.root()))
    draw = random.Random(0)
    for _ in range(3):
        sub = SubSpace(
            tuple(tuple(sorted(draw.sample(ops, draw.randint(1, len(ops))))) for ops in space.root().allowed)
        )
        choices.append(random_mixture(space, sub, requires_grad=False))
    for choice in choices:
        flops = space.flops(choice)
        assert (flops.forward, flops.backward) == counted(supernet, images, labels, choice, grouped), choice


def check_flops_of_live_networks_are_their_macs(space: SearchSpace) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        function = space.function(space.sample(rng))
        assert space.flops(function).forward == 2 * space.macs(function)


def check_seeds(space: SearchSpace) -> None:
    state = torch.get_rng_state()
    first, second, other = (space.supernet(seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)  # building one leaves the caller's random numbers alone
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def check_encoding(space: SearchSpace) -> None:
    architectures = random_architectures(space, 100)
    texts = [space.encode(a) for a in architectures]
    assert [space.decode(text) for text in texts] == architectures
    assert len(set(texts)) == len(set(architectures))
    for bad in ("", texts[0] + "0", texts[0][:-1], texts[0][:-1] + "x", "9" * len(texts[0]), texts[0][:-1] + "²"):
        with pytest.raises(ValueError, match=rf"is not an architecture of {space.name}"):
            space.decode(bad)


def check_functions(space: SearchSpace) -> None:
    """Inside, connected, unique, canonical, in order, and all of them."""
    root = space.root()
    everything = [a for a in itertools.product(*root.allowed) if space.connected(a)]
    canonical = {space.function(a) for a in everything}
    assert all(space.function(a) == a and space.connected(a) for a in canonical)
    narrow = root.only(1, (1, 2)).only(3, (0, 1))
    for sub in (root, narrow, *root.split(0, [(0,), root.allowed[0][1:]])):
        rows = space.functions(sub)
        assert rows.dtype == np.int8
        assert rows.shape == (len(rows), len(space.edges))
        assert [tuple(row) for row in rows.tolist()] == sorted(a for a in canonical if sub.contains(a))


def check_sample(space: SearchSpace) -> None:
    sub = space.root().only(1, (0, 2))
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng, sub) for _ in range(300)]
    assert all(sub.contains(a) and space.connected(a) for a in drawn)
    assert len(set(drawn)) > 100
    again = np.random.default_rng(0)
    assert [space.sample(again, sub) for _ in range(300)] == drawn


def with_gradient(space: SearchSpace, supernet: Supernet, shape: tuple[int, int, int], active: SubSpace) -> set[str]:
    """Names of the parameters that take part when all operations of ``active`` run."""
    images, labels = images_for(space, shape)
    supernet.zero_grad()
    choice = random_mixture(space, active, requires_grad=False)
    functional.cross_entropy(supernet(images, choice), labels).backward()  # type: ignore[no-untyped-call]
    return {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}


def check_shared_parameters(space: SearchSpace, shape: tuple[int, int, int]) -> None:
    """What an edge owns is what falls still when the edge runs one operation alone."""
    supernet = space.supernet(0)
    parameters = dict(supernet.named_parameters())
    root = space.root()
    assert with_gradient(space, supernet, shape, root) == set(parameters)
    outer = dict(supernet.outer_parameters())
    owned: set[str] = set(outer)
    assert outer
    for edge in range(len(space.edges)):
        own = dict(supernet.edge_parameters(edge))
        assert own
        assert all(parameters[name] is parameter for name, parameter in (own | outer).items())
        still = [
            set(parameters) - with_gradient(space, supernet, shape, root.only(edge, (op,)))
            for op, name in enumerate(space.operations(edge))
            if name != "none"
        ]
        assert set.union(*still) == set(own)
        shared = supernet.shared_parameters(edge)
        assert [name for name, _ in shared] == [name for name in parameters if name not in own]
        assert all(parameters[name] is parameter for name, parameter in shared)
        inner = [name for name, _ in supernet.shared_parameters(edge, outer=False)]
        assert inner == [name for name in parameters if name not in own and name not in outer]
        assert not owned & set(own)
        owned |= set(own)


def check_bind(space: SearchSpace, shape: tuple[int, int, int]) -> None:
    bound = space.bind(shape, 10)
    assert bound == space
    channels, side, _ = shape
    with pytest.raises(ConfigError, match=f"space {space.name}"):
        space.bind((channels + 5, side, side), 10)
    with pytest.raises(ConfigError, match=f"space {space.name}"):
        space.bind((channels, side, side + 1), 10)


SPACES: dict[str, tuple[SearchSpace, tuple[int, int, int]]] = {
    "micro": (Micro(), (1, 8, 8)),
    "nb201": (NB201(channels=4, cells=1, image_size=8), (3, 8, 8)),
    "nb_macro": (NBMacro(channels=4, image_size=16), (3, 16, 16)),
}
DEAD_OPERATIONS = ("micro", "nb201")  # spaces whose functions are defined by leaving out dead operations


Case = tuple[SearchSpace, tuple[int, int, int]]


@pytest.fixture(params=list(SPACES))
def case(request: pytest.FixtureRequest) -> Case:
    return SPACES[request.param]


def test_path_equals_its_function(case: Case) -> None:
    space, shape = case
    if space.name in DEAD_OPERATIONS:
        check_paths_equal_their_function(space, shape)
    else:  # a permuted identity runs other layers' weights
        supernet = space.supernet(0)
        images, _ = images_for(space, shape)
        differing = [a for a in random_architectures(space, 60) if space.function(a) != a]
        with torch.no_grad():
            assert all(not torch.allclose(supernet(images, a), supernet(images, space.function(a))) for a in differing)
        assert len(differing) > 5


def test_one_hot_mixture_is_the_path(case: Case) -> None:
    check_one_hot_mixture_is_the_path(*case)


def test_inactive_operations_are_ignored(case: Case) -> None:
    check_inactive_operations_are_ignored(*case)


def test_flops_equal_the_flop_counter(case: Case) -> None:
    space, shape = case
    check_flops(space, shape, grouped=space.name == "nb_macro")


def test_flops_of_live_networks_are_their_macs(case: Case) -> None:
    check_flops_of_live_networks_are_their_macs(case[0])


def test_same_seed_same_weights(case: Case) -> None:
    check_seeds(case[0])


def test_encode_and_decode(case: Case) -> None:
    check_encoding(case[0])


def test_functions(case: Case) -> None:
    check_functions(case[0])


def test_sample(case: Case) -> None:
    check_sample(case[0])


def test_shared_parameters(case: Case) -> None:
    check_shared_parameters(*case)


def test_bind(case: Case) -> None:
    check_bind(*case)


class Averaged(nn.Module):
    """A layer with its output averaged over positions, called like a supernet."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        y: Tensor = self.layer(images)
        return y.mean((2, 3))


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_flop_counter_overcounts_groups(groups: int) -> None:
    """The weight gradient of a convolution needs one multiply-add for each one of the forward pass, grouped or not."""
    layer = nn.Conv2d(8, 8, 3, padding=1, bias=False, groups=groups)
    images = torch.randn(BATCH, 8, 6, 6)  # needs no gradient: backward is the weight gradient alone
    flops = 2 * prod(layer.weight.shape) * 6 * 6
    plain, corrected = (counted(Averaged(layer), images, torch.arange(BATCH), (), fix) for fix in (False, True))
    assert corrected == (flops, flops)
    assert plain in ((flops, groups * flops), (flops, flops))  # up to torch 2.13, and once they count it right
