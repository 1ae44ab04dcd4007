"""Partitions of a study's arms, compared before any leaf is trained.

Warm-up, scoring and splitting run as in :mod:`splitbench.harness.runs.protocol`, on the same engine and stage store,
so a study that is run afterwards reuses their results. Scorings that only measure how stable an arm is are not charged.
The ground truth is read when all splits are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from splitbench.criteria.base import Affinity
from splitbench.harness.engines.driver import Task, Watcher
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec
from splitbench.harness.running.folder_lock import FolderLock
from splitbench.harness.running.study import Study
from splitbench.harness.running.study_folder import check_study_folder
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.protocol import Asks, Run
from splitbench.harness.runs.record import protocol
from splitbench.harness.runs.tree import Node
from splitbench.harness.seeds import Seeds
from splitbench.harness.study.arm import Arm
from splitbench.results.partitions.geometry import Labels, MeasuredAffinity, Probing, Split
from splitbench.results.partitions.geometry_figure import geometry_svg
from splitbench.results.partitions.geometry_report import first_split, geometry_json, geometry_sheet
from splitbench.results.records import store
from splitbench.results.records.files import encode_estimates, readable_json, write_atomically
from splitbench.results.records.record import config_fingerprint
from splitbench.results.words.render import sheet_markdown
from splitbench.spaces.architectures.populations import reference
from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.truth import open_truth

JSON, MARKDOWN, FIGURE, LABELS = "geometry.json", "geometry.md", "geometry.svg", "geometry.parquet"
PROBES = 3


def compare_partitions(
    study: Study,
    folder: Path,
    workers: int = 1,
    plugins: Sequence[Path] = (),
    probes: int = PROBES,
    watcher: Watcher | None = None,
    engine: Spec | None = None,
) -> dict[str, Any]:
    """Split every arm of a study, compare the partitions, and write ``geometry.json`` with its table and picture.

    Args:
        study: a checked study.
        folder: its results folder; records in it are not touched, and stages that it holds are not run again.
        workers, plugins, engine: as for :meth:`splitbench.harness.running.study.Study.run`.
        probes: scorings of the root that stability over batches and contexts is read from, the study's own included.
        watcher: receives progress.

    Returns:
        What ``geometry.json`` holds; docs/geometry.md says what it means.

    Raises:
        ConfigError: if no arm splits, or there are fewer than one probe; SplitbenchError: other bad input.
    """
    if probes < 1:
        raise ConfigError(f"--probes {probes}: at least 1 is needed, the study's own scoring")
    splitting = [arm for arm in study.arms if arm.splits]
    if not splitting:
        raise ConfigError(
            f"study {study.config.name}: none of its arms ({', '.join(arm.label for arm in study.arms)}) splits the "
            "supernet, so there are no partitions to compare; add an arm that does, as random or gm"
        )
    study.check_workers(workers, plugins, engine=engine)
    watcher = watcher or Watcher()
    check_study_folder(study.config, folder)
    store.prepare_folder(folder)
    for label, reason in study.skipped.items():
        watcher.note(f"arm {label} is skipped: {reason}")
    splits: list[Split] = []

    def keep(title: str, split: Split) -> None:
        splits.append(split)
        words = first_split({"splits": split.words})
        watcher.done(f"{title}: {words} ({len(split.leaves)} leaves)")

    tasks = []
    for arm, repetition, draw in study.runs():
        if arm.splits:
            run = Run(study.settings, arm, study.seeds(repetition), draw)
            tasks.append(Task(survey(run, probes), partial(keep, run.request.name)))
    with FolderLock(folder).held(watcher.note) as lock:
        watcher.begin(len(tasks))
        study.drive(tasks, folder, workers, plugins, watcher, check=lock.check, engine=engine)
        order = {arm.label: sorted((s for s in splits if s.arm == arm.label), key=_turn) for arm in splitting}
        lock.check()
        return write_geometry(study, folder, order, probes)


def _turn(split: Split) -> tuple[int, int]:
    return split.repetition, split.draw


def survey(run: Run, probes: int) -> Asks[Split]:
    """One arm in one repetition and draw: its own splits, then more scorings of its root."""
    settings, arm, seeds, draw = run.settings, run.arm, run.seeds, run.draw
    tree, _ = yield from run.split()
    labels, nodes = leaf_labels(settings.space, leaves_of(tree))
    probings: list[Probing] = []
    initial = None
    if measures(run):
        warm_up = arm.schedule.shares[0]
        probings.append(probing(settings.space, tree))
        for number in range(1, probes):
            probings.append((yield from probe_root(settings, arm, seeds, draw, warm_up, number)))
        if warm_up:
            initial = yield from probe_root(settings, arm, seeds, draw, 0.0, 0)
    return Split(
        arm=arm.label,
        repetition=seeds.repetition,
        draw=draw,
        labels=labels,
        leaves=tuple(subspace_in_words(settings.space, node.subspace) for node in nodes),
        words=tuple(split_words(settings.space, tree)),
        probings=tuple(probings),
        initial=initial,
    )


def probe_root(settings: Settings, arm: Arm, seeds: Seeds, draw: int, warm_up: float, number: int) -> Asks[Probing]:
    """The root after ``warm_up`` (a share of the budget), scored and split for itself, by the batches and contexts of
    probing ``number``; 0 is the arm's own."""
    schedule = arm.schedule.model_copy(update={"levels": 1, "warmup": [warm_up]})
    root, _ = yield from Run(settings, replace(arm, schedule=schedule), seeds, draw, number).split()
    return probing(settings.space, root)


def probing(space: SearchSpace, root: Node) -> Probing:
    """The result of one scoring of a root."""
    groups = {}
    for edge in root.edges:
        affinity, partition = root.scores[edge]
        group_of = {op: index for index, group in enumerate(partition.groups) for op in group}
        groups[edge] = np.array([group_of[op] for op in affinity.operations])
    measured = {
        space.edges[edge]: MeasuredAffinity(affinity.dissimilarity, affinity.standard_error)
        for edge, (affinity, _) in sorted(root.scores.items())
        if affinity.repetitions
    }
    return Probing(root.edges, groups, leaf_labels(space, root.children)[0], measured)


def measures(run: Run) -> bool:
    """Whether any criterion that a run asked has measured something (the edge rule's own counts)."""
    return any(isinstance(result.output, Affinity) and result.output.repetitions for result in run.results)


def leaves_of(node: Node) -> list[Node]:
    """The leaves of a split tree from left to right, those that the schedule gave up included."""
    return [leaf for child in node.children for leaf in leaves_of(child)] if node.children else [node]


def leaf_labels(space: SearchSpace, nodes: Sequence[Node]) -> tuple[Labels, list[Node]]:
    """The number of the node that owns each of the reference functions [A], and the nodes that own any, in the order
    of numbers."""
    owners = owner([node.subspace for node in nodes], reference(space))
    if (owners < 0).any():
        raise ValueError("an architecture lies in no leaf")
    kept, labels = np.unique(owners, return_inverse=True)
    return labels, [nodes[index] for index in kept.tolist()]


def split_words(space: SearchSpace, node: Node) -> list[dict[str, Any]]:
    """The splits of a tree in words, from the root down."""
    own = [
        {
            "path": node.path,
            "edge": space.edges[edge],
            "groups": [[space.operations(edge)[op] for op in group] for group in node.scores[edge][1].groups],
        }
        for edge in node.edges
    ]
    return own + [words for child in node.children for words in split_words(space, child)]


def subspace_in_words(space: SearchSpace, subspace: SubSpace) -> dict[str, list[str]]:
    """Edge -> operations that a subspace allows, where that is not all of them."""
    return {
        space.edges[edge]: [space.operations(edge)[op] for op in allowed]
        for edge, allowed in enumerate(subspace.allowed)
        if allowed != space.root().allowed[edge]
    }


def write_geometry(study: Study, folder: Path, arms: dict[str, list[Split]], probes: int) -> dict[str, Any]:
    """Read the ground truth, and write ``geometry.json``, its table, its picture and the leaf of each architecture."""
    settings = study.settings
    space, dataset = settings.space, settings.dataset
    truth, rows = open_truth(space, dataset), reference(space)
    test = truth.test(rows)
    about = {
        "study": study.config.name,
        "space": space.name,
        "dataset": dataset,
        "truth": truth.source,
        "seeds": study.config.seeds,
        "probes": probes,
        "protocol": protocol(study.config, settings),
        "fingerprints": {arm.label: config_fingerprint(arm.config()) for arm in study.arms},
        "reads_truth": [arm.label for arm in study.arms if arm.reads_truth],
        "given": [arm.label for arm in study.arms if arm.given],
        "not_splitting": [arm.label for arm in study.arms if not arm.splits],
        "skipped": study.skipped,
    }
    geometry = geometry_json(about, arms, test)
    columns: dict[str, Any] = {"architecture": [space.encode(tuple(row)) for row in rows.tolist()], "truth_test": test}
    for label, splits in arms.items():
        columns |= {f"{label} r{split.repetition} d{split.draw}": split.labels for split in splits}
    write_atomically(folder / LABELS, encode_estimates(columns))
    write_atomically(folder / FIGURE, geometry_svg(geometry))
    write_atomically(folder / MARKDOWN, sheet_markdown(geometry_sheet(geometry)).encode())
    write_atomically(folder / JSON, readable_json(geometry).encode())
    return geometry
