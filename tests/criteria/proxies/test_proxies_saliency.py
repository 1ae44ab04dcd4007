"""Gradient proxies against autograd by hand, finite differences and closed forms; what they cost; what they leave."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from proxy_networks import BATCH, CUT_OFF, PATHS, SPACES, Charges, batch_of, choices, network_of, stand_alone
from torch import Tensor, nn
from torch.nn import functional

from splitbench.criteria.proxies import saliency
from splitbench.criteria.proxies.base import Network
from splitbench.criteria.proxies.logsynflow import LogSynflow
from splitbench.criteria.proxies.saliency import Fisher, GradNorm, Grasp, Plain, Snip, Synflow
from splitbench.criteria.proxies.variability import Zico
from splitbench.harness.budget import Cost, Meter
from splitbench.harness.errors import ConfigError
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import counting_flops, random_mixture
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Choice, Supernet

pytestmark = pytest.mark.portable

PROXIES: list[Any] = [
    Plain(),
    GradNorm(),
    Snip(),
    Grasp(),
    Synflow(),
    LogSynflow(),
    Fisher(),
    Fisher("as_shipped"),
    Zico(),
]
IDS = [str(proxy) for proxy in PROXIES]
EVERY = [(name, index) for name in SPACES for index in range(len(choices(name)))]


def ran(module: Supernet, name: str, choice: Choice) -> dict[str, nn.Module]:
    """Convolutions and linear layers that run, found by running them."""
    names = {id(m): n for n, m in module.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    found: dict[str, nn.Module] = {}
    handles = [
        m.register_forward_hook(lambda m, *_: found.__setitem__(names[id(m)], m))
        for m in module.modules()
        if id(m) in names
    ]
    with torch.no_grad():
        module(batch_of(name, 0)[0], choice)
    for handle in handles:
        handle.remove()
    return found


def by_hand(network: Network, name: str, step: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each layer's W and g in double precision, by ``backward()`` of a copy of the network."""
    module = copy.deepcopy(network.module).double()
    images, labels = batch_of(name, step)
    functional.cross_entropy(module(images.double(), network.choice), labels).backward()
    layers = ran(copy.deepcopy(network.module), name, network.choice)
    pairs = []
    for key in layers:
        weight = module.get_submodule(key).weight
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        pairs.append((weight.detach().numpy(), gradient.numpy()))
    return pairs


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_first_order_proxies_equal_autograd_by_hand(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    pairs = by_hand(network, name)
    assert Plain()(network) == pytest.approx(sum((w * g).sum() for w, g in pairs), rel=1e-3, abs=1e-4)
    assert Snip()(network) == pytest.approx(sum(np.abs(w * g).sum() for w, g in pairs), rel=1e-3)
    assert GradNorm()(network) == pytest.approx(sum(np.sqrt((g**2).sum()) for _, g in pairs), rel=1e-3)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_grasp_equals_finite_differences_of_the_gradient(name: str, index: int) -> None:
    """H g by central differences in double precision: the gradient at W + h g less that at W - h g, over 2 h."""
    network = network_of(name, choices(name)[index])
    layers = list(ran(copy.deepcopy(network.module), name, network.choice))
    images, labels = batch_of(name, 0)

    def gradient(module: Supernet) -> list[Tensor]:
        weights = [module.get_submodule(key).weight for key in layers]
        return list(torch.autograd.grad(
            functional.cross_entropy(module(images.double(), network.choice), labels), weights
        ))  # fmt: skip

    base = copy.deepcopy(network.module).double()
    g = gradient(base)
    h = 1e-7
    sides = []
    for sign in (1, -1):
        moved = copy.deepcopy(base)
        with torch.no_grad():
            for key, direction in zip(layers, g, strict=True):
                moved.get_submodule(key).weight.add_(sign * h * direction)
        sides.append(gradient(moved))
    expected = 0.0
    for key, plus, minus in zip(layers, *sides, strict=True):
        expected -= float(((plus - minus) / (2 * h) * base.get_submodule(key).weight.detach()).sum())
    assert Grasp()(network) == pytest.approx(expected, rel=2e-3, abs=2e-3)


def scaled(module: Supernet, name: str, choice: Choice, kinds: Any) -> list[tuple[nn.Module, Tensor]]:
    """dL/ds [N, C] of each layer that runs, with its output of image n and channel c multiplied by s = 1."""
    images, labels = batch_of(name, 0)
    factors: list[tuple[nn.Module, Tensor]] = []

    def multiply(layer: nn.Module, _: Any, output: Tensor) -> Tensor:
        factor = torch.ones(output.shape[:2], dtype=output.dtype, requires_grad=True)
        factors.append((layer, factor))
        return output * factor.reshape(*factor.shape, *[1] * (output.dim() - 2))

    for layer in module.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(multiply)
    functional.cross_entropy(module(images.double(), choice), labels).backward()
    return [(layer, factor.grad) for layer, factor in factors if factor.grad is not None]


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_fisher_equals_the_gradients_of_channel_gates(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    gates = scaled(copy.deepcopy(network.module).double(), name, network.choice, nn.Conv2d)
    assert Fisher()(network) == pytest.approx(sum(float((g**2).mean(0).sum()) / 2 for _, g in gates), rel=1e-3)
    gates = scaled(copy.deepcopy(network.module).double(), name, network.choice, nn.Conv2d | nn.Linear)
    expected = sum(layer.weight[0].numel() * float((g**2).mean(0).sum()) / 2 for layer, g in gates)
    assert Fisher("as_shipped")(network) == pytest.approx(expected, rel=1e-3)


def absolute(module: Supernet) -> Supernet:
    """A copy in double precision with absolute parameters, its normalisations replaced by identities."""
    module = copy.deepcopy(module).double()
    for parent in list(module.modules()):
        for child_name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, child_name, nn.Identity())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    return module


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_synflow_equals_autograd_by_hand(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    module = absolute(network.module)
    ones = torch.ones(1, *batch_of(name, 0)[0].shape[1:], dtype=torch.float64)
    module(ones, network.choice).sum().backward()
    layers = [module.get_submodule(key) for key in ran(copy.deepcopy(network.module), name, network.choice)]
    expected = math.log(sum(float((layer.weight.detach() * layer.weight.grad).sum()) for layer in layers))
    assert Synflow()(network) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_logsynflow_equals_autograd_by_hand(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    module = absolute(network.module)
    ones = torch.ones(1, *batch_of(name, 0)[0].shape[1:], dtype=torch.float64)
    module(ones, network.choice).sum().backward()
    expected = 0.0
    for key in ran(copy.deepcopy(network.module), name, network.choice):
        weight = module.get_submodule(key).weight
        expected += float((weight.detach().numpy() * np.log(1 + weight.grad.numpy())).sum())
    assert LogSynflow()(network) == pytest.approx(expected, rel=1e-9)


SERIES = (3, 0, 2, 0, 0, 3)  # 0-1-2-3: all layers of the network in series
LAYERS = 1 + 3 * 3 + 2 + 1  # stem, three cells, two reductions, classifier


def test_synflow_of_layers_in_series_counts_the_output_once_a_layer() -> None:
    network = network_of("micro", SERIES)
    module = absolute(network.module)
    with torch.no_grad():
        module.classifier.bias.zero_()
        output = float(module(torch.ones(1, 1, 8, 8, dtype=torch.float64), SERIES).sum())
    assert Synflow()(network) == pytest.approx(math.log(LAYERS * output), rel=1e-9)


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e10])
def test_synflow_beyond_double_precision(factor: float) -> None:
    """Multiplying each weight of layers in series multiplies the flow by the factor's power: up to 1e390, 1e-390."""
    network = network_of("micro", SERIES)
    before = Synflow()(network)
    with torch.no_grad():
        for parameter in network.module.parameters():
            parameter.mul_(factor)
    assert Synflow()(network) == pytest.approx(before + LAYERS * math.log(factor), rel=1e-6)


def test_synflow_needs_no_images_and_no_labels() -> None:
    network = network_of("micro", SERIES)
    other = Network(
        network.space, network.module, SERIES, lambda step: (torch.full((3, 1, 8, 8), torch.nan), torch.zeros(3)),
        Charges(), 1,
    )  # fmt: skip
    assert Synflow()(other) == Synflow()(network)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_zico_equals_numpy_over_the_batches(name: str, index: int) -> None:
    batches = 2 + index
    network = network_of(name, choices(name)[index])
    runs = [[g for _, g in by_hand(network, name, step)] for step in range(batches)]
    expected = 0.0
    for layer in zip(*runs, strict=True):
        mean, deviation = np.abs(layer).mean(0), np.std(layer, axis=0)
        counted = deviation > 1e-12  # in double precision what float32 has as equal may differ in the last digits
        expected += math.log((mean[counted] / deviation[counted]).sum()) if counted.any() else 0.0
    # The ratio of a weight whose gradients nearly agree is ill-conditioned in single precision.
    assert Zico(batches)(network) == pytest.approx(expected, rel=2e-2)


def test_zico_leaves_out_weights_whose_gradient_does_not_vary() -> None:
    """Two batches that are the same: no weight varies, and no layer counts."""
    network = network_of("micro", SERIES)
    same = Network(network.space, network.module, SERIES, lambda step: batch_of("micro", 0), Charges(), 1)
    assert Zico()(same) == 0
    with pytest.raises(ConfigError, match="batches is 1, and must be at least 2"):
        Zico(batches=1)


@pytest.mark.parametrize("proxy", PROXIES, ids=IDS)
@pytest.mark.parametrize("name", SPACES)
def test_finite_deterministic_and_without_traces(name: str, proxy: Any) -> None:
    cut_off = list(CUT_OFF) if name != "nb_macro" else []
    networks: list[Callable[[], Network]] = [lambda c=c: network_of(name, c) for c in [*choices(name)[1:], *cut_off]]
    networks.append(lambda: stand_alone(name, PATHS[name][1]))
    for make in networks:
        network = make()
        before = {key: value.clone() for key, value in network.module.state_dict().items()}
        first = proxy(network)
        assert type(first) is float
        assert math.isfinite(first)
        assert proxy(make()) == first
        for key, value in network.module.state_dict().items():
            assert torch.equal(value, before[key])
        for module in network.module.modules():
            assert not module._forward_hooks
            assert "forward" not in vars(module)
        assert all(parameter.grad is None for parameter in network.module.parameters())


def test_a_network_that_is_cut_off_scores_low() -> None:
    for path in CUT_OFF:
        for network in (network_of("nb201", path), stand_alone("nb201", path)):
            assert [proxy(network) for proxy in (Plain(), GradNorm(), Snip(), Grasp(), Fisher(), Zico())] == [0.0] * 6
            assert Synflow()(network) == pytest.approx(math.log(2.0**-1022) - 1000 * math.log(2))


def test_synflow_puts_the_normalisations_back_when_a_pass_fails() -> None:
    network = network_of("micro", SERIES)

    def fail(*_: object) -> None:
        raise RuntimeError("stopped")

    handle = network.module.tail.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="stopped"):
        Synflow()(network)
    handle.remove()
    assert not any("forward" in vars(module) for module in network.module.modules())
    assert all(p.dtype == torch.float32 for p in network.module.parameters())


@pytest.mark.parametrize("proxy", PROXIES, ids=IDS)
@pytest.mark.parametrize("name", SPACES)
def test_charges_what_torch_counts(name: str, proxy: Any) -> None:
    """First-order passes exactly; grasp exactly in micro, elsewhere within what torch wastes on strided layers."""
    space, _ = SPACES[name]
    for choice in [*choices(name)[1:], *(CUT_OFF[1:] if name != "nb_macro" else ())]:
        charges = Charges()
        network = network_of(name, choice, charges)
        with counting_flops() as counter:
            proxy(network)
        exact = name == "micro" or not isinstance(proxy, Grasp)
        tolerance = 1e-9 if exact else 0.05
        assert charges.flops(space, choice) == pytest.approx(counter.get_total_flops(), rel=tolerance)


def test_costs_in_passes() -> None:
    path = PATHS["micro"][0]
    expected = {Plain(): 1, GradNorm(): 1, Snip(): 1, Zico(): 2, Zico(batches=3): 3}
    for proxy, passes in expected.items():
        charges = Charges()
        proxy(network_of("micro", path, charges))
        assert (charges.forward, charges.backward) == (passes * BATCH, passes * BATCH)
    charges = Charges()
    Synflow()(network_of("micro", path, charges))
    assert (charges.forward, charges.backward) == (1, 1)
    charges = Charges()
    Grasp()(network_of("micro", path, charges))
    assert (charges.forward, charges.backward) == (BATCH, 4 * BATCH)


@pytest.mark.parametrize("proxy", PROXIES, ids=IDS)
def test_scoring_through_the_probe_leaves_the_supernet_as_it_was(proxy: Any) -> None:
    space, data = SPACES["micro"]
    supernet, meter = space.supernet(2), Meter()
    probe = SupernetProbe(space, space.root(), supernet, data, Rsps(batch_size=BATCH), {}, 5, 0, meter)
    before = {key: value.clone() for key, value in supernet.state_dict().items()}
    for choice in (PATHS["micro"][1], random_mixture(space, space.root())):
        meter.cost = Cost()
        first = probe.score(proxy, choice, 0)
        charged = meter.cost
        charges = Charges()
        assert float(first[0]) == proxy(network_of("micro", choice, charges))
        assert charged.flops == round(charges.flops(space, choice))
        assert np.array_equal(probe.score(proxy, choice, 0), first)
    for key, value in supernet.state_dict().items():
        assert torch.equal(value, before[key])
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_synflow_without_the_log_is_the_published_sum() -> None:
    network = network_of("micro", PATHS["micro"][1])
    assert Synflow(log=False)(network) == pytest.approx(math.exp(Synflow()(network)))
    assert Synflow(log=False)(network_of("micro", CUT_OFF[0])) < 1e-300


def test_logsynflow_of_a_network_worked_out_on_paper() -> None:
    """000100 is a chain in which every channel is alike where each layer's weights are equal.

    With weights 2 in the stem, 1/8 and 1/16 in the reductions and -3 in the classifier, every pixel holds 2 behind the
    stem, and 2 behind each reduction (sums of 8 and of 16 channels). Each of 10 logits is 32 * 2 * 3, so R = 1,920.
    R is linear in each layer, so a weight's gradient is R over the layer's weights: 1,920 / (8 * 2) = 120 in the stem,
    1,920 / (128 / 8) = 120 and 1,920 / (512 / 16) = 60 in the reductions, and 2 in the classifier.
    """
    network = network_of("micro", (0, 0, 0, 1, 0, 0))
    module: Any = network.module
    layers = [module.stem[0], module.body[1][1], module.body[3][1], module.classifier]
    with torch.no_grad():
        for layer, value in zip(layers, (2, 1 / 8, 1 / 16, -3), strict=True):
            layer.weight.fill_(value)
    expected = 8 * 2 * math.log(121) + 128 / 8 * math.log(121) + 512 / 16 * math.log(61) + 320 * 3 * math.log(3)
    assert LogSynflow()(network) == pytest.approx(expected, rel=1e-12)


def test_logsynflow_beyond_double_precision() -> None:
    """Weights in series times f: each gradient times f^(L - 1), so log(1 + g) grows by (L - 1) log f at large g."""
    network = network_of("micro", SERIES)
    gradients, weights = saliency.flow(network, 0)
    with torch.no_grad():
        for parameter in network.module.parameters():
            parameter.mul_(1e30)
    expected = 0.0
    for gradient, weight in zip(gradients, weights, strict=True):
        logs = np.log(gradient.numpy()) + (LAYERS - 1) * math.log(1e30)
        expected += float((1e30 * weight.detach().numpy() * logs).sum())
    assert LogSynflow()(network) == pytest.approx(expected, rel=1e-6)


def test_logsynflow_of_a_network_that_is_cut_off_is_zero() -> None:
    for path in CUT_OFF:
        assert LogSynflow()(network_of("nb201", path)) == LogSynflow()(stand_alone("nb201", path)) == 0.0
