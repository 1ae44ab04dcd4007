"""Our zero-cost proxies beside published ones, on NAS-Bench-201's full networks and CIFAR-10.

    python bench/proxies_against_published.py --data DIR --out runs/proxies [--workers 2]    # scores what is missing
    python bench/proxies_against_published.py --data DIR --out runs/proxies --report         # writes the tables

Two questions. Architecture by architecture: do our scores order cells as those of NAS-Bench-Suite-Zero do (Spearman,
random cells without dead operations)? And over a random sample of all 15,625 strings: is Kendall's tau with test
accuracy that of AZ-NAS's table? The cells of the first are part of the sample of the second, so that each is scored
once. ``--again`` scores the cells once more with other weights and batches: no two implementations can agree better
than one agrees with itself.

A killed run goes on where it was. The report reads nothing but the scores and the published tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import textwrap
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from splitbench.harness import device as devices
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.proxy_ranking.rank import (
    DRAWS,
    Correlation,
    fast_spearman,
    functions_of,
    measure_proxies,
    pool,
    pooled_scores,
    rank_correlation,
)
from splitbench.harness.proxy_ranking.scores import ScoreFile, open_existing
from splitbench.harness.proxy_ranking.scoring import RankingJob, score
from splitbench.harness.registry import Spec
from splitbench.harness.stages.score_networks import NetworkScore
from splitbench.results.records.files import write_atomically
from splitbench.results.records.record import bare
from splitbench.spaces.base import Architecture
from splitbench.spaces.nb201.space import NB201

PUBLISHED = Path(__file__).parents[1] / "results" / "published"
SPACE = NB201()
DATASET = {"name": "cifar10", "train": 5000, "validation": 1000}  # batches come from the first 5,000 training images
TOLERANCE = 0.04
EQUAL = 0.01  # values that differ by no more, relatively, are the same score
AGAIN = 50  # cells with another seed, at least
COMMITTED = 1_000_000  # bytes of scores that may be committed

AZ_NAS = {  # Kendall's tau on all 15,625 strings, CIFAR-10 (AZ-NAS, CVPR 2024, Table 1)
    "params": 0.578,
    "flops": 0.578,
    "grad_norm": 0.357,
    "snip": 0.454,
    "grasp": 0.318,
    "synflow": 0.571,
    "nwot": 0.557,
    "zico": 0.589,
    "az_nas": 0.741,
}
SHIPPED_FISHER, SHIPPED_ZEN = "fisher-variant=as_shipped", "zen-running=True"
SPECS: dict[str, Spec] = {
    SHIPPED_FISHER: {"name": "fisher", "variant": "as_shipped"},
    SHIPPED_ZEN: {"name": "zen", "running": True},
}
EXTRAS = ("effective_flops", "convolutions", "l2_norm", "tpc")
GATES = {  # Spearman with NAS-Bench-Suite-Zero's scores; None: reported, with the reason
    "params": 0.99,
    "flops": 0.99,
    "synflow": 0.99,
    "l2_norm": 0.99,
    "nwot": 0.95,
    "jacov": 0.95,
    "snip": 0.95,
    "grad_norm": 0.95,
    SHIPPED_FISHER: 0.90,
    SHIPPED_ZEN: 0.95,
    "fisher": None,
    "plain": None,
    "grasp": None,
    "epe_nas": None,
    "zen": None,
}
UNGATED = {
    "fisher": "NAS-Bench-Suite-Zero's code counts a channel once for each weight that leads to it, and linear layers; "
    "the variant as_shipped does so too, and is held against the threshold",
    "plain": "a sum of terms of both signs: what is left of it after they cancel depends on the batch",
    "grasp": "a product with the Hessian, of both signs: it depends on the batch and on the initial weights",
    "epe_nas": "correlations within each class of one batch, of which there are six or seven images a class",
    "zen": "the paper's formula; the released code, which the published scores are from, reads running variances "
    "instead, as the variant running does, which is held against a threshold",
}
NOT_EXPLAINED = "**not explained**"
# proxy -> why its tau differs from AZ-NAS's by more than TOLERANCE, where it is known. The taus on the 618 cells are of
# the committed scores and of NAS-Bench-Suite-Zero's, with the same test accuracies.
SAME = "of our sample's strings NAS-Bench-Suite-Zero has scored 618, and there tau is"
DIFFERENCES: dict[str, str] = {
    "grad_norm": f"{SAME} .434 by our scores and .435 by its own (.441 on all its 9,445 cells): two implementations "
    "agree, cell by cell and in tau, and the published number is of another one",
    "grasp": f"{SAME} .370 by our scores and .374 by its own (.378 on all its 9,445 cells): two implementations agree, "
    "and the published number is of another one",
    "nwot": f"{SAME} .604 by our scores and .609 by its own (.624 on all its 9,445 cells): two implementations agree; "
    "the published value also lies within the interval of this sample",
}
SPREAD = ("jacov", "l2_norm", "snip", "grad_norm")  # whose agreement with themselves says what can be asked of them
SAMPLED = [*AZ_NAS, *EXTRAS]
ON_CELLS = [*dict.fromkeys([*SAMPLED, *GATES])]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of published data; SPLITBENCH_DATA by default")
    parser.add_argument("--out", type=Path, default=Path("runs/proxies"))
    parser.add_argument("--cells", type=int, default=300, help="compared architecture by architecture")
    parser.add_argument("--population", type=int, default=1000, help="strings that tau is computed on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--proxy", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--again", action="store_true", help="score the cells with other weights and batches")
    parser.add_argument("--report", action="store_true", help="write the tables; nothing is scored")
    options = parser.parse_args()
    if options.data:
        os.environ["SPLITBENCH_DATA"] = str(options.data.resolve())
    try:
        if options.report:
            report(options.out, options.cells, options.population)
        else:
            run(options)
    except SplitbenchError as error:
        raise SystemExit(f"proxies_against_published: {error}") from None


def spec_of(key: str) -> Spec:
    """The proxy that a file of scores is of."""
    return SPECS.get(key, key)


def cells_of(sample: list[Architecture], count: int) -> list[Architecture]:
    """The first ``count`` architectures of a sample that are connected and have no dead operation."""
    return [a for a in sample if SPACE.connected(a) and SPACE.function(a) == a][:count]


def run(options: argparse.Namespace) -> None:
    """Score what is missing: every proxy on the cells, then those of the population on the rest of it."""
    sample = pool(SPACE, "strings", options.population, options.seed)
    cells = cells_of(sample, options.cells)
    if len(cells) < options.cells:
        raise SystemExit(f"{len(sample)} strings hold {len(cells)} cells without dead operations: raise --population")
    chosen = options.proxy or ON_CELLS
    again = [proxy for proxy in options.proxy or [*UNGATED, *SPREAD] if proxy in GATES]
    folder = options.out / "again" if options.again else options.out
    job = RankingJob("nb201", DATASET, options.seed + options.again, 64, devices.choose(options.device))
    note_machine(options)
    parts = [(cells, again)] if options.again else [(cells, chosen), (sample, [p for p in chosen if p in SAMPLED])]
    for architectures, proxies in parts:
        if proxies:
            score(
                job,
                architectures,
                [spec_of(key) for key in proxies],
                folder,
                options.workers,
                progress=Lines(" ".join(proxies)),
            )


class Lines:
    """A line at the start, one every two minutes, and one at the end."""

    def __init__(self, title: str) -> None:
        self.start = self.spoke = time.monotonic()
        print(title, file=sys.stderr, flush=True)
        self.first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = done
        elif done < total and now - self.spoke < 120:
            return
        self.spoke = now
        rate = (done - self.first) / (now - self.start) if done > self.first else 0.0
        left = f", {(total - done) / rate / 60:.0f} min left" if rate and done < total else ""
        print(f"  {done} of {total} networks, {(now - self.start) / 60:.1f} min{left}", file=sys.stderr, flush=True)


def note_machine(options: argparse.Namespace) -> None:
    """What the seconds were measured on."""
    device = torch.device(devices.choose(options.device))
    with devices.one_thread():
        words = f"{devices.describe_device(device)}, {platform.machine()}, {options.workers} process(es) side by side"
    note = {"machine": words, "torch": torch.__version__}
    write_atomically(options.out / "machine.json", (json.dumps(note) + "\n").encode())


# -- the report ------------------------------------------------------------------------------------------------------


def report(out: Path, cells: int, population: int) -> None:
    """``results/published/proxies.md``, ``proxies.json``, and the scores that they are a function of."""
    files = {path.stem: open_existing(path) for path in sorted((out / "scores").glob("*.jsonl"))}
    if "params" not in files:
        raise SystemExit(f"{out / 'scores'} holds no scores of params: run without --report first")
    protocol = files["params"].protocol
    job = job_of(protocol)
    sample = pool(SPACE, "strings", population, job.seed)
    compared = cells_of(sample, cells)
    names, cell_names = [[SPACE.encode(a) for a in part] for part in (sample, compared)]
    scores = {proxy: file.read() for proxy, file in files.items()}
    again = {path.stem: open_existing(path).read() for path in sorted((out / "again" / "scores").glob("*.jsonl"))}

    whole = [p for p in SAMPLED if p in scores and all(name in scores[p] for name in names)]
    ranked = measure_proxies(job, whole, {p: {name: scores[p][name] for name in names} for p in whole})
    rows = [asdict(row) | against(row.tau, AZ_NAS.get(row.proxy)) for row in ranked]
    gated = [p for p in GATES if p in scores and all(name in scores[p] for name in cell_names)]
    theirs = suite_zero(cell_names)
    alike = [
        per_architecture(p, cell_names, scores[p], again.get(p, {}), theirs[p.partition("-")[0]].to_numpy(np.float64))
        for p in gated
    ]

    machine = json.loads((out / "machine.json").read_text())
    found = {
        "protocol": {key: protocol[key] for key in ("space", "dataset", "batch_size", "seed", "device")},
        **machine,
        "population": {"name": "strings", "architectures": len(names)},
        "rows": rows,
        "cells": {"architectures": len(cell_names), "rows": alike},
        "missing": [p for p in SAMPLED if p not in whole] + [p for p in GATES if p not in gated],
    }
    commit(files, scores, names, PUBLISHED / "proxies")
    both = {p: open_existing(out / "again" / "scores" / f"{p}.jsonl") for p in again}
    commit(both, again, cell_names, PUBLISHED / "proxies" / "again")
    write_atomically(PUBLISHED / "proxies.json", (json.dumps(found, indent=1) + "\n").encode())
    write_atomically(PUBLISHED / "proxies.md", markdown(found).encode())
    size = sum(path.stat().st_size for path in (PUBLISHED / "proxies").rglob("*.jsonl"))
    print(f"wrote {PUBLISHED / 'proxies.md'}, proxies.json and {size:,} bytes of scores", file=sys.stderr)
    if size > COMMITTED:
        print(f"that is more than the {COMMITTED:,} bytes that may be committed", file=sys.stderr)


def job_of(protocol: Any) -> RankingJob:
    """The job that scores were made by, on the CPU."""
    return RankingJob("nb201", bare(protocol["dataset"]), protocol["seed"], protocol["batch_size"])


def commit(
    files: dict[str, ScoreFile], scores: dict[str, dict[str, NetworkScore]], names: list[str], folder: Path
) -> None:
    """Copy the scores of these architectures, in this order; what was there before goes."""
    for old in folder.glob("*.jsonl"):
        old.unlink()
    for proxy, file in files.items():
        kept = {name: scores[proxy][name] for name in names if name in scores[proxy]}
        ScoreFile(folder / f"{proxy}.jsonl", file.protocol).write(kept)


def against(tau: Correlation | None, published: float | None) -> dict[str, Any]:
    """Our tau less a published one."""
    if tau is None or published is None:
        return {"published": published, "difference": None, "within": None}
    difference = tau.value - published
    return {"published": published, "difference": difference, "within": abs(difference) <= TOLERANCE}


def suite_zero(names: list[str]) -> pd.DataFrame:
    """NAS-Bench-Suite-Zero's CIFAR-10 scores of these cells, a column a proxy."""
    folder = os.environ.get("SPLITBENCH_DATA")
    if not folder:
        raise SystemExit("name the folder of published data with --data")
    table = pd.read_csv(Path(folder) / "nb201" / "nb201.csv.gz", dtype={"ops": str}, usecols=["ops"])
    scores = pd.read_csv(Path(folder) / "nb201" / "zc_suitezero_cifar10.csv.gz")
    scores.index = pd.Index(table["ops"].to_numpy()[scores["index"]])
    return scores.loc[names]


def per_architecture(
    proxy: str, names: list[str], ours: dict[str, NetworkScore], again: dict[str, NetworkScore], theirs: np.ndarray
) -> dict[str, Any]:
    """Spearman of our scores with theirs, and with our own under another seed."""
    values = pooled_scores(spec_of(proxy), {name: ours[name] for name in names})
    found = rank_correlation(
        fast_spearman, values, theirs, functions_of(SPACE, [SPACE.decode(name) for name in names]), DRAWS
    )
    both = [name for name in names if name in again]
    repeated = None
    if len(both) >= AGAIN:
        repeated = fast_spearman(
            *(pooled_scores(spec_of(proxy), {name: which[name] for name in both}) for which in (ours, again))
        )
    gate, positive = GATES[proxy], (values > 0) & (theirs > 0)
    convolutions = np.array([SPACE.convolutions(SPACE.decode(name)) for name in names], dtype=np.float64)
    return {
        "proxy": proxy,
        "rho": None if found is None else asdict(found),
        "gate": gate,
        "passes": None if gate is None or found is None else found.value >= gate,
        "another_seed": repeated,
        "another_seed_cells": len(both),
        "largest_relative_difference": float(np.abs(values / theirs - 1).max()) if positive.all() else None,
        "rho_with_convolutions": {
            "ours": fast_spearman(values, convolutions),
            "theirs": fast_spearman(theirs, convolutions),
        },
        "milliseconds": float(np.mean([ours[name].milliseconds for name in names])),
    }


def markdown(found: dict[str, Any]) -> str:
    """Both tables, and what they are of."""
    protocol, cells = found["protocol"], found["cells"]
    strings = f"{found['population']['architectures']:,} random strings of all 15,625 (disconnected ones included)"
    lines = [
        "# Our zero-cost proxies beside published ones",
        paragraph(
            "NAS-Bench-201's full networks (16 channels, 5 cells a stage), with dead operations and torch's initial "
            f"weights; CIFAR-10 training images, cropped and flipped, in batches of {protocol['batch_size']}; seed "
            f"{protocol['seed']}. Measured on {found['machine']}, torch {found['torch']}. Made by "
            "`bench/proxies_against_published.py` from the scores in [proxies](proxies)."
        ),
        "\n## With test accuracy",
        paragraph(
            f"Kendall's tau-b with the mean test accuracy after 200 epochs, on {strings}; in brackets the 95% interval "
            f"of a bootstrap over functions ({DRAWS:,} draws; strings of one function are drawn together, and all "
            "disconnected ones count as one). Published: AZ-NAS (CVPR 2024, Table 1), on all strings. A pass is one "
            "batch forward or backward."
        ),
        "",
        "| proxy | ours | published | difference | within .04 | Spearman | passes forward + backward | ms a network |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        columns = [
            row["proxy"],
            interval(row["tau"]),
            number(row["published"]),
            number(row["difference"], "+"),
            word(row["within"]),
            number(row["rho"] and row["rho"]["value"]),
            f"{row['forward']:.2g} + {row['backward']:.2g}",
            f"{row['milliseconds']:.1f}",
        ]
        lines.append(f"| {' | '.join(columns)} |")
    far = [row["proxy"] for row in found["rows"] if row["within"] is False]
    if far:
        told = [f"- {proxy}: {DIFFERENCES.get(proxy, NOT_EXPLAINED)}." for proxy in far]
        lines += ["", f"Further than {TOLERANCE} from the published value:", "", *(paragraph(t)[1:] for t in told)]
    lines += [
        "\n## Architecture by architecture",
        paragraph(
            "Spearman with the scores of NAS-Bench-Suite-Zero (Krishnakumar et al., NeurIPS 2022) on "
            f"{cells['architectures']} of these strings: the first ones, in random order, that are connected and have "
            "no dead operation; in brackets as above. Last column: our scores with our own under another seed (weights "
            "and batches), and on how many of these."
        ),
        "",
        "| proxy | ours with theirs | needed | reached | ours with ours |",
        "|---|---|---|---|---|",
    ]
    for row in cells["rows"]:
        columns = [row["proxy"], interval(row["rho"]), number(row["gate"]), word(row["passes"])]
        lines.append(f"| {' | '.join([*columns, repeated(row)])} |")
    short = [row for row in cells["rows"] if row["passes"] is False]
    if short:
        lines += ["", "Below the threshold:", "", *(paragraph(f"- {r['proxy']}: {reason(r)}")[1:] for r in short)]
    reasons = [row["proxy"] for row in cells["rows"] if row["gate"] is None]
    if reasons:
        lines += ["", "Without a threshold:", "", *(paragraph(f"- {p}: {UNGATED[p]}.")[1:] for p in reasons)]
    if found["missing"]:
        lines += ["", f"Not scored yet: {', '.join(dict.fromkeys(found['missing']))}."]
    return "\n".join([*lines, ""])


def reason(row: dict[str, Any]) -> str:
    """Why a proxy does not reach its threshold, so far as the scores show it."""
    return equal_values(row) if row["proxy"] == "l2_norm" else equal_spread(row)


def equal_spread(row: dict[str, Any]) -> str:
    """That one draw of weights and images says no more: only where our scores agree with themselves no better than, by
    its interval, they may agree with theirs."""
    again, rho = row["another_seed"], row["rho"]
    if again is None:
        return f"{NOT_EXPLAINED}."
    ours = (
        f"with other initial weights and images our own scores agree with themselves by {again:.3f} "
        f"(n = {row['another_seed_cells']})"
    )
    if rho is None or rho["high"] is None or again > rho["high"]:
        return f"{NOT_EXPLAINED}; {ours}, which is more than they agree with theirs."
    return f"{ours}: one draw of weights and one batch do not fix the order any better."


def equal_values(row: dict[str, Any]) -> str:
    """That the order of l2_norm is noise: only where the values themselves are the published ones."""
    largest = row["largest_relative_difference"]
    if largest is None or largest > EQUAL:
        return f"{NOT_EXPLAINED}" + ("." if largest is None else f"; the values differ by up to {largest:.1%}.")
    ours, theirs = row["rho_with_convolutions"]["ours"], row["rho_with_convolutions"]["theirs"]
    return (
        "with torch's initial weights a convolution's norm is the square root of a third of its channels, whatever its "
        "kernel, so that the score is a constant, plus a constant times the number of convolutions, plus the noise of "
        f"one draw of weights. Spearman with that number is {ours:.3f} (ours) and {theirs:.3f} (theirs); two draws "
        f"that share nothing else agree by the product, {ours * theirs:.3f}. Value by value, ours and theirs differ by "
        f"at most {largest:.1%}."
    )


def paragraph(text: str) -> str:
    return "\n" + textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def interval(found: dict[str, Any] | None) -> str:
    if found is None:
        return "undefined"
    return f"{found['value']:.3f}" + ("" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]")


def repeated(row: dict[str, Any]) -> str:
    found = number(row["another_seed"])
    return f"{found} (n = {row['another_seed_cells']})" if found else ""


def number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.3f}"


def word(value: bool | None) -> str:
    return "" if value is None else ("yes" if value else "**no**")


if __name__ == "__main__":
    main()
