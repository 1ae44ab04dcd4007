"""Engines run stages: in this process, or on a pool of worker processes with one torch thread each.

An engine takes stages and gives futures; the same stage asked for twice runs once. Two single-thread workers beat one
two-thread process by 1.3 to 2.3 times on the small networks of supernet studies.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from splitbench.harness.errors import ComponentError, SplitbenchError
from splitbench.harness.registry import load_plugin
from splitbench.harness.stages import base as stages
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stores.folder import StageStore


class Engine(Protocol):
    """Anything that can run stages; a cluster needs nothing more."""

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        """The stage's result, now or later. Results already in the store come at once."""

    def close(self) -> None:
        """Stop; stages under way are abandoned (they go on from their checkpoints next time)."""


Output = TypeVar("Output")
Watch = Callable[[Stage[Any], float | None], None]
WATCH_SECONDS = 1.0


class InProcess:
    """Runs a stage where it is submitted.

    Args:
        store: of the results folder.
        watch: told now and then which stage is under way and its finished share, from a thread of its own.
    """

    def __init__(self, store: StageStore, watch: Watch | None = None) -> None:
        self.store, self.watch = store, watch

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        future: Future[Result[Output]] = Future()
        ended = threading.Event()
        if self.watch is not None:
            threading.Thread(target=self._tell, args=(self.watch, stage, ended), daemon=True).start()
        try:
            future.set_result(stages.run(stage, self.store))
        except (Exception, SystemExit) as error:  # a plugin that ends the program ends its own run
            future.set_exception(error)
        finally:
            ended.set()
        return future

    def _tell(self, watch: Watch, stage: Stage[Any], ended: threading.Event) -> None:
        while not ended.wait(WATCH_SECONDS):
            watch(stage, self.store.progress(stage.key))

    def close(self) -> None:
        """Nothing runs between calls."""


class WorkerPool:
    """Runs stages in ``workers`` spawned processes, each with ``threads`` torch threads.

    Args:
        folder: the results folder.
        workers: processes.
        threads: torch threads a process.
        plugins: files that each worker imports first.
    """

    def __init__(self, folder: Path, workers: int, threads: int = 1, plugins: Sequence[Path] = ()) -> None:
        self.store = StageStore(folder)
        self._running: dict[str, Future[Result[Any]]] = {}
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(os.getpid(), threads, list(plugins)),
        )
        self._folder = folder

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        if stage.key in self._running:
            return self._running[stage.key]
        done = stages.find(stage, self.store)
        if done is not None:
            future: Future[Result[Output]] = Future()
            future.set_result(done)
        else:
            future = self._pool.submit(_work, stage, self._folder)
        self._running[stage.key] = future
        return future

    def close(self) -> None:
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _start_worker(parent: int, threads: int, plugins: list[Path]) -> None:
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(threads)
    for plugin in plugins:
        load_plugin(plugin)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End this worker when the process that started it is gone, even if that was killed without a word."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(stage: Stage[Output], folder: Path) -> Result[Output]:
    try:
        return stages.run(stage, StageStore(folder))
    except SplitbenchError:
        raise
    except (Exception, SystemExit) as error:  # some exceptions do not survive the way between processes
        import traceback

        raise ComponentError(stage.kind, type(error).__name__, str(error), traceback.format_exc()) from None
