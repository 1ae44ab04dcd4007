"""All pictures that a results folder can give, and why it cannot give the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import ArmRuns
from splitbench.results.plots import KINDS
from splitbench.results.plots.of_arms import anytime, critical_difference, pareto, ranking, scatter, waterfall
from splitbench.results.plots.of_partitions import affinity, stability, tree
from splitbench.results.plots.of_sweeps import importance, slices, tuning
from splitbench.results.plots.source import CannotDrawError, Options, PlotSource, PlotTable
from splitbench.results.records.listing import arm_slug
from splitbench.results.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ARMS = 12  # as many are drawn one by one unasked

OF_TABLES: dict[str, Callable[[Sequence[PlotTable], Options], Figure]] = {
    "ranking": ranking.ranking_figure,
    "pareto": pareto.pareto_figure,
    "anytime": anytime.anytime_figure,
    "critical_difference": critical_difference.critical_difference_figure,
    "stability": stability.stability_figure,
}
OF_AN_ARM: dict[str, Callable[[PlotTable, ArmRuns, Options], Figure]] = {
    "waterfall": waterfall.waterfall_figure,
    "affinity": affinity.affinity_figure,
    "tree": tree.tree_figure,
    "scatter": scatter.scatter_figure,
}
OF_A_SWEEP: dict[str, Callable[[Sweep, Options], Figure]] = {
    "tuning": tuning.tuning_figure,
    "slices": slices.slices_figure,
    "importance": importance.importance_figure,
}
NOT_OF_TRIALS = (*OF_TABLES, *OF_AN_ARM)
"""Kinds that are drawn for a sweep's folder only if asked for. Its arms are trials: most are pruned, they are not meant
to be compared with one another, and these pictures show test truth, which must not decide among them."""


@dataclass(frozen=True)
class Drawing:
    """One picture: the name of its file without an ending, and how it is drawn (which may raise CannotDrawError)."""

    kind: str
    name: str
    draw: Callable[[], Figure]
    arm: str | None = None


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises ConfigError for an unknown kind."""
    from splitbench.harness.registry import suggestion

    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(
                f"--kind {kind}: there is no such kind{suggestion(kind, list(KINDS))}; there are {', '.join(KINDS)}"
            )


def check_metric(source: PlotSource, options: Options) -> None:
    """Raises ConfigError for a metric that no record has. Pictures of a sweep show the sweep's own."""
    known = sorted({n for t in source.tables for arm in t.arms for run in arm.runs for n in run.record.metrics})
    if source.tables and options.metric not in known:
        from splitbench.harness.registry import suggestion

        raise ConfigError(
            f"--metric {options.metric}: no record has it{suggestion(options.metric, known)}; there are "
            f"{', '.join(known)}"
        )


def unasked(source: PlotSource, kind: str) -> PlotSource:
    """The tables that a kind is drawn from if the user has not asked for the kind.

    Raises:
        CannotDrawError: if the folder's arms are trials of a sweep, which the kind is not drawn of.
    """
    if kind not in NOT_OF_TRIALS:
        return source
    kept = tuple(table for table in source.tables if not table.trials)
    if source.tables and not kept:
        raise CannotDrawError("it shows arms, and these are trials of a sweep; ask with --kind")
    return replace(source, tables=kept)


def drawings(source: PlotSource, kind: str, options: Options) -> Iterator[Drawing]:
    """The pictures of one kind, in a fixed order.

    Raises:
        CannotDrawError: if there are too many arms to draw one by one unasked; or nothing that the kind is drawn of.
    """
    if kind in OF_A_SWEEP:
        yield from _of_sweeps(source, kind, options)
        return
    if not source.tables:
        raise CannotDrawError(f"the folder holds no record{' of the arms named' if source.named else ''}")
    if kind in OF_TABLES:
        units = _units(source, kind, options)
        slugs = _slugs([unit[-1] for unit in units], kind)
        for unit, slug in zip(units, slugs, strict=True):
            yield Drawing(kind, slug, lambda unit=unit: OF_TABLES[kind](unit, options))  # type: ignore[misc]
        return
    arms = sorted({arm.name for table in source.tables for arm in table.arms})
    if len(arms) > MOST_ARMS and not source.named:
        raise CannotDrawError(
            f"it draws arm by arm, and there are {len(arms)}, more than {MOST_ARMS}; name those you want with --arm"
        )
    for table, slug in zip(source.tables, _slugs(source.tables, kind), strict=True):
        for arm in table.arms:
            draw = lambda table=table, arm=arm: OF_AN_ARM[kind](table, arm, options)  # noqa: E731
            yield Drawing(kind, f"{slug}--{arm_slug(arm.name)}", draw, arm.name)


def _of_sweeps(source: PlotSource, kind: str, options: Options) -> Iterator[Drawing]:
    if not source.sweeps:
        raise CannotDrawError(
            f"the folder holds no sweep{' of the arms named' if source.named else ', which `splitbench sweep` makes'}"
        )
    studies = [sweep.study for sweep in source.sweeps]
    for index, sweep in enumerate(source.sweeps):
        own = sweep.study if studies.count(sweep.study) == 1 else f"{sweep.study} {index}"
        name = kind if len(studies) == 1 else f"{kind}--{arm_slug(own)}"
        yield Drawing(kind, name, lambda sweep=sweep: OF_A_SWEEP[kind](sweep, options))  # type: ignore[misc]


def _units(source: PlotSource, kind: str, options: Options) -> list[tuple[PlotTable, ...]]:
    if kind == "critical_difference" and critical_difference.ranked_arms(source.tables, options):
        return [source.tables]
    if kind in ("pareto", "anytime"):
        families = source.families
        # tables without a second budget are noted together, not one by one
        several = [family for family in families if len(family) > 1]
        return several if kind == "anytime" and several else families
    return [(table,) for table in source.tables]


def _slugs(tables: Sequence[PlotTable], kind: str) -> list[str]:
    """File names: the kind, and where there are several pictures, the facts in which their tables differ."""
    if len(tables) == 1:
        return [kind]
    facts = [
        (t.board.study, t.board.space, t.board.dataset, f"{t.board.budget[1]:g} {t.board.budget[0]}") for t in tables
    ]
    telling = [place for place in range(4) if len({fact[place] for fact in facts}) > 1] or [0]
    names = [" ".join(fact[place] for place in telling).replace("+", "") for fact in facts]
    protocols = [table.arms[0].runs[0].record.protocol for table in tables]
    full = [
        name if names.count(name) == 1 else f"{name} {protocol}"
        for name, protocol in zip(names, protocols, strict=True)
    ]
    unique = [name if full.count(name) == 1 else f"{name} {index}" for index, name in enumerate(full)]
    return [f"{kind}--{arm_slug(name)}" for name in unique]
