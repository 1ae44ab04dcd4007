"""Whether the unsplit supernets of a results folder are normal, by the published runs of their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY, TEST, ArmRuns, tables
from splitbench.results.boards.leaderboard import Leaderboards, leaderboards_of
from splitbench.results.expectation import expected, unsplit
from splitbench.results.expectation.expected import LengthPlace
from splitbench.results.expectation.unsplit import METRICS, PublishedSupernet, SupernetSetting
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.loading import Loaded, load_runs
from splitbench.results.words.sheet import count
from splitbench.results.words.values import setting_words

WITHIN, BELOW, ABOVE = "within", "below", "above"
ROUNDING = 1e-12


@dataclass(frozen=True)
class Judged:
    """One unsplit arm compared with the published runs of its setting.

    Attributes:
        steps: of its training, on average.
        seeds: that its means are over.
        measured: its means.
        supernet: the published ones of its setting; None if there are none.
        at: where its training's length lies among theirs.
        expected: of a mean over as many seeds; None where no range is known.
        itself: whether its runs are published runs, to the last digit.
        unlike: differences that are no part of a setting, in words.
        nearest: differences from the nearest setting on its space, where none is the same.
    """

    arm: str
    study: str
    population: str
    setting: SupernetSetting
    steps: float
    seeds: int
    measured: Mapping[str, float | None]
    supernet: PublishedSupernet | None = None
    at: LengthPlace | None = None
    expected: Mapping[str, Estimate | None] | None = None
    itself: bool = False
    unlike: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()

    def word(self, metric: str) -> str | None:
        """Whether a metric is ``within`` its range, ``below`` or ``above``; None where it has none."""
        limits, value = (self.expected or {}).get(metric), self.measured.get(metric)
        if value is None or limits is None or limits.low is None or limits.high is None:
            return None
        return BELOW if value < limits.low else ABOVE if value > limits.high else WITHIN

    @property
    def sentence(self) -> str | None:
        """The sentence in a leaderboard; None if no published run has the setting, or the arm is published itself."""
        word, value, limits = self.word(PRIMARY), self.measured.get(PRIMARY), (self.expected or {}).get(PRIMARY)
        if self.itself or word is None or value is None or limits is None:
            return None
        runs = "one seed" if self.seeds == 1 else f"a mean over {count(self.seeds, 'seed')}"
        said = (
            f"{self.arm}: {PRIMARY} {value:z.3f} ({count(self.seeds, 'seed')}) is {word} what published runs of this "
            f"setting lead to expect, {limits.low:z.3f} to {limits.high:z.3f} for {runs}"
        )
        if word == WITHIN:
            return f"{said}."
        known = f" (known to differ: {'; '.join(self.unlike)})" if self.unlike else ""
        return f"{said}: something is wrong, or differs{known}; one sound result in twenty lies outside, too."


def leaderboards_with_expectation(folder: str | Path) -> Leaderboards:
    """The leaderboards of a results folder, which say whether its unsplit supernets are normal.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
    """
    loaded = load_runs(folder)
    return with_expected(leaderboards_of(loaded), loaded)


def with_expected(
    boards: Leaderboards, loaded: Loaded, known: Sequence[PublishedSupernet] | None = None
) -> Leaderboards:
    """The leaderboards of these runs, with a sentence for each unsplit arm whose setting has been published."""
    known = unsplit.read_unsplit() if known is None else known
    arms = tables(loaded.runs, loaded.failed)
    said = [tuple(judgement.sentence for judgement in judge_unsplit(own, known) if judgement.sentence) for own in arms]
    pairs = zip(boards.boards, said, strict=True)
    return replace(boards, boards=tuple(replace(board, expected=own) if own else board for board, own in pairs))


def judged(folder: Path, known: Sequence[PublishedSupernet] | None = None) -> list[Judged]:
    """Every unsplit arm of a results folder.

    Raises:
        StoreError: if the folder is missing or holds no usable record.
        ConfigError: if it has no complete arm without a split, or the records do not say how they were made.
    """
    loaded = load_runs(folder)
    known = unsplit.read_unsplit() if known is None else known
    judgements = [judgement for arms in tables(loaded.runs, loaded.failed) for judgement in judge_unsplit(arms, known)]
    if not judgements:
        raise ConfigError(
            f"{folder}: no arm without a split is complete, and ranges are known of those; add the arm `none` to the "
            "study, and run it"
        )
    return judgements


def judge_unsplit(arms: Sequence[ArmRuns], known: Sequence[PublishedSupernet]) -> list[Judged]:
    """The complete arms of a table that do not split, each beside the published runs of its setting."""
    unsplit_arms = [(arm, unsplit.setting_of(arm)) for arm in arms if arm.complete and unsplit.never_split(arm)]
    return [_judge(arm, setting, known) for arm, setting in unsplit_arms if setting is not None]


def _judge(arm: ArmRuns, setting: SupernetSetting, known: Sequence[PublishedSupernet]) -> Judged:
    means = {name: arm.estimate(get) for name, get in METRICS.items()}
    own = Judged(
        arm=arm.name,
        study=arm.runs[0].record.study,
        population=arm.runs[0].record.population,
        setting=setting,
        steps=unsplit.steps(arm),
        seeds=len(arm.repetitions),
        measured={name: None if value is None else value.mean for name, value in means.items()},
    )
    supernet = expected.same_setting(known, setting)
    if supernet is None or own.steps <= 0:
        return replace(own, nearest=_nearest(setting, known))
    at = expected.place_among(supernet.lengths, own.steps, lambda length: length.steps)
    # An architecture that another selector chose says nothing of the supernet.
    alike = all(length.selector == unsplit.selector(arm) for length in at.between)
    return replace(
        own,
        supernet=supernet,
        at=at,
        expected={name: expected.expected(at, name, own.seeds) if alike or name != TEST else None for name in METRICS},
        itself=_published(arm, supernet),
        unlike=_unlike(arm, setting, supernet, at),
    )


def _nearest(setting: SupernetSetting, known: Sequence[PublishedSupernet]) -> tuple[str, ...]:
    """What differs in the nearest published setting on the space: ``trainer.clip 5.0, there 1.0``."""
    on_space = [supernet.setting for supernet in known if supernet.setting.space["name"] == setting.space["name"]]
    nearest = min(on_space, key=setting.distance, default=None)
    if nearest is None:
        return ()
    return tuple(
        f"{key} {setting_words(setting.flat.get(key))}, there {setting_words(nearest.flat.get(key))}"
        for key in nearest.differences(setting)
    )


def _published(arm: ArmRuns, supernet: PublishedSupernet) -> bool:
    """Whether every seed of an arm is a published one, with the published value."""
    values = arm.by_repetition(METRICS[PRIMARY]) or {}
    there = [
        dict(zip(length.seeds, length.values[PRIMARY], strict=True))
        for length in supernet.lengths
        if PRIMARY in length.values
    ]
    return any(
        all(
            (value := own.get((unsplit.study_seed(arm), turn))) is not None and abs(value - values[turn]) <= ROUNDING
            for turn in values
        )
        for own in there
        if values
    )


def _unlike(arm: ArmRuns, setting: SupernetSetting, supernet: PublishedSupernet, at: LengthPlace) -> tuple[str, ...]:
    """Differences that may matter and are no part of a setting: code of components, and unknown parameters."""
    there = sorted({mark for length in at.between for mark in length.code})
    own = unsplit.code(arm)
    changed = [mark for mark in own if mark not in there]
    words = (
        [f"code {', '.join(changed)}, there {', '.join(mark for mark in there if mark not in own)}"] if changed else []
    )
    return (*words, *(f"{key} is not known of one of them" for key in supernet.setting.unknown(setting)))
