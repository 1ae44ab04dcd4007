"""What every search space must hold of splits, counts, samples and mixtures, whether it can be listed or not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from splitbench.harness.errors import ConfigError
from splitbench.harness.testing.checks import ComponentCheck
from splitbench.harness.testing.material import random_architectures, require, subspaces
from splitbench.spaces.architectures.populations import by_leaf
from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.base import Mixture, SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.truth import closed

DRAWN = 40
"""Functions that a check draws."""


def topology_checks(space: SearchSpace, data: ImageData) -> Iterator[ComponentCheck]:
    """The part of a space's suite that its topology decides."""
    yield ComponentCheck("splits: children, operations that stay, owners", lambda: check_splits(space))
    yield ComponentCheck("counts and samples of functions", lambda: check_counts(space))
    yield ComponentCheck("sizes of architectures", lambda: check_sizes(space))
    yield ComponentCheck(
        "mixtures, straight-through samples and what they are read as", lambda: check_weights(space, data)
    )
    yield ComponentCheck("the ground truth is closed to what trains and selects", lambda: check_door(space))


def check_splits(space: SearchSpace) -> None:
    """Children hold their group and what stays; together they own every function of their parent."""
    root = space.root()
    for edge, allowed in enumerate(root.allowed):
        compared, absent = space.comparable(root, edge), space.absent(edge)
        require(
            set(compared) <= set(allowed) and list(compared) == sorted(compared) and absent <= set(allowed),
            f"{space.name}: comparable() or absent() of edge {edge} name operations that it lacks, or out of order",
        )
        if len(compared) < 2:
            continue
        stays = set(allowed) - set(compared)
        groups = [compared[:1], compared[1:]]
        children = space.divide(root, edge, groups)
        expected = tuple(root.only(edge, {*group, *stays}) for group in groups)
        require(children == expected, f"{space.name}: divide() of edge {edge} gives {children}, not {expected}")
        for child in children:
            require(
                set(space.comparable(child, edge)) == set(child.allowed[edge]) - stays,
                f"{space.name}: comparable() of a child on edge {edge} is not its group",
            )
        rows = space.sample_functions(DRAWN, np.random.default_rng(0))
        require(bool((owner(children, rows) >= 0).all()), f"{space.name}: a split of edge {edge} loses functions")
        rows, owners = by_leaf(space, children) if edge == 0 else (rows, owner(children, rows))
        require(
            all(children[i].mask(rows[owners == i]).all() for i in range(len(children))),
            f"{space.name}: a child of edge {edge} owns functions that it does not contain",
        )
        try:
            space.divide(root, edge, [compared[:1]])
        except ConfigError:
            continue
        raise AssertionError(f"{space.name}: divide() accepts groups that leave operations out")


def check_counts(space: SearchSpace) -> None:
    """Samples are distinct, canonical, sorted and inside; counts agree with what can be listed, or bound it."""
    for sub in subspaces(space):
        rows = space.sample_functions(DRAWN, np.random.default_rng(3), sub)
        drawn = [tuple(row) for row in rows.tolist()]
        require(drawn == sorted(set(drawn)), f"{space.name}: sample_functions() repeats functions, or is out of order")
        require(len(drawn) <= DRAWN, f"{space.name}: sample_functions() gives more than it is asked for")
        for a in drawn:
            require(
                sub.contains(a) and space.connected(a) and space.function(a) == a,
                f"{space.name}: sample_functions() of {sub} gives {a}, which is not a connected function of it",
            )
        again = space.sample_functions(DRAWN, np.random.default_rng(3), sub)
        require(np.array_equal(rows, again), f"{space.name}: sample_functions() does not draw from its generator alone")
        count = space.count(sub)
        require(space.is_empty(sub) == (not drawn), f"{space.name}: is_empty() of {sub} is wrong")
        if space.can_list:
            require(count == len(space.functions(sub)), f"{space.name}: count() of {sub} is not that of functions()")
            require(len(drawn) == min(DRAWN, count), f"{space.name}: sample_functions() of {sub} gives too few")
        else:
            require(len(drawn) <= count, f"{space.name}: count() of {sub} is {count}, and it holds more functions")
        others = space.sample_functions(DRAWN, np.random.default_rng(3), sub, [sub])
        require(not len(others), f"{space.name}: sample_functions() gives functions of earlier leaves")
    if not space.can_list:
        try:
            space.functions(space.root())
        except ConfigError:
            return
        raise AssertionError(f"{space.name}: it says that it cannot be listed, and functions() raises no ConfigError")


def check_sizes(space: SearchSpace) -> None:
    """Every architecture has the same sizes, FLOPs and parameters among them."""
    names = set(space.size_names)
    require({"flops", "parameters"} <= names, f"{space.name}: sizes() has {sorted(names)}, without flops or parameters")
    for a in random_architectures(space, 10):
        sizes = space.sizes(a)
        require(set(sizes) == names, f"{space.name}: sizes() of {a} are {sorted(sizes)}, and others {sorted(names)}")
        require(all(np.isfinite(value) for value in sizes.values()), f"{space.name}: a size of {a} is not finite")


def check_weights(space: SearchSpace, data: ImageData) -> None:
    """Mixtures are softmaxes over what is allowed, weights are read as architectures, and samples carry gradients."""
    generator = torch.Generator().manual_seed(2)
    supernet, (images, labels) = space.supernet(0), data.batch("train", 0, 0, 4)
    for sub in subspaces(space):
        alpha = torch.randn(space.weights_shape, generator=generator)
        mixture = space.mixture(alpha, sub)
        require(mixture.active == sub, f"{space.name}: mixture() runs {mixture.active}, not {sub}")
        expected = torch.zeros(space.weights_shape)
        for edge, operations in enumerate(sub.allowed):
            expected[edge, list(operations)] = alpha[edge, list(operations)].softmax(0)
        require(torch.allclose(mixture.weights, expected), f"{space.name}: mixture() is no softmax of what is allowed")
        read = space.discretise(alpha, sub)
        require(sub.contains(read), f"{space.name}: discretise() leaves {sub}")
        require(space.every_string or space.connected(read), f"{space.name}: discretise() gives {read}, which is none")
        sampled = next(a for a in [read, *random_architectures(space, 100)] if sub.contains(a) and space.connected(a))
        soft = alpha.clone().requires_grad_()
        hard = torch.zeros(space.weights_shape)
        hard[range(len(sampled)), list(sampled)] = 1.0
        through = space.mixture(soft, sub).weights
        choice = Mixture(SubSpace(tuple((op,) for op in sampled)), hard + through - through.detach())
        logits = supernet(images, choice)
        path = supernet(images, sampled)
        require(
            torch.allclose(logits, path, rtol=1e-4, atol=1e-5), f"{space.name}: a sampled {sampled} is not its path"
        )
        require(space.flops(choice) == space.flops(sampled), f"{space.name}: a sampled {sampled} costs another amount")
        functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        require(
            soft.grad is not None and bool(soft.grad.any()),
            f"{space.name}: no gradient reaches the weights of a sampled {sampled}",
        )


def check_door(space: SearchSpace) -> None:
    """Nobody opens the truth where it is closed, whatever the dataset."""
    try:
        with closed():
            space.ground_truth("any dataset")
    except ConfigError as error:
        if "asked for the ground truth" in str(error):
            return
    raise AssertionError(f"{space.name}: ground_truth() can be opened inside closed(); override load_truth() instead")
