"""The base of stages: pure functions of their fields, whose results are stored under a hash of exactly those.

A stage is a frozen dataclass. Its fields are its inputs; the class defines the kind, the version of what is computed,
and the work. A study is resumed by looking results up; arms share a result when their stages have the same hash.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import TypeAdapter

from splitbench.harness import device
from splitbench.harness.budget import Cost
from splitbench.harness.hashing import NOT_HASHED, canonical_json, hashed, stage_keys
from splitbench.harness.part import Part
from splitbench.harness.stores.base import Store, Stored
from splitbench.spaces.truth import closed

if TYPE_CHECKING:
    from splitbench.harness.stages.context import StageContext

Output = TypeVar("Output")


@dataclass(frozen=True)
class Scene:
    """What all stages of a study share.

    Attributes:
        space: bound to the dataset's images.
        dataset: the images.
        images: checksum of the files that they are read from.
        precision: float32, or bfloat16 for autocast of the training's forward pass.
        device: where it is computed; a study may move between machines, so it is not hashed.
    """

    space: Part
    dataset: Part
    images: str
    precision: str = "float32"
    device: str = field(default="cpu", metadata=NOT_HASHED)

    def described(self) -> dict[str, Any]:
        """Plain JSON, as records hold it."""
        return {**hashed(self), "device": self.device}


@dataclass(frozen=True)
class Result(Generic[Output]):
    """The stored result of a stage.

    Attributes:
        key: the stage's hash.
        output: a pure function of the stage's inputs.
        cost: analytic cost of its passes.
        seconds, peak_bytes: time and memory on the machine that computed it.
        machine: that machine.
    """

    key: str
    output: Output
    cost: Cost
    seconds: float
    peak_bytes: int
    machine: device.Machine


@dataclass(frozen=True, kw_only=True)
class Stage(ABC, Generic[Output]):
    """A unit of work.

    Attributes:
        scene: what all stages of a study share.
        title: for progress lines; not hashed.
        kind, version: of the class. The version is raised when the stage computes something else from the same inputs.
        gives: the class of its output.
        reads_images: whether it needs the dataset's images.
    """

    scene: Scene
    title: str = field(default="", metadata=NOT_HASHED)

    kind: ClassVar[str]
    version: ClassVar[int]
    gives: ClassVar[type]
    reads_images: ClassVar[bool] = True

    @functools.cached_property
    def key(self) -> str:
        """The hash under which the result is stored."""
        text = canonical_json({"kind": self.kind, "version": self.version, "inputs": hashed(self)})
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @functools.cached_property
    def parents(self) -> tuple[str, ...]:
        """The keys of the stages whose results it reads. Their results are in the store before it is submitted. An
        engine without a shared folder has to send a worker the results and files of these stages only."""
        return tuple(dict.fromkeys(stage_keys(self)))

    @property
    def reads_truth(self) -> bool:
        """Whether the ground truth may be opened while it works."""
        return False

    @abstractmethod
    def work(self, context: StageContext, folder: Path) -> tuple[Output, Cost]:
        """Compute the output and its cost. Called by :func:`run_stage`, again with the same folder after an
        interruption.

        Args:
            context: space, images, and the results of earlier stages.
            folder: the stage's own, for its files and checkpoints.
        """

    @classmethod
    def encode(cls, output: Output) -> Any:
        """The output as plain JSON."""
        return _adapter(cls.gives).dump_python(output, mode="json")

    @classmethod
    def decode(cls, data: Any) -> Output:
        """The inverse of :meth:`encode`.

        Raises:
            ValueError: if the data are no output of this kind.
        """
        output: Output = _adapter(cls.gives).validate_python(data)
        return output


def run_stage(stage: Stage[Output], store: Store) -> Result[Output]:
    """Do a stage's work and store its result; if the store has the result already, it is returned without work.

    Called by engines, in the process that runs the stage.
    """
    from splitbench.harness.stages.context import StageContext

    if (done := find(stage, store)) is not None:
        return done
    context = StageContext(store, stage.scene)
    if stage.reads_images:
        _ = context.data  # loaded once a process: no stage's seconds
    device.reset_peak(context.device)
    start = time.perf_counter()
    with contextlib.nullcontext() if stage.reads_truth else closed():
        output, cost = stage.work(context, store.folder(stage.key))
    seconds = time.perf_counter() - start
    memory, machine = device.peak_bytes(context.device), device.machine(context.device)
    store.put(Stored(stage.key, stage.encode(output), cost, seconds, memory, machine))
    return Result(stage.key, output, cost, seconds, memory, machine)


def find(stage: Stage[Output], store: Store) -> Result[Output] | None:
    """A stage's stored result, or None if it has not ended yet.

    Raises:
        StoreError: if it is damaged.
    """
    stored = store.get(stage.key)
    if stored is None:
        return None
    with store.reading(stage.key):
        output = stage.decode(stored.output)
    return Result(stage.key, output, stored.cost, stored.seconds, stored.peak_bytes, stored.machine)


@functools.cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
