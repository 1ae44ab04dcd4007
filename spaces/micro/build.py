"""Build micro's ground truth: every distinct function trained stand-alone, three seeds each.

    python -m splitbench.spaces.micro.build --part 0 --parts 2 &     # one torch thread a process
    python -m splitbench.spaces.micro.build --part 1 --parts 2 &
    python -m splitbench.spaces.micro.build --collect                # once both have ended: writes table.parquet

Resumable: each chunk of functions is one file in the work folder, written atomically; a second start goes on.
Protocol: 200 training images, 10 epochs (31 steps of 64), SGD with Nesterov momentum .9 and weight decay 5e-4,
one-cycle learning rate to 0.1, no augmentation; then accuracy and cross-entropy on 597 validation and 1,000 test
images, each part as one batch normalised by its own statistics. The three seeds of a function train side by side as
replicas of one network (grouped convolutions): no arithmetic is shared between them, only the calls.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
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
EPOCHS = 10
BATCH = 64
PEAK_RATE = 0.1
CHUNK = 50
TABLE = Path(__file__).with_name("table.parquet")
Metrics = npt.NDArray[np.float32]


def all_functions() -> list[Architecture]:
    """Every distinct function, the empty one included, in lexicographic order."""
    import itertools

    return [a for a in itertools.product(range(5), repeat=6) if canonical(a) == a]


def seed_of(architecture: Architecture) -> int:
    """A seed of the function's own, so that no two functions share initial weights or data order."""
    text = "micro-ground-truth-1:" + "".join(map(str, architecture))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


class Replicated(MicroNetwork):
    """``SEEDS`` independent networks of one architecture: images [N, SEEDS, 8, 8] -> logits [N, SEEDS, classes]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(SubSpace(tuple((op,) for op in architecture)), replicas=SEEDS)
        width = CHANNELS[-1]
        self.classifier = nn.Sequential(
            nn.Unflatten(1, (SEEDS * width, 1)), nn.Conv1d(SEEDS * width, SEEDS * CLASSES, 1, groups=SEEDS)
        )


def train(architecture: Architecture, data: dict[str, tuple[Tensor, Tensor]]) -> Metrics:
    """[SEEDS, 4]: validation accuracy %, validation loss, test accuracy %, test loss."""
    seed = seed_of(architecture)
    torch.manual_seed(seed)
    network = Replicated(architecture).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, labels = data["train"]
    stream = ImageData({"train": images}, {"train": labels}, CLASSES)
    steps = EPOCHS * len(labels) // BATCH
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, steps, cycle_momentum=False)
    for step in range(steps):
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


def build(folder: Path, part: int, parts: int) -> None:
    """Train this part's chunks that are not there yet."""
    torch.set_num_threads(1)
    data = {name: digits(name) for name in SIZES}
    functions = all_functions()
    order = np.random.default_rng(0).permutation(len(functions))  # a random order: early chunks are a fair sample
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)]
    for index, rows in enumerate(chunks):
        target = folder / f"chunk{index:04d}.npz"
        if index % parts != part or target.exists():
            continue
        start = time.perf_counter()
        metrics = np.stack([train(functions[row], data) for row in rows])
        seconds = time.perf_counter() - start
        temporary = target.with_suffix(".tmp.npz")
        np.savez(temporary, rows=rows, metrics=metrics, seconds=seconds)
        os.replace(temporary, target)
        print(f"chunk {index + 1} of {len(chunks)}: {seconds / len(rows) / SEEDS:.3f} s a training", flush=True)


def collect(folder: Path) -> None:
    """Join all chunks into the committed table and its provenance."""
    import pandas as pd

    functions = all_functions()
    metrics = np.full((len(functions), SEEDS, 4), np.nan, dtype=np.float32)
    seconds = 0.0
    for path in sorted(folder.glob("chunk????.npz")):
        with np.load(path) as chunk:
            metrics[chunk["rows"]] = chunk["metrics"]
            seconds += float(chunk["seconds"])
    missing = int(np.isnan(metrics).any(axis=(1, 2)).sum())
    if missing:
        raise SystemExit(f"{missing} of {len(functions)} functions are not trained yet: run --part first")
    frame = pd.DataFrame({"architecture": ["".join(map(str, a)) for a in functions]})
    for column, name in enumerate(("validation_accuracy", "validation_loss", "test_accuracy", "test_loss")):
        for seed in range(SEEDS):
            frame[f"{name}_{seed}"] = metrics[:, seed, column]
    frame.to_parquet(TABLE, index=False, compression="zstd")
    provenance = {
        "sha256": hashlib.sha256(TABLE.read_bytes()).hexdigest(),
        "functions": len(functions),
        "seeds": SEEDS,
        "protocol": {"images": SIZES, "epochs": EPOCHS, "batch": BATCH, "peak_learning_rate": PEAK_RATE},
        "elapsed_seconds": round(seconds),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "space": Micro.__module__,
        "script": "python -m splitbench.spaces.micro.build",
    }
    TABLE.with_suffix(".json").write_text(json.dumps(provenance, indent=1) + "\n")
    print(f"wrote {TABLE.name}: {len(functions)} functions, {TABLE.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/micro-truth"), help="folder of finished chunks")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--collect", action="store_true", help="join the chunks into table.parquet")
    arguments = parser.parse_args()
    if arguments.collect:
        collect(arguments.work)
    else:
        build(arguments.work, arguments.part, arguments.parts)


if __name__ == "__main__":
    main()
