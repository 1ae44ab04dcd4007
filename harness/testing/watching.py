"""What a component did besides what it returned: images it looked at, things it changed, passes it ran."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils._python_dispatch import TorchDispatchMode

from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing.material import counting_flops
from splitbench.spaces.datasets.base import PARTS, ImageData
from splitbench.spaces.truth import GroundTruth

SHARE_PAID = 0.95
"""A charge may fall this far short of what torch counts."""

LAYERS = (torch.ops.aten.convolution, torch.ops.aten.convolution_backward, torch.ops.aten.addmm)
"""What a network's layers run and a component's own arithmetic hardly ever does; plain matrix products are both."""


class Noted(dict[str, Tensor]):
    """Images or labels by part, with a note of each part that was asked for."""

    def __init__(self, parts: dict[str, Tensor], asked: set[str]) -> None:
        super().__init__(parts)
        self.asked = asked

    def __getitem__(self, part: str) -> Tensor:
        self.asked.add(part)
        return super().__getitem__(part)

    def get(self, part: str, default: Any = None) -> Any:
        self.asked.add(part)
        return super().get(part, default)


def noted(data: ImageData, device: str) -> tuple[ImageData, set[str]]:
    """A copy of ``data``, and the set that its parts are noted in once they are asked for."""
    asked: set[str] = set()
    images, labels = (
        Noted({part: tensor.clone().to(device) for part, tensor in kind.items()}, asked)
        for kind in (data.images, data.labels)
    )
    return ImageData(images, labels, data.classes, data.augment), asked


def strange_parts(asked: set[str]) -> list[str]:
    """Parts of the images that nothing but a ground truth may see."""
    return sorted(asked - set(PARTS))


def images_changed(data: ImageData, original: ImageData) -> bool:
    """Whether the images or labels were written to."""
    return not all(
        torch.equal(copy[part].cpu(), tensor.cpu())
        for copy, kind in ((data.images, original.images), (data.labels, original.labels))
        for part, tensor in kind.items()
    )


class NotingProbe(SupernetProbe):
    """A probe that notes whether it was asked for the ground truth."""

    asked_for_truth = False

    def truth(self) -> GroundTruth:
        self.asked_for_truth = True
        return super().truth()

    @property
    def copies(self) -> list[nn.Module]:
        """The scratch copies that proxies were scored on."""
        return [copy for copy, _ in self._scratch.values()]


@dataclass(frozen=True)
class Snapshot:
    """What a supernet holds besides its gradients."""

    tensors: dict[str, Tensor]
    modes: dict[str, bool]

    @classmethod
    def of(cls, module: nn.Module) -> Snapshot:
        modes = {f"training mode of {name or 'the whole'}": m.training for name, m in module.named_modules()}
        modes |= {f"requires_grad of {name}": p.requires_grad for name, p in module.named_parameters()}
        return cls({name: tensor.clone() for name, tensor in module.state_dict().items()}, modes)

    def differences(self, module: nn.Module) -> list[str]:
        """Names of what has changed since."""
        now = Snapshot.of(module)
        if list(self.tensors) != list(now.tensors) or list(self.modes) != list(now.modes):
            return ["modules"]
        tensors = [name for name, tensor in self.tensors.items() if not torch.equal(tensor, now.tensors[name])]
        return tensors + [name for name, mode in self.modes.items() if mode != now.modes[name]]


def hooks(module: nn.Module) -> int:
    """Hooks on the modules and parameters of a network, and on all modules there are."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    count = sum(len(getattr(each, kind)) for each in module.modules() for kind in kinds)
    count += sum(len(getattr(torch_module, f"_global{kind}")) for kind in kinds)
    for parameter in module.parameters():
        count += len(parameter._backward_hooks or ()) + len(
            getattr(parameter, "_post_accumulate_grad_hooks", None) or ()
        )
    return count


def random_state() -> tuple[Any, ...]:
    """The state of every random number generator that a component could use behind its caller's back."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the old one is the global one
    return torch.get_rng_state().numpy().tobytes(), name, np.asarray(keys).tobytes(), *rest, random.getstate()


@contextlib.contextmanager
def scrambled(seed: int) -> Iterator[tuple[Any, ...]]:
    """Global random numbers start from ``seed`` inside, and are put back afterwards; gives their state at the start."""
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield random_state()
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


class LayerFlops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the FLOPs of convolutions and linear layers, forward and backward; not of a linear layer's backward.

    torch's own counter follows modules by hooks on their gradients, which changes the last bits of some sums.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.formulas = {layer: counting_flops().flop_registry[layer] for layer in LAYERS}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = self.formulas.get(func._overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def unpaid(charged: int, counted: int) -> str | None:
    """A sentence if the charge is too small."""
    if charged >= SHARE_PAID * counted:
        return None
    return f"it is charged {charged:,} FLOPs, and torch counts {counted:,} in convolutions and linear layers"
