"""Proxies of Jacobians, kernels and feature maps against loops in numpy; what they cost; networks that are cut off."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from proxy_networks import BATCH, CUT_OFF, PATHS, SPACES, Charges, batch_of, choices, network_of, stand_alone
from torch import Tensor, nn
from torch.nn import functional

from splitbench.criteria.proxies.base import Network, combined, terms
from splitbench.criteria.proxies.expressivity import LOWEST, AzNas, Meco, Zen
from splitbench.criteria.proxies.jacobian import EpeNas, Jacov, row_correlations
from splitbench.criteria.proxies.kernel import Ntk, TeNas, Vkdnw
from splitbench.harness.errors import ConfigError
from splitbench.harness.testing import counting_flops
from splitbench.spaces.base import Choice, Supernet
from splitbench.spaces.cells import CellSpace

PROXIES: list[Any] = [
    Jacov(), EpeNas(), Ntk(3), TeNas(3, samples=20), Vkdnw(4), Zen(), Zen(2, True), Meco(32), AzNas(6),
]  # fmt: skip
IDS = [str(proxy) for proxy in PROXIES]
EVERY = [(name, index) for name in SPACES for index in range(len(choices(name)))]
CELLS = ["micro", "nb201"]


class Followed(Network):
    """Feeds a view of the images: torch's FLOP counter cannot follow a gradient back to a leaf."""

    def __call__(self, images: Tensor) -> Tensor:
        return super().__call__(images.view_as(images))


def normalisations_with_memory(module: Supernet) -> Supernet:
    """A copy whose normalisations keep running statistics, as the benchmark's own networks do."""
    twin = copy.deepcopy(module)
    for name, layer in list(twin.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            parent, _, child = name.rpartition(".")
            setattr(twin.get_submodule(parent), child, nn.BatchNorm2d(layer.num_features, affine=False))
    return twin


def gradient_rows(network: Network, images: Tensor) -> np.ndarray[Any, Any]:
    """Gradient of each image's summed logits for all weights that run, by one ``backward()`` of a fresh graph each."""
    rows = []
    for index in range(len(images)):
        network.module.zero_grad(set_to_none=True)
        network.module(images, network.choice)[index].sum().backward()
        found = [torch.zeros_like(w) if w.grad is None else w.grad for w in network.weights()]
        rows.append(torch.cat([g.flatten() for g in found]).double().numpy())
    return np.array(rows)


def jacobian_rows(network: Network) -> np.ndarray[Any, Any]:
    images = network.images.clone().requires_grad_()
    network.module(images, network.choice).sum().backward()
    assert images.grad is not None
    return images.grad.flatten(1).double().numpy()


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_jacov_is_the_published_sum_over_eigenvalues(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    v = np.linalg.eigvalsh(np.corrcoef(jacobian_rows(network)))
    assert Jacov()(network) == pytest.approx(-(np.log(v + 1e-5) + 1 / (v + 1e-5)).sum(), rel=1e-4)


def test_jacov_of_uncorrelated_jacobians_is_the_greatest() -> None:
    eye = torch.eye(5).double() * 3 + 7
    assert row_correlations(eye).numpy() == pytest.approx(np.corrcoef(eye.numpy()), rel=1e-12)
    worst = Jacov()(network_of("micro", CUT_OFF[0]))
    v = np.array([0.0] * (BATCH - 1) + [BATCH]) + 1e-5
    assert worst == pytest.approx(-(np.log(v) + 1 / v).sum(), rel=1e-6)


@pytest.mark.parametrize("name", list(SPACES))
def test_epe_nas_correlates_within_classes(name: str) -> None:
    network = network_of(name, PATHS[name][0])
    images, _ = batch_of(name, 0)
    labels = torch.tensor([0, 4, 4, 0, 4, 9, 0, 4])
    network.batch = lambda step: (images, labels)
    rows = jacobian_rows(network)
    expected = 0.0
    for label, members in ((0, [0, 3, 6]), (4, [1, 2, 4, 7]), (9, [5])):
        assert (labels[members] == label).all()
        total = sum(math.log(abs(np.corrcoef(rows[i], rows[j])[0, 1]) + 1e-5) for i in members for j in members)
        expected += abs(total)
    assert EpeNas()(network) == pytest.approx(expected, rel=1e-4)


def test_epe_nas_compares_classes_where_there_are_more_than_a_hundred() -> None:
    space, _ = SPACES["nb201"]
    many = space.bind((3, 16, 16), 101)
    images, _ = batch_of("nb201", 0)
    labels = torch.tensor([100, 4, 4, 100, 4, 9, 100, 4])
    network = Network(many, many.supernet(0), PATHS["nb201"][0], lambda step: (images, labels), Charges(), 0)
    rows = jacobian_rows(network)
    means = [
        sum(math.log(abs(np.corrcoef(rows[i], rows[j])[0, 1]) + 1e-5) for i in own for j in own) / len(own)
        for own in ([1, 2, 4, 7], [0, 3, 6])  # 9 has one image only
    ]
    assert EpeNas()(network) == pytest.approx(2 * abs(means[0] - means[1]) / 2, rel=1e-3)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_ntk_is_the_condition_number_of_the_gram_matrix(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    rows = gradient_rows(network, network.images[:4])
    assert Ntk(4)(network) == pytest.approx(-np.linalg.cond(rows @ rows.T), rel=1e-3)


def test_ntk_of_two_equal_images_is_undefined() -> None:
    network = network_of("micro", PATHS["micro"][0])
    images, labels = batch_of("micro", 0)
    images = images.clone()
    images[1] = images[0]
    network.batch = lambda step: (images, labels)
    assert Ntk(4)(network) == -1e5


def test_te_nas_adds_ranks() -> None:
    pool = np.array([[-5.0, 10.0], [-1.0, 30.0], [-1e5, 1.0], [-5.0, 40.0]])
    assert combined(TeNas(), pool).tolist() == [2.5 + 2, 4 + 3, 1 + 1, 2.5 + 4]
    network = network_of("micro", PATHS["micro"][0])
    assert terms(TeNas(4, samples=30), network)[0] == Ntk(4)(network)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_vkdnw_equals_one_image_at_a_time_through_fixed_normalisations(name: str, index: int) -> None:
    """The reference has true running statistics set to the batch's, and differentiates each logit of each image."""
    network = network_of(name, choices(name)[index])
    images = network.images[:4]
    twin = normalisations_with_memory(network.module)
    for layer in twin.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    twin(images, network.choice)
    for layer in twin.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    statistics_are_biased(twin, images, network.choice)
    names = {id(m): n for n, m in network.module.named_modules()}
    weights = [twin.get_submodule(names[id(m)]).weight for m in network.layers(nn.Conv2d, nn.Linear)]
    fisher = np.zeros((len(weights),) * 2)
    for image in images:
        logits = twin(image[None], network.choice)[0]
        rows = []
        for logit in logits:
            found = torch.autograd.grad(logit, weights, retain_graph=True)
            rows.append([float(g.flatten()[0]) for g in found])
        p = functional.softmax(logits.double(), 0).detach().numpy()
        fisher += np.array(rows).T @ (np.diag(p) - np.outer(p, p)) @ np.array(rows) / len(images)
    deciles = np.quantile(np.maximum(np.linalg.eigvalsh(fisher), 0), np.arange(1, 10) / 10)
    share = deciles[deciles > 0] / deciles.sum()
    expected = len(weights) - (share * np.log(share)).sum()
    score = Vkdnw(4)(network)
    assert score == pytest.approx(expected, abs=2e-3)
    assert len(weights) < score < len(weights) + math.log(9)


def statistics_are_biased(twin: Supernet, images: Tensor, choice: Choice) -> None:
    """Set running variances to what normalisation divides by: torch keeps the unbiased ones."""

    def scale(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        count = inputs[0].numel() / inputs[0].shape[1]
        layer.running_var *= (count - 1) / count  # type: ignore[operator]

    handles = [m.register_forward_pre_hook(scale) for m in twin.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        twin(images, choice)
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_zen_equals_running_normalisations_with_memory(name: str, index: int) -> None:
    """Both readings of the variances: of the first batch, and what torch's running variance holds after both."""
    network = network_of(name, choices(name)[index])
    generator = network.generator()
    twin = normalisations_with_memory(network.module)
    with torch.no_grad():
        for layer in twin.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        x = torch.randn(network.images.shape, generator=generator)
        moved = x + 0.01 * torch.randn(network.images.shape, generator=generator)
        features: list[Tensor] = []
        batch: list[float] = []
        pool = next(m for m in twin.modules() if isinstance(m, nn.AdaptiveAvgPool2d))
        pool.register_forward_pre_hook(lambda m, i: features.append(i[0]))
        active = {id(twin.get_submodule(n)) for n, m in network.module.named_modules() if m in network.layers()}
        norms = [m for m in twin.modules() if isinstance(m, nn.BatchNorm2d) and id(m) in active]
        for norm in norms:
            norm.register_forward_pre_hook(lambda m, i: batch.append(np.var(i[0].numpy(), axis=(0, 2, 3)).mean()))
        twin(x, network.choice)
        twin(moved, network.choice)
    change = np.log((features[1] - features[0]).abs().flatten(1).sum(1).mean().item())
    first = batch[: len(norms)]
    assert len(batch) == 2 * len(norms)
    assert Zen()(network) == pytest.approx(change + sum(np.log(np.sqrt(v)) for v in first), rel=1e-4)
    running = sum(0.5 * np.log(float(norm.running_var.double().mean())) for norm in norms)  # type: ignore[union-attr]
    assert Zen(running=True)(network) == pytest.approx(change + running, rel=1e-4)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_meco_sums_the_smallest_eigenvalues(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    image = torch.randn((1, network.images.shape[1], 32, 32), generator=network.generator())
    maps: list[np.ndarray[Any, Any]] = []
    leaves = [m for m in network.module.modules() if not list(m.children())]
    handles = [m.register_forward_hook(lambda m, i, o: maps.append(o[0].flatten(1).numpy())) for m in leaves[:-1]]
    with torch.no_grad():
        network.module(image, network.choice)
    for handle in handles:
        handle.remove()
    expected = 0.0
    for values in maps:
        if values.shape[1] > 1:
            with np.errstate(invalid="ignore"):
                matrix = np.nan_to_num(np.corrcoef(values.astype(np.float64)))
            expected += np.linalg.eigvals(matrix).real.min()
    assert expected > 0.1
    assert Meco(32)(network) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_az_nas_terms_equal_loops(name: str, index: int) -> None:
    network = network_of(name, choices(name)[index])
    generator = network.generator()
    module = copy.deepcopy(network.module)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spread = math.sqrt(2 / math.prod(layer.weight.shape[1:]))
                layer.weight.copy_(spread * torch.randn(layer.weight.shape, generator=generator))
    blocks: list[tuple[Tensor, Tensor]] = []
    for block in module.blocks(network.choice):
        block.register_forward_hook(lambda m, i, o: blocks.append((i[0], o)))
    module(torch.randn((6, *network.images.shape[1:]), generator=generator), network.choice)

    entropies = []
    for feature in (blocks[0][0], *(output for _, output in blocks)):
        pixels = feature.detach().permute(0, 2, 3, 1).reshape(-1, feature.shape[1]).double().numpy()
        share = np.linalg.eigvalsh(np.cov(pixels.T, bias=True))
        share /= share.sum()
        entropies.append(-(share * np.log(share + 1e-8)).sum())
    trainability = []
    for x, y in reversed(blocks):
        sent = torch.randint(2, tuple(y.shape), generator=generator).float() * 2 - 1
        (got,) = torch.autograd.grad(y, x, sent, retain_graph=True)
        stride = x.shape[-1] // y.shape[-1]
        if stride == 1 and torch.equal(got, sent):
            continue
        mean = np.zeros((got.shape[1] * stride**2, sent.shape[1]))
        for n in range(len(sent)):
            for i in range(y.shape[-2]):
                for j in range(y.shape[-1]):
                    window = got[n, :, i * stride : (i + 1) * stride, j * stride : (j + 1) * stride]
                    mean += np.outer(window.flatten().double(), sent[n, :, i, j].double())
        s = np.linalg.svd(mean / (len(sent) * y.shape[-2] * y.shape[-1]), compute_uv=False).max()
        trainability.append(2 - s - 1 / (s + 1e-6))
    expected = [sum(entropies), min(np.diff(entropies)), np.mean(trainability)]
    found = AzNas(6)(network)
    assert found[:3] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert found[3] == SPACES[name][0].flops(network.choice).forward / 2


def test_az_nas_multiplies_ranks_over_the_pool() -> None:
    pool = np.array([[1.0, 5.0, 0.0, 9.0], [2.0, 5.0, -1.0, 3.0], [3.0, 6.0, LOWEST, 1.0]])
    expected = [
        math.log(1 / 3) + math.log(1.5 / 3) + math.log(3 / 3) + math.log(3 / 3),
        math.log(2 / 3) + math.log(1.5 / 3) + math.log(2 / 3) + math.log(2 / 3),
        math.log(3 / 3) + math.log(3 / 3) + math.log(1 / 3) + math.log(1 / 3),
    ]
    assert combined(AzNas(), pool) == pytest.approx(expected, rel=1e-12)


def test_az_nas_of_identities() -> None:
    space, _ = SPACES["nb201"]
    identity = AzNas(4)(stand_alone("nb201", (3, 0, 0, 1, 0, 0)))
    assert identity[2] == LOWEST
    assert identity[3] == space.macs((3, 0, 0, 1, 0, 0))  # the dead convolution runs, and counts
    chain = AzNas(4)(network_of("nb_macro", (0, 2, 1, 0, 0, 0, 0, 0)))
    assert LOWEST < chain[2] < 0
    assert AzNas(4)(network_of("nb_macro", (1, 0, 1, 0, 0, 2, 0, 0)))[2] == LOWEST


@pytest.mark.parametrize(("name", "index"), EVERY)
@pytest.mark.parametrize("proxy", PROXIES, ids=IDS)
def test_scores_repeat_and_leave_no_hook(proxy: Any, name: str, index: int) -> None:
    networks = [network_of(name, choices(name)[index]) for _ in range(2)]
    first, second = (terms(proxy, network) for network in networks)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)
    assert not any(m._forward_hooks for m in networks[0].module.modules())


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("proxy", PROXIES, ids=IDS)
def test_networks_that_are_cut_off_score_lowest(proxy: Any, name: str) -> None:
    connected = [terms(proxy, stand_alone(name, path)) for path in PATHS[name]]
    cut = [terms(proxy, network_of(name, CUT_OFF[0])), terms(proxy, stand_alone(name, CUT_OFF[0]))]
    cut.append(terms(proxy, stand_alone(name, CUT_OFF[1])))
    assert np.isfinite(cut).all()
    if isinstance(proxy, Meco):
        cut.pop()  # layers that are dead but run add something
    count = 3 if isinstance(proxy, AzNas) else 1  # the fourth term counts dead convolutions, the second dead ReLUs
    assert np.max(cut, axis=0)[:count].tolist() < np.min(connected, axis=0)[:count].tolist()


# Convolutions backward beside the charge, in units of the stem's forward FLOPs an image: half of all of backward is
# forward less half the stem; the images' gradient takes a whole stem, and that of activations none.
CHARGED: list[Any] = [
    (Jacov(), 0.5 * BATCH), (EpeNas(), 0.5 * BATCH), (Ntk(4), 0), (Vkdnw(4), -0.5 * 4 * 10), (Zen(2), 0), (AzNas(6), -3)
]  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("proxy", "stems"), CHARGED, ids=[str(p) for p, _ in CHARGED])
def test_convolutions_run_are_those_charged(proxy: Any, stems: float, name: str) -> None:
    space, _ = SPACES[name]
    assert isinstance(space, CellSpace)
    for choice in choices(name)[1::3]:  # a path with dead operations, and a mixture
        charges = Charges()
        network = Followed(space, space.supernet(0), choice, lambda step: batch_of(name, step), charges, 9)
        with counting_flops() as counter:
            proxy(network)
        counts = counter.get_flop_counts()["Global"]
        counted = sum(n for op, n in counts.items() if "convolution" in str(op))
        macs = space.cell_macs
        linear = 2 * macs.classifier * (charges.forward + 2 * charges.backward)
        assert counted - (charges.flops(space, choice) - linear) == pytest.approx(stems * 2 * macs.stem, abs=0.5)


def test_images_charged() -> None:
    expected = {
        Jacov(): (BATCH, BATCH / 2), Ntk(4): (4, 16), Vkdnw(4): (4, 4 * 10 / 2), Zen(): (2 * BATCH, 0),
        Zen(3): (6 * BATCH, 0), AzNas(6): (6, 3),
    }  # fmt: skip
    for proxy, images in expected.items():
        charges = Charges()
        proxy(network_of("nb201", PATHS["nb201"][0], charges))
        assert (charges.forward, charges.backward) == pytest.approx(images, rel=1e-12)


def test_an_image_of_four_times_the_pixels_costs_four_times_the_convolutions() -> None:
    (space, _), path, charges = SPACES["nb201"], PATHS["nb201"][0], Charges()
    Meco(32)(network_of("nb201", path, charges))
    forward = space.flops(path).forward
    classifier = 2 * space.cell_macs.classifier
    assert charges.forward * forward == pytest.approx(4 * (forward - classifier) + classifier, rel=1e-12)
    assert charges.backward == 0


@pytest.mark.parametrize(
    ("proxy", "values", "message"),
    [
        (Ntk, {"images": 1}, "images is 1"),
        (TeNas, {"images": 1}, "images is 1"),
        (TeNas, {"crop": 0}, "crop is 0"),
        (Vkdnw, {"images": 1}, "images is 1"),
        (Zen, {"repeats": 0}, "repeats is 0"),
        (Meco, {"size": 8}, "size is 8"),
        (AzNas, {"images": 1}, "images is 1"),
    ],
)
def test_parameters_out_of_range_are_refused(proxy: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        proxy(**values)
