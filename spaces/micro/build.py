"""Build micro's ground truth: distinct functions trained stand-alone, three seeds each.

    python -m splitbench.spaces.micro.build --part 0 --parts 2 &     # one torch thread a process
    python -m splitbench.spaces.micro.build --part 1 --parts 2 &
    python -m splitbench.spaces.micro.build --collect                # once both have ended: writes table.parquet

Resumable: each chunk of functions is one file in the work folder, written atomically; a second start goes on.
Protocol: 200 training images, 10 epochs (31 steps of 64), SGD with Nesterov momentum .9 and weight decay 5e-4,
one-cycle learning rate to 0.1, no augmentation; then accuracy and cross-entropy on 597 validation and 1,000 test
images, each part as one batch normalised by its own statistics. The three seeds of a function train side by side as
replicas of one network (grouped convolutions): no arithmetic is shared between them, only the calls.

``--recipe long`` trains ten times as long (312 steps), a random sample of 1,000 functions, in a work folder and a table
of its own. No such table is in the package yet.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from splitbench.spaces.base import Architecture, SubSpace
from splitbench.spaces.cells import canonical
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.datasets.digits import SIZES, digits
from splitbench.spaces.micro.space import CHANNELS, CLASSES, Micro, MicroNetwork

SEEDS = 3
BATCH = 64
TABLE = Path(__file__).with_name("table.parquet")
Metrics = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How long a function is trained, and how many are.

    Attributes:
        epochs: of 200 images.
        functions: how many of a random order; all if None.
        chunk: functions of one file of the work folder: a second start repeats the trainings of at most one.
        table: what ``--collect`` writes.
        salt: begins the text that a function's seed is made of, so that two recipes share no draw.
        peak_rate: the highest learning rate of its one cycle.
    """

    epochs: int
    functions: int | None
    chunk: int
    table: Path
    salt: str
    peak_rate: float = 0.1

    @property
    def steps(self) -> int:
        """Training steps of one function."""
        return self.epochs * SIZES["train"] // BATCH


RECIPES = {
    "short": Recipe(10, None, 50, TABLE, "micro-ground-truth-1"),
    "long": Recipe(100, 1000, 10, TABLE.with_name("long.parquet"), "micro-ground-truth-long-1"),
}
SHORT = RECIPES["short"]


def all_functions() -> list[Architecture]:
    """Every distinct function, the empty one included, in lexicographic order."""
    import itertools

    return [a for a in itertools.product(range(5), repeat=6) if canonical(a) == a]


def seed_of(architecture: Architecture, recipe: Recipe) -> int:
    """A seed of the function's own, so that no two functions share initial weights or data order."""
    text = f"{recipe.salt}:" + "".join(map(str, architecture))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


class Replicated(MicroNetwork):
    """``SEEDS`` independent networks of one architecture: images [N, SEEDS, 8, 8] -> logits [N, SEEDS, classes]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(SubSpace(tuple((op,) for op in architecture)), replicas=SEEDS)
        width = CHANNELS[-1]
        self.classifier = nn.Sequential(
            nn.Unflatten(1, (SEEDS * width, 1)), nn.Conv1d(SEEDS * width, SEEDS * CLASSES, 1, groups=SEEDS)
        )


def train(architecture: Architecture, data: dict[str, tuple[Tensor, Tensor]], recipe: Recipe = SHORT) -> Metrics:
    """[SEEDS, 4]: validation accuracy %, validation loss, test accuracy %, test loss."""
    seed = seed_of(architecture, recipe)
    torch.manual_seed(seed)
    network = Replicated(architecture).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, labels = data["train"]
    stream = ImageData({"train": images}, {"train": labels}, CLASSES)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.peak_rate, recipe.steps, cycle_momentum=False)
    for step in range(recipe.steps):
        batches = [stream.batch("train", seed + replica, step, BATCH) for replica in range(SEEDS)]
        x = torch.cat([batch[0] for batch in batches], dim=1).contiguous(memory_format=torch.channels_last)
        y = torch.stack([batch[1] for batch in batches], dim=1)
        logits = network(x, architecture).view(BATCH * SEEDS, CLASSES)
        loss = functional.cross_entropy(logits, y.reshape(-1)) * SEEDS  # a mean over the batch of each replica
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    columns = []
    for part in ("validation", "test"):
        x, y = data[part]
        with torch.no_grad():
            logits = network(x.expand(-1, SEEDS, -1, -1), architecture).view(len(y), SEEDS, CLASSES)
        losses = [functional.cross_entropy(logits[:, s], y).item() for s in range(SEEDS)]
        hits = (logits.argmax(2) == y[:, None]).double().mean(0) * 100
        columns += [hits.numpy(), np.array(losses)]
    return np.stack(columns, axis=1).astype(np.float32)


def trained_rows(recipe: Recipe) -> npt.NDArray[np.int64]:
    """The functions that a recipe trains, in the order in which it does, as rows of :func:`all_functions`."""
    order = np.random.default_rng(0).permutation(len(all_functions()))  # early chunks are a fair sample
    return order[: recipe.functions]


def train_chunks(folder: Path, part: int, parts: int, recipe: Recipe = SHORT) -> None:
    """Train this part's chunks that are not there yet."""
    torch.set_num_threads(1)
    data = {name: digits(name) for name in SIZES}
    functions, order = all_functions(), trained_rows(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [order[i : i + recipe.chunk] for i in range(0, len(order), recipe.chunk)]
    for index, rows in enumerate(chunks):
        target = folder / f"chunk{index:04d}.npz"
        if index % parts != part or target.exists():
            continue
        start = time.perf_counter()
        metrics = np.stack([train(functions[row], data, recipe) for row in rows])
        seconds = time.perf_counter() - start
        temporary = target.with_suffix(".tmp.npz")
        np.savez(temporary, rows=rows, metrics=metrics, seconds=seconds)
        os.replace(temporary, target)
        print(f"chunk {index + 1} of {len(chunks)}: {seconds / len(rows) / SEEDS:.3f} s a training", flush=True)


def collect(folder: Path, recipe: Recipe = SHORT) -> None:
    """Join all chunks into the recipe's table and its provenance."""
    import pandas as pd

    functions = all_functions()
    metrics = np.full((len(functions), SEEDS, 4), np.nan, dtype=np.float32)
    seconds = 0.0
    for path in sorted(folder.glob("chunk????.npz")):
        with np.load(path) as chunk:
            metrics[chunk["rows"]] = chunk["metrics"]
            seconds += float(chunk["seconds"])
    rows = np.sort(trained_rows(recipe))
    functions, metrics = [functions[row] for row in rows], metrics[rows]
    missing = int(np.isnan(metrics).any(axis=(1, 2)).sum())
    if missing:
        raise SystemExit(f"{missing} of {len(functions)} functions are not trained yet: run --part first")
    table = recipe.table
    frame = pd.DataFrame({"architecture": ["".join(map(str, a)) for a in functions]})
    for column, name in enumerate(("validation_accuracy", "validation_loss", "test_accuracy", "test_loss")):
        for seed in range(SEEDS):
            frame[f"{name}_{seed}"] = metrics[:, seed, column]
    frame.to_parquet(table, index=False, compression="zstd")
    provenance = {
        "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
        "functions": len(functions),
        "seeds": SEEDS,
        "protocol": {
            "images": SIZES,
            "epochs": recipe.epochs,
            "batch": BATCH,
            "peak_learning_rate": recipe.peak_rate,
        },
        "elapsed_seconds": round(seconds),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "space": Micro.__module__,
        "script": "python -m splitbench.spaces.micro.build",
    }
    table.with_suffix(".json").write_text(json.dumps(provenance, indent=1) + "\n")
    print(f"wrote {table.name}: {len(functions)} functions, {table.stat().st_size / 1e6:.2f} MB")


def build_main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default="short", help="short: 31 steps, all; long: 312, 1,000")
    parser.add_argument("--work", type=Path, help="folder of finished chunks (build/micro-truth-RECIPE)")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--collect", action="store_true", help="join the chunks into the table")
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.recipe]
    folder = arguments.work or Path("build") / f"micro-truth-{arguments.recipe}"
    if arguments.collect:
        collect(folder, recipe)
    else:
        train_chunks(folder, arguments.part, arguments.parts, recipe)


if __name__ == "__main__":
    build_main()
