"""What ``splitbench geometry`` writes: one JSON object, and the sheet of words that is made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy.typing as npt

from splitbench.results.partitions.geometry import (
    Agreement,
    Averaged,
    Split,
    against_truth,
    identical,
    matrix,
    scoring_stability,
    separations,
)
from splitbench.results.words.sheet import GIVEN, NOTHING, ORACLE, Sheet, WordTable, count, marked

METRICS = ("leaves", "eta2[all]", "rank_eta2[all]", "top1%_concentration[all]", "leaf_floor[all]", "best_of_k[all]")
BETWEEN = {"batches": "batches and contexts", "seeds": "seeds", "initial": "initial and warmed-up weights"}
AGREEMENT = tuple(field.name for field in fields(Agreement))
MOST_ROWS = 3
GIVEN_LEAVES = "leaves as given"


def geometry_json(
    about: Mapping[str, Any], arms: Mapping[str, Sequence[Split]], truth: npt.ArrayLike
) -> dict[str, Any]:
    """The JSON object.

    Args:
        about: ``study, space, dataset, truth, seeds, probes``, ``protocol`` and ``fingerprints`` (arm -> hash) that
            say which records it belongs to, ``reads_truth``, ``given`` and ``not_splitting`` (arms) and ``skipped``
            (arm -> why).
        arms: label -> its splits in order of repetitions and draws; all over the same A functions.
        truth: [A] stand-alone test accuracy, percent.
    """
    splits = list(arms.values())
    agreement = matrix(splits)
    size = len(splits[0][0].labels)
    return {
        **about,
        "population": f"all {size:,} distinct connected functions",
        "population_size": size,
        "arms": [_arm(label, own, truth) for label, own in arms.items()],
        "ari[all]": {
            "arms": list(arms),
            "mean": [[cell.mean for cell in row] for row in agreement],
            "by_repetition": {
                str(repetition): [[cell.by[repetition] for cell in row] for row in agreement]
                for repetition in agreement[0][0].by
            },
        },
        "same_partition": identical(splits),
    }


def _arm(label: str, splits: Sequence[Split], truth: npt.ArrayLike) -> dict[str, Any]:
    facts = [against_truth(truth, split.labels) for split in splits]
    metrics = {
        name: Averaged.of((split.repetition, fact[name]) for split, fact in zip(splits, facts, strict=True))
        for name in METRICS
    }
    agreements = {
        kind: {name: Averaged.of((key, getattr(pair, name)) for key, pair in pairs) for name in AGREEMENT}
        for kind, pairs in scoring_stability(splits).items()
        if pairs
    }
    edges = separations(splits)
    everywhere = Averaged.of(sample for samples in edges.values() for sample in samples)
    return {
        "arm": label,
        "draws": 1 + max(split.draw for split in splits),
        "metrics": {name: _averaged(value) for name, value in metrics.items()},
        "separation": {
            **_averaged(everywhere),
            "by_edge": {edge: Averaged.of(samples).mean for edge, samples in edges.items()},
        },
        "stability": {
            kind: {_named(name): _averaged(value) for name, value in agreements[kind].items()}
            if kind in agreements
            else None
            for kind in BETWEEN
        },
        "partitions": [
            {
                "repetition": split.repetition,
                "draw": split.draw,
                "sizes": split.sizes,
                "splits": [dict(word) for word in split.words],
                "leaves": [dict(leaf) for leaf in split.leaves],
                "metrics": fact,
            }
            for split, fact in zip(splits, facts, strict=True)
        ],
    }


def _averaged(value: Averaged) -> dict[str, Any]:
    """Keys are repetitions from 0, or two of them with a dash."""
    by = {"-".join(map(str, key)) if isinstance(key, tuple) else str(key): mean for key, mean in value.by.items()}
    return {"mean": value.mean, "by_repetition": by}


def _named(agreement: str) -> str:
    return "functions_ari[all]" if agreement == "functions_ari" else agreement


# -- words -------------------------------------------------------------------------------------------------------------


def geometry_sheet(geometry: Mapping[str, Any]) -> Sheet:
    """A report in tables."""
    classes = [
        f"{', '.join(names)} choose one and the same partition in every repetition"
        for names in geometry["same_partition"]
    ]
    facts = [
        f"Partitions before any leaf is trained; {count(geometry['seeds'], 'seed')}. Population "
        f"[all]: {geometry['population']}. Ground truth: {geometry['truth']}.",
        f"{'; '.join(classes)}." if classes else "No two arms choose the same partition in every repetition.",
    ]
    if geometry["not_splitting"]:
        facts.append(f"Without a split, so without a partition: {', '.join(geometry['not_splitting'])}.")
    return Sheet(
        heading=f"{geometry['study']}: geometry of partitions, {geometry['space']} on {geometry['dataset']}",
        facts=tuple(facts),
        tables=(_partitions(geometry), _truth(geometry), _agreement(geometry), _stability(geometry)),
        legend=_legend(geometry),
        warnings=tuple(f"skipped arm: {arm}: {reason}" for arm, reason in geometry["skipped"].items()),
    )


def _partitions(geometry: Mapping[str, Any]) -> WordTable:
    rows = []
    for arm in geometry["arms"]:
        runs = Counter(
            (first_split(partition), _below(partition), _sizes(partition["sizes"])) for partition in arm["partitions"]
        )
        total = len(arm["partitions"])
        shown = runs.most_common(MOST_ROWS if len(runs) > MOST_ROWS + 1 else None)
        for words, n in shown:
            rows.append((_words(geometry, arm), f"{n} of {total}", *words))
        if left := len(runs) - len(shown):
            rows.append((_words(geometry, arm), NOTHING, f"and {left} others, in geometry.json", NOTHING, NOTHING))
    header = ("arm", "runs", "first split", "more splits", "functions a leaf [all]")
    return WordTable("Partitions", header, tuple(rows), left=("first split", "functions a leaf [all]"))


def first_split(partition: Mapping[str, Any]) -> str:
    """The split of the root in words: edge, and groups of operations with bars between them."""
    if not partition["splits"]:
        return GIVEN_LEAVES
    root = [split for split in partition["splits"] if split["path"] == "root"]
    return "; ".join(f"{split['edge']}: {' | '.join(', '.join(group) for group in split['groups'])}" for split in root)


def _below(partition: Mapping[str, Any]) -> str:
    return str(sum(split["path"] != "root" for split in partition["splits"])) if partition["splits"] else NOTHING


def _sizes(sizes: Sequence[int]) -> str:
    return " + ".join(f"{size:,}" for size in sorted(sizes, reverse=True))


def _truth(geometry: Mapping[str, Any]) -> WordTable:
    rows = []
    for arm in geometry["arms"]:
        values = [arm["metrics"][name]["mean"] for name in METRICS]
        leaves, *shares, floor, best = values
        rows.append(
            (_words(geometry, arm), f"{leaves:g}", *(f"{s:.3f}" for s in shares), f"{floor:.2f}", f"{best:.2f}")
        )
    return WordTable("Against stand-alone test accuracy (reads the ground truth)", ("arm", *METRICS), tuple(rows))


def _agreement(geometry: Mapping[str, Any]) -> WordTable:
    means = geometry["ari[all]"]["mean"]
    rows = tuple(
        (f"{place} {_words(geometry, arm)}", *(two_decimals(value) for value in row))
        for place, (arm, row) in enumerate(zip(geometry["arms"], means, strict=True), 1)
    )
    return WordTable("Agreement of partitions: ARI [all]", ("arm", *(str(n + 1) for n in range(len(rows)))), rows)


def _stability(geometry: Mapping[str, Any]) -> WordTable:
    rows = []
    for arm in geometry["arms"]:
        kinds = {kind: agreements for kind, agreements in arm["stability"].items() if agreements is not None}
        spread = two_decimals(arm["separation"]["mean"])
        for kind, agreements in kinds.items():
            values = (two_decimals(agreements[_named(name)]["mean"]) for name in AGREEMENT)
            rows.append((_words(geometry, arm), spread, BETWEEN[kind], *values))
        if not kinds:
            rows.append((_words(geometry, arm), spread, *(NOTHING,) * (1 + len(AGREEMENT))))
    header = ("arm", "separation", "between", "same edge", "ARI of groups", "ARI [all]", "rho of affinities")
    return WordTable("Stability at the root", header, tuple(rows), left=("between",))


def two_decimals(value: float | None) -> str:
    """Two decimals, without the sign of what rounds to zero."""
    if value is None:
        return NOTHING
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text


def _words(geometry: Mapping[str, Any], arm: Mapping[str, Any]) -> str:
    return marked(str(arm["arm"]), arm["arm"] in geometry["reads_truth"], arm["arm"] in geometry.get("given", ()))


def _legend(geometry: Mapping[str, Any]) -> tuple[str, ...]:
    sentences = [
        "Read it so: ARI is 1 for the same partition and 0 for unrelated ones. eta2 is the share of the variance of "
        "test accuracy between leaves, rank_eta2 that of its ranks: a description of a partition, not a target.",
        "Leaf floor is the expected best of one random architecture a leaf, best of K that of as many random "
        "architectures of the space: what a best-over-leaves number has to beat.",
        "Separation is the spread of an edge's dissimilarities over their standard error, about 1 for independent "
        f"noise. Stability compares scorings of the root: {geometry['probes']} that differ in batches and "
        f"contexts, those "
        "of different seeds, and that of the initial weights. - stands where a criterion measures nothing, or there is "
        "no second scoring.",
        "Values are means over seeds (draws are averaged within a seed first); geometry.json has each of them.",
    ]
    if geometry["reads_truth"]:
        sentences.append(ORACLE)
    if geometry.get("given"):
        sentences.append(GIVEN)
    return tuple(sentences)
