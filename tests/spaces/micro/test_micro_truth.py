"""Micro's committed ground truth: what it holds, and that its build script gives it again."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from retraining import ALPHA, Floats, p_value
from scipy.stats import kendalltau
from torch import Tensor

from splitbench.spaces.datasets.digits import SIZES, digits
from splitbench.spaces.micro import build
from splitbench.spaces.micro.build import RECIPES, SHORT, Metrics, Recipe, seed_of, trained_rows
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.micro.truth import read_table

SPACE = Micro()
BETWEEN_SEEDS = 0.7869
FLOPS = 0.6632


@pytest.mark.portable
def test_every_function_has_three_seeds() -> None:
    architectures, columns = read_table()
    assert [tuple(row) for row in architectures.tolist()] == build.all_functions()
    assert len(architectures) == 9_445
    for name, values in columns.items():
        assert values.shape == (9_445, 3)
        assert np.isfinite(values).all(), name


@pytest.mark.portable
def test_provenance_belongs_to_the_table() -> None:
    provenance = json.loads(build.TABLE.with_suffix(".json").read_text())
    assert provenance["sha256"] == hashlib.sha256(build.TABLE.read_bytes()).hexdigest()
    assert provenance["protocol"] == {"images": SIZES, "epochs": 10, "batch": 64, "peak_learning_rate": 0.1}
    assert build.TABLE.stat().st_size < 3_000_000


@pytest.mark.portable
def test_training_validation_and_test_images_are_disjoint() -> None:
    seen = [{image.numpy().tobytes() for image in digits(part)[0]} for part in SIZES]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(seen, 2))
    assert {part: len(digits(part)[1]) for part in SIZES} == SIZES


@pytest.mark.portable
def test_between_seed_tau_and_flops() -> None:
    """The figures that README and docs give, on all 9,444 connected functions."""
    truth = SPACE.ground_truth("digits")
    functions = SPACE.functions(SPACE.root())
    seeds = truth.per_seed(functions)
    between = np.mean([kendalltau(seeds[:, i], seeds[:, j])[0] for i, j in itertools.combinations(range(3), 2)])
    flops = kendalltau([SPACE.macs(tuple(a)) for a in functions.tolist()], truth.test(functions))[0]
    assert between == pytest.approx(BETWEEN_SEEDS, abs=5e-4)
    assert flops == pytest.approx(FLOPS, abs=5e-4)


@pytest.mark.portable
def test_recipes_train_for_the_stated_number_of_steps() -> None:
    assert {name: recipe.steps for name, recipe in RECIPES.items()} == {"short": 31, "long": 312}


@pytest.mark.portable
def test_the_long_recipe_trains_a_part_of_the_functions_with_seeds_of_its_own() -> None:
    everything, part = trained_rows(SHORT), trained_rows(RECIPES["long"])
    assert sorted(everything.tolist()) == list(range(9_445))
    assert part.tolist() == everything[:1000].tolist()
    assert all(seed_of(a, SHORT) != seed_of(a, RECIPES["long"]) for a in FUNCTIONS)


@pytest.mark.portable
def test_a_second_start_goes_on_and_a_table_is_collected_when_whole(tmp_path: Path) -> None:
    """A recipe of one step and four functions, in chunks of two."""
    tiny = Recipe(1, 4, 2, tmp_path / "tiny.parquet", "tiny")
    work = tmp_path / "work"
    build.train_chunks(work, 0, 2, tiny)  # the first of two parts: one chunk
    with pytest.raises(SystemExit, match="2 of 4 functions are not trained yet"):
        build.collect(work, tiny)
    first = (work / "chunk0000.npz").stat().st_mtime_ns
    build.train_chunks(work, 0, 1, tiny)
    assert (work / "chunk0000.npz").stat().st_mtime_ns == first
    build.collect(work, tiny)
    architectures, columns = read_table(tiny.table)
    rows = np.sort(trained_rows(tiny))
    assert [tuple(row) for row in architectures.tolist()] == [build.all_functions()[row] for row in rows]
    assert all(values.shape == (4, 3) and np.isfinite(values).all() for values in columns.values())


# -- the script gives the table again ----------------------------------------------------------------------------------

FUNCTIONS = [(3, 4, 0, 0, 2, 3), (3, 0, 2, 3, 1, 3), (3, 3, 0, 3, 4, 2), (1, 0, 2, 0, 0, 3), (4, 1, 3, 3, 2, 3)]
"""Drawn among those with a mean test accuracy above 80%, whose seeds lie close together: a defect shows soonest."""
IMAGES = "d39698ae53ef"


def losses(metrics: Metrics) -> Floats:
    """[..., 4] as ``build.train`` gives them -> the mean of validation and test loss: finer than accuracies are."""
    return metrics[..., [1, 3]].astype(np.float64).mean(axis=-1)


@pytest.fixture(scope="module")
def data() -> dict[str, tuple[Tensor, Tensor]]:
    return {part: digits(part) for part in SIZES}


@pytest.fixture(scope="module")
def table() -> Floats:
    """[F, 3]: what the committed table says of FUNCTIONS."""
    _, columns = read_table()
    rows = [build.all_functions().index(architecture) for architecture in FUNCTIONS]
    return (columns["validation_loss"][rows] + columns["test_loss"][rows]) / 2


def retrained(data: dict[str, tuple[Tensor, Tensor]], recipe: Recipe = SHORT) -> Metrics:
    return np.stack([build.train(architecture, data, recipe) for architecture in FUNCTIONS])


@pytest.mark.portable
def test_the_images_are_those_of_the_table(data: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Exact arithmetic, once the last digits of their normalisation are rounded away."""
    found = hashlib.sha256()
    for part in SIZES:
        found.update(torch.round(data[part][0].double() * 1024).contiguous().numpy().tobytes())
    assert found.hexdigest().startswith(IMAGES)


@pytest.mark.portable
def test_the_script_gives_the_table_again(data: dict[str, tuple[Tensor, Tensor]], table: Floats) -> None:
    """On any CPU, with a rate of false alarms of ALPHA (retraining.py), and accuracies are of the right images."""
    again = retrained(data)
    for column, part in ((0, "validation"), (2, "test")):
        hits = again[..., column].astype(np.float64) * SIZES[part] / 100
        assert np.abs(hits - hits.round()).max() < 1e-3, f"{part} accuracy is not one of {SIZES[part]} images"
    p = p_value(table, losses(again))
    assert p > ALPHA, f"p = {p:.1e}: the retrained functions are not draws from the recipe of the table"


@pytest.mark.parametrize("defect", ["a learning rate of .07", "eight epochs", "mirrored images"])
def test_another_recipe_is_told_from_it(defect: str, data: dict[str, tuple[Tensor, Tensor]], table: Floats) -> None:
    recipe = SHORT
    if defect == "a learning rate of .07":
        recipe = replace(SHORT, peak_rate=0.07)
    elif defect == "eight epochs":
        recipe = replace(SHORT, epochs=8)
    else:
        images, labels = data["train"]
        data = {**data, "train": (images.flip(3), labels)}
    assert p_value(table, losses(retrained(data, recipe))) <= ALPHA


@pytest.mark.portable
def test_false_alarms_are_as_rare_as_stated(table: Floats) -> None:
    """Another machine at worst gives other seeds: six draws a function, of the spread that its table has."""
    rng = np.random.default_rng(0)
    mean, deviation = table.mean(axis=1)[:, None, None], table.std(axis=1, ddof=1)[:, None, None]
    draws = mean + deviation * rng.standard_t(5, (len(FUNCTIONS), 1000, 6))
    ps = np.array([p_value(draws[:, i, :3], draws[:, i, 3:]) for i in range(1000)])
    for level in (0.01, 0.05, 0.2):
        rate = (ps <= level).mean()
        assert abs(rate - level) < 4 * np.sqrt(level * (1 - level) / 1000), level
    assert ps.min() > ALPHA


@pytest.mark.portable
def test_what_came_out_alike_is_no_alarm(table: Floats) -> None:
    assert p_value(table, table) == 1.0
    assert p_value(table, table + 1e-6) > 0.5
