"""Micro: its ground-truth table (a made-up one here), and its fixed input."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.cells import canonical
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.micro.truth import load_micro, read_table

SEEDS = 3
NAMES = ("validation_accuracy", "validation_loss", "test_accuracy", "test_loss")


def all_functions() -> list[tuple[int, ...]]:
    return [a for a in itertools.product(range(5), repeat=6) if canonical(a) == a]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the build script's format; values say where they stand: row + 100,000 column + 0.25 seed."""
    functions = all_functions()
    frame = pd.DataFrame({"architecture": ["".join(map(str, a)) for a in functions]})
    for column, name in enumerate(NAMES):
        for seed in range(SEEDS):
            frame[f"{name}_{seed}"] = (np.arange(len(functions)) + 100_000 * column + 0.25 * seed).astype(np.float32)
    path = tmp_path_factory.mktemp("micro") / "table.parquet"
    frame.to_parquet(path, index=False, compression="zstd")
    write_provenance(path)
    return path


def write_provenance(path: Path, **changes: object) -> None:
    provenance = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "seeds": SEEDS} | changes
    path.with_suffix(".json").write_text(json.dumps(provenance))


def copy(table: Path, folder: Path) -> Path:
    for suffix in (".parquet", ".json"):
        (folder / f"table{suffix}").write_bytes(table.with_suffix(suffix).read_bytes())
    return folder / "table.parquet"


def test_every_function_has_its_row(table: Path) -> None:
    truth = load_micro("digits", table)
    functions = all_functions()
    assert len(functions) == 9445
    assert truth.has_validation
    assert truth.rows(functions).tolist() == list(range(9445))
    assert truth.test(functions[:3]).tolist() == [200_000.25, 200_001.25, 200_002.25]
    assert truth.validation(functions[-1:]).tolist() == [9444.25]
    assert truth.per_seed(functions[7:8]).tolist() == [[200_007, 200_007.25, 200_007.5]]
    space = Micro()
    assert len(space.functions(space.root())) == 9444  # connected ones: the empty function has a row, but no network
    assert len(truth.rows(space.functions(space.root()))) == 9444


def test_lookup_is_by_function(table: Path) -> None:
    truth = load_micro("digits", table)
    strings = list(itertools.product(range(5), repeat=6))
    rows = truth.rows(strings)
    assert len(set(rows.tolist())) == 9445
    for row, architecture in list(zip(rows, strings, strict=True))[::101]:
        assert tuple(truth.architectures[row]) == canonical(architecture)
    assert truth.rows([(3, 0, 0, 2, 0, 0)]) == truth.rows([(0, 0, 0, 2, 0, 0)])  # node 1 leads nowhere


def test_losses_come_with_the_table(table: Path) -> None:
    architectures, columns = read_table(table)
    assert architectures.dtype == np.int8
    assert set(columns) == set(NAMES)
    for index, name in enumerate(NAMES):
        assert columns[name].shape == (9445, SEEDS)
        assert columns[name][5].tolist() == [100_000 * index + 5 + 0.25 * seed for seed in range(SEEDS)]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "swapped"])
def test_damaged_table(table: Path, tmp_path: Path, damage: str) -> None:
    path = copy(table, tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "swapped":
        write_provenance(path, sha256="0" * 64)
    else:
        del content[0 if damage == "empty" else -1000 :]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged: its \d+ bytes have SHA-256 .* promises") as error:
        load_micro("digits", path)
    assert "\n" not in str(error.value)


def test_missing_table_or_provenance(table: Path, tmp_path: Path) -> None:
    path = copy(table, tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot be read .*table\.parquet"):
        load_micro("digits", path)
    path = copy(table, tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(DataError, match=r"cannot be read .*table\.json"):
        load_micro("digits", path)
    for text in ("", "[]", "{}", '{"sha256": "0", "seeds": "x"}'):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(DataError, match="not the provenance"):
            load_micro("digits", path)


def test_other_datasets_are_refused(table: Path) -> None:
    with pytest.raises(ConfigError, match="no ground truth for dataset 'cifar10', only for digits"):
        load_micro("cifar10", table)
    with pytest.raises(ConfigError, match="'cifar10'"):
        Micro().ground_truth("cifar10")


@pytest.mark.parametrize(("shape", "classes"), [((3, 8, 8), 10), ((1, 16, 16), 10), ((1, 8, 8), 2)])
def test_bind_takes_digits_alone(shape: tuple[int, int, int], classes: int) -> None:
    assert Micro().bind((1, 8, 8), 10) == Micro()
    with pytest.raises(ConfigError, match=r"space micro: images are .* choose the dataset digits"):
        Micro().bind(shape, classes)
