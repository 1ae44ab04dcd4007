"""What every search space must hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from splitbench.harness.testing.checks import ComponentCheck, enforce
from splitbench.harness.testing.material import (
    counting_flops,
    images_of,
    moving,
    random_architectures,
    random_mixture,
    require,
    subspaces,
)
from splitbench.harness.testing.suites.topology import topology_checks
from splitbench.harness.testing.suites.weights import (
    check_active_weights,
    check_capabilities,
    check_fixed_statistics,
    check_seeds,
    check_shared_weights,
    check_statistics,
)
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData

ENUMERABLE = 60_000
"""Up to this many strings, a space's functions are compared with all of them."""


def check_space(space: SearchSpace, shape: tuple[int, int, int], classes: int = 10) -> None:
    """Everything that a search space promises, except its ground truth.

    Args:
        space: small enough for a few hundred passes of its supernet.
        shape, classes: of the images that it is bound to.
    """
    enforce(space_checks(space, shape, classes))


def space_checks(space: SearchSpace, shape: tuple[int, int, int], classes: int = 10) -> Iterator[ComponentCheck]:
    """The suite of a search space bound to images of ``shape``."""
    data = images_of(shape, classes)
    yield ComponentCheck(
        "bind() with its own shape and classes changes nothing", lambda: check_bind(space, shape, classes)
    )
    yield ComponentCheck("encode() and decode()", lambda: check_encoding(space))
    yield ComponentCheck("functions of subspaces", lambda: check_functions(space))
    yield ComponentCheck("sampling", lambda: check_sampling(space))
    yield from topology_checks(space, data)
    yield ComponentCheck("seeds of supernets", lambda: check_seeds(space))
    yield ComponentCheck("no running statistics", lambda: check_statistics(space, data))
    yield ComponentCheck("fixed statistics of normalisations", lambda: check_fixed_statistics(space, data))
    yield ComponentCheck("modules of operations, if it has such", lambda: check_capabilities(space))
    yield ComponentCheck("paths and mixtures", lambda: check_choices(space, data))
    yield ComponentCheck("shared parameters", lambda: check_shared_parameters(space, data))
    yield ComponentCheck("weights that take part", lambda: check_active_weights(space, data))
    yield ComponentCheck("weights that operations share", lambda: check_shared_weights(space))
    yield ComponentCheck("FLOPs are those that torch counts", lambda: check_flops(space, data))


def check_bind(space: SearchSpace, shape: tuple[int, int, int], classes: int) -> None:
    """A space that is bound to images stays the same if it is bound to them again."""
    require(space.bind(shape, classes) == space, f"{space.name}: bind() with its own shape and classes changes it")


def check_encoding(space: SearchSpace) -> None:
    """``decode`` is the inverse of ``encode`` and refuses what names no architecture."""
    drawn = random_architectures(space, 100)
    texts = [space.encode(a) for a in drawn]
    require([space.decode(text) for text in texts] == drawn, f"{space.name}: decode() is not the inverse of encode()")
    require(len(set(texts)) == len(set(drawn)), f"{space.name}: two architectures have one encoding")
    for bad in ("", texts[0] + "0", texts[0][:-1], texts[0][:-1] + "x"):
        try:
            space.decode(bad)
        except ValueError:
            continue
        raise AssertionError(f"{space.name}: decode({bad!r}) raises no ValueError")


def check_functions(space: SearchSpace) -> None:
    """``functions`` gives the connected canonical architectures of a subspace: each once, in order, and all of them."""
    root = space.root()
    if not space.can_list or root.size > ENUMERABLE:
        return
    everything = {space.function(a) for a in itertools.product(*root.allowed) if space.connected(a)}
    for a in everything:
        require(space.function(a) == a, f"{space.name}: the function of {a} is not its own function")
        require(space.connected(a), f"{space.name}: {a} is the function of a connected architecture, and is not one")
    for sub in subspaces(space):
        rows = space.functions(sub)
        require(
            rows.dtype == np.int8 and rows.shape == (len(rows), len(space.edges)),
            f"{space.name}: functions() of {sub} is {rows.dtype} {rows.shape}, not int8 [A, {len(space.edges)}]",
        )
        expected = sorted(a for a in everything if sub.contains(a))
        require(
            [tuple(row) for row in rows.tolist()] == expected,
            f"{space.name}: functions() of {sub} are not its {len(expected)} canonical architectures in order",
        )


def check_sampling(space: SearchSpace) -> None:
    """``sample`` stays inside, is connected, and draws the same from the same generator."""
    for sub in subspaces(space):
        first, second = ([space.sample(rng, sub) for rng in [np.random.default_rng(0)] * 50] for _ in range(2))
        require(
            all(sub.contains(a) and space.connected(a) for a in first), f"{space.name}: sample() leaves {sub}, or cuts"
        )
        require(first == second, f"{space.name}: sample() does not draw from the given generator alone")
        require(
            space.count(sub) < 10 or len(set(first)) > 1, f"{space.name}: sample() always gives the same architecture"
        )


def check_choices(space: SearchSpace, data: ImageData) -> None:
    """A path gives logits; a one-hot mixture is the path; what is inactive in a mixture may hold anything."""
    supernet, (images, _) = space.supernet(0), data.batch("train", 0, 0, 4)
    for a in random_architectures(space, 10):
        with torch.no_grad():
            path = supernet(images, a)
            require(path.shape == (4, data.classes), f"{space.name}: logits of {a} are {tuple(path.shape)}")
            for active in (space.root(), SubSpace(tuple((op,) for op in a))):
                weights = torch.zeros(space.weights_shape)
                weights[torch.arange(len(space.edges)), torch.tensor(a)] = 1.0
                mixed = supernet(images, Mixture(active, weights))
                require(torch.allclose(mixed, path, rtol=1e-4, atol=1e-5), f"{space.name}: one-hot {a} is not its path")
    active = subspaces(space)[1]
    mixture = random_mixture(space, active)
    poisoned = torch.full_like(mixture.weights, torch.nan)
    for edge, operations in enumerate(active.allowed):
        poisoned[edge, list(operations)] = mixture.weights[edge, list(operations)]
    with torch.no_grad():
        same = torch.equal(supernet(images, Mixture(active, poisoned)), supernet(images, mixture))
    require(same, f"{space.name}: weights of inactive operations change the logits of a mixture")


def check_shared_parameters(space: SearchSpace, data: ImageData) -> None:
    """An edge owns what falls still when other operations of the edge run alone; all else but that is shared."""
    supernet, root = space.supernet(0), space.root()
    names = [name for name, _ in supernet.named_parameters()]
    outer = {name for name, _ in supernet.outer_parameters()}
    require(moving(supernet, data, random_mixture(space, root)) == set(names), f"{space.name}: weights that never run")
    require(bool(outer) and outer <= set(names), f"{space.name}: outer_parameters() names no parameters")
    for edge in range(len(space.edges)):
        own = {name for name, _ in supernet.edge_parameters(edge)}
        still = [
            set(names) - moving(supernet, data, random_mixture(space, root.only(edge, (op,))))
            for op in range(len(space.operations(edge)))
            if op not in space.absent(edge)
        ]
        require(
            own == set().union(*still), f"{space.name}: edge_parameters({edge}) are not what runs on the edge alone"
        )
        for flag, left_out in ((True, own), (False, own | outer)):
            shared = [name for name, _ in supernet.shared_parameters(edge, flag)]
            expected = [name for name in names if name not in left_out]
            require(shared == expected, f"{space.name}: shared_parameters({edge}, outer={flag}) are {shared}")


def check_flops(space: SearchSpace, data: ImageData, count: int = 50) -> None:
    """Forward and backward FLOPs of ``count`` random architectures and some mixtures equal torch's counter."""
    supernet = space.supernet(0)
    images, labels = data.batch("train", 0, 0, 2)
    choices: list[Choice] = [*random_architectures(space, count), *(random_mixture(space, s) for s in subspaces(space))]
    for choice in choices:
        with counting_flops() as counter:
            loss = functional.cross_entropy(supernet(images, choice), labels)
            forward = counter.get_total_flops()
            loss.backward()  # type: ignore[no-untyped-call]
        counted = forward, counter.get_total_flops() - forward
        flops = space.flops(choice)
        require(
            counted == (flops.forward * 2, flops.backward * 2),
            f"{space.name}: flops({choice}) says {flops} an image, and torch counts {counted} for two",
        )
