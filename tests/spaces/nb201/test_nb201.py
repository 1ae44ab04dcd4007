"""The space nb201: topology, supernet, analytic counts, and the benchmark's published numbers."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau, spearmanr
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from splitbench.harness.errors import ConfigError, DataError
from splitbench.harness.registry import build
from splitbench.spaces.base import Architecture, Mixture, SubSpace
from splitbench.spaces.cells import CONV1, CONV3, EDGES, NONE, POOL, SKIP, SupernetCell
from splitbench.spaces.files import sources
from splitbench.spaces.nb201.space import NB201, NB201Network

SMALL = NB201(channels=4, cells=1, image_size=8)
ALL = list(itertools.product(range(5), repeat=6))


@pytest.fixture(autouse=True, scope="module")
def nothing_imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPLITBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def images(space: NB201, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, space.image_size, space.image_size, generator=generator)


def drawn(count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [tuple(map(int, row)) for row in rng.integers(0, 5, (count, 6))]


def counted(network: NB201Network, x: torch.Tensor, choice: Architecture | Mixture) -> tuple[int, int]:
    """FLOPs an image, forward and backward, as torch counts them."""
    with FlopCounterMode(display=False) as forward:
        loss = functional.cross_entropy(network(x, choice), torch.zeros(len(x), dtype=torch.int64))
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops() // len(x), backward.get_total_flops() // len(x)


def test_flops_equal_torchs_count_forward_and_backward() -> None:
    disconnected = [(NONE,) * 6, (CONV3, NONE, NONE, NONE, NONE, NONE), (NONE, NONE, CONV1, NONE, CONV3, POOL)]
    network, x = SMALL.supernet(0), images(SMALL)
    for architecture in drawn(50) + disconnected:
        flops = SMALL.flops(architecture)
        assert counted(network, x, architecture) == (flops.forward, flops.backward), architecture
        assert SMALL.connected(architecture) == (architecture not in disconnected)


@pytest.mark.parametrize("cells", [1, 2])
def test_flops_of_mixtures_equal_torchs_count(cells: int) -> None:
    space = replace(SMALL, cells=cells)
    network, x = space.supernet(0), images(space)
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(1))
    part = SubSpace(((0, 3), (0,), (1, 2), (0, 2, 4), (3,), (0, 1, 2, 3, 4)))
    cut_off = SubSpace(((0, 3), (0, 2), (1, 2), (0,), (0,), (0,)))
    for active in (space.root(), part, cut_off):
        flops = space.flops(Mixture(active, weights))
        assert counted(network, x, Mixture(active, weights)) == (flops.forward, flops.backward)


def test_15284_connected_strings_and_9445_functions() -> None:
    space = NB201()
    assert sum(space.connected(a) for a in ALL) == 15_284
    functions = {space.function(a) for a in ALL}
    assert len(functions) == 9_445  # the empty function, which all disconnected strings are, counts once
    rows = space.functions(space.root())
    assert {tuple(row) for row in rows.tolist()} == functions - {(NONE,) * 6}


def naive(network: NB201Network, x: torch.Tensor, architecture: Architecture) -> torch.Tensor:
    """Every operation of the string runs, dead or not, and ``none`` is a multiplication by zero."""
    x = network.stem(x)
    for layer in network.body:
        if not isinstance(layer, SupernetCell):
            x = layer(x)
            continue
        nodes = [x, *[torch.zeros_like(x)] * 3]
        for edge, (source, target) in enumerate(EDGES):
            op = architecture[edge]
            y = nodes[source] * 0 if op == NONE else layer.edges[edge][str(op)](nodes[source])
            nodes[target] = nodes[target] + y
        x = nodes[3]
    return network.classifier(network.tail(x).flatten(1))


def test_a_path_gives_the_logits_of_its_function_and_of_the_string_run_in_full() -> None:
    network, x = SMALL.supernet(3), images(SMALL)
    dead = [(CONV3, NONE, NONE, SKIP, NONE, NONE), (NONE, CONV1, CONV3, NONE, POOL, CONV3), (CONV3, *(NONE,) * 5)]
    for architecture in drawn(20, seed=5) + dead:
        with torch.no_grad():
            logits = network(x, architecture)
            torch.testing.assert_close(logits, network(x, SMALL.function(architecture)), rtol=0, atol=0)
            torch.testing.assert_close(logits, naive(network, x, architecture), rtol=1e-4, atol=1e-5)
    assert all(SMALL.function(a) != a for a in dead)


def test_a_mixture_with_one_hot_weights_equals_the_path() -> None:
    network, x = SMALL.supernet(3), images(SMALL)
    for architecture in drawn(10, seed=7):
        weights = functional.one_hot(torch.tensor(architecture), 5).float()
        with torch.no_grad():
            mixture = network(x, Mixture(SMALL.root(), weights))
            torch.testing.assert_close(mixture, network(x, architecture), rtol=1e-4, atol=1e-5)


def test_a_seed_fixes_the_weights_and_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    first, second, other = SMALL.supernet(1), SMALL.supernet(1), SMALL.supernet(2)
    assert torch.equal(state, torch.get_rng_state())
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not any(torch.equal(a, c) for a, _, c in pairs)


def test_residual_blocks_are_shared_but_not_outer_and_edges_are_neither() -> None:
    network = NB201(channels=4, cells=2, image_size=8).supernet(0)
    everything = dict(network.named_parameters())
    inner = {name for name, _ in network.shared_parameters(2, outer=False)}
    on_edge = {name for name, _ in network.edge_parameters(2)}
    outer = {name for name, _ in network.outer_parameters()}
    assert outer == {"stem.0.weight", "classifier.weight", "classifier.bias"}
    assert inner | on_edge | outer == set(everything)
    assert len(inner) + len(on_edge) + len(outer) == len(everything)
    assert len(on_edge) == 2 * 6  # two convolutions an edge in six cells
    blocks = {name.split(".")[1] for name in inner if ".edges." not in name}
    assert blocks == {"2", "5"}  # behind the second and the fourth cell


def test_both_notations_are_read() -> None:
    space = NB201()
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    assert space.decode(text) == space.decode("301423") == (CONV3, NONE, SKIP, POOL, CONV1, CONV3)
    assert space.encode(space.decode(text)) == "301423"


@pytest.mark.parametrize(
    "text",
    [
        "30142",
        "301425",
        "|nor_conv_3x3~0|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~3|",
        "|sep_conv~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|",
        "|none~0+none~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_what_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nb201"):
        NB201().decode(text)


def test_bind_takes_the_datasets_images_and_classes() -> None:
    bound = NB201(channels=4, cells=2).bind((3, 16, 16), 100)
    assert bound == NB201(channels=4, cells=2, image_size=16, classes=100)
    assert bound.supernet(0)(images(bound), (SKIP,) * 6).shape == (3, 100)
    for shape in ((1, 8, 8), (3, 16, 8), (3, 6, 6)):
        with pytest.raises(ConfigError):
            NB201().bind(shape, 10)


@pytest.mark.parametrize(
    "wrong", [{"channels": 0}, {"cells": 0}, {"image_size": 30}, {"image_size": 0}, {"classes": 1}]
)
def test_wrong_parameters_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        NB201(**wrong)


# What the benchmark published. All correlations are on all 15,625 strings (disconnected ones included) against the
# table's mean accuracies after 200 epochs, in full precision: tau-b and Spearman, equal FLOPs being ties.

DATASETS = {"cifar10": ("c10", 32, 10), "cifar100": ("c100", 32, 100), "imagenet16": ("in16", 16, 120)}


@pytest.fixture(scope="module")
def frame(real_data: Path) -> pd.DataFrame:
    return sources.truth_table("nb201")


@pytest.mark.real_data
@pytest.mark.parametrize("dataset", DATASETS)
def test_analytic_macs_and_parameters_equal_the_tables(frame: pd.DataFrame, dataset: str) -> None:
    prefix, size, classes = DATASETS[dataset]
    space = NB201().bind((3, size, size), classes)
    architectures = [space.decode(text) for text in frame["architecture"]]
    for name, count in (("macs", space.macs), ("params", space.parameters)):
        table = np.rint(frame[f"{prefix}_{name}_M"].to_numpy() * 1e6).astype(int)
        np.testing.assert_array_equal([count(a) for a in architectures], table)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("dataset", "best", "against_200", "flops_tau"),
    [("cifar10", 89.16, 0.700, 0.383), ("cifar100", 61.18, 0.644, 0.354), ("imagenet16", 38.27, 0.635, 0.298)],
)
def test_the_recipe_of_12_epochs_is_a_truth_of_its_own(
    real_data: Path, dataset: str, best: float, against_200: float, flops_tau: float
) -> None:
    """Against the file itself, read here."""
    prefix = {"cifar10": "c10", "cifar100": "c100", "imagenet16": "in16"}[dataset]
    file = pd.read_csv(real_data / "nb201" / "nb201.csv.gz", dtype={"ops": str})
    cells = [tuple(map(int, text)) for text in file["ops"]]
    short, long = (NB201(recipe=recipe).ground_truth(dataset) for recipe in (12, 200))
    np.testing.assert_array_equal(short.test(cells), file[f"{prefix}_test_12"])
    np.testing.assert_array_equal(short.validation(cells), file[f"{prefix}_val_12"])
    np.testing.assert_array_equal(long.test(cells), file[f"{prefix}_test_200"])
    assert short.per_seed(cells).shape == (15_625, 0)
    assert short.identity != long.identity
    assert "12 epochs" in short.source
    assert short.best() == pytest.approx(best, abs=0.005)
    assert kendalltau(short.test(ALL), long.test(ALL)).statistic == pytest.approx(against_200, abs=0.0006)
    macs = [NB201().macs(a) for a in ALL]
    assert kendalltau(macs, short.test(ALL)).statistic == pytest.approx(flops_tau, abs=0.0006)


def test_a_table_without_the_recipe_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.DataFrame({"architecture": ["000000"], "c10_test": [10.0]})
    monkeypatch.setattr(sources, "truth_table", lambda name: table)
    with pytest.raises(DataError, match="no trainings of 12 epochs; import it again .*or choose recipe: 200"):
        NB201(recipe=12).ground_truth("cifar10")


def test_other_recipes_are_refused() -> None:
    with pytest.raises(ConfigError, match="recipe: input should be 12 or 200"):
        build("spaces", {"name": "nb201", "recipe": 100})


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("dataset", "best", "flops_tau", "flops_rho", "convolutions_tau", "valid_test_tau", "best_of_8"),
    [
        ("cifar10", 94.37, 0.578, 0.753, 0.580, 0.894, 92.97),
        ("cifar100", 73.51, 0.553, 0.728, 0.594, 0.937, 69.58),
        ("imagenet16", 47.31, 0.520, 0.692, 0.575, 0.941, 42.99),
    ],
)
def test_known_facts(
    real_data: Path,
    dataset: str,
    best: float,
    flops_tau: float,
    flops_rho: float,
    convolutions_tau: float,
    valid_test_tau: float,
    best_of_8: float,
) -> None:
    _, size, classes = DATASETS[dataset]
    space = NB201().bind((3, size, size), classes)
    truth = space.ground_truth(dataset)
    assert truth.architectures.shape == (15_625, 6)
    validation, test = truth.validation(ALL), truth.test(ALL)
    macs = [space.macs(a) for a in ALL]
    assert test.max() == pytest.approx(best, abs=0.005)
    assert kendalltau(macs, test).statistic == pytest.approx(flops_tau, abs=0.0006)
    assert spearmanr(macs, test).statistic == pytest.approx(flops_rho, abs=0.0006)
    convolutions = [space.convolutions(a) for a in ALL]
    assert kendalltau(convolutions, test).statistic == pytest.approx(convolutions_tau, abs=0.0006)
    assert kendalltau(validation, test).statistic == pytest.approx(valid_test_tau, abs=0.0006)
    share = np.arange(len(test) + 1) / len(test)  # with replacement: P(maximum is among the r worst) = (r / n) ** 8
    assert np.sort(test) @ np.diff(share**8) == pytest.approx(best_of_8, abs=0.005)


@pytest.mark.real_data
def test_single_trainings_stand_in_the_row_of_their_architecture(real_data: Path) -> None:
    with np.load(real_data / "nb201" / "nb201_seeds.npz") as published:
        seeds = {name: published[name] for name in published.files}
    table = pd.read_csv(real_data / "nb201" / "nb201.csv.gz", dtype={"ops": str})
    rows = np.random.default_rng(0).choice(15_625, 200, replace=False)
    for dataset, (prefix, _, _) in DATASETS.items():
        truth = NB201().ground_truth(dataset)
        architectures = [NB201().decode(text) for text in table["arch_str"].iloc[rows]]
        np.testing.assert_array_equal(truth.per_seed(architectures), seeds[f"{prefix}_test_200"][rows])
        assert truth.validation_seeds is not None
        np.testing.assert_array_equal(truth.validation_seeds, seeds[f"{prefix}_val_200"])
        np.testing.assert_array_equal(truth.test(architectures), table[f"{prefix}_test_200"].iloc[rows])
        np.testing.assert_allclose(np.nanmean(truth.validation_seeds, axis=1), table[f"{prefix}_val_200"], atol=1e-4)


def test_no_truth_on_other_datasets() -> None:
    with pytest.raises(ConfigError, match="imagenet16"):
        NB201().ground_truth("digits")
