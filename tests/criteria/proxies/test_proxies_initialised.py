"""Proxies on weights that are drawn anew: which ones, and that nothing else of the proxy changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from proxy_networks import PATHS, SPACES, Charges, network_of
from torch import nn

from splitbench.criteria.proxies.base import combined, terms
from splitbench.criteria.proxies.initialised import Initialised, draw, initial_deviation
from splitbench.criteria.proxies.saliency import Snip
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import build

PATH = PATHS["nb201"][0]


@pytest.mark.parametrize(
    ("init", "expected"), [("kaiming", math.sqrt(2 / 45)), ("xavier", math.sqrt(2 / (45 + 63))), ("normal", 1.0)]
)
def test_deviations_are_those_of_torch(init: str, expected: float) -> None:
    layer = nn.Conv2d(5, 7, 3)
    assert initial_deviation(init, layer.weight.shape) == pytest.approx(expected)
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    assert (fan_in, fan_out) == (45, 63)


@pytest.mark.parametrize("init", ["kaiming", "xavier", "normal"])
def test_weights_have_the_spread_that_was_asked_for(init: str) -> None:
    network = network_of("nb201", PATH)
    module: Any = network.module
    biases = module.classifier.bias.clone()
    draw(network, init)
    scaled = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            scaled.append((layer.weight.detach() / initial_deviation(init, layer.weight.shape)).flatten())
    whole = torch.cat(scaled)
    assert float(whole.mean()) == pytest.approx(0, abs=4 / math.sqrt(len(whole)))
    assert float(whole.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * len(whole)))
    assert torch.equal(module.classifier.bias, biases)


@pytest.mark.parametrize("name", SPACES)
def test_it_is_the_proxy_on_the_drawn_weights_at_the_proxys_price(name: str) -> None:
    path, charges, alone = PATHS[name][0], Charges(), Charges()
    found = Initialised("snip", "xavier")(network_of(name, path, charges))
    drawn = network_of(name, path, alone)
    draw(drawn, "xavier")
    assert found == Snip()(drawn)
    assert (charges.forward, charges.backward) == (alone.forward, alone.backward)
    assert found != Snip()(network_of(name, path))
    assert found == Initialised("snip", "xavier")(network_of(name, path))
    assert found != Initialised("snip", "normal")(network_of(name, path))


def test_terms_of_a_pool_are_combined_by_the_proxy() -> None:
    pool = np.array([[1.0, 5.0, 2.0, 3.0], [2.0, 4.0, 1.0, 3.0], [3.0, 6.0, 3.0, 2.0]])
    proxy = Initialised("az_nas")
    assert combined(proxy, pool).tolist() == combined(build("proxies", "az_nas"), pool).tolist()
    assert not hasattr(Initialised("snip"), "combine")
    network = network_of("micro", PATHS["micro"][0])
    assert len(terms(proxy, network)) == 4


def test_what_the_proxy_needs_is_needed() -> None:
    assert Initialised("snip").needs == ()
    assert Initialised("tpc").needs == build("proxies", "tpc").needs


def test_an_unknown_initialisation_is_refused() -> None:
    with pytest.raises(ConfigError, match="init"):
        build("proxies", {"name": "initialised", "init": "zeros"})
