"""What the weights of every supernet must hold: what takes part in a run, what operations share, and what stays."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.criteria.proxies.base import recording
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.supernets.normalisation import calibrated, fixed_by_call
from splitbench.harness.testing.material import random_architectures, random_mixture, require, subspaces
from splitbench.spaces.base import ActiveWeight, Choice, SearchSpace, Supernet
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.supernet import refuse_running_statistics

FEW = 2
"""Different values of a tensor that a layer starts from whatever the seed: ones, zeros, the identity."""


def check_statistics(space: SearchSpace, data: ImageData) -> None:
    """No normalisation keeps statistics, and a pass leaves a supernet as it was: estimates depend on nothing else."""
    images, _ = data.batch("train", 0, 0, 4)
    supernet = space.supernet(0)
    refuse_running_statistics(space, supernet)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    with torch.no_grad():
        supernet(images, random_mixture(space, space.root()))
    for name, tensor in supernet.state_dict().items():
        require(
            torch.equal(tensor, before[name]),
            f"{space.name}: a pass of the supernet changes {name}, so that estimates depend on those made before",
        )


def check_fixed_statistics(space: SearchSpace, data: ImageData) -> None:
    """With its normalisations' statistics fixed, an image's logits do not depend on the images beside it."""
    supernet, (images, _) = space.supernet(0), data.batch("train", 0, 0, 16)
    for choice in (space.sample(np.random.default_rng(0)), random_mixture(space, space.root())):
        with torch.no_grad(), fixed_by_call(supernet, calibrated(supernet, choice, [images])):
            whole, few = supernet(images, choice), supernet(images[:4], choice)
        require(
            torch.allclose(whole[:4], few, rtol=1e-3, atol=1e-3),
            f"{space.name}: with {choice} an image's logits depend on the images beside it although all statistics are "
            "fixed; normalise by torch's batch normalisation layers, called as layer(x) or layer(x, weight, bias)",
        )


def check_seeds(space: SearchSpace) -> None:
    """The same seed gives the same weights, another one other weights, and no caller's random numbers are used up.

    What a layer starts from whatever the seed (scales at one, shifts at zero, identities) holds at most two different
    values; what is drawn holds more.
    """
    before = torch.get_rng_state()
    first, second, other = (space.supernet(seed) for seed in (5, 5, 6))
    require(torch.equal(torch.get_rng_state(), before), f"{space.name}: supernet() uses up the caller's random numbers")
    once, again = first.state_dict(), second.state_dict()
    require(list(once) == list(again), f"{space.name}: two supernets have different parameters")
    for name, tensor in once.items():
        require(torch.equal(tensor, again[name]), f"{space.name}: {name} differs between supernets of the same seed")
    others, drawn = dict(other.named_parameters()), 0
    for name, parameter in first.named_parameters():
        same = torch.equal(parameter, others[name])
        require(not same or len(torch.unique(parameter)) <= FEW, f"{space.name}: {name} is the same whatever the seed")
        drawn += not same
    require(drawn > 0, f"{space.name}: all weights are the same whatever the seed")


def check_capabilities(space: SearchSpace) -> None:
    """``operation_modules`` answers where the space says that operations have modules, and refuses elsewhere."""
    supernet = space.supernet(0)
    own = set(map(id, supernet.modules()))
    for edge in range(len(space.edges)):
        try:
            modules = supernet.operation_modules(edge)
        except SplitbenchError as error:
            require(
                not space.separate_operations,
                f"{space.name}: it says separate_operations = True, but operation_modules({edge}) refuses: {error}",
            )
            continue
        require(
            space.separate_operations,
            f"{space.name}: it says separate_operations = False, but operation_modules({edge}) answers",
        )
        counts = range(len(space.operations(edge)))
        require(set(modules) <= set(counts), f"{space.name}: operation_modules({edge}) names operations {set(modules)}")
        strange = [m for several in modules.values() for m in several if id(m) not in own]
        require(not strange, f"{space.name}: operation_modules({edge}) gives modules that are not the supernet's")


def weight_choices(space: SearchSpace) -> list[Choice]:
    """Paths, and mixtures of the whole space and its parts."""
    return [*random_architectures(space, 4), *(random_mixture(space, sub) for sub in subspaces(space))]


def check_active_weights(space: SearchSpace, data: ImageData) -> None:
    """Nothing but ``active_weights`` takes part in a run, each of them does to its last channel, and the layers that
    run show it to who watches them."""
    images, _ = data.batch("train", 0, 0, 4)
    supernet, connected = space.supernet(0), space.sample(np.random.default_rng(0))
    named = dict(supernet.named_parameters())
    for choice in weight_choices(space):
        active = supernet.active_weights(choice)
        for weight in active:
            require(
                named.get(weight.name) is weight.parameter and getattr(weight.module, "weight", None) is not None,
                f"{space.name}: active_weights({choice}) calls something {weight.name} that named_parameters does not",
            )
        require(
            not (space.whole_weights and sliced(active)),
            f"{space.name}: it says whole_weights = True, but active_weights({choice}) has slices",
        )
        check_layers(space, supernet, choice, active)
        check_only_active(space, supernet, choice, active, images)
        check_watched(space, supernet, choice, images)
    for choice in (connected, random_mixture(space, subspaces(space)[1])):
        check_to_the_end(space, supernet, choice, images)
    if not space.whole_weights:
        paths = [supernet.active_weights(a) for a in random_architectures(space, 50)]
        require(
            any(map(sliced, paths)),
            f"{space.name}: it says whole_weights = False, but no path runs a slice of a weight",
        )


def sliced(active: list[ActiveWeight]) -> bool:
    """Whether some of the weights are slices."""
    return any(weight.view.shape != weight.parameter.shape for weight in active)


def check_layers(space: SearchSpace, supernet: Supernet, choice: Choice, active: list[ActiveWeight]) -> None:
    """``active_layers`` are the layers of the active weights, and layers without weights."""
    layers = supernet.active_layers(choice)
    heavy = {id(layer) for layer in layers if any(True for _ in layer.parameters())}
    require(
        heavy == {id(weight.module) for weight in active},
        f"{space.name}: active_layers({choice}) and active_weights() name different layers",
    )


def check_only_active(
    space: SearchSpace, supernet: Supernet, choice: Choice, active: list[ActiveWeight], images: Tensor
) -> None:
    """NaN in everything else changes nothing."""
    with torch.no_grad():
        expected = supernet(images, choice)
        poisoned = copy.deepcopy(supernet)
        own = dict(poisoned.named_parameters())
        for parameter in own.values():
            parameter.fill_(torch.nan)
        for weight in active:
            weight.part(own[weight.name]).copy_(weight.view)
        same = torch.equal(poisoned(images, choice), expected)
    require(same, f"{space.name}: weights other than active_weights({choice}) take part")


def check_to_the_end(space: SearchSpace, supernet: Supernet, choice: Choice, images: Tensor) -> None:
    """NaN for the last output channel of one of them, or for its last input channel, reaches the logits."""
    poisoned = copy.deepcopy(supernet)
    with torch.no_grad():
        for weight in poisoned.active_weights(choice):
            for axis in range(1 if space.whole_weights else min(weight.view.dim(), 2)):
                last = weight.view.select(axis, -1)
                kept = last.clone()
                last.fill_(torch.nan)
                reached = not bool(torch.isfinite(poisoned(images, choice)).all())
                last.copy_(kept)
                require(
                    reached,
                    f"{space.name}: active_weights({choice}) has {list(weight.view.shape)} of {weight.name}, but "
                    f"the end of axis {axis} does not take part",
                )


def check_watched(space: SearchSpace, supernet: Supernet, choice: Choice, images: Tensor) -> None:
    """Convolutions and linear layers are called with what they run on: their FLOPs are the space's."""
    layers = [m for m in supernet.active_layers(choice) if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad(), recording(layers) as seen:
        supernet(images, choice)
    total, expected = sum(call.flops for call in seen), space.flops(choice).forward * len(images)
    require(
        total == expected,
        f"{space.name}: with {choice} the layers that run show weights worth {total} FLOPs, and flops() says "
        f"{expected}: a layer that runs on a slice must be called with it, as layer(x, weight)",
    )


def check_shared_weights(space: SearchSpace) -> None:
    """What operations of an edge share is what every one of them uses, with everything on the other edges."""
    supernet, root = space.supernet(0), space.root()
    outer = {name for name, _ in supernet.outer_parameters()}
    for edge in range(len(space.edges)):
        everyone = [op for op in range(len(space.operations(edge))) if op not in space.absent(edge)]
        for operations in (everyone, everyone[-2:]):
            uses = [used(supernet, random_mixture(space, root.only(edge, (op,)))) for op in operations]
            for flag in (True, False):
                shared = supernet.shared_weights(edge, flag, operations)
                if space.whole_weights:
                    expected = {name for name, _ in supernet.shared_parameters(edge, flag)}
                else:
                    expected = set.intersection(*map(set, uses)) - (set() if flag else outer)
                require(
                    {weight.name for weight in shared} == expected,
                    f"{space.name}: shared_weights({edge}, {flag}, {operations}) are {[w.name for w in shared]}",
                )
                for weight in shared:
                    mask = torch.zeros(weight.parameter.shape, dtype=torch.bool)
                    weight.part(mask).fill_(True)
                    common = torch.stack([use[weight.name] for use in uses if weight.name in use]).all(0)
                    require(
                        torch.equal(mask, common),
                        f"{space.name}: shared_weights({edge}, {flag}, {operations}) has of {weight.name} another part "
                        "than that which all of these operations use",
                    )


def used(supernet: Supernet, choice: Choice) -> dict[str, Tensor]:
    """Which entries of each parameter take part: bool, in its shape."""
    masks = {}
    for weight in supernet.active_weights(choice):
        masks[weight.name] = torch.zeros(weight.parameter.shape, dtype=torch.bool)
        weight.part(masks[weight.name]).fill_(True)
    return masks
