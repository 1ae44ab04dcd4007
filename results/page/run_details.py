"""The details of single runs: split tree, affinities, curves, scatter and configuration, as many as a budget of bytes
holds.

They are taken fairly: the first run of every arm, then the second of every arm, and so on, until the next does not fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbench.harness.errors import StoreError
from splitbench.results.arms.arms import ArmRuns
from splitbench.results.inference.verdicts import decimals
from splitbench.results.page.pack import (
    all_rounded,
    decimal,
    embedded_json,
    pack_levels,
    quantised,
    rounded,
    rounded_for_page,
)
from splitbench.results.records.loading import StoredRun, read_estimates
from splitbench.results.records.record import EdgeScore, NodeRecord, Record

CURVE_POINTS = 60
SCATTER_POINTS = 2_000
DIGITS = 4


@dataclass
class Details:
    """What the page embeds. ``runs`` is keyed by ``board/arm index/run index``; ``truths`` and ``parts`` (of
    configurations) are shared between runs, so each stands there once."""

    budget: int
    runs: dict[str, Any] = field(default_factory=dict)
    truths: list[Any] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    size: int = 0
    _known: dict[str, int] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        return {"parts": self.parts, "runs": self.runs, "truths": self.truths}

    def shared(self, pool: list[Any], value: Any) -> int:
        """The index of ``value`` in a pool, put there if it is new."""
        text = embedded_json(value)
        key = f"{'truth' if pool is self.truths else 'part'} {text}"
        if key not in self._known:
            self._known[key] = len(pool)
            pool.append(value)
            self.size += len(text.encode()) + 1
        return self._known[key]

    def add(self, key: str, run: StoredRun) -> bool:
        """Take one run; False, and nothing changed, if it does not fit."""
        before = len(self.truths), len(self.parts), len(self.warnings), self.size
        packed_run = _run(run, self)
        self.size += len(embedded_json({key: packed_run}).encode())
        if self.size <= self.budget:
            self.runs[key] = packed_run
            return True
        truths, parts, warnings, self.size = before
        del self.truths[truths:], self.parts[parts:], self.warnings[warnings:]
        left = {"truth": truths, "part": parts}
        self._known = {known: index for known, index in self._known.items() if index < left[known.partition(" ")[0]]}
        return False


def details(tables: Sequence[Sequence[ArmRuns]], budget: int, only: Sequence[str] = ()) -> Details:
    """Details of runs in at most ``budget`` bytes; of the arms named in ``only`` alone, if any are."""
    collected = Details(budget)
    for key, run in _fair_order(tables, only):
        if not collected.add(key, run):
            break
    return collected


def _fair_order(tables: Sequence[Sequence[ArmRuns]], only: Sequence[str]) -> Iterator[tuple[str, StoredRun]]:
    chosen = [
        [(f"{board}/{arm.name}/r{run.record.repetition}-d{run.record.draw}", run) for run in arm.runs]
        for board, arms in enumerate(tables)
        for arm in arms
        if not only or arm.name in only
    ]
    for turn in itertools.zip_longest(*chosen):
        yield from (next_run for next_run in turn if next_run is not None)


def _run(run: StoredRun, into: Details) -> dict[str, Any]:
    record = run.record
    leaves = [
        [
            leaf.architecture,
            *rounded_for_page((leaf.estimate, leaf.loss, leaf.population, leaf.test), 3),
            int(leaf.kept),
        ]
        for leaf in record.selection.leaves
    ]
    return {
        "config": _pooled(record.config, into, depth=2),
        "leaves": leaves,
        "scatter": _scatter(run, into),
        "tree": _tree(record.tree, None, record),
        "validation": {name: decimal(value, decimals(name)) for name, value in record.validation_metrics.items()},
    }


def _pooled(config: Any, into: Details, depth: int) -> Any:
    """A configuration whose parts two levels down are indices into the pool: arms share most of them."""
    if depth and isinstance(config, dict):
        return {key: _pooled(value, into, depth - 1) for key, value in config.items()}
    return into.shared(into.parts, config)


def _tree(node: NodeRecord, parent: NodeRecord | None, record: Record) -> dict[str, Any]:
    """``kept`` are the operations of the edges that differ from the parent's, of all edges at the root."""
    changed = {
        str(edge): list(operations)
        for edge, operations in enumerate(node.allowed)
        if parent is None or operations != parent.allowed[edge]
    }
    plain: dict[str, Any] = {"kept": changed, "steps": node.steps, "curve": _curve(node.curve)}
    if node.scores:
        plain["scores"] = {edge: _score(score) for edge, score in node.scores.items()}
    if node.children:
        plain["edges"] = node.edges
        plain["children"] = [_tree(child, node, record) for child in node.children]
    else:
        same = [index for index, leaf in enumerate(record.selection.leaves) if leaf.allowed == node.allowed]
        plain["leaf"] = same[0] if len(same) == 1 else None
    return plain


def _score(score: EdgeScore) -> list[Any]:
    n = len(score.operations)
    pairs = list(itertools.combinations(range(n), 2))
    values, errors = score.dissimilarity, score.standard_error
    if any(values[i][j] != values[j][i] or errors[i][j] != errors[j][i] for i, j in pairs):
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return [
        score.operations,
        score.groups,
        rounded(score.cut, DIGITS),
        score.repetitions,
        all_rounded((values[i][j] for i, j in pairs), DIGITS),
        all_rounded((errors[i][j] for i, j in pairs), DIGITS),
    ]


def _curve(curve: Sequence[tuple[int, float]]) -> list[list[Any]]:
    """At most 60 points, evenly spaced, the last one among them."""
    n = len(curve)
    if n > CURVE_POINTS:
        curve = [curve[round(i * (n - 1) / (CURVE_POINTS - 1))] for i in range(CURVE_POINTS)]
    return [[step for step, _ in curve], all_rounded((loss for _, loss in curve), DIGITS)]


def _scatter(run: StoredRun, into: Details) -> list[Any] | None:
    """[truth, packed estimates, low, high, packed leaves, lowest leaf]; ``truth`` is the index of the population's
    [packed test accuracies, low, high, size]. None if the estimates cannot be read, which becomes a warning."""
    name = run.path.with_suffix(".parquet").name
    try:
        frame = read_estimates(run)
        columns = {column: frame[column].tolist() for column in ("architecture", "leaf", "accuracy", "truth_test")}
    except StoreError as error:
        into.warnings.append(f"{name}: no scatter plot of this run, because {str(error).partition(': ')[2]}")
        return None
    except (KeyError, ValueError, OSError):
        into.warnings.append(f"{name}: no scatter plot of this run, because a column is missing or it is not Parquet")
        return None
    names, true = columns["architecture"], columns["truth_test"]
    if not names:
        return None
    # Every arm of a repetition ranks one population: thinning by the truth keeps the same architectures in all.
    order = sorted(range(len(names)), key=lambda i: (true[i], names[i]))[:: math.ceil(len(names) / SCATTER_POINTS)]
    truth, low, high = quantised([true[i] for i in order])
    estimates, least, most = quantised([columns["accuracy"][i] for i in order])
    leaves = [columns["leaf"][i] for i in order]
    first = min(leaves)
    index = into.shared(into.truths, [truth, rounded(low), rounded(high), len(names)])
    return [index, estimates, rounded(least), rounded(most), pack_levels(leaf - first for leaf in leaves), first]
