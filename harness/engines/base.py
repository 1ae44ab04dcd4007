"""The interface of engines. An engine runs a study's stages: in this process, in others, or on other machines.

An engine is a component of the kind ``engines``: a function (or a dataclass with ``__call__``) that is called with a
:class:`Site`, once a study and before its first stage, and returns an object with the two methods of :class:`Engine`.
Its options are keyword arguments, given on the command line as ``--engine '{name: pool, threads: 2}'``. No option,
worker or machine is part of a stage's hash: with another engine a study still reuses the results that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stores.base import Store

Output = TypeVar("Output")
Watch = Callable[[Stage[Any], float | None], None]
"""Called with a running stage and its finished share in [0, 1], None where that is not known."""


@dataclass(frozen=True)
class Site:
    """What an engine is opened with.

    Attributes:
        store: where results are looked up and kept. It can be pickled: a worker that gets a stage and the store, and
            sees the same files, has all that :func:`splitbench.harness.stages.base.run_stage` needs.
        workers: how many stages to run at a time, as ``--workers`` says.
        plugins: files that every process imports with ``load_plugin`` before it runs a stage.
        watch: to be called about once a second by an engine whose ``submit`` blocks, for the progress display. An
            engine whose ``submit`` returns at once may ignore it: the driver then reads progress from the store.
    """

    store: Store
    workers: int = 1
    plugins: Sequence[Path] = ()
    watch: Watch | None = None


class Engine(Protocol):
    """What runs stages. The driver calls it from one thread."""

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        """Start a stage, or run it, and return a future of its result.

        Called when the results of all of ``stage.parents`` are in the store. A stage that is submitted twice runs once,
        and a result that is in the store already is returned without work. An error of the stage becomes the future's
        exception; errors of splitbench keep their class. ``future.running()`` says whether the stage has begun.

        Raises:
            EngineError: if the engine itself cannot run stages any more; it may also be a future's exception.
        """

    def close(self) -> None:
        """Stop all work. Called once, at the end or after an error. Stages that are running are abandoned; the next
        process continues them from their checkpoints."""


Opener = Callable[[Site], Engine]
"""What a component of the kind ``engines`` is, its options given."""
