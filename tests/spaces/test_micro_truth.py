"""Micro's committed ground truth: what it holds, and that its build script gives it again."""

from __future__ import annotations

import hashlib
import itertools
import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from splitbench.spaces.datasets.digits import SIZES, digits
from splitbench.spaces.micro import build
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.micro.truth import read

SPACE = Micro()
BETWEEN_SEEDS = 0.7869
FLOPS = 0.6632


def test_every_function_has_three_seeds() -> None:
    architectures, columns = read()
    assert [tuple(row) for row in architectures.tolist()] == build.all_functions()
    assert len(architectures) == 9_445
    for name, values in columns.items():
        assert values.shape == (9_445, 3)
        assert np.isfinite(values).all(), name


def test_provenance_belongs_to_the_table() -> None:
    provenance = json.loads(build.TABLE.with_suffix(".json").read_text())
    assert provenance["sha256"] == hashlib.sha256(build.TABLE.read_bytes()).hexdigest()
    assert provenance["protocol"] == {"images": SIZES, "epochs": 10, "batch": 64, "peak_learning_rate": 0.1}
    assert build.TABLE.stat().st_size < 3_000_000


def test_training_validation_and_test_images_are_disjoint() -> None:
    seen = [{image.numpy().tobytes() for image in digits(part)[0]} for part in SIZES]
    assert all(a.isdisjoint(b) for a, b in itertools.combinations(seen, 2))
    assert {part: len(digits(part)[1]) for part in SIZES} == SIZES


def test_between_seed_tau_and_flops() -> None:
    """The figures that README and docs give, on all 9,444 connected functions."""
    truth = SPACE.ground_truth("digits")
    functions = SPACE.functions(SPACE.root())
    seeds = truth.per_seed(functions)
    between = np.mean([kendalltau(seeds[:, i], seeds[:, j])[0] for i, j in itertools.combinations(range(3), 2)])
    flops = kendalltau([SPACE.macs(tuple(a)) for a in functions.tolist()], truth.test(functions))[0]
    assert between == pytest.approx(BETWEEN_SEEDS, abs=5e-4)
    assert flops == pytest.approx(FLOPS, abs=5e-4)


@pytest.mark.parametrize("architecture", [(3, 0, 0, 4, 3, 0), (1, 2, 4, 4, 1, 2), (0, 0, 0, 3, 0, 0)])
def test_the_script_gives_the_table_again(architecture: tuple[int, ...]) -> None:
    """To the noise of another machine's arithmetic: the same seeds, so far closer than two seeds are."""
    data = {part: digits(part) for part in SIZES}
    again = build.train(architecture, data)
    _, columns = read()
    row = build.all_functions().index(architecture)
    assert np.abs(again[:, 0] - columns["validation_accuracy"][row]).max() < 1.5
    assert np.abs(again[:, 2] - columns["test_accuracy"][row]).max() < 1.5
    assert np.abs(again[:, 3] - columns["test_loss"][row]).max() < 0.05
