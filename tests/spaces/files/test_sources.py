"""Where data lie: the data home, SPLITBENCH_DATA, importing, checksums, known facts, and damage."""

import gzip
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.files import imported, sources

PREFIXES = {"c10": 94.37, "c100": 73.51, "in16": 47.31}


def write_table(folder: Path, seed: int, best: dict[str, float] = PREFIXES) -> Path:
    """Files like the published ones of nb201, with random accuracies below a given best."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    columns: dict[str, object] = {"ops": ["".join(digits) for digits in product("01234", repeat=6)]}
    seeds = {}
    for prefix, highest in best.items():
        for part in ("val", "test"):
            single = rng.uniform(5, highest - 1, (5**6, 3)).round(2).astype(np.float32)
            single[0] = highest
            seeds[f"{prefix}_{part}_200"] = single
            columns[f"{prefix}_{part}_200"] = single.astype(np.float64).mean(axis=1)
        columns |= {f"{prefix}_macs_M": np.ones(5**6), f"{prefix}_params_M": np.ones(5**6)}
    pd.DataFrame(columns).to_csv(folder / "nb201.csv.gz", index=False)
    np.savez(folder / "nb201_seeds.npz", **seeds)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("first") / "nb201", 1)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("second") / "nb201", 2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SPLITBENCH_DATA", raising=False)
    return tmp_path / "home"


def accuracies() -> list[float]:
    return sources.truth_table("nb201")["c10_test"].tolist()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_data_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", "/a")
    monkeypatch.setenv("XDG_DATA_HOME", "/b")
    assert sources.data_home() == Path("/a")
    monkeypatch.delenv("SPLITBENCH_HOME")
    assert sources.data_home() == Path("/b/splitbench")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert sources.data_home() == Path("/c/.local/share/splitbench")


@pytest.mark.parametrize("name", sources.DATA)
def test_missing_data_says_what_where_and_how(name: str, home: Path, tmp_path: Path) -> None:
    assert sources.status(name) == sources.Status(name, "missing", None, 0)
    with pytest.raises(DataError) as caught:
        sources.verify_source(name)
    message = str(caught.value)
    for part in (name, str(home), f"splitbench data import {name} --from PATH", "SPLITBENCH_DATA"):
        assert part in message
    assert "\n" not in message
    with pytest.raises(DataError, match="does not exist"):
        sources.import_source(name, tmp_path / "nowhere")


def test_unknown_names_are_refused() -> None:
    for call in (sources.status, sources.verify_source, sources.locate):
        with pytest.raises(ConfigError, match="nb201, nb_macro, cifar10, cifar100"):
            call("nb102")


def test_imported_data_comes_before_the_folder_of_files(
    first: Path, second: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBENCH_DATA", str(first.parent))
    found, fingerprint = accuracies(), sources.data_fingerprint("nb201")
    files = sum((first / file).stat().st_size for file in ("nb201.csv.gz", "nb201_seeds.npz"))
    assert sources.status("nb201") == sources.Status("nb201", "found", first, files)
    assert sources.import_source("nb201", second).state == "imported"
    assert sources.status("nb201").path == home / "nb201"
    assert accuracies() != found
    assert sources.data_fingerprint("nb201") != fingerprint


@pytest.mark.parametrize("place", ["folder", "parent", "file"])
def test_import_takes_the_folder_its_parent_or_the_file(first: Path, place: str) -> None:
    path = {"folder": first, "parent": first.parent, "file": first / "nb201.csv.gz"}[place]
    sources.import_source("nb201", path)
    with np.load(first / "nb201_seeds.npz") as seeds:
        frame = sources.truth_table("nb201")
        np.testing.assert_array_equal(frame[[f"in16_val_{i}" for i in range(3)]], seeds["in16_val_200"])


def test_the_manifest_tells_checksum_source_and_counts(first: Path, home: Path) -> None:
    sources.import_source("nb201", first)
    manifest = json.loads((home / "nb201" / "source.json").read_text())
    entry = manifest["files"]["table.parquet"]
    assert manifest["counts"] == {"rows": 15_625}
    assert manifest["importer"] == imported.IMPORTER
    assert "NAS-Bench-201" in manifest["source"]
    assert imported.sha256(home / "nb201" / entry["file"]) == entry["sha256"]
    assert sorted(path.name for path in (home / "nb201").iterdir()) == sorted(["source.json", entry["file"]])
    assert "checksums match" in sources.verify_source("nb201")
    assert "94.37" in sources.verify_source("nb201")


def test_a_second_import_replaces_the_first_and_leaves_nothing_behind(first: Path, second: Path, home: Path) -> None:
    sources.import_source("nb201", first)
    before = accuracies()
    sources.import_source("nb201", second)
    assert accuracies() != before
    assert len(contents(home)) == 2


def break_file(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "changed":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "changed", "empty", "deleted"])
def test_damaged_imports_are_noticed_and_mended_by_importing_again(first: Path, home: Path, how: str) -> None:
    sources.import_source("nb201", first)
    good = contents(home)
    break_file(next((home / "nb201").glob("*.parquet")), how)
    for read in (sources.truth_table, sources.verify_source):
        with pytest.raises(DataError, match="import it again with `splitbench data import nb201"):
            read("nb201")
    sources.import_source("nb201", first)
    assert contents(home) == good


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"importer": "x", "files": {}}', '{"importer": 1, "files": [1]}']
)
def test_a_damaged_manifest_is_noticed_and_mended(first: Path, home: Path, text: str) -> None:
    sources.import_source("nb201", first)
    (home / "nb201" / "source.json").write_text(text)
    with pytest.raises(DataError, match=r"source\.json is damaged"):
        sources.truth_table("nb201")
    sources.import_source("nb201", first)
    assert "checksums match" in sources.verify_source("nb201")


def test_a_newer_importers_manifest_asks_for_an_update(first: Path, home: Path) -> None:
    sources.import_source("nb201", first)
    path = home / "nb201" / "source.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"importer": imported.IMPORTER + 1}))
    with pytest.raises(DataError, match="newer splitbench"):
        sources.truth_table("nb201")


def copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize("file", ["nb201.csv.gz", "nb201_seeds.npz"])
@pytest.mark.parametrize("how", ["truncated", "empty", "deleted"])
def test_damaged_files_are_not_imported_and_lose_nothing(
    first: Path, second: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, how: str
) -> None:
    sources.import_source("nb201", first)
    before = contents(home)
    broken = copy(second, tmp_path / "nb201")
    break_file(broken / file, how)
    with pytest.raises(DataError, match="nb201") as caught:
        sources.import_source("nb201", broken)
    assert "\n" not in str(caught.value)
    assert contents(home) == before
    monkeypatch.setenv("SPLITBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "empty"))
    with pytest.raises(DataError, match="nb201"):  # nor are they read where they lie
        sources.truth_table("nb201")


def test_another_table_is_not_nb201(first: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"best c100_test is 70\.00 and not 73\.51"):
        sources.import_source("nb201", write_table(tmp_path / "other", 3, PREFIXES | {"c100": 70.0}))
    shorter = copy(first, tmp_path / "shorter")
    lines = gzip.decompress((shorter / "nb201.csv.gz").read_bytes()).splitlines(keepends=True)
    (shorter / "nb201.csv.gz").write_bytes(gzip.compress(b"".join(lines[:-1])))
    with pytest.raises(DataError, match="15,624 rows"):
        sources.import_source("nb201", shorter)
    (shorter / "nb201.csv.gz").write_bytes(gzip.compress(b"".join([*lines[:-1], lines[1]])))
    with pytest.raises(DataError, match="each of the 15,625 cells once"):
        sources.import_source("nb201", shorter)


def test_single_trainings_of_another_order_are_refused(first: Path, tmp_path: Path) -> None:
    shuffled = copy(first, tmp_path / "shuffled")
    with np.load(first / "nb201_seeds.npz") as seeds:
        rolled = {name: np.roll(seeds[name], 1, axis=0) for name in seeds.files}
    np.savez(shuffled / "nb201_seeds.npz", **rolled)
    with pytest.raises(DataError, match="does not belong to"):
        sources.import_source("nb201", shuffled)


@pytest.mark.parametrize("moment", [0, 1])
def test_an_import_cut_off_at_any_rename_changes_nothing(
    first: Path, second: Path, home: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    sources.import_source("nb201", first)
    before, renamed = accuracies(), []
    rename = os.replace

    def fail(source: Path, target: Path) -> None:
        if len(renamed) == moment:
            raise OSError("disk full")
        renamed.append(target)
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DataError, match="disk full"):
        sources.import_source("nb201", second)
    assert len(renamed) == moment
    assert accuracies() == before
    assert "checksums match" in sources.verify_source("nb201")


def test_a_home_that_cannot_be_written_is_told(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*SPLITBENCH_HOME"):
        sources.import_source("nb201", first)


def test_listing_importing_and_verifying_need_no_torch(first: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from splitbench.spaces.files import sources\n"
        "print([sources.status(name).state for name in sources.DATA])\n"
        "sources.import_source('nb201', Path(sys.argv[1])); print(sources.verify_source('nb201'))\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(first)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "checksums match" in done.stdout


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("nb201", ["15,625 rows", "94.37", "73.51", "47.31"]),
        ("nb_macro", ["6,561 rows", "93.13"]),
        ("cifar100", ["20,000 training images", "200 a class", "channel statistics as published"]),
    ],
)
def test_real_data_is_imported_and_verified(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, name: str, facts: list[str]
) -> None:
    monkeypatch.setenv("SPLITBENCH_DATA", str(real_data))
    found = sources.verify_source(name)
    assert all(fact in found for fact in [*facts, "found in"])
    sources.import_source(name, real_data)
    monkeypatch.delenv("SPLITBENCH_DATA")
    sentence = sources.verify_source(name)
    assert all(fact in sentence for fact in [*facts, "checksums match", "imported in"])


@pytest.mark.real_data
def test_verifying_every_table_needs_no_torch(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_DATA", str(real_data))
    code = (
        "import sys; from splitbench.spaces.files import sources\n"
        "print(*(sources.verify_source(name) for name in ('nb201', 'nb_macro')), sep='; ')\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nb_macro: 6,561 rows" in done.stdout


@pytest.mark.real_data
def test_every_real_image_of_cifar10_is_as_published(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_DATA", str(real_data))
    assert "50,000 training images, 5,000 a class, channel statistics as published" in sources.verify_source("cifar10")
