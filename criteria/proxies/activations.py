"""Proxies that count ReLU codes: which units are on for which images, one forward pass and no labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.criteria.proxies.base import Network, Seen
from splitbench.harness.errors import ConfigError

UNDEFINED = -1e5
"""The score of a network that has none: not finite, or 0/0, as where the images do not reach the output."""

_SMALLEST = 1e-5  # eigenvalue


@contextmanager
def hooked(modules: Sequence[nn.Module], note: Callable[[Seen], None]) -> Iterator[None]:
    """Inside, ``note`` is called with each of the modules that runs.

    Other than ``recording`` it keeps no feature map alive: a whole supernet's would not fit everywhere.
    """

    def call(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        note(Seen(module, inputs[0], output, inputs[1:]))

    handles = [module.register_forward_hook(call) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def agreement(network: Network, images: Tensor) -> tuple[Tensor, int]:
    """For each pair of images, how many ReLUs are in the same state for both: [N, N] float64; and how many there are.

    One forward pass. With binary codes x this is the sum over ReLU layers of x x^T + (1 - x)(1 - x)^T.
    """
    total = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
    units = 0

    def note(call: Seen) -> None:
        nonlocal total, units
        code = (call.inputs > 0).flatten(1).to(torch.float32)
        on = code.sum(1)
        # whole numbers below 2^24: exact in float32; both-off follows from both-on
        total += 2 * (code @ code.T) + code.shape[1] - on[:, None] - on[None, :]
        units += code.shape[1]

    with torch.no_grad(), hooked(network.layers(nn.ReLU), note):
        network(images)
    return total, units


@dataclass(frozen=True)
class Nwot:
    """log |det K|, where K counts the ReLUs in which two images agree (NASWOT; Mellor et al., ICML 2021).

    K = sum over ReLU layers of x x^T + (1 - x)(1 - x)^T, with x [N, units] the binary codes of the N images of the
    batch: K_ij is the number of units less the Hamming distance of the codes of i and j. Larger is better: images
    whose codes differ are easier to tell apart. Needs images, no labels. Cost: one forward pass.

    Images of the same code make K singular, where log |det K| is -infinity or what rounding leaves of it. So
    eigenvalues below 1e-5 count as 1e-5: finite, and low where the images do not reach the output.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        matrix, _ = agreement(network, network.images)
        return float(torch.linalg.eigvalsh(matrix).clamp(min=_SMALLEST).log().sum())


@dataclass(frozen=True)
class Swap:
    """Number of distinct sample-wise activation patterns (SWAP; Peng et al., ICLR 2024).

    A unit's pattern is the column of its N states (on or off) over the batch; the score is how many different columns
    all units of all ReLU layers have together. With ``mu`` and ``sigma`` it is multiplied by
    exp(-(P - mu)^2 / sigma), P in thousands of weights, which the paper uses to hold networks near a size. Larger is
    better. Needs images, no labels. Cost: one forward pass.

    P counts the weights and biases that take part, those of normalisations (where they have any) included.

    Attributes:
        mu: size to prefer, in thousands of weights; None for no regularisation.
        sigma: how far from it, in thousands of weights squared.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    mu: float | None = None
    sigma: float | None = None

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if (self.mu is None) != (self.sigma is None) or (self.sigma is not None and not self.sigma > 0):
            raise ConfigError(
                f"proxy swap: mu is {self.mu} and sigma is {self.sigma}, but they go together and sigma must be "
                "positive; give both (in thousands of weights, and its square) or neither"
            )

    def __call__(self, network: Network) -> float:
        images = network.images
        packed: list[np.ndarray[Any, np.dtype[np.uint8]]] = []

        def note(call: Seen) -> None:
            bits = np.packbits((call.inputs > 0).flatten(1).cpu().numpy(), axis=0)  # eight images a byte
            packed.append(np.unique(_rows(bits.T)))

        with torch.no_grad(), hooked(network.layers(nn.ReLU), note):
            network(images)
        patterns = float(len(np.unique(np.concatenate(packed)))) if packed else 0.0
        if self.mu is None or self.sigma is None:
            return patterns
        weights = sum(w.view.numel() for w in network.module.active_weights(network.choice)) / 1e3
        return patterns * math.exp(-((weights - self.mu) ** 2) / self.sigma)


def _rows(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Each row [units, bytes] as one item that can be compared with others."""
    return np.ascontiguousarray(matrix).view(np.dtype((np.void, matrix.shape[1])))[:, 0]


@dataclass(frozen=True)
class LinearRegions:
    """Number of linear regions that small patches fall into (#LR of TE-NAS; Chen et al., ICLR 2021).

    The sum over patches of 1 / (number of patches with the same ReLU code), which is the number of distinct codes.
    Larger is better. Needs images, no labels. Cost: one forward pass of ``samples`` patches (and of two more), each
    charged by its share of an image's pixels: 1,000 patches of 3 x 3 are 9 images of 32 x 32.

    Whole images all have codes of their own, so that the count would be the batch size for every network; even of
    small patches most networks tell most apart. The paper feeds 1,000 of 3 x 3 pixels. Here they are cut from the
    images of the batch, with all channels, at random and all different; fewer if the batch holds no more.
    NAS-Bench-201 takes 3 x 3 pixels only because its two branches between stages, of 2 x 2 and 1 x 1 pixels then,
    broadcast. Where a network cannot take ``crop`` pixels, the next larger side that it can take is used (4 in the
    micro space).

    Attributes:
        crop: side of the patches in pixels.
        samples: number of patches.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    crop: int = 3
    samples: int = 1000

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for field, least in (("crop", 1), ("samples", 2)):
            if getattr(self, field) < least:
                raise ConfigError(
                    f"proxy linear_regions: {field} is {getattr(self, field)}, but must be at least {least}; raise it"
                )

    def __call__(self, network: Network) -> float:
        cut = patches(network.images, self._side(network), self.samples, network.generator())
        matrix, units = agreement(network, cut)
        return float((1 / (matrix == units).sum(1).double()).sum())

    def _side(self, network: Network) -> int:
        """The least side from ``crop`` up that the network can take, tried on two patches."""
        images = network.images
        largest = min(images.shape[-2:])
        for side in range(min(self.crop, largest), largest):
            try:
                with torch.no_grad():
                    network(images[:2, :, :side, :side])
            except RuntimeError:  # torch's word for feature maps that shrink to nothing or do not fit together
                continue
            return side
        return largest


def patches(images: Tensor, side: int, count: int, generator: torch.Generator) -> Tensor:
    """Different patches [count, C, side, side] of the images, drawn at random; all there are, if fewer."""
    windows = images.unfold(2, side, 1).unfold(3, side, 1)  # [N, C, rows, columns, side, side]
    places = windows.movedim(1, 3).shape[:3]
    drawn = torch.randperm(places.numel(), generator=generator)[:count].to(images.device)
    image, row, column = torch.unravel_index(drawn, places)
    return windows[image, :, row, column].contiguous(memory_format=torch.channels_last)
