"""Augmentation, mosaics, official archives, and the datasets cifar10 and cifar100."""

import hashlib
import io
import json
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from splitbench.harness.errors import ConfigError, DataError
from splitbench.spaces.datasets.augment import CropFlip
from splitbench.spaces.datasets.cifar import Cifar10, Cifar100
from splitbench.spaces.files import sources
from splitbench.spaces.files.archives import ARCHIVES, Archive, read_archive
from splitbench.spaces.files.mosaics import balanced_order, open_mosaics

CPU = torch.device("cpu")


# Augmentation


def batch(count: int = 40, size: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def padded(images: torch.Tensor, pad: int, fill: tuple[float, ...]) -> torch.Tensor:
    count, channels, height, width = images.shape
    out = torch.empty(count, channels, height + 2 * pad, width + 2 * pad)
    out[:] = torch.tensor(fill)[:, None, None]
    out[:, :, pad:-pad, pad:-pad] = images
    return out


def crops(image: torch.Tensor, size: int) -> dict[tuple[int, int, bool], torch.Tensor]:
    """All crops of one padded image, as they are and flipped."""
    shifts = image.shape[1] - size + 1
    plain = {(r, c): image[:, r : r + size, c : c + size] for r in range(shifts) for c in range(shifts)}
    return {(r, c, flip): crop.flip(2) if flip else crop for (r, c), crop in plain.items() for flip in (False, True)}


@pytest.mark.parametrize("size", [8, 32])
def test_every_image_is_a_crop_or_flipped_crop_of_its_padded_self(size: int) -> None:
    images, fill, pad = batch(40, size), (-2.0, 0.5, 1.0), size // 8
    out = CropFlip(pad, fill)(images, torch.Generator().manual_seed(1))
    assert out.shape == images.shape
    assert out.is_contiguous(memory_format=torch.channels_last)
    seen = set()
    for image, source in zip(out, padded(images, pad, fill), strict=True):
        matches = [key for key, crop in crops(source, size).items() if torch.equal(image, crop)]
        assert len(matches) == 1
        seen |= set(matches)
    assert {flip for _, _, flip in seen} == {False, True}
    assert {row for row, _, _ in seen} == {column for _, column, _ in seen} == set(range(2 * pad + 1))


def test_the_generator_determines_the_augmentation() -> None:
    augment = CropFlip(1, (0.0, 0.0, 0.0), cutout=4)
    first = augment(batch(), torch.Generator().manual_seed(1))
    assert torch.equal(first, augment(batch(), torch.Generator().manual_seed(1)))
    assert not torch.equal(first, augment(batch(), torch.Generator().manual_seed(2)))


def test_flips_and_shifts_are_equally_frequent() -> None:
    ramp = torch.arange(1.0, 9.0).expand(4000, 1, 8, 8).clone()
    row = CropFlip(1, (0.0,))(ramp, torch.Generator().manual_seed(0))[:, 0, 4]
    flipped = row[:, 3] > row[:, 4]
    assert abs(flipped.float().mean() - 0.5) < 4 * 0.5 / 4000**0.5
    shift = torch.where(flipped, row.flip(1)[:, 3], row[:, 3]) - 4  # -1, 0 or 1
    share = torch.stack([(shift == s).float().mean() for s in (-1, 0, 1)])
    assert (share - 1 / 3).abs().max() < 4 * (2 / 9 / 4000) ** 0.5


@pytest.mark.parametrize("length", [3, 4])
def test_cutout_is_one_square_of_zeros_clipped_by_the_border(length: int) -> None:
    images = torch.ones(500, 3, 8, 8)
    out = CropFlip(0, (1.0, 1.0, 1.0), cutout=length)(images, torch.Generator().manual_seed(0))
    assert set(out.unique().tolist()) == {0.0, 1.0}
    sides = set()
    for hole in out == 0:
        assert torch.equal(hole[0], hole[1])
        rows, columns = hole[0].any(1), hole[0].any(0)
        assert torch.equal(hole[0], rows[:, None] & columns[None, :])
        for line in (rows, columns):
            assert int(line.diff(prepend=torch.zeros(1, dtype=torch.bool)).sum()) <= 2  # one run
            sides.add(int(line.sum()))
    assert max(sides) == length
    assert min(sides) == length - length // 2  # centred on the first row or column


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_the_same_images() -> None:
    augment = CropFlip(1, (0.0, 0.0, 0.0), cutout=4)
    on_cpu = augment(batch(), torch.Generator().manual_seed(1))
    on_cuda = augment(batch().cuda(), torch.Generator().manual_seed(1))
    assert on_cuda.is_cuda
    assert torch.equal(on_cpu, on_cuda.cpu())


# Mosaics


def tiles(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def write_mosaics(folder: Path, pixels: np.ndarray, labels: np.ndarray, columns: int = 4, per_file: int = 8) -> None:
    """A small folder of the same layout as the real ones."""
    folder.mkdir(parents=True)
    files = []
    for start in range(0, len(pixels), per_file):
        part = pixels[start : start + per_file]
        rows = -(-len(part) // columns)
        canvas = np.zeros((rows * 32, columns * 32, 3), dtype=np.uint8)
        for index, tile in enumerate(part):
            row, column = divmod(index, columns)
            canvas[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = tile
        files.append(f"train_{len(files):02d}.webp")
        Image.fromarray(canvas).save(folder / files[-1], lossless=True)
    np.save(folder / "train_labels.npy", labels.astype(np.uint8))
    splits = {"train": {"n": len(labels), "files": files, "tile": [32, 32]}}
    (folder / "meta.json").write_text(json.dumps({"cols": columns, "splits": splits}))


def test_mosaics_give_back_their_tiles_in_any_order(tmp_path: Path) -> None:
    pixels = tiles(21)
    write_mosaics(tmp_path / "m", pixels, np.arange(21) % 3)
    mosaics = open_mosaics(tmp_path / "m", "train")
    rows = np.random.default_rng(1).permutation(21)
    np.testing.assert_array_equal(mosaics.read(rows), pixels[rows])


def test_only_the_files_that_are_needed_are_read(tmp_path: Path) -> None:
    pixels = tiles(24)
    write_mosaics(tmp_path / "m", pixels, np.arange(24) % 3)
    (tmp_path / "m" / "train_01.webp").write_bytes(b"not an image")
    mosaics = open_mosaics(tmp_path / "m", "train")
    rows = np.array([0, 7, 16, 23])
    np.testing.assert_array_equal(mosaics.read(rows), pixels[rows])
    with pytest.raises(DataError, match="train_01"):
        mosaics.read(np.array([0, 8]))


def test_damaged_mosaics_end_in_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    write_mosaics(folder, tiles(16), np.arange(16) % 2)
    whole = (folder / "train_00.webp").read_bytes()
    (folder / "train_00.webp").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train_00\.webp cannot be read"):
        open_mosaics(folder, "train").read(np.arange(16))
    (folder / "train_00.webp").unlink()
    with pytest.raises(DataError, match=r"train_00\.webp cannot be read"):
        open_mosaics(folder, "train").read(np.arange(16))
    np.save(folder / "train_labels.npy", np.zeros(15, dtype=np.uint8))
    with pytest.raises(DataError, match="disagree"):
        open_mosaics(folder, "train")
    (folder / "meta.json").write_text("{")
    with pytest.raises(DataError, match="holds no readable mosaics"):
        open_mosaics(folder, "train")


def test_every_prefix_of_the_order_is_balanced() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 12))
    order = balanced_order(labels)
    assert sorted(order.tolist()) == list(range(60))
    for count in range(1, 61):
        sizes = np.bincount(labels[order[:count]], minlength=5)
        assert sizes.max() - sizes.min() <= 1
    for label in range(5):  # within a class, in the order of the source
        assert np.all(np.diff(order[labels[order] == label]) > 0)


# Official archives


class OldPickler(pickle._Pickler):
    """Writes protocol 2 as Python 2 did: byte strings as its ``str``, and NumPy under its former module name."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        self.write(b"T" + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_global(self, value: Any, name: str | None = None) -> None:
        if getattr(value, "__name__", "") == "_reconstruct":
            self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[type(np.zeros(0).__reduce__()[0])] = save_global


def old_pickle(value: object) -> bytes:
    buffer = io.BytesIO()
    OldPickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def write_archive(path: Path, members: dict[str, bytes], like: Archive, images: int) -> Archive:
    """A tar file, and what would be known of it if it were the official one."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return replace(like, md5=hashlib.md5(path.read_bytes()).hexdigest(), members=tuple(members), images=images)


def planes(pixels: np.ndarray) -> np.ndarray:
    """[N, 32, 32, 3] -> [N, 3072] as the archives store them: all red, all green, all blue."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def test_archive_of_cifar10_gives_images_and_labels(tmp_path: Path) -> None:
    pixels, labels = tiles(20), np.arange(20) % 10
    members = {
        f"cifar-10-batches-py/data_batch_{i + 1}": old_pickle(
            {b"batch_label": b"x", b"labels": labels[part].tolist(), b"data": planes(pixels[part])}
        )
        for i, part in enumerate((slice(0, 10), slice(10, 20)))
    }
    archive = write_archive(tmp_path / "a.tar.gz", members, ARCHIVES["cifar10"], 20)
    found, classes = read_archive(tmp_path / "a.tar.gz", archive)
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(classes, labels)


def test_archive_of_cifar100_uses_the_fine_labels(tmp_path: Path) -> None:
    content = {b"fine_labels": [99, 3], b"coarse_labels": [1, 2], b"data": planes(tiles(2))}
    members = {"cifar-100-python/train": old_pickle(content)}
    archive = write_archive(tmp_path / "a.tar.gz", members, ARCHIVES["cifar100"], 2)
    np.testing.assert_array_equal(read_archive(tmp_path / "a.tar.gz", archive)[1], [99, 3])


def test_the_checksum_comes_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    content = old_pickle({b"labels": [0], b"data": planes(tiles(1))})
    write_archive(path, {"cifar-10-batches-py/data_batch_1": content}, ARCHIVES["cifar10"], 1)
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("opened an archive of a wrong checksum"))
    with pytest.raises(DataError, match="c58f30108f718f92721af3b95e74349a"):
        read_archive(path, ARCHIVES["cifar10"])


class Touch:
    """Unpickled without care, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def test_a_malicious_pickle_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    content = old_pickle({b"labels": [0], b"data": Touch(trap)})
    with pickle.loads(content, encoding="bytes")[b"data"]:  # the trap works ...
        assert trap.exists()
    trap.unlink()
    archive = write_archive(tmp_path / "a.tar.gz", {"data_batch_1": content}, ARCHIVES["cifar10"], 1)
    with pytest.raises(DataError, match=r"io\.open is not allowed"):
        read_archive(tmp_path / "a.tar.gz", archive)
    assert not trap.exists()  # ... and is not sprung


@pytest.mark.parametrize(
    "content",
    [
        old_pickle({b"labels": [0, 1], b"data": planes(tiles(1))}),
        old_pickle({b"labels": [0], b"data": planes(tiles(1)).astype(np.float32)}),
        old_pickle({b"data": planes(tiles(1))}),
        old_pickle([1, 2]),
        old_pickle({b"labels": [0], b"data": planes(tiles(1))})[:-100],
    ],
)
def test_wrong_content_ends_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", {"data_batch_1": content}, ARCHIVES["cifar10"], 1)
    with pytest.raises(DataError, match=r"a\.tar\.gz"):
        read_archive(tmp_path / "a.tar.gz", archive)


def test_missing_members_and_missing_images_are_told(tmp_path: Path) -> None:
    content = old_pickle({b"labels": [0], b"data": planes(tiles(1))})
    archive = write_archive(tmp_path / "a.tar.gz", {"one": content}, ARCHIVES["cifar10"], 1)
    with pytest.raises(DataError, match="two"):
        read_archive(tmp_path / "a.tar.gz", replace(archive, members=("one", "two")))
    with pytest.raises(DataError, match="50,000 are expected"):
        read_archive(tmp_path / "a.tar.gz", replace(archive, images=50_000))


# Datasets


@pytest.fixture
def mosaic_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """A folder like SPLITBENCH_DATA with 40 random images of ten classes: pixels and labels in file order."""
    pixels, labels = tiles(40), np.random.default_rng(2).permutation(np.repeat(np.arange(10), 4))
    write_mosaics(tmp_path / "data" / "images" / "cifar10", pixels, labels)
    monkeypatch.setenv("SPLITBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path / "home"))
    return pixels, labels


def test_halves_are_balanced_disjoint_normalised_and_in_order(mosaic_data: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, labels = mosaic_data
    data = Cifar10(train=20, validation=10).load(CPU)
    order = balanced_order(labels)
    mean, deviation = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    for part, rows in (("train", order[:20]), ("validation", order[20:30])):
        expected = ((pixels[rows] / 255 - mean) / deviation).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(data.images[part].numpy(), expected, atol=1e-5)
        assert data.images[part].is_contiguous(memory_format=torch.channels_last)
        assert data.images[part].dtype == torch.float32
        np.testing.assert_array_equal(data.labels[part], labels[rows])
        assert set(np.bincount(labels[rows], minlength=10)) == {len(rows) // 10}


@pytest.mark.parametrize("size", [16, 8])
def test_smaller_images_are_averages(mosaic_data: tuple[np.ndarray, np.ndarray], size: int) -> None:
    whole = Cifar10(train=20, validation=10).load(CPU).images["validation"].numpy()
    small = Cifar10(image_size=size, train=20, validation=10).load(CPU).images["validation"].numpy()
    step = 32 // size
    np.testing.assert_allclose(small, whole.reshape(10, 3, size, step, size, step).mean((3, 5)), atol=1e-5)
    assert Cifar10(image_size=size).shape == (3, size, size)


def test_training_images_do_not_change_with_the_size_of_the_other_half(
    mosaic_data: tuple[np.ndarray, np.ndarray],
) -> None:
    first, second = Cifar10(train=20, validation=10).load(CPU), Cifar10(train=20, validation=20).load(CPU)
    assert torch.equal(first.images["train"], second.images["train"])


def test_batches_are_augmented_with_black_borders_unless_told_otherwise(
    mosaic_data: tuple[np.ndarray, np.ndarray],
) -> None:
    data, plain = Cifar10(train=20, validation=10).load(CPU), Cifar10(train=20, validation=10, augment=False).load(CPU)
    untouched, labels = plain.batch("train", 1, 0, 20)
    augmented, same_labels = data.batch("train", 1, 0, 20)
    assert torch.equal(labels, same_labels)
    assert torch.equal(untouched, data.batch("train", 1, 0, 20, augment=False)[0])
    black = (-torch.tensor([0.4914, 0.4822, 0.4465]) / torch.tensor([0.2470, 0.2435, 0.2616])).tolist()
    for image, source in zip(augmented, padded(untouched, 4, tuple(black)), strict=True):
        assert any(torch.allclose(image, crop) for crop in crops(source, 32).values())
    assert plain.augment is None


def test_an_imported_archive_is_preferred_and_gives_the_same_halves(
    mosaic_data: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, labels = mosaic_data
    before = Cifar10(train=20, validation=20).load(CPU)
    content = old_pickle({b"labels": labels.tolist(), b"data": planes(pixels)})
    path = tmp_path / "cifar-10-python.tar.gz"
    archive = write_archive(path, {"cifar-10-batches-py/data_batch_1": content}, ARCHIVES["cifar10"], 40)
    with pytest.raises(DataError, match="MD5"):
        sources.import_source("cifar10", path)
    assert sources.status("cifar10").state == "found"
    monkeypatch.setitem(ARCHIVES, "cifar10", archive)
    assert sources.import_source("cifar10", path).state == "imported"
    monkeypatch.delenv("SPLITBENCH_DATA")
    after = Cifar10(train=20, validation=20).load(CPU)
    for part in ("train", "validation"):
        assert torch.equal(before.images[part], after.images[part])
        assert torch.equal(before.labels[part], after.labels[part])


def test_imported_mosaics_are_the_same_images(
    mosaic_data: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sources.images("cifar10", 33)
    sources.import_source("cifar10", tmp_path / "data")
    monkeypatch.delenv("SPLITBENCH_DATA")
    for found, expected in zip(sources.images("cifar10", 33), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_too_few_images_and_missing_data_end_in_one_sentence(
    mosaic_data: tuple[np.ndarray, np.ndarray],
) -> None:
    with pytest.raises(DataError, match=r"ask for 41 images, and .* holds 40"):
        Cifar10(train=21, validation=20).load(CPU)
    with pytest.raises(DataError, match=r"splitbench data import cifar100 --from PATH.*SPLITBENCH_DATA"):
        Cifar100().load(CPU)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 20},
        {"image_size": 64},
        {"train": 0},
        {"validation": -1},
        {"train": 50_000},
        {"cutout": 33},
        {"cutout": -1},
        {"cutout": 8, "augment": False},
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Cifar10(**wrong)


@pytest.mark.real_data
@pytest.mark.parametrize("dataset", [Cifar10(16, 3000, 1000), Cifar100(16, 3000, 1000)], ids=lambda d: d.name)
def test_real_images(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: Cifar10) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path))
    data = dataset.load(CPU)
    for part, count in (("train", 3000), ("validation", 1000)):
        assert data.images[part].shape == (count, 3, 16, 16)
        assert set(data.labels[part].bincount().tolist()) == {count // dataset.classes}
    assert data.images["train"].mean((0, 2, 3)).abs().max() < 0.1  # sampling error is about .01, and drift .06
    images, labels = data.batch("train", 0, 0, 64)
    assert images.shape == (64, 3, 16, 16)
    assert labels.dtype == torch.int64
    distinct = {image.numpy().tobytes() for part in data.images.values() for image in part}
    assert len(distinct) > 3990  # the halves share no image (the datasets hold a few duplicates of their own)
