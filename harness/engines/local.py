"""The engine ``local``: this process, one stage after the other."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from splitbench.harness.engines.base import Output, Site, Watch
from splitbench.harness.errors import ConfigError
from splitbench.harness.stages import base as stages
from splitbench.harness.stages.base import Result, Stage
from splitbench.harness.stores.base import Store

WATCH_SECONDS = 1.0


def in_process(site: Site) -> InProcess:
    """This process, one stage after the other.

    Raises:
        ConfigError: if more than one worker is asked for.
    """
    if site.workers != 1:
        raise ConfigError(
            f"--engine local: it runs one stage at a time, and --workers asks for {site.workers}; leave out one of them"
        )
    return InProcess(site.store, site.watch)


class InProcess:
    """Runs a stage where it is submitted.

    Args:
        store: where results are kept.
        watch: called about once a second with the running stage and its finished share, from another thread.
    """

    def __init__(self, store: Store, watch: Watch | None = None) -> None:
        self.store, self.watch = store, watch

    def submit(self, stage: Stage[Output]) -> Future[Result[Output]]:
        future: Future[Result[Output]] = Future()
        ended = threading.Event()
        if self.watch is not None:
            threading.Thread(target=self._tell, args=(self.watch, stage, ended), daemon=True).start()
        try:
            future.set_result(stages.run_stage(stage, self.store))
        except (Exception, SystemExit) as error:  # a plugin that ends the program ends its own run
            future.set_exception(error)
        finally:
            ended.set()
        return future

    def _tell(self, watch: Watch, stage: Stage[Any], ended: threading.Event) -> None:
        while not ended.wait(WATCH_SECONDS):
            watch(stage, self.store.progress(stage.key))

    def close(self) -> None:
        """Does nothing, since nothing runs between calls."""
