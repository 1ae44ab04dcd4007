"""What has a version, and which definitions are behind it.

A component has what it reaches, and a stage kind what its work reaches. Machinery that a stage kind reaches in modules
that hold no component (the probe, the bases of criteria and spaces) belongs to the stage kinds alone: raising a stage
kind's version is what makes its results anew, whatever the components.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from splitbench.harness.plugins.component import BUILT_IN
from splitbench.harness.registry import KINDS, components
from splitbench.harness.versions.code import Definition, reached


@dataclass(frozen=True)
class Unit:
    """Something with a version.

    Attributes:
        name: ``criteria/gm``, ``stages/score``.
        version: declared.
        roots: ``module:name`` of where its code begins.
    """

    name: str
    version: int
    roots: tuple[str, ...]


def stage_units() -> list[Unit]:
    """The kinds of stages; ``stages/run`` is what asks for them and makes the record."""
    from splitbench.harness.runs.protocol import Run
    from splitbench.harness.stages.kinds import KINDS as STAGES
    from splitbench.harness.stages.kinds import OUTSIDE_RUNS

    kinds, alone = (
        [Unit(f"stages/{kind.kind}", kind.version, (f"{kind.__module__}:{kind.__name__}",)) for kind in group]
        for group in (STAGES, OUTSIDE_RUNS)
    )
    run = ("splitbench.harness.runs.protocol:Run", "splitbench.harness.runs.record:make_record")
    return [*kinds, Unit("stages/run", Run.version, run), *alone]


def component_units() -> list[Unit]:
    """The built-in components."""
    return [
        Unit(f"{kind}/{name}", component.load().version, (component.target,))
        for kind in KINDS
        if kind != "engines"  # no result depends on where it is computed
        for name, component in components(kind).items()
        if component.origin == BUILT_IN and component.loaded is None
    ]


def covered() -> Iterator[tuple[Unit, dict[Definition, str]]]:
    """Each unit, and the hashes of the definitions that are its own."""
    stages, parts = stage_units(), component_units()
    classes = {(module, name) for unit in parts for module, _, name in [unit.roots[0].partition(":")]}
    housing = {module for module, _ in classes}
    shared: set[Definition] = set()
    for unit in stages:
        code = {each: digest for each, digest in reached(unit.roots).items() if each not in classes}
        if unit.name == "stages/run":  # it names the works of all stages
            code = {each: digest for each, digest in code.items() if each not in shared}
        shared |= code.keys()
        yield unit, code
    shared = {(module, name) for module, name in shared if module not in housing}
    for unit in parts:
        yield unit, {each: digest for each, digest in reached(unit.roots).items() if each not in shared}
