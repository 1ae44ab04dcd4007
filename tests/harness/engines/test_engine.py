"""Engines and stage stores: results come once, errors arrive as they are, damaged files are a sentence."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tiny_studies import Executed, run_tiny, tiny

import splitbench
from splitbench.harness import registry
from splitbench.harness.budget import Cost
from splitbench.harness.device import Machine, choose, one_thread
from splitbench.harness.engines.base import Site
from splitbench.harness.engines.local import InProcess
from splitbench.harness.engines.pool import WorkerPool
from splitbench.harness.errors import ConfigError, EngineError, SplitbenchError, StoreError
from splitbench.harness.hashing import canonical_json
from splitbench.harness.part import Part
from splitbench.harness.registry import register
from splitbench.harness.running.driving import engine_for
from splitbench.harness.running.failing import is_the_runs
from splitbench.harness.running.study import Study
from splitbench.harness.stages import base
from splitbench.harness.stages.base import Result, Scene, Stage
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stages.facts import Facts, FactsStage
from splitbench.harness.stores.folder import StageStore, Stored, load_tensors, save_tensors
from splitbench.harness.study.config import parse_study
from splitbench.spaces.architectures.ranked import RankedFunctions

NOTHING = Machine("nothing", "a CPU", "SOME", "9.9")
SCENE = Scene(Part("spaces", "micro", "1", {}), Part("datasets", "digits", "1", {}), "sum")


@dataclass(frozen=True, kw_only=True)
class Toy(Stage[dict[str, Any]]):
    """A stage with numbers and words for inputs."""

    kind: ClassVar[str] = "toy"
    version: ClassVar[int] = 1
    gives: ClassVar[Any] = dict[str, Any]

    scene: Scene = SCENE
    a: int = 1
    b: tuple[Any, ...] = (1.5, "x")

    def work(self, context: StageContext, folder: Path) -> tuple[dict[str, Any], Cost]:
        raise AssertionError("it is never run")


class Other(Toy):
    kind: ClassVar[str] = "other"


class Newer(Toy):
    version: ClassVar[int] = 2


def stored(stage: Stage[Any], **output: Any) -> Stored:
    return Stored(stage.key, output, Cost(1, 2, 3), 0.5, 10, NOTHING)


# --- stages -----------------------------------------------------------------------------------------------------------


def test_a_key_depends_on_kind_and_inputs_alone() -> None:
    stage = Toy(title="a title")
    assert stage.key == Toy(b=(1.5, "x"), a=1, title="another").key
    assert stage.key == Toy(scene=replace(SCENE, device="cuda")).key  # a study may move between machines
    others = [
        Other(),
        Newer(),
        Toy(a=2),
        Toy(b=(1.5,)),
        Toy(scene=replace(SCENE, images="another")),
        Toy(scene=replace(SCENE, precision="bfloat16")),
        Toy(scene=replace(SCENE, space=replace(SCENE.space, identity="2"))),
        Toy(scene=replace(SCENE, space=replace(SCENE.space, parameters={"channels": 2}))),
    ]
    assert len({stage.key, *(other.key for other in others)}) == 9
    assert len(stage.key) == 32


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"x": float("nan")})


def test_a_result_comes_back_as_it_was_put(tmp_path: Path) -> None:
    store, stage = StageStore(tmp_path), Toy()
    assert store.get(stage.key) is None
    folder = store.folder(stage.key)
    folder.mkdir(parents=True)
    for name in ("checkpoint.safetensors", "progress.json"):
        (folder / name).write_text("{}")
    put = stored(stage, numbers=[0.1, 1e-30, 3], name="x")
    store.put(put)
    assert store.get(stage.key) == put
    assert base.find(stage, store) == Result(stage.key, put.output, put.cost, 0.5, 10, NOTHING)
    assert [path.name for path in folder.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "damage", ["", "{", '{"key": 1}', "[]", '{"key":"a","output":{},"cost":{"flop":1},"seconds":1}']
)
def test_a_damaged_result_is_a_sentence(tmp_path: Path, damage: str) -> None:
    store, stage = StageStore(tmp_path), Toy()
    store.put(stored(stage))
    (store.folder(stage.key) / "result.json").write_text(damage)
    with pytest.raises(StoreError, match=r"result.json is damaged .*; delete that folder and run the study again"):
        store.get(stage.key)


@pytest.mark.parametrize("output", [{}, {"size": "many"}, [], None])
def test_a_result_that_is_no_output_of_its_kind_is_a_sentence(tmp_path: Path, facts: FactsStage, output: Any) -> None:
    store = StageStore(tmp_path)
    store.put(Stored(facts.key, output, Cost(), 0.5, 10, NOTHING))
    with pytest.raises(StoreError, match=r"result.json is damaged .*; delete that folder and run the study again"):
        base.find(facts, store)


@pytest.mark.parametrize(("note", "share"), [('{"share": 0.25}', 0.25), ('{"sha', None), ("{}", None), (None, None)])
def test_progress_is_what_a_stage_said_last(tmp_path: Path, note: str | None, share: float | None) -> None:
    store = StageStore(tmp_path)
    store.folder("abc").mkdir(parents=True)
    if note is not None:
        (store.folder("abc") / "progress.json").write_text(note)
    assert store.progress("abc") == share


def test_tensors_and_notes_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = {
        "single": torch.randn(3, 4, 2, 2).to(memory_format=torch.channels_last),
        "double": torch.randn(5, dtype=torch.float64),
        "scalar": torch.tensor(7.0),
        "small": torch.arange(6, dtype=torch.int8).reshape(2, 3),
    }
    save_tensors(path, tensors, {"done": 3, "losses": [0.1, 1 / 3]})
    found, notes = load_tensors(path)
    assert notes == {"done": 3, "losses": [0.1, 1 / 3]}
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


@pytest.mark.parametrize("keep", [0, 7, 60])
def test_damaged_tensors_are_a_sentence(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.ones(30)}, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match="x.safetensors is damaged .*; delete its folder and run the study again"):
        load_tensors(path)
    with pytest.raises(StoreError, match=r"y.safetensors is damaged \(.*; delete its folder"):
        load_tensors(tmp_path / "y.safetensors")


# --- engines ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def facts() -> FactsStage:
    settings = Study.build(parse_study(tiny()), "cpu").settings
    return FactsStage(scene=settings.scene, population=RankedFunctions(20, 1), truth=settings.truth)


def nowhere(stage: FactsStage) -> FactsStage:
    """The same stage on a space that there is not."""
    return replace(stage, scene=replace(stage.scene, space=Part("spaces", "mikro", "", {})))


def test_in_process_runs_once_and_looks_up_then(
    facts: FactsStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, executed = InProcess(StageStore(tmp_path)), Executed(monkeypatch)
    first = engine.submit(facts).result()
    assert engine.submit(facts).result() == first
    assert executed == {"facts": 1}
    assert isinstance(first.output, Facts)
    assert first.output.size == 20


def test_in_process_errors_arrive_in_the_future(tmp_path: Path, facts: FactsStage) -> None:
    future = InProcess(StageStore(tmp_path)).submit(nowhere(facts))
    assert isinstance(future.exception(), ConfigError)


def test_a_pool_gives_the_same_results_and_errors_and_ends(facts: FactsStage, tmp_path: Path) -> None:
    """One worker process: the same stage twice is one future; sentences stay sentences; faults keep their traceback."""
    alone = InProcess(StageStore(tmp_path / "alone")).submit(facts).result()
    pool = WorkerPool(StageStore(tmp_path / "pool"), 1)
    try:
        future = pool.submit(facts)
        assert pool.submit(facts) is future
        unknown = pool.submit(nowhere(facts))
        broken = pool.submit(replace(facts, population=3))  # type: ignore[arg-type]
        found = future.result(60)
        assert (found.key, found.output, found.cost) == (alone.key, alone.output, alone.cost)
        with pytest.raises(ConfigError, match="did you mean 'micro'"):
            unknown.result(60)
        with pytest.raises(RuntimeError, match=r"facts stage failed: (.|\n)*Traceback"):
            broken.result(60)
        processes = list(pool._pool._processes.values())
        assert len(processes) == 1
    finally:
        pool.close()
    deadline = time.monotonic() + 20
    while any(process.is_alive() for process in processes):
        assert time.monotonic() < deadline, "a worker outlived its pool"
        time.sleep(0.05)
    again = WorkerPool(StageStore(tmp_path / "pool"), 1)
    assert again.submit(facts).result(1) == found  # from the store: no process is needed
    again.close()


@dataclass(frozen=True, kw_only=True)
class Deadly(Stage[int]):
    """Ends the process that runs it, as the kernel does when memory runs out."""

    kind: ClassVar[str] = "deadly"
    version: ClassVar[int] = 1
    gives: ClassVar[type] = int
    reads_images: ClassVar[bool] = False

    def work(self, context: StageContext, folder: Path) -> tuple[int, Cost]:
        os._exit(1)


def test_a_worker_that_dies_is_an_engine_error(facts: FactsStage, tmp_path: Path) -> None:
    pool = WorkerPool(StageStore(tmp_path), 1)
    try:
        error = pool.submit(Deadly(scene=facts.scene)).exception(60)
        assert isinstance(error, EngineError)
        assert isinstance(error.__cause__, BrokenExecutor)
        assert not is_the_runs(error)
        with pytest.raises(EngineError, match="a worker process ended without a word, .* run the same command again"):
            pool.submit(facts)
    finally:
        pool.close()


@pytest.fixture
def engines() -> Iterator[None]:
    """Engines that a test registers are gone after it."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def test_an_engine_that_fails_ends_the_study_and_what_ended_is_kept(tmp_path: Path, engines: None) -> None:
    class Failing(InProcess):
        count = 0

        def submit(self, stage: Stage[Any]) -> Any:
            self.count += stage.kind == "predict"
            if self.count > 1:
                raise EngineError("the queue is gone; run the same command again")
            return super().submit(stage)

    @register("engines", "failing")
    def failing(site: Site) -> Failing:
        """Breaks in the middle."""
        return Failing(site.store)

    arms = ["none", "random"]
    with pytest.raises(EngineError, match="the queue is gone"):
        splitbench.run(tiny(arms=arms), tmp_path, device="cpu", workers=2, engine="failing")
    assert not list(tmp_path.glob("records/*failed*"))
    kept = set(tmp_path.glob("stages/*/*/result.json"))
    assert kept
    assert len(run_tiny(tmp_path, arms=arms).records) == 2  # on another engine
    assert kept < set(tmp_path.glob("stages/*/*/result.json"))


def test_engines_are_named_with_their_options(tmp_path: Path, engines: None) -> None:
    seen: list[tuple[int, str, int]] = []

    @register("engines", "queued")
    def queued(site: Site, *, queue: str = "short") -> InProcess:
        """Keeps what it was opened with."""
        seen.append((site.workers, queue, len(site.plugins)))
        return InProcess(site.store, site.watch)

    study = tiny(population={"sample": 10})
    splitbench.run(study, tmp_path, device="cpu", workers=3, engine={"name": "queued", "queue": "long"})
    assert seen == [(3, "long", 0)]


@pytest.mark.parametrize(
    ("engine", "workers", "sentence"),
    [
        ("poool", 1, "--engine: unknown engines component 'poool' .did you mean 'pool'.*local, pool"),
        ({"name": "pool", "thread": 2}, 2, "--engine: pool has no parameter 'thread' .did you mean 'threads'"),
        ({"name": "pool", "threads": 0}, 2, "threads is 0; at least 1 is needed"),
        ("local", 2, "--engine local: it runs one stage at a time, and --workers asks for 2"),
        ("broken", 2, "--engine broken: it cannot start .ValueError: oh .*; mend it, or take local"),
    ],
)
def test_an_engine_that_cannot_be_is_a_sentence(
    tmp_path: Path, engines: None, engine: Any, workers: int, sentence: str
) -> None:
    @register("engines", "broken")
    def broken(site: Site) -> InProcess:
        """Cannot start."""
        raise ValueError("oh")

    with pytest.raises(SplitbenchError, match=sentence):
        splitbench.run(tiny(), tmp_path, device="cpu", workers=workers, engine=engine)


def test_the_number_of_workers_names_the_engine() -> None:
    assert [engine_for(None, 1), engine_for(None, 2), engine_for("pool", 1)] == ["local", "pool", "pool"]


def test_no_workers_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--workers 0: at least 1 is needed"):
        splitbench.run(tiny(), tmp_path, device="cpu", workers=0)


def test_a_study_leaves_torch_threads_as_they_were(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ConfigError):
            splitbench.run(tiny(budget={"steps": 17}, arms=["none", {"criterion": "gm"}]), tmp_path, device="cpu")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_devices() -> None:
    assert choose("cpu") == "cpu"
    assert choose("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="--device tpu: unknown device; there are: auto, cpu, cuda"):
        choose("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="--device cuda: this machine has no CUDA device"):
            choose("cuda")


# --- a study's folder -------------------------------------------------------------------------------------------------


def test_a_folder_belongs_to_one_study(tmp_path: Path) -> None:
    run_tiny(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="holds the study 'tiny', not 'other'; choose another --out"):
        run_tiny(tmp_path, name="other")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_an_unwritable_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="the results cannot be written .*; choose a folder"):
        run_tiny(tmp_path / "file" / "out")


def test_a_damaged_stage_is_a_sentence(tmp_path: Path) -> None:
    run_tiny(tmp_path)
    (path,) = [p for p in tmp_path.glob("stages/*/*/result.json") if "estimates_sha256" in p.read_text()]
    path.write_text(path.read_text()[:100])
    for record in tmp_path.glob("records/*"):  # a finished record would be kept without asking for its stages
        record.unlink()
    with pytest.raises(StoreError, match="is damaged"):
        run_tiny(tmp_path)


def test_a_changed_line_does_what_is_new_and_keeps_what_is_old(tmp_path: Path) -> None:
    """Another arm: the first is looked up, and its record is not touched."""
    run_tiny(tmp_path)
    (before,) = tmp_path.glob("records/none*d0.json")
    content, seconds = before.read_bytes(), before.with_suffix(".measured.json").read_text()
    notes = run_tiny(tmp_path, arms=["none", "random"])
    assert [record.arm for record in notes.records] == ["none", "random"]
    assert before.read_bytes() == content
    assert json.loads(before.with_suffix(".measured.json").read_text()) == json.loads(seconds)


def test_a_stage_in_this_process_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float | None]] = []
    seen = threading.Event()

    def slow(stage: Stage[Any], store: StageStore) -> Result[Any]:
        assert seen.wait(30), "nobody was told"
        return Result(stage.key, {}, Cost(), 0.0, 0, Machine(""))

    def watch(stage: Stage[Any], share: float | None) -> None:
        told.append((stage.title, share))
        seen.set()

    monkeypatch.setattr("splitbench.harness.stages.base.run_stage", slow)
    monkeypatch.setattr("splitbench.harness.engines.local.WATCH_SECONDS", 0.01)
    stage = Toy(title="a title")
    store = StageStore(tmp_path)
    (store.folder(stage.key)).mkdir(parents=True)
    (store.folder(stage.key) / "progress.json").write_text('{"share": 0.25}')
    assert InProcess(store, watch).submit(stage).result().key == stage.key
    assert told[0] == ("a title", 0.25)
