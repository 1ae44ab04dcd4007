"""What the stages of one process share: the space, the images on the device, supernets from stored weights."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splitbench.harness.errors import ConfigError, DataError
from splitbench.harness.registry import bare, build
from splitbench.harness.stages import StageStore, canonical_json, load_tensors
from splitbench.spaces.base import SearchSpace, SubSpace, Supernet
from splitbench.spaces.datasets.base import Dataset, ImageData

STATE = "state.safetensors"


def component(kind: str, spec: Mapping[str, Any]) -> Any:
    """A component from the spec that a stage carries (its fingerprints are only there to be hashed)."""
    return build(kind, bare(kind, spec))


class Workbench:
    """Reads what a stage's inputs name. Images and spaces are loaded once a process."""

    def __init__(self, store: StageStore, inputs: Mapping[str, Any]) -> None:
        self.store = store
        self.device = torch.device(inputs["device"])
        self.precision: str = inputs["precision"]
        self.space, self.dataset = _space(canonical_json(inputs["space"]), canonical_json(inputs["dataset"]))
        self._dataset_key = canonical_json(inputs["dataset"])

    @property
    def data(self) -> ImageData:
        return _data(self._dataset_key, self.device.type)

    def supernet(self, seed: int, state: str | None = None) -> tuple[Supernet, dict[str, Tensor]]:
        """A supernet on the device and its trainer's tensors: initial ones, or those of stage ``state``."""
        supernet = self.space.supernet(seed)
        trainer: dict[str, Tensor] = {}
        if state is not None:
            tensors, _ = load_tensors(self.store.folder(state) / STATE)
            trainer = unpack(supernet, tensors)
        supernet.to(self.device)
        return supernet, trainer


def subspace_of(lists: list[list[int]]) -> SubSpace:
    return SubSpace(tuple(tuple(operations) for operations in lists))


def as_lists(subspace: SubSpace) -> list[list[int]]:
    return [list(operations) for operations in subspace.allowed]


def pack(supernet: Supernet, trainer: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights and trainer tensors under one roof; :func:`unpack` is the inverse."""
    weights = {f"weights.{name}": tensor for name, tensor in supernet.state_dict().items()}
    return weights | {f"trainer.{name}": tensor for name, tensor in trainer.items()}


def unpack(supernet: Supernet, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put packed weights into the supernet, in its own memory format and on its device; gives the trainer's tensors."""
    supernet.load_state_dict(_part(tensors, "weights."))
    return _part(tensors, "trainer.")


def write_note(path: Path, share: float) -> None:
    """Tell whoever watches how far a stage is; losing this file loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"share": share}))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


@functools.lru_cache(maxsize=8)
def _space(space: str, dataset: str) -> tuple[SearchSpace, Dataset]:
    images: Dataset = component("datasets", json.loads(dataset))
    return component("spaces", json.loads(space)).bind(images.shape, images.classes), images


@functools.lru_cache(maxsize=2)
def _data(dataset: str, device: str) -> ImageData:
    images: Dataset = component("datasets", json.loads(dataset))
    try:
        return images.load(torch.device(device))
    except (ConfigError, DataError):
        raise
    except OSError as error:
        raise DataError(f"dataset {images.name}: {error}") from error
