"""Golden sequences of whole runs: tiny studies, split once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

import splitbench
from splitbench.harness.versions.sequences import Golden, Part, numbers

STUDIES: tuple[tuple[str, Any, str, int, tuple[str, ...]], ...] = (
    ("rsps", {"name": "random_best", "samples": 4}, "best_estimate", 60, ()),
    ("rsps", "all", "random_leaf", 60, ()),
    ("rsps", "all", "random_leaf", 60, ("momentum_groups",)),
    ("darts", "argmax_alpha", "best_estimate", 40, ()),
)
"""Trainer, selector, leaf choice, steps, modifiers."""

PARTS = ("criteria/output_distance", "partitioners/balanced", "edge_rules/fixed", "spaces/micro",
         "datasets/digits", *(f"stages/{kind}" for kind in ("train", "score", "predict", "select", "run")))  # fmt: skip
"""What all of these studies work with."""


ARM = {"criterion": "output_distance", "repetitions": 1, "edge_rule": {"name": "fixed", "edges": [2]}}


def of_studies() -> Iterator[Golden]:
    """Whole runs that are split once: training losses, affinities, estimates, the selection, the bill."""
    torch.set_default_dtype(torch.float32)  # as the images of digits are; the learning rate is low
    for trainer, selector, leaf_choice, steps, modifiers in STUDIES:
        chosen = selector if isinstance(selector, str) else selector["name"]
        record, losses = run_tiny_study(
            trainer, steps, selector=selector, leaf_choice=leaf_choice, modifiers=list(modifiers)
        )
        leaves = record["selection"]["leaves"]
        bill = [record["cost"][phase][key] for phase in sorted(record["cost"]) for key in ("steps", "examples")]
        sequence: list[Part] = [numbers([loss for _, loss in node["curve"]]) for node in nodes(record["tree"])]
        sequence += [numbers(score["dissimilarity"]) for score in record["tree"]["scores"].values()]
        sequence += [str(record["tree"]["edges"]), losses, numbers([leaf["loss"] for leaf in leaves]), numbers(bill)]
        sequence += [str([leaf["architecture"] for leaf in leaves]), str(record["selection"]["leaf"])]
        sequence += [numbers([record["budget"]["spent"]]), numbers([cost["flops"] for cost in record["cost"].values()])]
        named = tuple(f"modifiers/{name}" for name in modifiers)
        units = (f"trainers/{trainer}", f"selectors/{chosen}", f"leaf_choices/{leaf_choice}", *named, *PARTS)
        yield Golden(", ".join([f"study with {trainer}", chosen, leaf_choice, *modifiers]), units, sequence)


def nodes(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A node of a record's tree and all below it."""
    yield tree
    for child in tree["children"]:
        yield from nodes(child)


def run_tiny_study(trainer: str, steps: int, **settings: Any) -> tuple[dict[str, Any], list[float]]:
    """The record of a tiny study's only run, and the losses of its estimates by architecture."""
    study = {
        "name": "golden", "space": "micro", "dataset": "digits", "seeds": 1, "population": {"sample": 10},
        "trainer": {"name": trainer, "batch_size": 32, "learning_rate": 0.001}, "budget": {"steps": steps},
        "schedule": {"warmup": 0.2}, "evaluation": {"images": 60}, "arms": [ARM], **settings,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        splitbench.run(study, folder, "cpu")
        (path,) = Path(folder, "records").glob("*d0.json")
        table = splitbench.load(folder).estimates().sort_values("architecture")
        return json.loads(path.read_text()), numbers(table["loss"])
