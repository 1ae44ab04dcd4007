"""Size proxies against counts by hand, on supernets' paths and mixtures and on stand-alone networks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from proxy_networks import CUT_OFF, PATHS, SPACES, Charges, choices, network_of, stand_alone
from torch import nn

from splitbench.criteria.base import unfit
from splitbench.criteria.proxies.counts import AllFlops, Convolutions, EffectiveFlops, L2Norm, Params, Tpc
from splitbench.harness.testing import counting_flops
from splitbench.spaces.base import Mixture, SubSpace
from splitbench.spaces.micro.space import Micro

PROXIES: list[Any] = [Params(), AllFlops(), EffectiveFlops(), Convolutions(), L2Norm(), Tpc()]
DEAD = (3, 0, 2, 3, 0, 0)  # 0-1 leads nowhere, 1-2 neither: 0-3 alone is live


@pytest.mark.parametrize("name", SPACES)
def test_finite_deterministic_and_free(name: str) -> None:
    for choice in [*choices(name), *(CUT_OFF if name != "nb_macro" else ())]:
        for proxy in PROXIES:
            charges = Charges()
            first, second = (proxy(network_of(name, choice, charges)) for _ in range(2))
            assert type(first) is float
            assert math.isfinite(first)
            assert first == second
            assert (charges.forward, charges.backward) == (0, 0)


@pytest.mark.parametrize("name", SPACES)
def test_counts_of_a_stand_alone_network_are_those_of_its_modules(name: str) -> None:
    """A stand-alone network of cells holds nothing that does not run; a chain's is a supernet."""
    space, _ = SPACES[name]
    for path in PATHS[name]:
        network = stand_alone(name, path)
        with torch.no_grad(), counting_flops() as counter:
            network.module(network.images, path)
        assert AllFlops()(network) == counter.get_total_flops() / len(network.images)
        assert Convolutions()(network) == space.convolutions(path)
        ran = network.watch(network.images, nn.Conv2d, nn.Linear)[1]
        assert Params()(network) == sum(one.module.weight.numel() for one in ran)
        expected = sum(float((one.module.weight.detach() ** 2).sum().sqrt()) for one in ran)
        assert L2Norm()(network) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["micro", "nb201"])
def test_dead_operations_count_where_they_run(name: str) -> None:
    space, _ = SPACES[name]
    alone, path, live = stand_alone(name, DEAD), network_of(name, DEAD), network_of(name, (0, 0, 0, 3, 0, 0))
    assert AllFlops()(alone) == 2 * space.macs(DEAD)
    assert AllFlops()(path) == EffectiveFlops()(path) == EffectiveFlops()(alone) == EffectiveFlops()(live)
    assert EffectiveFlops()(alone) < AllFlops()(alone)
    assert (Convolutions()(alone), Convolutions()(path)) == (3, 1)
    for proxy in (Params(), L2Norm()):
        assert proxy(path) == proxy(live)
    assert Params()(alone) > Params()(path)
    assert Tpc()(alone) == Tpc()(path) == Tpc()(live)


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("micro", ((0, 2, 3), (3,), (0, 1), (1, 4), (2,), (2, 3)), 2 + 1 + 0 + 0 + 1 + 2),
        ("micro", ((0,), (3,), (2, 3), (1, 4), (2,), (2, 3)), 0 + 1 + 0 + 0 + 0 + 2),  # node 1 is not reached
        ("nb_macro", ((0, 1, 2), (0,), (1, 2), (2,), (0, 1), (0,), (0,), (1,)), 2 + 0 + 2 + 1 + 1 + 0 + 0 + 1),
    ],
)
def test_convolutions_of_a_mixture_are_those_that_run(
    name: str, allowed: tuple[tuple[int, ...], ...], expected: int
) -> None:
    mixture = Mixture(SubSpace(allowed), torch.ones(len(allowed), 5))
    assert Convolutions()(network_of(name, mixture)) == expected


def paths_by_hand(edges: list[float]) -> float:
    """0-3, 0-1-3, 0-2-3 and 0-1-2-3 with edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
    a, b, c, d, e, f = edges
    return d + a * e + b * f + a * c * f


@pytest.mark.parametrize(("name", "widths"), [("micro", (8, 16, 32)), ("nb201", (4, 8, 16))], ids=["micro", "nb201"])
def test_tpc_of_cells_counts_every_path(name: str, widths: tuple[int, ...]) -> None:
    for path in [*PATHS[name], (1, 1, 1, 1, 1, 1), (4, 0, 4, 0, 0, 4)]:
        expected = sum(math.log(paths_by_hand([(0, 1, c, 9 * c, 9)[op] for op in path])) for c in widths)
        assert Tpc()(network_of(name, path)) == pytest.approx(expected)
        assert Tpc()(stand_alone(name, path)) == pytest.approx(expected)
    allowed = ((0, 1, 3), (2, 4), (1,), (0, 3), (1, 2), (2,))
    counts = [[sum((0, 1, c, 9 * c, 9)[op] for op in ops) for ops in allowed] for c in widths]
    mixture = Mixture(SubSpace(allowed), torch.ones(6, 5))
    assert Tpc()(network_of(name, mixture)) == pytest.approx(sum(math.log(paths_by_hand(x)) for x in counts))


def test_tpc_of_a_cut_off_cell_is_below_all_others() -> None:
    lowest = Tpc()(network_of("micro", (0, 0, 0, 1, 0, 0)))
    assert lowest == 0
    assert [Tpc()(network_of("micro", path)) for path in CUT_OFF] == pytest.approx([-3 * math.log(2)] * 2)


def test_tpc_of_a_chain_is_the_published_sum() -> None:
    """Layers 4 -> 8 (strided), 8 -> 8, 8 -> 16 (strided), ...: expansion, depthwise convolution, projection."""
    path = (1, 2, 0, 0, 0, 2, 0, 1)
    expected = math.log(3 * 4) + math.log(9 / 4) + math.log(8)  # MB3_K3, strided
    expected += math.log(6 * 8) + math.log(25) + math.log(8)  # MB6_K5
    expected += math.log(16 / 4) + 0 + 0  # strided identity: a 1x1 convolution; then identities
    expected += math.log(6 * 16) + math.log(25 / 4) + math.log(32)  # MB6_K5, strided
    expected += 0 + math.log(3 * 32) + math.log(9) + math.log(32)  # identity, MB3_K3
    assert Tpc()(network_of("nb_macro", path)) == pytest.approx(expected)
    mixture = Mixture(SubSpace(((0, 1), *((op,) for op in path[1:]))), torch.ones(8, 3))
    both = expected - math.log(12 * 9 / 4 * 8) + math.log(12 * 9 / 4 * 8 + 8 / 4)
    assert Tpc()(network_of("nb_macro", mixture)) == pytest.approx(both)


def test_tpc_says_which_spaces_it_can_serve() -> None:
    class Cells(Micro):
        pass

    class Other(type(SPACES["nb_macro"][0])):  # type: ignore[misc]
        def hierarchies(self) -> tuple[tuple[int, ...], ...]:
            return ((0, 1), (2,), (3, 4, 5), (6,), (7,))

    assert unfit(Tpc(), Cells()) is None
    assert unfit(Tpc(), SPACES["nb_macro"][0]) is None
    assert "neither" in str(unfit(Tpc(), Other()))
