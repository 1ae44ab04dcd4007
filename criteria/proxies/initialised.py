"""Any proxy on freshly drawn weights: which initialisation the scored network gets, as an option."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from splitbench.criteria.proxies.base import Network, Proxy, Scores, unfit_proxy
from splitbench.harness.registry import Spec, build
from splitbench.spaces.base import SearchSpace

STREAM = 0x1D1  # apart from the random numbers of the proxy itself


@dataclass(frozen=True)
class Initialised:
    """Another proxy, on weights that are drawn anew as ``init`` says; proxies alone score the network as it was built.

    The choices are those of Abdelfattah et al.'s released code ("Zero-Cost Proxies for Lightweight NAS", ICLR 2021),
    whose default, as NAS-Bench-Suite-Zero's, is the network as built: here torch's default initialisation, uniform with
    variance 1 / (3 fan-in). Zen-NAS and SWAP draw N(0, 1); TE-NAS and AZ-NAS after He. Weights of all convolutions and
    linear layers are drawn, also of those that do not take part, so that shared layers get the same weights whatever
    runs; biases stay. Of a layer that runs on a slice of its weight the fans are the slice's. Larger is better where it
    is so of the proxy. Needs what the proxy needs, and costs what the proxy costs.

    Attributes:
        proxy: what scores.
        init: ``kaiming``: N(0, 2 / fan-in), He et al., ICCV 2015; ``xavier``: N(0, 2 / (fan-in + fan-out)), Glorot and
            Bengio, AISTATS 2010; ``normal``: N(0, 1).
    """

    nested: ClassVar[Mapping[str, str]] = {"proxy": "proxies"}
    version: ClassVar[int] = 1

    proxy: Spec = "snip"
    init: Literal["kaiming", "xavier", "normal"] = "kaiming"

    @functools.cached_property
    def inner(self) -> Proxy:
        """The proxy itself."""
        inner: Proxy = build("proxies", self.proxy, "proxy initialised.proxy")
        return inner

    @property
    def needs(self) -> tuple[str, ...]:
        """What the proxy needs of a space."""
        inner_needs: tuple[str, ...] = getattr(self.inner, "needs", ("whole_weights",))
        return inner_needs

    def unfit(self, space: SearchSpace) -> str | None:
        """Why the proxy cannot serve a space."""
        return unfit_proxy(self.inner, space)

    @property
    def combine(self) -> Callable[[Scores], Scores]:
        """How the proxy combines the terms of a pool; an AttributeError, hence no such method, if it does not."""
        inner_combine: Callable[[Scores], Scores] = self.inner.combine  # type: ignore[attr-defined]
        return inner_combine

    def __call__(self, network: Network) -> float | tuple[float, ...]:
        draw(network, self.init)
        return self.inner(network)


def draw(network: Network, init: str) -> None:
    """Overwrite the weights of all convolutions and linear layers by random numbers of the network's own."""
    generator = network.generator(STREAM)
    shapes = {id(weight.module): weight.view.shape for weight in network.active()}
    with torch.no_grad():
        for module in network.module.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                drawn = torch.randn(module.weight.shape, generator=generator)
                module.weight.copy_(drawn * initial_deviation(init, shapes.get(id(module), module.weight.shape)))


def initial_deviation(init: str, shape: torch.Size) -> float:
    """Standard deviation of the weights of a layer of this shape: [outputs, inputs a group, ...]."""
    kernel = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * kernel, shape[0] * kernel
    return {"kaiming": math.sqrt(2 / fan_in), "xavier": math.sqrt(2 / (fan_in + fan_out)), "normal": 1.0}[init]
