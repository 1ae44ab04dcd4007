"""The suite of a component by kind: what ``splitbench check`` runs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Component, Spec, build, get, nested_specs, parameters, split_spec
from splitbench.harness.testing.checks import ComponentCheck
from splitbench.harness.testing.material import images_of
from splitbench.harness.testing.suites import criteria, engines, modifiers, parts, proxies, spaces, trainers
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.micro.space import Micro

SHAPES = ((1, 8, 8), (3, 8, 8), (1, 16, 16), (3, 16, 16), (1, 28, 28), (3, 32, 32))
CLASSES = 10

SMALL: Mapping[str, Mapping[str, Any]] = {
    "criteria": {"repetitions": 2},
    "trainers": {"batch_size": 8},
    "spaces": {"channels": 2, "cells": 1, "image_size": 8},
}
"""By kind, parameters that only make a component slower: small in a check unless they are given."""


def make_small(component: Component, spec: Spec) -> tuple[Any, dict[str, Any]]:
    """The component that ``spec`` describes, made small, and the parameters it was built with.

    Raises:
        ConfigError: if it cannot be built.
    """
    _, given = split_spec(spec, component.kind)
    for chosen in (shrunk(component, given), given):
        try:
            return build(component.kind, {"name": component.name, **chosen}), chosen
        except ConfigError:
            if chosen == given:
                raise
    raise AssertionError("the loop ends by returning or raising")


def shrunk(component: Component, given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that make a component small, also in the components that it is made of, unless they are given."""
    known, chosen = parameters(component), dict(given)
    for key, value in SMALL.get(component.kind, {}).items():
        if key in known:
            chosen.setdefault(key, value)
    for key, kind in nested_specs(component.load()).items():
        spec = given.get(key, known[key].default if key in known else None)
        if not isinstance(spec, str | Mapping):
            continue
        name, inner = split_spec(spec, key)
        if smaller := shrunk(get(kind, name), inner):
            chosen[key] = {"name": name, **smaller}
    return chosen


def suite(kind: str, thing: Any) -> Iterator[ComponentCheck]:
    """The checks of a component, on the embedded space with random images and on a synthetic space.

    Raises:
        ConfigError: if there is no suite for the kind.
    """
    images = functools.partial(images_of, (1, 8, 8), CLASSES)
    if kind == "criteria":
        return criteria.criterion_checks(thing, Micro(), images())
    if kind == "proxies":
        return proxies.proxy_checks(thing, Micro(), images())
    if kind == "partitioners":
        return parts.partitioner_checks(thing)
    if kind == "edge_rules":
        return parts.edge_rule_checks(thing)
    if kind == "trainers":
        return trainers.trainer_checks(thing, Micro(), images())
    if kind == "modifiers":
        return modifiers.modifier_checks(thing, Micro(), images())
    if kind == "spaces":
        return spaces.space_checks(thing, shape_of(thing), CLASSES)
    if kind == "engines":
        return engines.checks(thing)
    raise ConfigError(f"there is no conformance suite for {kind}")


def shape_of(space: SearchSpace) -> tuple[int, int, int]:
    """The shape of images that a space is bound to, found by binding it.

    Raises:
        ConfigError: if it is none of a few usual ones.
    """
    for shape in SHAPES:
        try:
            if space.bind(shape, CLASSES) == space:
                return shape
        except ConfigError:
            continue
    tried = ", ".join("x".join(map(str, shape)) for shape in SHAPES)
    raise ConfigError(
        f"space {space.name}: it is bound to images of none of the shapes {tried} with {CLASSES} classes; "
        "call splitbench.harness.testing.check_space with its own shape"
    )
