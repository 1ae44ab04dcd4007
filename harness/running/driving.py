"""Chooses and checks the engine of a study, opens it, and drives the study's tasks on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from splitbench.harness.device import one_thread
from splitbench.harness.engines.base import Engine, Opener, Site
from splitbench.harness.engines.driver import Driver, Task, Watcher
from splitbench.harness.errors import ConfigError, EngineError, SplitbenchError
from splitbench.harness.plugins.component import exception_text
from splitbench.harness.registry import Spec, build, components, split_spec
from splitbench.harness.study.arm import Arm

LOCAL, POOL = "local", "pool"


def engine_for(engine: Spec | None, workers: int) -> Spec:
    """The engine that is asked for; without one, ``local`` for one worker and ``pool`` for several."""
    return engine or (LOCAL if workers == 1 else POOL)


def in_this_process(engine: Spec) -> bool:
    """Whether stages run where they are submitted, so that a second task would only wait for the first."""
    return split_spec(engine, "--engine")[0] == LOCAL


def check_engine_can_serve(arms: Iterable[Arm], engine: Spec, workers: int, plugins: Sequence[Path]) -> None:
    """Refuse an engine that cannot run these arms. Called before anything is written.

    Raises:
        ConfigError: an unknown engine or option, no workers, or components that only this process knows, which other
            processes could not build.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 is needed")
    build("engines", engine, "--engine")
    if in_this_process(engine) or plugins:
        return
    for arm in arms:
        asked = [arm.consulted.criterion] if arm.consulted else []
        parts = [*arm.parts.values(), *arm.modifier_parts, *asked]
        for part in itertools.chain.from_iterable(part.all() for part in parts):
            component = components(part.kind)[part.name]
            if component.loaded is not None:
                raise ConfigError(
                    f"{part.kind} component {component.name!r} was registered in this process only; run with one "
                    "worker, or put it into a file and name that with --plugin"
                )


def open_engine(engine: Spec, site: Site) -> Engine:
    """Open the engine, and close it at the end of the ``with`` block.

    Raises:
        SplitbenchError: as the engine raises it; EngineError: for any other error of the engine.
    """
    opener: Opener = build("engines", engine, "--engine")
    try:
        return opener(site)
    except SplitbenchError:
        raise
    except Exception as error:  # a plugin's engine may raise anything
        name = split_spec(engine, "--engine")[0]
        raise EngineError(
            f"--engine {name}: it cannot start ({exception_text(error)}); mend it, or take {LOCAL}"
        ) from error


def drive(
    tasks: Iterable[Task | None],
    site: Site,
    engine: Spec,
    watcher: Watcher,
    parallel: int,
    check: Callable[[], None],
) -> None:
    """Run tasks on an engine, ``parallel`` at a time (one at a time where ``submit`` blocks).

    Raises:
        SplitbenchError: an error that a task's own ``fail`` does not accept, such as an engine that cannot go on.
    """
    with one_thread():
        running = open_engine(engine, site)
        try:
            Driver(site.store, running, watcher, check).drive(tasks, 1 if in_this_process(engine) else parallel)
        finally:
            running.close()
