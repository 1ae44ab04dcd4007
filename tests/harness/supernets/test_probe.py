"""The probe that criteria get: paired batches and contexts, gradients by autograd, and every pass charged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from exact import exact_images, exact_weights
from probed_spaces import BATCH, MICRO, SEED, SPACES, WEIGHTS, probe_of
from torch.nn import functional

from splitbench.criteria.gm import GradientMatching
from splitbench.harness.budget import Cost, forward_pass, training_pass
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.seeds import at_step
from splitbench.harness.supernets.probe import with_operation
from splitbench.harness.testing import counting_flops, subspaces
from splitbench.harness.trainers.base import Trainer
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.datasets.digits import Digits
from splitbench.spaces.micro.space import Micro


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return Digits().load(torch.device("cpu"))


# --- gm through the real probe, against autograd by hand -----


def by_hand(data: ImageData, edge: int, operations: tuple[int, ...], repetitions: int, subspace: SubSpace) -> Any:
    """1 - cosine of the shared weights' gradients: mean and standard error, [n, n] each.

    Contexts are drawn anew here, from the definition: the first uniform connected path that stays connected whatever
    operation runs on the edge; ``none`` may cut it, and is then not compared in this repetition.
    """
    samples = []
    for r in range(repetitions):
        images, labels = data.batch("train", SEED, r, BATCH)
        rng = at_step(SEED + 1, r)
        while True:
            context = MICRO.sample(rng, subspace)
            paths = {op: context[:edge] + (op,) + context[edge + 1 :] for op in operations}
            if all(MICRO.connected(path) for op, path in paths.items() if op != 0):
                break
        gradients = []
        for op in operations:
            network = MICRO.supernet(WEIGHTS)
            weights = [p for name, p in network.named_parameters() if f".edges.{edge}." not in name]
            loss = functional.cross_entropy(network(images, paths[op]), labels)
            found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            flat = torch.cat([g.flatten() for g in found]).double().numpy()
            gradients.append(flat / np.linalg.norm(flat) if MICRO.connected(paths[op]) else np.full_like(flat, np.nan))
        sample = 1 - np.array(gradients) @ np.array(gradients).T
        np.fill_diagonal(sample, 0.0)
        samples.append(sample)
    stack = np.array(samples)
    count = (~np.isnan(stack)).sum(axis=0)
    assert count.min() > 1
    return np.nanmean(stack, axis=0), np.nanstd(stack, axis=0, ddof=1) / np.sqrt(count)


@pytest.mark.portable
@pytest.mark.parametrize("edge", [0, 3, 5])
@pytest.mark.parametrize("narrowed", [False, True])
def test_gm_equals_autograd_by_hand(digits: ImageData, edge: int, narrowed: bool) -> None:
    subspace = MICRO.root().only(1, (1, 3, 4)).only(5, (0, 2, 3)) if narrowed else MICRO.root()
    probe, _ = probe_of(digits, subspace=subspace)
    affinity = GradientMatching(repetitions=4)(probe, edge)
    mean, error = by_hand(digits, edge, subspace.allowed[edge], 4, subspace)
    assert affinity.operations == subspace.allowed[edge]
    np.testing.assert_allclose(affinity.dissimilarity, mean, atol=1e-6)
    np.testing.assert_allclose(affinity.standard_error, error, atol=1e-6)
    assert affinity.dissimilarity.max() > 0.05


GOLDEN = [0.5597902, 0.7748945, 0.6822819, 0.602554, 0.7428968, 0.6713185, 0.3254617, 0.7952731, 0.7913542, 0.8604646]


@pytest.mark.portable
def test_golden_affinity(digits: ImageData) -> None:
    """Of gm on edge 3, from weights and images that are the same on every machine."""
    probe, _ = probe_of(exact_images(digits))
    exact_weights(probe._supernet)
    affinity = GradientMatching(repetitions=5)(probe, 3)
    np.testing.assert_allclose(affinity.dissimilarity[np.triu_indices(5, 1)], GOLDEN, atol=1e-6)


# --- pairing ----------------------------------------------------------------------------------------------------------


def test_batches_are_training_images_paired_over_everything(digits: ImageData) -> None:
    """A repetition's batch depends on the node's seed alone: not on edge, subspace, trainer or draw."""
    first, _ = probe_of(digits)
    others = [
        probe_of(digits, subspace=MICRO.root().only(0, (1,)))[0],
        probe_of(digits, trainer=Darts(batch_size=BATCH))[0],
        probe_of(digits, draw=3)[0],
    ]
    for r in range(3):
        images, labels = first.batch(r)
        expected = digits.batch("train", SEED, r, BATCH)
        for probe in (first, *others):
            assert torch.equal(probe.batch(r)[0], images)
            assert torch.equal(probe.batch(r)[1], labels)
        assert torch.equal(images, expected[0])
    assert not torch.equal(first.batch(0)[0], first.batch(1)[0])
    assert not torch.equal(probe_of(digits, seed=SEED + 5)[0].batch(0)[0], first.batch(0)[0])


def test_contexts_are_paired_over_operations_and_edges(digits: ImageData) -> None:
    """One context a repetition, wherever it stays connected: edges differ only where a redraw was needed."""
    probe, _ = probe_of(digits)
    again, _ = probe_of(digits, draw=7)
    assert [probe.context(2, r) for r in range(5)] == [again.context(2, r) for r in range(5)]
    shared = 0
    for r in range(20):
        drawn = MICRO.sample(at_step(SEED + 1, r), MICRO.root())
        for edge in range(6):
            assert probe.context(edge, r, connected=False) == drawn
            shared += probe.context(edge, r) == drawn
    assert shared > 60


@pytest.mark.parametrize("edge", range(6))
def test_a_connected_context_is_connected_with_every_operation(digits: ImageData, edge: int) -> None:
    subspace = MICRO.root().only(3, (0, 2))
    probe, _ = probe_of(digits, subspace=subspace)
    for r in range(20):
        context = probe.context(edge, r)
        assert isinstance(context, tuple)
        assert subspace.contains(context)
        for op in subspace.allowed[edge]:
            assert op == 0 or MICRO.connected(context[:edge] + (op,) + context[edge + 1 :])


def test_a_part_that_nothing_connects_is_a_sentence(digits: ImageData) -> None:
    """Whatever runs on edge 0: the other edges allow no way to the output but through it, and edge 1 is skipped."""
    subspace = SubSpace(((1, 2), (0,), (0,), (1,), (0,), (0,)))
    probe, _ = probe_of(digits, subspace=subspace)
    assert probe.context(0, 0) in {(op, 0, 0, 1, 0, 0) for op in (1, 2)}
    cut = SubSpace(((0, 1), (0,), (0,), (0, 1), (0,), (0,)))
    with pytest.raises(SplitbenchError, match="edge 0: no context in .* is connected for all of its operations"):
        probe_of(digits, subspace=cut.only(3, (0,)).only(4, (0,)), trainer=Stubborn(batch_size=BATCH))[0].context(0, 0)


class Stubborn(Rsps):
    """Draws paths without looking whether they are connected."""

    def context(self, space: SearchSpace, subspace: SubSpace, state: Any, rng: np.random.Generator) -> Choice:
        return subspace.draw(rng)


def test_darts_contexts_are_the_trained_mixture(digits: ImageData) -> None:
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    subspace = MICRO.root().only(0, (1, 2))
    probe, _ = probe_of(digits, subspace=subspace, trainer=Darts(batch_size=BATCH), state={"alpha": alpha})
    context = probe.context(4, 0)
    assert isinstance(context, Mixture)
    assert torch.equal(context.weights, Micro().mixture(alpha, subspace).weights)
    alone = with_operation(context, 4, 3)
    assert isinstance(alone, Mixture)
    assert alone.active == subspace.only(4, (3,))
    assert alone.weights[4].tolist() == [0, 0, 0, 1, 0]
    assert torch.equal(alone.weights[:4], context.weights[:4])


def test_random_numbers_are_new_for_each_draw_and_purpose_alone(digits: ImageData) -> None:
    def numbers(purpose: str, **how: Any) -> list[float]:
        return [float(x) for x in probe_of(digits, **how)[0].rng(purpose).random(3)]

    assert numbers("a") == numbers("a") == numbers("a", trainer=Darts(batch_size=BATCH))
    assert len({tuple(n) for n in (numbers("a"), numbers("b"), numbers("a", draw=1), numbers("a", seed=SEED + 1))}) == 4


# --- charges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainer", [Rsps(batch_size=4), Darts(batch_size=4)], ids=["rsps", "darts"])
@pytest.mark.parametrize("space", list(SPACES))
def test_every_pass_is_charged_what_torch_counts(space: str, trainer: Trainer) -> None:
    searched, data = SPACES[space]
    for subspace in subspaces(searched)[:2]:
        probe, meter = probe_of(data, searched, subspace, trainer)
        for edge in (0, len(searched.edges) - 1):
            context = probe.context(edge, 0)
            for operation in subspace.allowed[edge]:
                meter.cost = Cost()
                with counting_flops() as counter:
                    gradient = probe.gradient(edge, operation, 0, context)
                ran = 0 if gradient is None else 1
                assert meter.cost == Cost(counter.get_total_flops(), ran, 4 * ran)
                meter.cost = Cost()
                with counting_flops() as counter:
                    probe.output(edge, operation, 0, context)
                assert meter.cost == Cost(counter.get_total_flops(), 1, 4)
                assert meter.cost.flops > 0


def test_gm_is_charged_a_training_pass_for_each_operation_and_repetition(digits: ImageData) -> None:
    for repetitions in (1, 2, 4):
        probe, meter = probe_of(digits)
        GradientMatching(repetitions=repetitions)(probe, 3)
        expected = Cost()
        for r in range(repetitions):
            context = probe.context(3, r)
            paths = [with_operation(context, 3, op) for op in range(5)]
            for path in paths:
                if MICRO.connected(path):  # type: ignore[arg-type]
                    expected += training_pass(MICRO, path, BATCH)
        assert meter.cost == expected
        assert 4 * repetitions <= expected.steps <= 5 * repetitions
        assert expected.examples == expected.steps * BATCH


def test_a_forward_pass_is_counted_in_steps_of_the_trainer() -> None:
    cost = forward_pass(MICRO, (1,) * 6, 100, 32)
    assert (cost.steps, cost.examples) == (4, 100)
    assert cost.flops == 100 * MICRO.flops((1,) * 6).forward


# --- gradients --------------------------------------------------------------------------------------------------------


def test_gradients_are_of_shared_weights_and_the_supernet_stays(digits: ImageData) -> None:
    probe, _ = probe_of(digits)
    before = {name: tensor.clone() for name, tensor in probe._supernet.state_dict().items()}
    for outer in (True, False):
        gradient = probe.gradient(1, 3, 0, (1, 0, 2, 3, 1, 4), outer)
        assert gradient is not None
        assert len(gradient) == sum(probe.lengths(1, outer))
        names = [name for name, _ in probe._supernet.shared_parameters(1, outer)]
        parts = dict(zip(names, torch.split(gradient, list(probe.lengths(1, outer))), strict=True))
        assert not any(".edges.1." in name for name in names)
        assert ("stem.0.weight" in names) is outer
        assert parts["body.0.edges.2.2.1.weight"].any()  # ran
        assert not parts["body.0.edges.2.3.1.weight"].any()  # did not
    assert all(torch.equal(tensor, before[name]) for name, tensor in probe._supernet.state_dict().items())


def test_gradients_do_not_add_up_over_calls(digits: ImageData) -> None:
    probe, _ = probe_of(digits)
    context = probe.context(0, 0)
    first = probe.gradient(0, 3, 0, context)
    probe.gradient(0, 2, 1, context)
    again = probe.gradient(0, 3, 0, context)
    assert first is not None
    assert again is not None
    assert torch.equal(first, again)


def test_a_network_without_a_way_through_does_not_run_and_costs_nothing(digits: ImageData) -> None:
    """Its images do not reach the loss: there is no gradient to compare."""
    probe, meter = probe_of(digits)
    cut = (0, 0, 0, 1, 0, 0)
    assert probe.gradient(3, 0, 0, cut) is None
    assert probe.gradient(3, 0, 0, cut, outer=False) is None
    assert meter.cost == Cost()
    assert probe.gradient(3, 1, 0, cut) is not None
    assert meter.cost.steps == 1


def test_outputs_are_the_supernets_logits(digits: ImageData) -> None:
    probe, _ = probe_of(digits)
    logits = probe.output(2, 3, 1, (1, 1, 0, 2, 4, 3))
    with torch.no_grad():
        expected = MICRO.supernet(WEIGHTS)(digits.batch("train", SEED, 1, BATCH)[0], (1, 1, 3, 2, 4, 3))
    assert torch.equal(logits, expected)
    assert not logits.requires_grad
