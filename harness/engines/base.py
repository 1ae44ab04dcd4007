"""What an engine is: it runs the stages of a study, in this process, in others, or on other machines.

An engine is a component of the kind ``engines``: a function (or a dataclass with ``__call__``) that is called with a
:class:`Site`, once a study and before its first stage, and gives an object with the two methods of :class:`Engine`. Its
options are keyword arguments, given on the command line as ``--engine '{name: pool, threads: 2}'``. No option, worker
or machine is part of a stage's hash: a study may change its engine and finds what it had finished.
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
"""Told which stage is under way, and its finished share where that is known."""


@dataclass(frozen=True)
class Site:
    """What an engine is opened with.

    Attributes:
        store: where results are looked up and kept. It can be pickled: a worker that gets a stage and the store, and
            sees the same files, has all that :func:`splitbench.harness.stages.base.run_stage` needs.
        workers: how many stages to run at a time, as ``--workers`` says.
        plugins: files that every process imports with ``load_plugin`` before it runs a stage.
        watch: for an engine whose ``submit`` blocks, told now and then what is under way. Where ``submit`` returns at
            once, the driver asks the store instead.
    """

    store: Store
    workers: int = 1
    plugins: Sequence[Path] = ()
    watch: Watch | None = None


class Engine(Protocol):
    """What runs stages. The driver calls it from one thread."""

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        """Have a stage run; gives its result, now or later. The same stage asked for twice runs once, and a result that
        is in the store already comes at once.

        Called when the results of all of ``stage.parents`` are in the store. What the stage raises is the future's
        exception; one of splitbench's own stays what it is. ``future.running()`` says whether it has begun.

        Raises:
            EngineError: if the engine itself cannot run stages any more; it may also be a future's exception.
        """

    def close(self) -> None:
        """Stop. Called once, at the end or after an error; stages under way are abandoned, and go on from their
        checkpoints next time."""


Opener = Callable[[Site], Engine]
"""What a component of the kind ``engines`` is, its options given."""
