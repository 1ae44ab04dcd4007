"""The inputs that stages of one process share: space, images on the device, supernets with stored weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from splitbench.harness.errors import ConfigError, DataError
from splitbench.harness.hashing import STAGE_KEY, canonical_json
from splitbench.harness.registry import build
from splitbench.harness.stages.base import Scene
from splitbench.harness.stores.base import Store
from splitbench.harness.stores.folder import load_tensors
from splitbench.harness.supernets.normalisation import RunningStatistics
from splitbench.spaces.base import SearchSpace, Supernet
from splitbench.spaces.datasets.base import Dataset, ImageData
from splitbench.spaces.operations import batch_statistics


@dataclass(frozen=True)
class WeightsPlace:
    """The place of a trained supernet's weights in the store.

    Attributes:
        stage: key of the train stage.
        member: which of the stage's supernets.
    """

    stage: str = field(metadata=STAGE_KEY)
    member: int = 0

    @staticmethod
    def file(member: int) -> str:
        """A member's file in its stage's folder."""
        return f"state-{member}.safetensors"


@dataclass(frozen=True)
class Weights:
    """A supernet on the device, with the other tensors of its training.

    Attributes:
        supernet: with its weights.
        tensors: of the trainer's session; empty before any training.
        statistics: running statistics of normalisations; empty if none were kept.
        steps: training steps from the root of the split tree to here.
    """

    supernet: Supernet
    tensors: dict[str, Tensor]
    statistics: dict[str, Tensor]
    steps: int


class StageContext:
    """The argument of a stage's ``work``. It is made for each stage; spaces and images are loaded once a process.

    Attributes:
        store: holds results and weights of earlier stages.
        device: where the work is computed.
        precision: float32, or bfloat16 for autocast of the training's forward pass.
        space: the search space, bound to the dataset's images.
        dataset: the dataset; ``data`` has its images.
    """

    def __init__(self, store: Store, scene: Scene) -> None:
        self.store = store
        self.device = torch.device(scene.device)
        self.precision = scene.precision
        self._scene = canonical_json(scene.space.written()), canonical_json(scene.dataset.written())
        self.space, self.dataset = _space(*self._scene)

    @property
    def data(self) -> ImageData:
        """The images, on the device.

        Raises:
            DataError: if their files cannot be read.
        """
        return _data(self._scene[1], self.device.type)

    def weights(self, seed: int, state: WeightsPlace | None = None) -> Weights:
        """A supernet with its weights: initial ones of a seed, or those of a training."""
        supernet = batch_statistics(self.space.supernet(seed))
        tensors: dict[str, Tensor] = {}
        statistics: dict[str, Tensor] = {}
        steps = 0
        if state is not None:
            packed, notes = load_tensors(self.store.open(state.stage, WeightsPlace.file(state.member)))
            tensors, steps = unpack(supernet, packed), notes["steps"]
            statistics = kept_statistics(packed)
        supernet.to(self.device)
        return Weights(supernet, tensors, statistics, steps)


def pack_tensors(
    supernet: Supernet, trainer: Mapping[str, Tensor], running: RunningStatistics | None = None
) -> dict[str, Tensor]:
    """Weights, trainer tensors and running statistics in one mapping; :func:`unpack` and :func:`kept_statistics` are
    the inverse."""
    weights = {f"weights.{name}": tensor for name, tensor in supernet.state_dict().items()}
    statistics = {f"statistics.{name}": tensor for name, tensor in (running.tensors if running else {}).items()}
    return weights | {f"trainer.{name}": tensor for name, tensor in trainer.items()} | statistics


def unpack(supernet: Supernet, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy packed weights into the supernet, in its memory format and on its device; returns the trainer's tensors."""
    supernet.load_state_dict(_part(tensors, "weights."))
    return _part(tensors, "trainer.")


def kept_statistics(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The packed running statistics, if there are any."""
    return _part(tensors, "statistics.")


def write_note(path: Path, share: float) -> None:
    """Write how far a stage is, for progress displays; no result depends on this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"share": share}))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


@functools.lru_cache(maxsize=8)
def _space(space: str, dataset: str) -> tuple[SearchSpace, Dataset]:
    images: Dataset = build("datasets", json.loads(dataset))
    return build("spaces", json.loads(space)).bind(images.shape, images.classes), images


@functools.lru_cache(maxsize=2)
def _data(dataset: str, device: str) -> ImageData:
    images: Dataset = build("datasets", json.loads(dataset))
    try:
        return images.load(torch.device(device))
    except (ConfigError, DataError):
        raise
    except OSError as error:
        raise DataError(f"dataset {images.name}: {error}") from error
