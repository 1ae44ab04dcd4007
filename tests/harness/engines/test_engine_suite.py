"""The suite of engines: the built-in ones pass it, and engines with a fault do not."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from splitbench.harness.engines.base import Engine, Site
from splitbench.harness.engines.local import InProcess, in_process
from splitbench.harness.engines.pool import worker_pool
from splitbench.harness.registry import build
from splitbench.harness.stages import base
from splitbench.harness.stages.base import Stage
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.testing import check_engine


def test_the_built_in_engines_pass() -> None:
    check_engine(in_process)
    check_engine(partial(worker_pool, threads=2))


@pytest.mark.parametrize("name", ["local", "pool"])
def test_the_built_in_engines_are_components(name: str) -> None:
    assert build("engines", name).func in (in_process, worker_pool)


class Forgetful(InProcess):
    """Throws a stage's result away before it is asked for once more."""

    def submit(self, stage: Stage[Any]) -> Future[Any]:
        assert isinstance(self.store, StageStore)
        (self.store.folder(stage.key) / "result.json").unlink(missing_ok=True)
        return super().submit(stage)


class Raising(InProcess):
    """Raises where the future should."""

    def submit(self, stage: Stage[Any]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(base.run_stage(stage, self.store))
        return future


class Swallowing(InProcess):
    """Makes one error of all."""

    def submit(self, stage: Stage[Any]) -> Future[Any]:
        future = super().submit(stage)
        if future.exception() is None:
            return future
        failed: Future[Any] = Future()
        failed.set_exception(RuntimeError("a stage failed"))
        return failed


class Elsewhere(InProcess):
    """Keeps every stage in a store of its own, and the result alone comes back."""

    def submit(self, stage: Stage[Any]) -> Future[Any]:
        assert isinstance(self.store, StageStore)
        there = StageStore(self.store.root / stage.key)
        future: Future[Any] = Future()
        future.set_result(base.run_stage(stage, there))
        return future


class Late(InProcess):
    """Gives nothing at once."""

    def submit(self, stage: Stage[Any]) -> Future[Any]:
        class Asked(Future[Any]):
            def done(self) -> bool:
                return False

        future, asked = super().submit(stage), Asked()
        if (error := future.exception()) is not None:
            asked.set_exception(error)
        else:
            asked.set_result(future.result())
        return asked


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (Forgetful, "asked for twice (gives two results|has run 2 times)"),
        (Raising, "what a stage raises arrives, and the next one runs: DataError"),
        (Swallowing, "a DataError of a stage arrives as RuntimeError"),
        (Elsewhere, "FileNotFoundError|is not in the store"),
        (Late, "a result that is in the store does not come at once"),
    ],
)
def test_an_engine_with_a_fault_fails(engine: type[InProcess], sentence: str) -> None:
    def opener(site: Site) -> Engine:
        return engine(site.store)

    with pytest.raises(AssertionError, match=sentence):
        check_engine(opener)
