"""Every built-in component on sliced weights: it serves the elastic test space, or says in a sentence why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elastic_networks import DATA, LARGEST, PATHS, SMALLEST, SPACE, network_of, trained_like
from tiny_studies import Notes, tiny
from torch.nn import functional

import splitbench
from splitbench.criteria.base import unfit
from splitbench.criteria.gm import GradientMatching
from splitbench.criteria.proxies import expressivity, initialised
from splitbench.criteria.proxies.base import Network, Proxy, terms, unfit_proxy
from splitbench.harness import registry
from splitbench.harness.budget import Meter
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.registry import build, components
from splitbench.harness.selectors.alpha import ArgmaxAlpha
from splitbench.harness.selectors.base import LeafToSearch
from splitbench.harness.selectors.search import All, RandomBest
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import check_trainer
from splitbench.harness.testing.small_spaces.elastic import Elastic
from splitbench.harness.testing.small_spaces.elastic_alone import StandAlone, extracted
from splitbench.harness.testing.suites.criteria import CriterionTrials as CriterionLaboratory
from splitbench.harness.testing.suites.parts import check_choice
from splitbench.harness.testing.suites.proxies import ProxyTrials as ProxyLaboratory
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Architecture, Mixture

PROXIES = sorted(components("proxies"))
CRITERIA = sorted(components("criteria"))
REDRAWN = ("az_nas", "zen")
VARIANTS: dict[str, dict[str, Any]] = {
    "fisher": {"variant": "as_shipped"},
    "swap": {"mu": 1.0, "sigma": 1.0},
    "zen": {"running": True},
}
SMALL: dict[str, dict[str, Any]] = {
    "linear_regions": {"crop": 4, "samples": 400},
    "te_nas": {"crop": 4, "samples": 400, "images": 8},
    "ntk": {"images": 8},
    "vkdnw": {"images": 16},
    "az_nas": {"images": 8},
    "meco": {"size": 16},
}


def proxies() -> Iterator[Any]:
    for name in PROXIES:
        if name != "tpc":
            yield pytest.param({"name": name, **SMALL.get(name, {})}, id=name)
            if name in VARIANTS:
                yield pytest.param({"name": name, **SMALL.get(name, {}), **VARIANTS[name]}, id=f"{name} variant")


# --- proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", list(proxies()))
def test_a_proxy_scores_slices_as_the_network_that_holds_just_them(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Score and passes charged; where a proxy redraws the weights, the network gets the redrawn slices."""
    proxy: Proxy = build("proxies", spec, "proxy")
    assert unfit_proxy(proxy, SPACE) is None
    supernet, redraw = trained_like(), expressivity.redraw

    def same_slices(network: Network, generator: torch.Generator, kaiming: bool = False) -> None:
        if isinstance(network.module, StandAlone):
            assert isinstance(network.choice, tuple)
            whole = network_of(supernet, network.choice)
            redraw(whole, generator, kaiming)
            drawn = extracted(whole.module, network.choice)  # type: ignore[arg-type]
            network.module.load_state_dict(drawn.state_dict())
        else:
            redraw(network, generator, kaiming)

    draw = initialised.draw

    def same_draws(network: Network, init: str) -> None:
        if isinstance(network.module, StandAlone):
            assert isinstance(network.choice, tuple)
            whole = network_of(supernet, network.choice)
            draw(whole, init)
            drawn = extracted(whole.module, network.choice)  # type: ignore[arg-type]
            network.module.load_state_dict(drawn.state_dict())
        else:
            draw(network, init)

    monkeypatch.setattr(expressivity, "redraw", same_slices)
    monkeypatch.setattr(initialised, "draw", same_draws)
    scores = []
    for path in PATHS:
        paid, expected_paid = [0.0, 0.0], [0.0, 0.0]
        found = terms(proxy, network_of(supernet, path, paid))
        expected = terms(proxy, network_of(extracted(supernet, path), path, expected_paid))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=str(path))
        assert paid == pytest.approx(expected_paid, rel=1e-12)
        scores.append(tuple(found))
    # of random images every patch has a code of its own
    assert len(set(scores)) > 1 or spec["name"] == "linear_regions"


def test_kaiming_weights_have_the_variance_of_the_slice() -> None:
    """2 / fan-in of what runs: with 2 of 6 hidden channels a projection has 2 inputs."""
    for path, width in ((SMALLEST, 2), (LARGEST, 6)):
        drawn = []
        for seed in range(200):
            network = network_of(trained_like(), path)
            expressivity.redraw(network, torch.Generator().manual_seed(seed), kaiming=True)
            weights = {w.name: w.view for w in network.active()}
            drawn.append(weights["stages.0.slots.0.project.weight"].detach().flatten())
        everything = torch.cat(drawn)
        expected = 2 / width
        assert abs(float(everything.var()) / expected - 1) < 5 * (2 / len(everything)) ** 0.5


@pytest.mark.parametrize("name", [name for name in PROXIES if name != "tpc"])
def test_a_proxy_passes_the_suite(name: str) -> None:
    """Paths and the whole mixture: finite, paid for, the same again, everything left as it was."""
    laboratory = ProxyLaboratory(build("proxies", {"name": name, **SMALL.get(name, {})}, "proxy"), SPACE, DATA)
    laboratory.runs()
    laboratory.traces()
    laboratory.numbers()
    laboratory.pool()
    laboratory.cost()


def test_tpc_says_why_it_cannot_serve() -> None:
    tpc: Proxy = build("proxies", "tpc", "proxy")
    reason = unfit_proxy(tpc, SPACE)
    assert reason == (
        "it needs a space where the operations of an edge have modules of their own, and in elastic that is not so"
    )
    with pytest.raises(SplitbenchError, match="cannot serve the space elastic: it needs a space where"):
        terms(tpc, network_of(trained_like(), SMALLEST))


def test_a_strangers_proxy_that_may_read_layers_is_refused() -> None:
    """Counting the weights of the layers would give the largest network's, without an error."""

    def naive(network: Network) -> float:
        return float(sum(parameter.numel() for layer in network.layers() for parameter in layer.parameters()))

    reason = unfit_proxy(naive, SPACE)
    assert reason is not None
    assert "every layer that runs uses all of its weight" in reason
    assert "declare needs = ()" in reason
    with pytest.raises(SplitbenchError, match="cannot serve the space elastic"):
        terms(naive, network_of(trained_like(), SMALLEST))
    naive.needs = ()  # type: ignore[attr-defined]
    assert terms(naive, network_of(trained_like(), SMALLEST))[0] > SPACE.parameters(SMALLEST)


# --- criteria, trainers, edge rules, selectors ------------------------------------------------------------------------

UNFIT = {
    "gradient_contribution": "the operations of an edge have modules of their own",
    "nonlinearity": "a cell that repeats",
}
QUICK: dict[str, dict[str, Any]] = {
    "gm": {"repetitions": 2},
    "lid": {"repetitions": 2, "neighbours": 4},
    "output_distance": {"repetitions": 2},
    "perturbation": {"repetitions": 2, "images": 24},
    "zero_cost": {"repetitions": 2, "proxy": "snip"},
    "given": {"edge": 0, "groups": [[0], [1]]},
    "hierarchy": {"of": {"name": "gm", "repetitions": 2}},
    "inverted": {"of": {"name": "gm", "repetitions": 2}},
}


@pytest.mark.parametrize("name", [name for name in CRITERIA if name not in UNFIT and name != "none"])
def test_a_criterion_passes_the_suite(name: str) -> None:
    criterion = build("criteria", {"name": name, **QUICK.get(name, {})}, "criterion")
    laboratory = CriterionLaboratory(criterion, SPACE, DATA)
    laboratory.runs()
    laboratory.traces()
    laboratory.affinity()
    laboratory.determinism()
    laboratory.cost()


@pytest.mark.parametrize("name", list(UNFIT))
def test_a_criterion_says_why_it_cannot_serve(name: str) -> None:
    reason = unfit(build("criteria", name, "criterion"), SPACE)
    assert reason is not None
    assert UNFIT[name] in reason


def test_wrappers_and_zero_cost_pass_on_why_not() -> None:
    for spec in (
        {"name": "inverted", "of": "gradient_contribution"},
        {"name": "zero_cost", "proxy": "tpc"},
        {"name": "metric_driven", "of": {"name": "zero_cost", "proxy": "tpc"}},
    ):
        reason = unfit(build("criteria", spec, "criterion"), SPACE)
        assert reason is not None
        assert "modules of their own" in reason


def test_gradient_matching_compares_the_common_slice() -> None:
    """By hand, from stand-alone gradients: what only the larger kernel uses does not enter its length."""
    edge, supernet, trainer = 1, trained_like(), Rsps(batch_size=16)
    probe = SupernetProbe(SPACE, SPACE.root(), supernet, DATA, trainer, {}, 3, 0, Meter())
    context = probe.context(edge, 0)
    images, labels = probe.batch(0)
    vectors = []
    for op in (0, 1):
        assert isinstance(context, tuple)
        path = (*context[:edge], op, *context[edge + 1 :])
        alone = extracted(supernet, SPACE.function(path))
        functional.cross_entropy(alone(images, path), labels).backward()  # type: ignore[no-untyped-call]
        gradients = {name: p.grad for name, p in alone.named_parameters() if p.grad is not None}
        kernel = gradients["stages.0.slots.0.spatial.weight"]
        if op == 1:
            gradients["stages.0.slots.0.spatial.weight"] = kernel[:, :, 1:-1, 1:-1]
        vectors.append(torch.cat([gradients[name].flatten() for name in sorted(gradients)]).double())
    cosine = float(functional.cosine_similarity(*vectors, dim=0))
    affinity = GradientMatching(repetitions=1)(probe, edge)
    assert affinity.dissimilarity[0, 1] == pytest.approx(1 - cosine, abs=1e-5)
    found = probe.gradient(edge, 0, 0, context)
    assert found is not None
    assert len(found) == sum(probe.lengths(edge)) == sum(w.view.numel() for w in supernet.shared_weights(edge))


def test_gradient_matching_compares_what_the_subspace_still_shares() -> None:
    edge, supernet, trainer = 2, trained_like(), Rsps(batch_size=16)
    lengths = {}
    for operations in ((0, 1, 2), (1, 2)):
        narrow = SPACE.root().only(edge, operations)
        probe = SupernetProbe(SPACE, narrow, supernet, DATA, trainer, {}, 3, 0, Meter())
        lengths[operations] = sum(probe.lengths(edge))
    slot = {width: width * (3 + 25 + 3 + 4) for width in (2, 4)}
    assert lengths[1, 2] - lengths[0, 1, 2] == slot[4] - slot[2]


@pytest.mark.parametrize("trainer", [Rsps(batch_size=8), Darts(batch_size=8)], ids=["rsps", "darts"])
def test_trainers(trainer: Any) -> None:
    check_trainer(trainer, SPACE, DATA, steps=8)


@pytest.mark.parametrize("name", sorted(set(components("edge_rules"))))
def test_edge_rules(name: str) -> None:
    check_choice(build("edge_rules", name, "edge rule"), SPACE)


class Asked:
    """A search of one leaf whose estimates cost nothing."""

    left = float("inf")

    def __init__(self, leaf: LeafToSearch, evaluate: Callable[[Any], tuple[float, float]], weights: Any = None) -> None:
        self.leaf, self.evaluate, self.architecture_weights = leaf, evaluate, weights

    def price(self, choice: Any) -> float:
        return 0.0

    def train(self, steps: int, position: float) -> int:
        raise AssertionError("none of these selectors trains")


def test_selectors_by_brute_force() -> None:
    """Each answers with the best of what it says that it looks at, in a leaf and by the leaf's own functions."""
    supernet, images = trained_like(), DATA.images["validation"]
    leaf_space = SPACE.root().only(0, (1,)).only(2, (0, 2)).only(5, (0,)).only(6, (0,)).only(7, (1,)).only(4, (0, 1))
    rows = SPACE.functions(leaf_space)
    assert len(rows) == sum(SPACE.function(a) == a for a in itertools.product(*leaf_space.allowed)) == 16
    leaf = LeafToSearch(SPACE, leaf_space, 0, 1, rows, 7)

    def evaluate(choice: Architecture | Mixture) -> tuple[float, float]:
        with torch.no_grad():
            loss = functional.cross_entropy(supernet(images, choice), DATA.labels["validation"])
        return 0.0, float(loss)

    everything = {tuple(row): evaluate(tuple(row))[1] for row in rows.tolist()}
    best = min(everything, key=lambda a: everything[a])
    assert All().select(Asked(leaf, evaluate)).architecture == best
    few = RandomBest(samples=5)
    assert set(few.plan(leaf)) <= set(everything)
    assert few.select(Asked(leaf, evaluate)).architecture == min(few.plan(leaf), key=lambda a: everything[a])
    alpha = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    found = ArgmaxAlpha().select(Asked(leaf, evaluate, alpha))
    assert leaf_space.contains(found.architecture)
    for edge, operations in enumerate(leaf_space.allowed):
        assert alpha[edge, found.architecture[edge]] == max(alpha[edge, op] for op in operations)


# --- training ---------------------------------------------------------------------------------------------------------


def test_weight_decay_and_momentum_act_on_the_whole_of_a_sliced_tensor() -> None:
    """As in Once-for-All's released code: the rest of a tensor of which a slice ran has gradient zero. A slot that did
    not run is left alone."""
    rate, decay, momentum = 0.1, 0.01, 0.9
    trainer = Rsps(batch_size=8, learning_rate=rate, final_learning_rate=rate, momentum=momentum, weight_decay=decay)
    small = SPACE.root()
    for edge, op in enumerate(SMALLEST):
        small = small.only(edge, [op])
    supernet = trained_like()
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    session = trainer.open(Job(SPACE, small, supernet, DATA, 0, Meter()))
    buffers, expected = {}, {}
    for step in range(2):
        session.step(step, step / 2)
        for name, start in before.items():
            weight = expected.get(name, start)
            gradient = decay * weight
            buffers[name] = gradient if step == 0 else momentum * buffers[name] + gradient
            expected[name] = weight - rate * (gradient + momentum * buffers[name])  # Nesterov's
    active = {w.name: w for w in supernet.active_weights(SMALLEST)}
    for name, parameter in supernet.named_parameters():
        if name not in active:
            assert torch.equal(parameter, before[name]), name
            continue
        outside = torch.ones(parameter.shape, dtype=torch.bool)
        active[name].part(outside).fill_(False)
        torch.testing.assert_close(parameter[outside], expected[name][outside], rtol=1e-5, atol=1e-7)
        if parameter.dim() > 1:  # shifts in front of a normalisation have no gradient
            moved = not torch.allclose(parameter[~outside], expected[name][~outside], rtol=1e-5, atol=1e-7)
            assert moved, name


def test_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the study file to the leaderboard, with a criterion that cannot serve reported as skipped."""
    monkeypatch.setattr(registry, "_registered", {})
    registry.register("spaces", "elastic")(Elastic)
    arms = ["none", {"criterion": "gm", "repetitions": 2}, "gradient_contribution"]
    splitbench.run(
        tiny(space="elastic", arms=arms, budget={"steps": 120}), tmp_path, device="cpu", watcher=(notes := Notes())
    )
    assert [record.arm for record in notes.records] == ["none", "gm(repetitions=2)"]
    skipped = [text for path in tmp_path.rglob("*.json") if "modules of their own" in (text := path.read_text())]
    assert any("gradient_contribution" in text for text in skipped)
