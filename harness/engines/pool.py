"""The engine ``pool``: worker processes of this machine, each with its own torch threads.

Two single-thread workers beat one two-thread process by 1.3 to 2.3 times on the small networks of supernet studies.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from splitbench.harness.engines.base import Output, Site
from splitbench.harness.errors import ComponentError, ConfigError, EngineError, SplitbenchError
from splitbench.harness.registry import load_plugin
from splitbench.harness.stages import base as stages
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stores.base import Store


def worker_pool(site: Site, *, threads: int = 1) -> WorkerPool:
    """Worker processes on this machine, as many as --workers says.

    Args:
        site: what it runs for.
        threads: torch threads of each worker.

    Raises:
        ConfigError: for fewer than one thread.
    """
    if threads < 1:
        raise ConfigError(f"engine pool: threads is {threads}; at least 1 is needed")
    return WorkerPool(site.store, site.workers, threads, site.plugins)


class WorkerPool:
    """Runs stages in ``workers`` spawned processes, each with ``threads`` torch threads.

    Args:
        store: where results are kept; each worker gets a copy.
        workers: processes.
        threads: torch threads a process.
        plugins: files that each worker imports first.
    """

    def __init__(self, store: Store, workers: int, threads: int = 1, plugins: Sequence[Path] = ()) -> None:
        self.store = store
        self._submitted: dict[str, Future[Result[Any]]] = {}
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=start_worker,
            initargs=(os.getpid(), threads, list(plugins)),
        )

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        if stage.key in self._submitted:
            return self._submitted[stage.key]
        future: Future[Result[Output]]
        if (done := stages.find(stage, self.store)) is not None:
            future = Future()
            future.set_result(done)
        else:
            future = InWorker(self._sent(stage))
        self._submitted[stage.key] = future
        return future

    def _sent(self, stage: Stage[Output]) -> Future[Result[Output]]:
        try:
            return self._pool.submit(run_in_worker, stage, self.store)
        except BrokenExecutor as error:
            raise worker_died() from error

    def close(self) -> None:
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


class InWorker(Future[Result[Output]]):
    """The future of a stage in a worker process. It follows the executor's future, and turns a dead worker into an
    EngineError."""

    def __init__(self, inner: Future[Result[Output]]) -> None:
        super().__init__()
        self.inner = inner
        inner.add_done_callback(self._follow)

    def running(self) -> bool:
        return self.inner.running()

    def _follow(self, inner: Future[Result[Output]]) -> None:
        try:
            self.set_result(inner.result())
        except CancelledError:  # the pool was closed
            self.cancel()
        except BrokenExecutor as error:
            died = worker_died()
            died.__cause__ = error
            self.set_exception(died)
        except BaseException as error:
            self.set_exception(error)


def worker_died() -> EngineError:
    """The error for a worker process that ended before its stage."""
    return EngineError(
        "a worker process ended without a word, as it does when memory runs out; what had ended is kept: run the same "
        "command again, with fewer --workers if it happens again"
    )


def start_worker(parent: int, threads: int, plugins: list[Path]) -> None:
    """Set up a worker process of an engine; called there before its first stage.

    Args:
        parent: process id of the engine's process; the worker ends when that is gone.
        threads: torch threads.
        plugins: files to import.
    """
    import signal

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(threads)
    for plugin in plugins:
        load_plugin(plugin)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End this worker when the process that started it is gone, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def run_in_worker(stage: Stage[Output], store: Store) -> Result[Output]:
    """Run a stage in a process of an engine.

    Raises:
        SplitbenchError: as the stage does; ComponentError: for any other error, so that it can be sent to the parent
            process.
    """
    try:
        return stages.run_stage(stage, store)
    except SplitbenchError:
        raise
    except (Exception, SystemExit) as error:  # some exceptions do not survive the way between processes
        import traceback

        raise ComponentError(stage.kind, type(error).__name__, str(error), traceback.format_exc()) from None
