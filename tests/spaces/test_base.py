"""Subspaces; the conformance suite on every built-in space; what holds for these spaces and not for all."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from splitbench.harness.errors import ConfigError
from splitbench.harness.testing import check_space, counting_flops, random_architectures
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro

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


# --- spaces -----------------------------------------------------------------------------------------------------------

Case = tuple[SearchSpace, tuple[int, int, int]]
SPACES: dict[str, Case] = {
    "micro": (Micro(), (1, 8, 8)),
    "nb201": (NB201(channels=4, cells=1, image_size=8), (3, 8, 8)),
    "nb_macro": (NBMacro(channels=4, image_size=16), (3, 16, 16)),
}
DEAD_OPERATIONS = ("micro", "nb201")  # spaces whose functions are defined by leaving out dead operations


@pytest.fixture(params=list(SPACES))
def case(request: pytest.FixtureRequest) -> Case:
    return SPACES[request.param]


def test_the_conformance_suite(case: Case) -> None:
    """Encoding, functions, sampling, seeds, paths and mixtures, shared parameters, FLOPs against torch's counter."""
    check_space(*case)


def test_path_and_its_function(case: Case) -> None:
    """Dead operations change no logit; a permuted identity of nb_macro runs other layers' weights."""
    space, shape = case
    supernet, images = space.supernet(0), torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))
    differing = [a for a in random_architectures(space, 60) if space.function(a) != a]
    assert len(differing) > 5
    for a in differing:
        with torch.no_grad():
            path, function = supernet(images, a), supernet(images, space.function(a))
        if space.name in DEAD_OPERATIONS:
            assert torch.equal(path, function), a
        else:
            assert not torch.allclose(path, function), a


def test_flops_of_live_networks_are_their_macs(case: Case) -> None:
    space, _ = case
    rng = np.random.default_rng(3)
    for _ in range(50):
        function = space.function(space.sample(rng))
        assert space.flops(function).forward == 2 * space.macs(function)


def test_what_names_no_architecture_is_a_sentence(case: Case) -> None:
    space, _ = case
    text = space.encode(random_architectures(space, 1)[0])
    for bad in ("", text + "0", text[:-1], text[:-1] + "x", "9" * len(text), text[:-1] + "²"):
        with pytest.raises(ValueError, match=rf"is not an architecture of {space.name}"):
            space.decode(bad)


def test_images_that_do_not_fit_are_a_sentence(case: Case) -> None:
    space, (channels, side, _) = case
    for shape in ((channels + 5, side, side), (channels, side, side + 1)):
        with pytest.raises(ConfigError, match=f"space {space.name}"):
            space.bind(shape, 10)


def counted(layer: nn.Module, images: Tensor, counter: FlopCounterMode) -> tuple[int, int]:
    """FLOPs an image of a layer, forward and backward."""
    with counter:
        loss = layer(images).square().mean()
        forward = counter.get_total_flops()
        loss.backward()
    return forward // len(images), (counter.get_total_flops() - forward) // len(images)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_flop_counter_overcounts_groups(groups: int) -> None:
    """The weight gradient of a convolution needs one multiply-add for each one of the forward pass, grouped or not."""
    layer = nn.Conv2d(8, 8, 3, padding=1, bias=False, groups=groups)
    images = torch.randn(BATCH, 8, 6, 6)  # needs no gradient: backward is the weight gradient alone
    flops = 2 * prod(layer.weight.shape) * 6 * 6
    plain, corrected = (counted(layer, images, mode) for mode in (FlopCounterMode(display=False), counting_flops()))
    assert corrected == (flops, flops)
    assert plain in ((flops, groups * flops), (flops, flops))  # up to torch 2.13, and once they count it right
