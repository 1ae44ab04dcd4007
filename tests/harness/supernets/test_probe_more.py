"""What the probe gives beside gradients and outputs: pullbacks, features, the whole mixture, accuracies, proxies."""

from __future__ import annotations

import pytest
import torch
from probed_spaces import BATCH, MICRO, SEED, SPACES, WEIGHTS, probe_of
from torch import Tensor, nn
from torch.nn import functional

from splitbench.criteria.proxies.base import Network
from splitbench.harness.budget import Cost, Meter, forward_pass, training_pass
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.supernets.probe import SupernetProbe, all_on_edge
from splitbench.harness.testing import counting_flops
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Mixture
from splitbench.spaces.choices import with_operation


class Nudged(nn.Module):
    """An operation whose input is moved by a leaf of zeros: the loss's gradient for the leaf is the pullback."""

    def __init__(self, operation: nn.Module) -> None:
        super().__init__()
        self.operation, self.nudge = operation, torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.nudge = torch.zeros_like(x, requires_grad=True)
        moved: Tensor = self.operation(x + self.nudge)
        return moved


@pytest.mark.parametrize("edge", [0, 2, 5])
@pytest.mark.parametrize("trainer", [Rsps(batch_size=BATCH), Darts(batch_size=BATCH)], ids=["paths", "mixtures"])
def test_pullbacks_are_the_gradients_of_each_operations_own_input(edge: int, trainer: Rsps | Darts) -> None:
    data = SPACES["micro"][1]
    probe, meter = probe_of(data, trainer=trainer)
    drawn = probe.context(edge, 0)
    context = drawn if isinstance(drawn, Mixture) else (3, 1, 2, 4, 3, 1)  # a path on which every edge is live
    found = probe.pullbacks(edge, 0, context)
    mixed = all_on_edge(context, MICRO, edge, MICRO.root().allowed[edge])
    assert meter.cost == training_pass(MICRO, mixed, BATCH)

    network = MICRO.supernet(WEIGHTS)
    nudged: dict[int, list[Nudged]] = {op: [] for op in range(5)}
    for layer in network.body:
        if hasattr(layer, "edges"):
            operations: nn.ModuleDict = layer.edges[edge]  # type: ignore[index,assignment]
            for op in range(1, 5):
                operations[str(op)] = wrapper = Nudged(operations[str(op)])
                nudged[op].append(wrapper)
    images, labels = data.batch("train", SEED, 0, BATCH)
    functional.cross_entropy(network(images, mixed), labels).backward()  # type: ignore[no-untyped-call]
    assert found[0] is None  # ``none`` sends nothing back
    for op in range(1, 5):
        expected = torch.cat([wrapper.nudge.grad.flatten() for wrapper in nudged[op]])  # type: ignore[union-attr]
        pulled = found[op]
        assert pulled is not None
        torch.testing.assert_close(pulled, expected, rtol=1e-5, atol=1e-8)


def test_a_path_gives_all_operations_of_the_edge_one_weight() -> None:
    mixed = all_on_edge((1, 2, 3, 4, 0, 1), MICRO, 2, (0, 2, 3))
    assert mixed.active.allowed == ((1,), (2,), (0, 2, 3), (4,), (0,), (1,))
    assert mixed.weights[2].tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3, 0])
    assert mixed.weights[[0, 1, 3, 4, 5], [1, 2, 4, 0, 1]].tolist() == [1.0] * 5
    assert float(mixed.weights.sum()) == pytest.approx(6.0)


@pytest.mark.parametrize("space", list(SPACES))
def test_features_are_what_the_blocks_put_out(space: str) -> None:
    searched, data = SPACES[space]
    probe, meter = probe_of(data, searched)
    context = probe.context(0, 0)
    with counting_flops() as counter:
        features = probe.features(0, 1, 0, context)
    path = with_operation(context, 0, 1)
    assert meter.cost == forward_pass(searched, path, BATCH, BATCH)
    assert counter.get_total_flops() == meter.cost.flops
    network = searched.supernet(WEIGHTS)
    x = network.stem(data.batch("train", SEED, 0, BATCH)[0])  # type: ignore[operator]
    for index, (block, feature) in enumerate(zip(network.blocks(path), features, strict=True)):
        if space == "nb_macro":
            x = block(x, (path[index],), None)
        elif hasattr(block, "edges"):
            x = block(x, network.running(path), None)
        else:
            x = block(x)
        torch.testing.assert_close(feature, x)


def test_the_whole_supernet_is_the_trainers_mixture_or_equal_weights() -> None:
    data = SPACES["micro"][1]
    part = MICRO.root().only(1, (2, 3)).only(4, (0,))
    probe, meter = probe_of(data, subspace=part)
    whole = probe.whole()
    assert whole.active == part
    assert whole.weights[1].tolist() == [0, 0, 0.5, 0.5, 0]
    assert whole.weights.sum(dim=1).tolist() == pytest.approx([1.0] * 6)
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    darts, _ = probe_of(data, subspace=part, trainer=Darts(batch_size=BATCH), state={"alpha": alpha})
    torch.testing.assert_close(darts.whole().weights, MICRO.mixture(alpha, part).weights)
    assert meter.cost == Cost()


def test_accuracies_are_on_fixed_validation_images_and_paid_for() -> None:
    data = SPACES["micro"][1]
    probe, meter = probe_of(data)
    path = (1, 2, 3, 4, 1, 3)
    accuracy, loss = probe.accuracy(path, images=40)
    with torch.no_grad():
        logits = MICRO.supernet(WEIGHTS)(data.images["validation"][:40], path)
    labels = data.labels["validation"][:40]
    assert accuracy == pytest.approx(100 * float((logits.argmax(1) == labels).float().mean()))
    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)
    assert meter.cost == forward_pass(MICRO, path, 40, BATCH)
    probe.accuracy(probe.whole())
    assert meter.cost.examples == 40 + 48


def test_a_proxy_may_spoil_its_copy_and_pays_for_its_passes() -> None:
    data = SPACES["micro"][1]
    probe, meter = probe_of(data)
    path = (3, 1, 3, 1, 3, 1)

    def spoiler(network: Network) -> float:
        logits = network(network.images)
        found = float(sum(g.norm() for g in network.gradient(logits.sum(), network.weights())))
        with torch.no_grad():
            for parameter in network.module.parameters():
                parameter.zero_()
        return found

    first = probe.score(spoiler, path, 3)
    assert meter.cost == training_pass(MICRO, path, BATCH)
    again = probe.score(spoiler, path, 3)
    assert first.tolist() == again.tolist() != [0.0]

    network = MICRO.supernet(WEIGHTS)
    images, _ = data.batch("train", SEED, 3, BATCH)
    network(images, path).sum().backward()
    kept = [p.grad.norm() for n, p in network.named_parameters() if p.grad is not None and n.endswith("weight")]
    assert first[0] == pytest.approx(float(sum(kept)), rel=1e-5)


def test_initial_weights_are_those_that_the_supernet_started_from() -> None:
    data = SPACES["micro"][1]
    trained, meter = MICRO.supernet(9), Meter()
    probe = SupernetProbe(
        MICRO, MICRO.root(), trained, data, Rsps(batch_size=BATCH), {}, SEED, 0, meter, lambda: MICRO.supernet(WEIGHTS)
    )

    def norm(network: Network) -> float:
        return float(sum(weight.norm() for weight in network.weights()))

    def total(supernet: nn.Module) -> float:
        return float(sum(p.norm() for n, p in supernet.named_parameters() if n.endswith("weight")))

    whole = probe.whole()
    assert probe.score(norm, whole, 0)[0] == pytest.approx(total(trained))
    assert probe.score(norm, whole, 0, initial=True)[0] == pytest.approx(total(MICRO.supernet(WEIGHTS)))
    with pytest.raises(ConfigError, match="no initial weights"):
        probe_of(data)[0].score(norm, whole, 0, initial=True)


def test_the_truth_is_shut_to_all_who_do_not_declare_it() -> None:
    with pytest.raises(SplitbenchError, match="reads_truth = True"):
        probe_of(SPACES["micro"][1])[0].truth()
    assert isinstance(probe_of(SPACES["micro"][1])[0].whole(), Mixture)
