"""What the conformance suites run on: random images, architectures, subspaces and mixtures, always the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from splitbench.spaces.base import Architecture, Choice, Mixture, SearchSpace, SubSpace, Supernet
from splitbench.spaces.datasets.base import ImageData


def require(holds: bool, sentence: str) -> None:
    """Raise AssertionError with ``sentence`` unless it holds (also under ``python -O``)."""
    if not holds:
        raise AssertionError(sentence)


def images_of(shape: tuple[int, int, int], classes: int, train: int = 64, validation: int = 48) -> ImageData:
    """Random images and labels, always the same, as a stand-in for a dataset."""
    generator = torch.Generator().manual_seed(1)
    sizes = {"train": train, "validation": validation}
    return ImageData(
        {part: torch.randn(size, *shape, generator=generator) for part, size in sizes.items()},
        {part: torch.arange(size) % classes for part, size in sizes.items()},
        classes,
    )


def counting_flops() -> FlopCounterMode:
    """torch's FLOP counter, with the weight gradient of grouped convolutions counted right.

    torch (2.13 still) counts it as if each input channel met each output channel; with g groups each meets 1/g only.
    """

    def backward(
        grad_out: Any, x: Any, w: Any, _bias: Any, _stride: Any, _padding: Any, _dilation: Any, transposed: bool,
        _output_padding: Any, groups: int, output_mask: list[bool], out_shape: Any, **_: Any,
    ) -> int:  # fmt: skip
        count = conv_flop_count(grad_out, w, out_shape[0], not transposed) if output_mask[0] else 0
        if output_mask[1]:
            images, filters, outputs = ([shape[1], shape[0], *shape[2:]] for shape in (x, grad_out, out_shape[1]))
            count += conv_flop_count(images, filters, outputs) // groups
        return int(count)

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: backward})


def random_architectures(space: SearchSpace, count: int) -> list[Architecture]:
    """Uniform strings, connected or not; architectures where not every string is one."""
    rng = np.random.default_rng(7)
    if not space.every_string:
        return [space.sample(rng) for _ in range(count)]
    return [space.root().draw(rng) for _ in range(count)]


def subspaces(space: SearchSpace) -> list[SubSpace]:
    """The root, one that two edges narrow, and the two parts of a split of the first edge."""
    root = space.root()
    narrow = root.only(0, root.allowed[0][1:]).only(len(space.edges) - 1, root.allowed[-1][-2:])
    compared = space.comparable(root, 0)
    return [root, narrow, *space.divide(root, 0, [compared[:1], compared[1:]])]


def random_mixture(space: SearchSpace, active: SubSpace) -> Mixture:
    """A mixture of everything in ``active``, always with the same weights."""
    return Mixture(active, torch.rand(space.weights_shape, generator=torch.Generator().manual_seed(1)))


def moving(supernet: Supernet, data: ImageData, choice: Choice) -> set[str]:
    """Names of the parameters that take part in running ``choice``."""
    images, labels = data.batch("train", 0, 0, 4)
    supernet.zero_grad(set_to_none=True)
    functional.cross_entropy(supernet(images, choice), labels).backward()  # type: ignore[no-untyped-call]
    return {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
