"""NAS-Bench-Macro: its network against the published table, its functions, its reader's errors."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, spearmanr

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.base import Architecture
from splitbench.spaces.files import sources
from splitbench.spaces.nb_macro.space import BLOCKS, NBMacro, identities_last
from splitbench.spaces.nb_macro.table import SEEDS, read_source
from splitbench.spaces.nb_macro.truth import truth_of

FILE = "nb_macro/nb_macro_cifar10.csv.gz"


def every_string() -> list[Architecture]:
    return list(itertools.product(range(3), repeat=8))


def published(tmp_path: Path, rows: list[str] | None = None, compress: bool = True) -> Path:
    """A file of the published format with made-up accuracies: 10 plus the string's number of blocks, and so on."""
    if rows is None:
        space = NBMacro()
        rows = [
            f"{space.encode(a)},{10 + sum(op > 0 for op in a)},{11 + sum(op > 0 for op in a)},12.5,11.5,0.8,"
            f"{space.parameters(a)},{space.macs(a)}"
            for a in every_string()
        ]
    text = "\n".join(["arch,acc_0,acc_1,acc_2,mean_acc,std,params,flops", *rows]) + "\n"
    path = tmp_path / ("table.csv.gz" if compress else "table.csv")
    path.write_bytes(gzip.compress(text.encode()) if compress else text.encode())
    return path


# --- the network and its functions ------------------------------------------------------------------------------------


def test_known_sizes() -> None:
    """Two rows of the published table, and the all-identity network worked out by hand."""
    space = NBMacro()
    stem, projections = 27 * 32 * 32**2, 32 * 64 * 16**2 + 64 * 128 * 8**2 + 128 * 256 * 4**2
    head = 256 * 1280 * 4**2 + 1280 * 10
    assert space.macs((0,) * 8) == stem + projections + head == 7_713_280
    assert space.parameters((0,) * 8) == 387_882
    assert space.macs((0,) * 7 + (1,)) == 14_115_328
    assert space.parameters((0,) * 7 + (1,)) == 791_594


def test_parameters_are_those_of_a_network_with_affine_normalisation() -> None:
    """The table counts two weights a normalised channel; the supernet's normalisation has none."""
    space = NBMacro(channels=2)
    supernet = space.supernet(0)
    norms = {name: m for name, m in supernet.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert all(m.weight is None and m.running_mean is None for m in norms.values())
    for architecture in every_string()[::97]:
        runs = ("stem", "head", "classifier", *(f"layers.{edge}.{op}." for edge, op in enumerate(architecture)))
        weights = sum(p.numel() for name, p in supernet.named_parameters() if name.startswith(runs))
        affine = sum(2 * m.num_features for name, m in norms.items() if name.startswith(runs))
        assert space.parameters(architecture) == weights + affine


def test_3969_distinct_networks() -> None:
    space = NBMacro()
    functions = {identities_last(a) for a in every_string()}
    assert len(functions) == len(space.functions(space.root())) == 3969
    assert identities_last((0, 0, 0, 0, 2, 0, 0, 1)) == (0, 0, 0, 2, 0, 0, 1, 0)
    assert identities_last((0, 1, 0, 1, 2, 0, 2, 1)) == (
        0,
        1,
        0,
        1,
        2,
        0,
        2,
        1,
    )  # strided layers and blocks keep their place


def test_strings_of_a_function_are_one_network() -> None:
    """With the weights moved along with the blocks, a permuted identity changes no logit."""
    space = NBMacro(channels=3, image_size=16)
    supernet, moved = space.supernet(0), space.supernet(1)
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    differing = [a for a in every_string()[::37] if identities_last(a) != a]
    assert len(differing) > 40
    for architecture in differing:
        moved.load_state_dict(supernet.state_dict())
        for start, stop in ((0, 2), (2, 5), (5, 8)):
            blocks = [edge for edge in range(start + 1, stop) if architecture[edge] in BLOCKS]
            for target, source in enumerate(blocks, start + 1):
                state = supernet.layers[source].state_dict()
                moved.layers[target].load_state_dict(state)
        with torch.no_grad():
            assert torch.equal(moved(images, identities_last(architecture)), supernet(images, architecture))


def test_a_subspace_can_hold_no_canonical_string() -> None:
    space = NBMacro()
    sub = space.root().only(3, (0,)).only(4, (1, 2))
    assert sub.size == 3**6 * 2
    assert space.functions(sub).shape == (0, 8)


def test_identity_of_a_strided_layer_is_a_strided_projection() -> None:
    """Every second pixel, mixed by a 1x1 convolution and normalised; odd sides are rounded up."""
    space = NBMacro(channels=3, image_size=9)
    layer = space.supernet(0).layers[0]
    x = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    (weight,) = layer[0].parameters()  # type: ignore[index]
    reference = torch.nn.functional.conv2d(x, weight, stride=2)
    reference = (reference - reference.mean((0, 2, 3), keepdim=True)) / (
        reference.var((0, 2, 3), keepdim=True, unbiased=False) + 1e-5
    ).sqrt()
    assert reference.shape == (4, 6, 5, 5)
    torch.testing.assert_close(layer(x, (0,), None), reference, rtol=1e-4, atol=1e-5)
    assert [shape.side for shape in space.shapes] == [9, 5, 5, 3, 3, 3, 2, 2]


def test_convolutions_counts_blocks() -> None:
    assert NBMacro().convolutions((0, 1, 2, 0, 0, 1, 0, 2)) == 4


@pytest.mark.parametrize(("field", "value"), [("channels", 0), ("image_size", 7), ("classes", 1)])
def test_wrong_parameters(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field} is {value}, but must be at least"):
        NBMacro(**{field: value})


def test_bind_takes_the_datasets_shape() -> None:
    assert NBMacro(channels=8).bind((3, 16, 16), 100) == NBMacro(channels=8, image_size=16, classes=100)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.real_data
def test_sizes_equal_the_table_in_all_rows(real_data: Path) -> None:
    frame = read_source(real_data / FILE)
    space = NBMacro()
    architectures = [space.decode(text) for text in frame["arch"]]
    assert [space.macs(a) for a in architectures] == frame["flops"].tolist()
    assert [space.parameters(a) for a in architectures] == frame["params"].tolist()


@pytest.mark.real_data
def test_strings_of_a_function_share_their_accuracies(real_data: Path) -> None:
    frame = read_source(real_data / FILE)
    space = NBMacro()
    frame["function"] = [space.encode(space.function(space.decode(text))) for text in frame["arch"]]
    groups = frame.groupby("function")[["acc_0", "acc_1", "acc_2", "params", "flops"]].nunique()
    assert groups.shape == (3969, 5)
    assert (groups == 1).all().all()


@pytest.mark.real_data
@pytest.mark.usefixtures("real_data")
def test_truth_reproduces_the_benchmarks_statistics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path))  # nothing imported: read from SPLITBENCH_DATA
    space = NBMacro()
    truth = space.ground_truth("cifar10")
    assert truth.architectures.shape == (3969, 8)
    strings = every_string()
    test = truth.test(strings)
    assert round(float(test.max()), 2) == 93.13
    macs = [space.macs(a) for a in strings]
    assert round(float(spearmanr(macs, test)[0]), 3) == 0.748
    seeds = truth.per_seed(strings)
    pairs = [float(kendalltau(seeds[:, i], seeds[:, j])[0]) for i, j in itertools.combinations(range(3), 2)]
    assert [round(tau, 3) for tau in pairs] == [0.882, 0.880, 0.882]  # .882: first and second training of each string
    assert round(float(np.mean(pairs)), 4) == 0.8813


def test_truth_has_no_validation_accuracies(tmp_path: Path) -> None:
    truth = truth_of(read_source(published(tmp_path)))
    assert not truth.has_validation
    with pytest.raises(DataError, match="has no validation accuracies"):
        truth.validation([(0,) * 8])
    assert truth.test([(0, 0, 0, 0, 1, 0, 0, 2), (0, 0, 0, 1, 0, 0, 2, 0)]).tolist() == pytest.approx([12.5, 12.5])
    assert truth.per_seed([(1,) * 8]).tolist() == [[18, 19, 12.5]]


def test_other_datasets_are_refused() -> None:
    with pytest.raises(ConfigError, match="no ground truth on dataset 'digits', only on cifar10"):
        NBMacro().ground_truth("digits")


def test_missing_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPLITBENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match="nb_macro is missing"):
        NBMacro().ground_truth("cifar10")


def test_reads_the_authors_json(tmp_path: Path) -> None:
    frame = read_source(published(tmp_path))
    entries = {
        row["arch"]: {"test_acc": [row[seed] for seed in SEEDS], "params": row["params"], "flops": row["flops"]}
        for row in reversed(frame.to_dict("records"))
    }
    path = tmp_path / "nas-bench-macro_cifar10.json"
    path.write_text(json.dumps(entries))
    assert read_source(path).equals(frame)
    del entries["00000000"]
    path.write_text(json.dumps(entries))
    with pytest.raises(DataError, match="incomplete: it has 6560 architectures"):
        read_source(path)
    path.write_text(json.dumps(entries)[:-100])
    with pytest.raises(DataError, match="damaged or not NAS-Bench-Macro"):
        read_source(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="damaged or not NAS-Bench-Macro"):
        read_source(path)


def one_sentence(error: pytest.ExceptionInfo[DataError]) -> bool:
    return "\n" not in str(error.value) and "fetch the file again" in str(error.value)


@pytest.mark.parametrize("keep", [0, 5, 20, 1000, -1, -9])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = published(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError) as error:
        read_source(path)
    assert one_sentence(error)


@pytest.mark.parametrize("position", [0.0, 0.001, 0.5, 0.99, 0.9999])
def test_flipped_byte(tmp_path: Path, position: float) -> None:
    path = published(tmp_path)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_source(path)
    assert one_sentence(error)


def test_wrong_contents(tmp_path: Path) -> None:
    good = published(tmp_path, compress=False).read_text().splitlines()[1:]
    cases = {
        "incomplete: it has 6560 architectures in 6560 rows": good[:-1],
        "incomplete: it has 6560 architectures in 6561 rows": [*good[:-1], good[0]],
        "incomplete: it has 6561 architectures in 6561 rows": ["3" + good[0][1:], *good[1:]],
        "accuracies must lie between 0 and 100": [good[0].replace(",10,", ",110,", 1), *good[1:]],
        "damaged or not NAS-Bench-Macro": [good[0].replace(",10,", ",ten,", 1), *good[1:]],
    }
    missing = [good[0].replace(",10,", ",,", 1), *good[1:]]
    for words, rows in [*cases.items(), ("accuracies must lie between 0 and 100", missing)]:
        with pytest.raises(DataError, match=words) as error:
            read_source(published(tmp_path, rows, compress=False))
        assert one_sentence(error)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for path in (tmp_path / "other.csv", tmp_path / "absent.csv.gz", tmp_path):
        with pytest.raises(DataError) as error:
            read_source(path)
        assert one_sentence(error)


def test_import_and_read_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The importer's checks know the benchmark's best accuracy, so a made-up table is refused."""
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SPLITBENCH_DATA", raising=False)
    with pytest.raises(DataError, match="best acc"):
        sources.import_source("nb_macro", published(tmp_path))


@pytest.mark.real_data
def test_imported_table_gives_the_same_truth(real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path))
    found = NBMacro().ground_truth("cifar10")
    sources.import_source("nb_macro", real_data / FILE)
    monkeypatch.delenv("SPLITBENCH_DATA")
    imported = NBMacro().ground_truth("cifar10")
    assert np.array_equal(imported.test_seeds, found.test_seeds)
    assert np.array_equal(imported.architectures, found.architectures)
