"""What the suite asks of a supernet's weights: affine normalisation passes, and each way to be wrong is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import torch
from elastic_networks import DATA, SPACE
from tiny_studies import tiny
from torch import Tensor, nn
from torch.nn import functional

import splitbench
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.harness.stores.folder import load_tensors
from splitbench.harness.testing import Chain, check_space, images_of
from splitbench.harness.testing.small_spaces.elastic import Elastic
from splitbench.harness.testing.small_spaces.elastic_supernet import ElasticSupernet
from splitbench.harness.testing.suites.weights import (
    check_active_weights,
    check_capabilities,
    check_fixed_statistics,
    check_seeds,
    check_shared_weights,
    check_statistics,
)
from splitbench.spaces.base import ActiveWeight, Choice, Flops, SearchSpace, Supernet, unmet
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb_macro.space import NBMacro
from splitbench.spaces.operations import batch_statistics
from splitbench.spaces.supernet import running_statistics


def renormalised(supernet: Supernet, tracks: bool) -> Supernet:
    """With ordinary affine normalisations in the place of its own."""
    for parent in list(supernet.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.BatchNorm2d(child.num_features, track_running_stats=tracks))
    return supernet


@dataclass(frozen=True)
class AffineChain(Chain):
    """Chain with ordinary affine normalisation."""

    tracks: bool = False

    def flops(self, choice: Choice) -> Flops:
        """Of a network that is cut off, the last shift is learnt through the classifier."""
        flops = super().flops(choice)
        return flops if flops.backward > flops.forward else Flops(flops.forward, 2 * flops.backward)

    def supernet(self, seed: int) -> Supernet:  # type: ignore[override]
        return renormalised(super().supernet(seed), self.tracks)


@dataclass(frozen=True)
class AffineMacro(NBMacro):
    """NAS-Bench-Macro with ordinary affine normalisation, as its paper has."""

    def supernet(self, seed: int) -> Supernet:  # type: ignore[override]
        return renormalised(super().supernet(seed), False)


@dataclass(frozen=True)
class AffineMicro(Micro):
    """Micro with ordinary affine normalisation that keeps running statistics."""

    def supernet(self, seed: int) -> Supernet:  # type: ignore[override]
        return renormalised(super().supernet(seed), True)


def test_affine_normalisation_passes_the_suite() -> None:
    check_space(AffineChain(5), (1, 8, 8))
    check_space(AffineMacro(channels=2, image_size=8), (3, 8, 8))


# --- seeds ------------------------------------------------------------------------------------------------------------


def supernet_of(change: Callable[[Supernet, int], Supernet], space: SearchSpace = AffineChain(3)) -> SearchSpace:
    """A space whose supernets are changed by ``change(supernet, seed)``."""

    @dataclass(frozen=True)
    class Changed(type(space)):  # type: ignore[misc]
        def supernet(self, seed: int) -> Supernet:
            return change(super().supernet(seed), seed)

    return Changed(**{field.name: getattr(space, field.name) for field in fields(space)})  # type: ignore[arg-type]


def test_a_supernet_that_ignores_the_seed_is_found() -> None:
    space = AffineChain(3)
    check_seeds(space)
    with pytest.raises(AssertionError, match="weight is the same whatever the seed"):
        check_seeds(supernet_of(lambda supernet, seed: space.supernet(0)))


def test_a_single_layer_that_ignores_the_seed_is_found() -> None:
    def one_layer(supernet: Supernet, seed: int) -> Supernet:
        supernet.classifier.load_state_dict(AffineChain(3).supernet(0).classifier.state_dict())  # type: ignore[operator, union-attr, arg-type]
        return supernet

    with pytest.raises(AssertionError, match="classifier.weight is the same whatever the seed"):
        check_seeds(supernet_of(one_layer))


def test_constants_and_identities_may_be_the_same_for_all_seeds() -> None:
    def constant(supernet: Supernet, seed: int) -> Supernet:
        nn.init.zeros_(supernet.classifier.weight)  # type: ignore[arg-type, union-attr]
        nn.init.dirac_(supernet.stem[0].weight)  # type: ignore[index, union-attr, arg-type]
        return supernet

    check_seeds(supernet_of(constant))


def test_a_supernet_of_constants_alone_is_found() -> None:
    def ones(supernet: Supernet, seed: int) -> Supernet:
        for parameter in supernet.parameters():
            nn.init.ones_(parameter)
        return supernet

    with pytest.raises(AssertionError, match="all weights are the same whatever the seed"):
        check_seeds(supernet_of(ones))


# --- running statistics -----------------------------------------------------------------------------------------------

RUNNING = r"the normalisation .* keeps running statistics.*track_running_stats=False.*batch_statistics"


def test_running_statistics_are_refused_by_the_suite() -> None:
    with pytest.raises(AssertionError, match=RUNNING):
        check_space(AffineChain(5, tracks=True), (1, 8, 8))


def test_running_statistics_are_refused_by_a_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    registry.register("spaces", "tracking")(AffineMicro)
    with pytest.raises(ConfigError, match="space micro: " + RUNNING):
        splitbench.run(tiny(space="tracking"), tmp_path, device="cpu")


def test_running_statistics_of_a_network_give_way_to_those_that_a_study_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The network's own would move with every pass that scores; the harness drops them, and keeps its own."""
    monkeypatch.setattr(registry, "_registered", {})
    registry.register("spaces", "tracking")(AffineMicro)
    arms = ["none", {"criterion": "gm", "repetitions": 1}]
    study = tiny(space="tracking", evaluation={"images": 50, "batch_norm": "running"}, arms=arms, budget={"steps": 60})
    splitbench.run(study, tmp_path, device="cpu")
    (state, *_) = (tmp_path / "stages").rglob("state-0.safetensors")
    names = set(load_tensors(state)[0])
    assert any(name.startswith("statistics.") for name in names)
    assert not any("running" in name or "tracked" in name for name in names)


def test_normalisation_that_no_layer_does_is_found() -> None:
    """Nobody can fix its statistics."""

    class Hidden(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.batch_norm(x, None, None, training=True)

    def hiding(supernet: Supernet, seed: int) -> Supernet:
        for parent in list(supernet.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, Hidden())
        return supernet

    data = images_of((1, 8, 8), 10)
    with pytest.raises(AssertionError, match="an image's logits depend on the images beside it although all stat"):
        check_fixed_statistics(supernet_of(hiding), data)
    check_fixed_statistics(supernet_of(lambda supernet, seed: supernet), data)


def test_batch_statistics_is_the_remedy() -> None:
    images = torch.randn(8, 3, 4, 4)
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
    assert running_statistics(network) == "0"
    expected = network(images)
    assert running_statistics(batch_statistics(network)) is None
    for mode in (True, False):
        torch.testing.assert_close(network.train(mode)(images), expected)
    assert not list(network.buffers())
    tracking = AffineChain(5, tracks=True)
    check_space(supernet_of(lambda supernet, seed: batch_statistics(supernet), tracking), (1, 8, 8))


def test_a_pass_that_changes_a_buffer_is_found() -> None:
    def counting(supernet: Supernet, seed: int) -> Supernet:
        supernet.register_buffer("passes", torch.zeros(()))
        supernet.register_forward_hook(lambda module, inputs, output: module.passes.add_(1))
        return supernet

    with pytest.raises(AssertionError, match="a pass of the supernet changes passes"):
        check_statistics(supernet_of(counting), images_of((1, 8, 8), 10))


# --- weights that take part, and that are shared ----------------------------------------------------------------------


class Largest(ElasticSupernet):
    """Says that all of every active layer takes part, as a plain supernet would."""

    def active_weights(self, choice: Choice) -> list[ActiveWeight]:
        return [replace(weight, index=()) for weight in super().active_weights(choice)]


class Blind(ElasticSupernet):
    """Leaves the normalisations out."""

    def active_weights(self, choice: Choice) -> list[ActiveWeight]:
        return [weight for weight in super().active_weights(choice) if weight.parameter.dim() > 1]


class Narrow(ElasticSupernet):
    """Leaves out the last output channel of what runs."""

    def active_weights(self, choice: Choice) -> list[ActiveWeight]:
        found = super().active_weights(choice)
        return [
            replace(w, index=(slice(0, len(w.view) - 1), *w.index[1:])) if w.name.endswith("expand.weight") else w
            for w in found
        ]


class Hidden(ElasticSupernet):
    """Slices behind the back of whoever watches its layers."""

    def __init__(self, image_channels: int, classes: int) -> None:
        super().__init__(image_channels, classes)
        for module in self.modules():
            if hasattr(module, "depthwise") or getattr(module, "groups", 1) > 1:
                module.forward = lambda x, weight: functional.conv2d(  # type: ignore[method-assign]
                    x, weight, padding=weight.shape[-1] // 2, groups=len(weight)
                )
                module.register_forward_pre_hook(_whole_kernel)


def _whole_kernel(module: nn.Module, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Pads the kernel with zeros: the same result, at another price."""
    x, weight = inputs
    wider = (module.weight.shape[-1] - weight.shape[-1]) // 2  # type: ignore[operator, union-attr, index]
    return x, functional.pad(weight, (wider,) * 4)


class Everything(ElasticSupernet):
    """Shares whole tensors, also what only the largest operation uses."""

    def shared_weights(
        self, edge: int, outer: bool = True, operations: Sequence[int] | None = None
    ) -> list[ActiveWeight]:
        return [replace(weight, index=()) for weight in super().shared_weights(edge, outer, operations)]


def with_supernet(kind: type[ElasticSupernet], **attributes: bool) -> SearchSpace:
    def build(self: Elastic, seed: int) -> Supernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return kind(self.shape[0], self.classes)

    return type("Changed", (Elastic,), {"supernet": build, **attributes})()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Largest, "does not take part"),
        (Blind, "name different layers"),
        (Narrow, "weights other than active_weights"),
        (Hidden, "a layer that runs on a slice must be called with it"),
    ],
)
def test_active_weights_that_are_wrong_are_found(kind: type[ElasticSupernet], sentence: str) -> None:
    check_active_weights(with_supernet(ElasticSupernet), DATA)
    with pytest.raises(AssertionError, match=sentence):
        check_active_weights(with_supernet(kind), DATA)


def test_shared_weights_that_not_all_operations_use_are_found() -> None:
    check_shared_weights(with_supernet(ElasticSupernet))
    with pytest.raises(AssertionError, match="another part than that which all of these operations use"):
        check_shared_weights(with_supernet(Everything))


def test_capabilities_that_a_space_claims_are_tried() -> None:
    with pytest.raises(AssertionError, match="says whole_weights = True, but"):
        check_active_weights(with_supernet(ElasticSupernet, whole_weights=True), DATA)
    with pytest.raises(AssertionError, match="says separate_operations = True, but operation_modules"):
        check_capabilities(with_supernet(ElasticSupernet, separate_operations=True))

    class Shy(Chain):
        separate_operations = False
        whole_weights = False

    with pytest.raises(AssertionError, match="says separate_operations = False, but operation_modules"):
        check_capabilities(Shy(3))
    with pytest.raises(AssertionError, match="no path runs a slice of a weight"):
        check_active_weights(Shy(3), DATA)


def test_needs_are_capabilities_that_there_are() -> None:
    assert unmet(("separate_operations", "whole_weights"), Chain()) is None
    assert "modules of their own" in str(unmet(("separate_operations",), SPACE))
    with pytest.raises(ConfigError, match="there is no capability 'separate_operation'; choose from separate_op"):
        unmet(("separate_operation",), SPACE)
