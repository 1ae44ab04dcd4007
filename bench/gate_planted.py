"""Does `splitbench gate` catch planted bugs, and does it leave unchanged code alone?

    python bench/gate_planted.py [--runs runs/gate-planted] [--again 20]

One small study on micro is run at the study seed 0: its results are the baseline. Then it is run with each of the bugs
below planted in the code (its configuration says nothing of them), at the same seeds and at others, and ``--again``
times with no bug and other seeds. Every folder is gated by the command itself. An interrupted run goes on where it was.
Writes results/published/gate.md and gate.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import splitbench
from splitbench.harness.stages import measure
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stages.train import Training
from splitbench.harness.stores.folder import load_tensors
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.rsps import Rsps, RspsSession
from splitbench.results.gating import gate
from splitbench.results.measures import metrics
from splitbench.results.records.files import write_atomically
from splitbench.spaces.architectures import ranked
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.functions import listed

PUBLISHED = Path(__file__).parents[1] / "results" / "published"
ONE_EDGE = {"name": "fixed", "edges": [0]}
"""Scoring all edges can cost gm this small a budget."""
STUDY: dict[str, Any] = {
    "name": "gate-planted",
    "space": "micro",
    "dataset": "digits",
    "trainer": {"name": "rsps", "batch_size": 32, "learning_rate": 0.1},
    "schedule": {"levels": 1, "branching": 2, "warmup": 0.3, "weights": "inherit"},
    "budget": {"flops": 5e9},
    "seeds": 8,
    "population": {"sample": 200},
    "evaluation": {"images": 100},
    "selector": {"name": "random_best", "samples": 4},
    "arms": ["none", "random", {"name": "gm", "criterion": "gm", "repetitions": 2, "edge_rule": ONE_EDGE}],
}
LEAF = (2, 3)
"""Operations on the first edge whose architectures alone make the population in ``from_one_leaf``."""

# -- the bugs: each is a context in which the code has it --------------------------------------------------------------


@contextlib.contextmanager
def a_fifth_of_the_steps() -> Iterator[None]:
    """Each training stops after a fifth of its steps, yet charges and declares all of them."""
    real = Training.step

    def step(self: Training, start: float, stop: float) -> None:
        if self.share < 0.2:
            real(self, start, stop)
            return
        self.meter.charge(self.session.seam.next_cost(self.first + self.done))
        self.losses.append(self.losses[-1])
        self.done += 1

    with mock.patch.object(Training, "step", step):
        yield


@contextlib.contextmanager
def a_fifth_and_charged_so() -> Iterator[None]:
    """Each training stops after a fifth of its steps, and charges only those: the rest of the budget is lost."""
    real = Training.goes_on

    def goes_on(self: Training) -> bool:
        return self.share < 0.2 and real(self)

    with mock.patch.object(Training, "goes_on", goes_on):
        yield


@contextlib.contextmanager
def one_leaf_shuffled() -> Iterator[None]:
    """The estimates of the first leaf of every split arm belong to other architectures of that leaf."""
    real = measure.Measure.work

    def work(self: measure.Measure, context: StageContext, folder: Path) -> Any:
        first = self.leaves[0].predict if len(self.leaves) > 1 else None

        def load(path: Path) -> Any:
            tensors, notes = load_tensors(path)
            if path.parent.name == first:
                order = np.random.default_rng(0).permutation(len(tensors["rows"]))
                tensors = {**tensors, "accuracy": tensors["accuracy"][order], "loss": tensors["loss"][order]}
            return tensors, notes

        with mock.patch.object(measure, "load_tensors", load):
            return real(self, context, folder)

    with mock.patch.object(measure.Measure, "work", work):
        yield


@contextlib.contextmanager
def weight_decay_times_100() -> Iterator[None]:
    """The optimizer gets a hundred times the weight decay that the configuration says."""

    def open_(self: Rsps, job: Job) -> RspsSession:
        return RspsSession(dataclasses.replace(self, weight_decay=100 * self.weight_decay), job)

    with mock.patch.object(Rsps, "open", open_):
        yield


@contextlib.contextmanager
def better_half() -> Iterator[None]:
    """Metrics that are named [all] are computed on the truly better half of the population."""
    real = metrics.ranking_metrics

    def ranking(accuracy: Any, loss: Any, truth: Any, macs: Any, leaf: Any, best: float) -> metrics.Metrics:
        half = np.asarray(truth) >= np.median(truth)
        a, b, c, d, e = (np.asarray(column)[half] for column in (accuracy, loss, truth, macs, leaf))
        return real(a, b, c, d, e, best)

    with mock.patch.object(metrics, "ranking_metrics", ranking):
        yield


@contextlib.contextmanager
def from_one_leaf() -> Iterator[None]:
    """The population is drawn from one leaf of the space instead of from all of it."""
    real = ranked.population

    def population(
        space: SearchSpace,
        sample: int | None,
        seed: int,
        subspace: SubSpace | None = None,
        leaves_before: Any = (),
        of: Any = "functions",
    ) -> Any:
        if sample is None:
            return real(space, sample, seed, subspace, leaves_before, of)
        root = space.root()
        rows = listed(space, SubSpace((LEAF, *root.allowed[1:])))
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), sample, replace=False))]
        return rows if subspace is None else rows[subspace.mask(rows)]

    with mock.patch.object(ranked, "population", population):
        yield


BUGS: dict[str, tuple[str, Callable[[], contextlib.AbstractContextManager[None]], tuple[str, ...]]] = {
    # name: what is wrong; the context; which stages of an intact run the bug touches (empty: all of them)
    "fifth": ("a trainer stops after a fifth of its steps, and charges all", a_fifth_of_the_steps, ()),
    "fifth-charged": ("a trainer stops after a fifth of its steps, and charges those", a_fifth_and_charged_so, ()),
    "shuffled": ("estimates of one leaf shuffled", one_leaf_shuffled, ("measure",)),
    "decay": ("weight decay a hundred times too large", weight_decay_times_100, ()),
    "half": ("tau[all] computed on the better half", better_half, ("measure",)),
    "leaf": ("population drawn from one leaf", from_one_leaf, ("facts", "measure", "predict", "select")),
}

NOTHING = ("nothing: measured anew", contextlib.nullcontext, ("measure", "facts"))
BASELINE_SEEDS = 16
"""More than a re-run has: a baseline is made once, and its noise is part of every comparison at other seeds."""
SEEDS = {"shuffled": range(6), "half": range(3)}
"""Study seeds at which a bug is planted, 0 being the baseline's; 0 and 1 for the others, which train or predict."""
RUN_AT_ALL = 3.0
"""Processor seconds under which a run has only found everything done."""

# -- running ----------------------------------------------------------------------------------------------------------


def study(seed: int, **changes: Any) -> dict[str, Any]:
    return {**STUDY, "seed": seed, **changes}


def run(folder: Path, wanted: Mapping[str, Any], bug: str | None = None, intact: Path | None = None) -> float:
    """Run a study into ``folder``, with a bug; gives the seconds. Stages that the bug does not touch are taken from
    ``intact``, the same study without it; the bug ``nothing`` measures anew, and is none."""
    start = time.perf_counter()
    _, plant, touched = NOTHING if bug == "nothing" else BUGS[bug] if bug else ("", contextlib.nullcontext, ())
    if touched and intact is not None and not (folder / "stages").exists():
        shutil.copytree(intact / "stages", folder / "stages", copy_function=os.link)
        for result in (folder / "stages").glob("*/*/result.json"):
            if kind(json.loads(result.read_bytes())["output"]) in touched:
                shutil.rmtree(result.parent)
    with plant():
        splitbench.run(dict(wanted), folder, device="cpu", workers=1)
    return time.perf_counter() - start


def kind(output: Any) -> str:
    """Which kind of stage gave this output."""
    marks = {"metrics": "measure", "ceiling": "facts", "count": "predict", "architecture": "select"}
    return next((name for key, name in marks.items() if key in output), "train or score")


# -- judging ----------------------------------------------------------------------------------------------------------


def judge(folder: Path, baseline: Path) -> dict[str, Any]:
    """What the command says of a folder: its exit status and what failed."""
    from splitbench.harness.cli.app import main as command

    status, out = 0, io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            command(["gate", str(folder), "--baseline", str(baseline), "--json"])
        except SystemExit as end:
            status = int(end.code or 0)
    report = json.loads(out.getvalue())
    checks = [one for one in report["checks"] if one["kind"] == "metric"]
    return {
        "exit": status,
        "caught_by": [[one["kind"], one["arm"], one["name"]] for one in report["checks"] if one["failed"]],
        "metrics": {
            f"{one['arm']}: {one['name']}": {key: one["test"][key] for key in ("before", "after", "margin", "p")}
            for one in checks
        },
        "fails_beyond_in_margins": [
            one["test"]["fails_beyond"] / one["test"]["margin"] for one in checks if one["test"]["fails_beyond"]
        ],
        "verdicts": [one["verdict"] for one in checks],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/gate-planted"), help="folder of the runs")
    parser.add_argument("--again", type=int, default=20, help="re-runs of unchanged code, each with other seeds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    baseline = options.runs / "baseline.json"
    cases: list[tuple[str, int, str | None]] = [("unchanged", 0, None)]
    cases += [(bug, seed, bug) for bug in BUGS for seed in SEEDS.get(bug, range(2))]
    cases += [("unchanged", seed, None) for seed in range(1, options.again + 1)]
    timed(options.runs / "clean-s0", study(0, seeds=BASELINE_SEEDS))
    if not baseline.exists():
        gate.update(
            options.runs / "clean-s0", baseline, (), "splitbench gate clean-s0 --baseline baseline.json --update"
        )
    found = []
    for name, seed, bug in cases:
        folder = options.runs / (f"{bug}-s{seed}" if bug else f"clean-s{seed}" if seed else "same-s0")
        intact = options.runs / f"clean-s{seed}"
        if bug and BUGS[bug][2]:
            timed(intact, study(seed))
        seconds = timed(folder, study(seed), bug or ("nothing" if not seed else None), intact)
        found.append({"case": name, "seed": seed, "seconds": round(seconds, 1), **judge(folder, baseline)})
        print(name, f"seed {seed}", f"exit {found[-1]['exit']}", *summed(found[-1]["caught_by"]), flush=True)
    result = {
        "study": STUDY,
        "baseline": {"seed": 0, "seeds": BASELINE_SEEDS},
        "machine": {"processor": platform.machine(), "torch": torch.__version__},
        "cases": found,
    }
    write_atomically(PUBLISHED / "gate.json", (json.dumps(result, indent=1) + "\n").encode())
    write_atomically(PUBLISHED / "gate.md", page(found).encode())


def timed(folder: Path, wanted: Mapping[str, Any], bug: str | None = None, intact: Path | None = None) -> float:
    """Run what is missing; gives the processor seconds of the whole run, those of earlier attempts included."""
    note = folder / "seconds.json"
    before = json.loads(note.read_bytes()) if note.exists() else 0.0
    start = time.process_time()
    try:
        run(folder, wanted, bug, intact)
    finally:
        spent = time.process_time() - start
        if not note.exists() or spent > RUN_AT_ALL:
            write_atomically(note, json.dumps(before + spent).encode())
    return float(json.loads(note.read_bytes()))


def summed(caught: list[list[str]]) -> list[str]:
    """What caught a bug, by name, arms counted."""
    found: dict[str, int] = {}
    for kind_, _, name in caught:
        found[f"{kind_} {name}"] = found.get(f"{kind_} {name}", 0) + 1
    return [f"{name} ({count})" if count > 1 else name for name, count in found.items()]


def page(found: list[dict[str, Any]]) -> str:
    """The results as markdown."""
    again = [one for one in found if one["case"] == "unchanged" and one["seed"]]
    alarms = sum(one["exit"] != 0 for one in again)
    verdicts = [word for one in again for word in one["verdicts"]]
    share = verdicts.count("non-inferior") / len(verdicts) if verdicts else 0.0
    reach = [value for one in again for value in one["fails_beyond_in_margins"]]
    lines = [
        "# The gate on planted bugs, and on unchanged code",
        "",
        f"Study: micro, {len(STUDY['arms'])} arms, {STUDY['budget']['flops']:g} FLOPs an arm, "
        f"{STUDY['population']['sample']} architectures. Baseline: study seed 0, {BASELINE_SEEDS} seeds. Each case: "
        f"{STUDY['seeds']} seeds, with study seed 0 (same seeds as the baseline's, paired) or another one (new seeds, "
        "two samples). `bench/gate_planted.py` makes this page; gate.json has all numbers.",
        "",
        f"**Unchanged code, new seeds: {alarms} of {len(again)} re-runs failed the gate.** Of their "
        f"{len(verdicts)} metrics {share:.0%} were found non-inferior, the rest inconclusive. At these seeds a metric "
        f"fails if it drops by {min(reach):.1f} to {max(reach):.1f} margins (one margin: one standard deviation "
        "between seeds)."
        if reach
        else "",
        "",
        "| bug | seeds | study seed | exit | caught by (arms, if several) |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        if one["case"] == "unchanged" and one["seed"] and one["exit"] == 0:
            continue
        what = BUGS[one["case"]][0] if one["case"] in BUGS else "none: the same code"
        seeds = "new" if one["seed"] else "same"
        by = "; ".join(summed(one["caught_by"])) or "nothing"
        lines.append(f"| {what} | {seeds} | {one['seed']} | {one['exit']} | {by} |")
    lines += [
        "",
        "Bugs in measuring alone (shuffled, better half, one leaf) take the trained supernets of the intact run.",
    ]
    if again:
        seconds = statistics.median(one["seconds"] for one in again)
        lines[-1] += f" One run of the study takes {seconds:.0f} processor seconds (median of the re-runs)."
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
