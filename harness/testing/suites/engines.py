"""What every engine must hold, shown with stages that take no time: once each, errors arrive, stored results come."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from splitbench.harness.budget import Cost
from splitbench.harness.engines.base import Engine, Opener, Site
from splitbench.harness.errors import DataError
from splitbench.harness.hashing import STAGE_KEY
from splitbench.harness.part import Part
from splitbench.harness.stages.base import Scene, Stage
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.testing.checks import ComponentCheck, enforce

LINES = "lines.txt"
SECONDS = 120.0
"""How long an engine has to run one stage; starting workers takes most of it."""


@dataclass(frozen=True, kw_only=True)
class Counting(Stage[int]):
    """Adds a line to a file whenever it works, and gives how many lines it and its parents have.

    Attributes:
        number: sets stages apart.
        read: keys of stages whose lines are counted as well.
        error: what it raises instead: ``data`` (one of splitbench's own), ``other``, or nothing.
    """

    kind: ClassVar[str] = "counting"
    version: ClassVar[int] = 1
    gives: ClassVar[type] = int
    reads_images: ClassVar[bool] = False

    number: int = 0
    read: tuple[str, ...] = field(default=(), metadata=STAGE_KEY)
    error: str = ""

    def work(self, context: StageContext, folder: Path) -> tuple[int, Cost]:
        if self.error == "data":
            raise DataError("the images are gone; fetch them again")
        if self.error:
            raise ValueError("three is no number of edges")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LINES).open("a") as file:
            file.write("worked\n")
        files = [folder / LINES, *(context.store.open(key, LINES) for key in self.parents)]
        return sum(len(file.read_text().splitlines()) for file in files), Cost(steps=1)


def check_engine(engine: Opener, workers: int = 1) -> None:
    """Run the suite of engines.

    Args:
        engine: the component, its options given, as ``functools.partial(worker_pool, threads=2)``.
        workers: how many stages it is asked to run at a time.

    Raises:
        AssertionError: with a sentence that says what is wrong.
    """
    enforce(checks(engine, workers))


def checks(engine: Opener, workers: int = 1) -> Iterator[ComponentCheck]:
    """The suite."""
    scene = Scene(Part.of("spaces", "micro"), Part.of("datasets", "digits"), "no images are read")

    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[Engine]:
        running = engine(Site(StageStore(folder), workers))
        try:
            yield running
        finally:
            running.close()

    def once() -> None:
        stage = Counting(scene=scene)
        with tempfile.TemporaryDirectory() as name, opened(Path(name)) as running:
            both = [running.submit(stage), running.submit(stage)]
            results = [future.result(SECONDS) for future in both]
            assert results[0] == results[1], "a stage that is asked for twice gives two results"
            lines = StageStore(Path(name)).open(stage.key, LINES).read_text().splitlines()
            assert len(lines) == 1, f"a stage that is asked for twice has run {len(lines)} times"
            stored = StageStore(Path(name)).get(stage.key)
            assert stored is not None, "a stage has ended, and its result is not in the store"
            assert (stored.key, stored.output) == (results[0].key, results[0].output), "the store holds another result"

    def parents() -> None:
        first = Counting(scene=scene, number=1)
        with tempfile.TemporaryDirectory() as name, opened(Path(name)) as running:
            running.submit(first).result(SECONDS)
            files_seen = running.submit(Counting(scene=scene, number=2, read=(first.key,))).result(SECONDS).output
            assert files_seen == 2, "a stage does not see the files that its parent has left"

    def errors() -> None:
        with tempfile.TemporaryDirectory() as name, opened(Path(name)) as running:
            data, other = (running.submit(Counting(scene=scene, error=which)) for which in ("data", "other"))
            said = data.exception(SECONDS)
            assert isinstance(said, DataError), f"a DataError of a stage arrives as {said!r}"
            assert str(said) == "the images are gone; fetch them again", f"its sentence arrives as {said}"
            said = other.exception(SECONDS)
            assert said is not None, "a ValueError of a stage does not arrive in its future"
            assert "three is no number of edges" in str(said), f"what a stage raised arrives as {said!r}"
            after = running.submit(Counting(scene=scene, number=3)).result(SECONDS).output
            assert after == 1, "no stage runs after one that failed"

    def stored() -> None:
        stage = Counting(scene=scene, number=4)
        with tempfile.TemporaryDirectory() as name:
            with opened(Path(name)) as running:
                before = running.submit(stage).result(SECONDS)
            with opened(Path(name)) as running:
                future = running.submit(stage)
                assert future.done(), "a result that is in the store does not come at once"
                assert future.result() == before, "a result from the store is another one than that of the work"
            lines = StageStore(Path(name)).open(stage.key, LINES).read_text().splitlines()
            assert len(lines) == 1, "a stage whose result is in the store runs again"

    yield ComponentCheck("a stage that is asked for twice runs once", once)
    yield ComponentCheck("a stage reads what its parents have left", parents)
    yield ComponentCheck("what a stage raises arrives, and the next one runs", errors)
    yield ComponentCheck("a stored result comes at once", stored)
