"""A network of one's own as a search space: what it costs is what torch counts, and it runs what was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError, DataError
from splitbench.harness.testing import counting_flops, random_mixture
from splitbench.spaces import modules
from splitbench.spaces.base import Mixture
from splitbench.spaces.modules import ModuleSpace, Run, table_truth

PATHS = [(0, 0, 0), (1, 0, 2), (2, 2, 2), (0, 2, 1)]


class Branches(nn.Module):
    """The first edge sees the images themselves; the other two run side by side. One operation has two layers."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.choices = nn.ModuleList(
            [
                nn.ModuleList([nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 4, 3, padding=1), Repeat(channels)]),
                nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1), nn.Identity(), nn.AvgPool2d(3, 1, 1)]),
                nn.ModuleList(
                    [nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1)), nn.Conv2d(4, 4, 1), nn.ReLU()]
                ),
            ]
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

    def forward(self, x: Tensor, run: Run) -> Tensor:
        x = run(0, x)
        logits: Tensor = self.head(run(1, x) + run(2, x))
        return logits


class Repeat(nn.Module):
    """Four copies of the first channel: no weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1].repeat(1, 4, 1, 1)


@dataclass(frozen=True)
class Branching(ModuleSpace):
    """27 networks."""

    name: ClassVar[str] = "branching"
    edges = ("first", "left", "right")

    def operations(self, edge: int) -> tuple[str, ...]:
        return ("a", "b", "c")

    def network(self) -> nn.Module:
        return Branches(self.image_shape[0], self.classes)


SPACE = Branching().bind((3, 8, 8), 10)


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_flops_of_paths_are_those_that_torch_counts(path: tuple[int, ...]) -> None:
    supernet, images = SPACE.supernet(0), torch.randn(5, 3, 8, 8)
    with counting_flops() as counter:
        logits = supernet(images, path)
    assert counter.get_total_flops() == 5 * SPACE.flops(path).forward
    with counting_flops() as counter:
        logits.sum().backward()
    assert counter.get_total_flops() == 5 * SPACE.flops(path).backward
    assert SPACE.macs(path) == SPACE.flops(path).forward // 2


def test_flops_of_mixtures_are_those_of_all_that_runs() -> None:
    supernet, images = SPACE.supernet(0), torch.randn(5, 3, 8, 8)
    mixture = random_mixture(SPACE, SPACE.root().only(1, (0, 2)))
    with counting_flops() as counter:
        supernet(images, mixture).sum().backward()
    flops = SPACE.flops(mixture)
    assert counter.get_total_flops() == 5 * (flops.forward + flops.backward)


def test_a_path_runs_its_own_operations_and_a_straight_through_sample_is_a_path() -> None:
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    supernet = SPACE.supernet(0)
    outputs = {path: supernet(images, path) for path in PATHS}
    assert not any(torch.equal(outputs[PATHS[0]], outputs[other]) for other in PATHS[1:])
    weights = torch.zeros(SPACE.weights_shape)
    weights[range(3), list(PATHS[1])] = 1.0
    weights.requires_grad_()
    active = SPACE.root()
    for edge, op in enumerate(PATHS[1]):
        active = active.only(edge, [op])
    logits = supernet(images, Mixture(active, weights))
    assert torch.allclose(logits, outputs[PATHS[1]])
    logits.square().sum().backward()
    assert weights.grad is not None
    assert (weights.grad[range(3), list(PATHS[1])] != 0).all()


def test_sizes_are_those_of_the_weights_that_a_path_uses() -> None:
    head, first = 4 * 10 + 10, 3 * 4 + 4
    assert SPACE.parameters((0, 1, 1)) == first + (4 * 4 + 4) + head
    assert SPACE.parameters((2, 1, 2)) == head
    assert SPACE.size_names == ("flops", "parameters")


def test_it_is_listed_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(SPACE.functions(SPACE.root())) == SPACE.count(SPACE.root()) == 27
    monkeypatch.setattr(modules, "MOST_LISTED", 26)
    assert not SPACE.can_list
    with pytest.raises(ConfigError, match="space branching cannot be listed"):
        SPACE.functions(SPACE.root())
    assert len(SPACE.sample_functions(5, np.random.default_rng(0))) == 5


def test_a_table_of_accuracies(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("architecture,test_0,test_1,validation_0\n000,50,52,49\n102,60.5,61.5,62\n")
    truth = table_truth(SPACE, path)
    assert truth.test([(1, 0, 2), (0, 0, 0)]).tolist() == [61.0, 51.0]
    assert truth.validation([(1, 0, 2)]).tolist() == [62.0]
    path.write_text("architecture,test_0\n000,50\n")
    assert not table_truth(SPACE, path).has_validation


@pytest.mark.parametrize(
    "content",
    ["", "architecture,test_0\n009,1\n", "architecture,test_0\n000,1\n000,2\n", "architecture\n000\n", "x\n1\n"],
)
def test_a_wrong_table_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "truth.csv"
    path.write_text(content)
    with pytest.raises(DataError, match="truth.csv.*write it anew"):
        table_truth(SPACE, path)
    with pytest.raises(DataError, match="no table of accuracies of the space branching"):
        table_truth(SPACE, tmp_path / "nowhere.csv")
