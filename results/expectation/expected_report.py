"""The answer of `splitbench expect`: what published supernets of a space, a trainer and a budget reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitbench.harness.errors import ConfigError
from splitbench.results.expectation import expected, unsplit
from splitbench.results.expectation.expected import LengthPlace
from splitbench.results.expectation.unsplit import METRICS, UNITS, PublishedSupernet, SupernetSetting, flat
from splitbench.results.inference.stats import Estimate
from splitbench.results.words.values import setting_words

NEAREST = 3


@dataclass(frozen=True)
class Question:
    """The question; None matches anything.

    Attributes:
        space, dataset, trainer: a component, and those of its parameters that matter.
        budget: unit and amount of an arm's whole budget.
        runs: how many further runs an interval is for.
    """

    space: Mapping[str, Any] | None = None
    dataset: Mapping[str, Any] | None = None
    trainer: Mapping[str, Any] | None = None
    budget: tuple[str, float] | None = None
    runs: int = 1

    @property
    def wanted(self) -> dict[str, Any]:
        """Dotted key -> value."""
        named = {"space": self.space, "dataset": self.dataset, "trainer": self.trainer}
        return flat({key: value for key, value in named.items() if value is not None})

    def differences(self, setting: SupernetSetting) -> list[str]:
        """The keys in which a setting is not what is wanted."""
        return [key for key, value in self.wanted.items() if setting.flat.get(key) != value]

    def distance(self, setting: SupernetSetting) -> tuple[bool, int]:
        """How far a setting is from what is wanted: one of other components is further than any of the same."""
        differs = self.differences(setting)
        return any(key in unsplit.NAMES for key in differs), len(differs)


@dataclass(frozen=True)
class ExpectationRow:
    """One setting at one budget.

    Attributes:
        at: where the budget lies among the tested ones.
        metrics: mean, and the interval of further runs; None where it is not known, or the budget lies outside.
        differs: what the setting has instead of what was asked for.
    """

    setting: SupernetSetting
    at: LengthPlace
    metrics: Mapping[str, Estimate | None]
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExpectationReport:
    """The answer: rows of the settings that were asked for or, if there is none, of the nearest."""

    question: Question
    rows: tuple[ExpectationRow, ...]
    exact: bool


def parse_budget(text: str) -> tuple[str, float]:
    """The unit and amount of ``flops=5e10``.

    Raises:
        ConfigError: if the text is not a unit and an amount.
    """
    unit, _, number = text.partition("=")
    try:
        amount = float(number)
    except ValueError:
        amount = 0.0
    if unit == "seconds":
        raise ConfigError(
            f"--budget {text}: seconds buy another training on every machine; give {' or '.join(UNITS)} instead"
        )
    if unit not in UNITS or not 0 < amount < float("inf"):
        raise ConfigError(f"--budget {text}: it is not UNIT=AMOUNT, as flops=5e10; units: {', '.join(UNITS)}")
    return unit, amount


def expectation_report(question: Question, known: Sequence[PublishedSupernet]) -> ExpectationReport:
    """Find the published supernets that a question is about; if there is none, the nearest on the space.

    Raises:
        ConfigError: if no supernet on the space is published.
    """
    asked = question.space["name"] if question.space is not None else None
    on_space = [supernet for supernet in known if asked in (None, supernet.setting.space["name"])]
    if not on_space:
        there = sorted(
            {f"{supernet.setting.space['name']} on {supernet.setting.dataset['name']}" for supernet in known}
        )
        raise ConfigError(
            f"no unsplit supernet on {asked} is published; there are: {', '.join(there) or 'none'}; to know what yours "
            "should reach, run `none` with three seeds or more"
        )
    exact = [supernet for supernet in on_space if not question.differences(supernet.setting)]
    nearest = exact or sorted(on_space, key=lambda supernet: question.distance(supernet.setting))[:NEAREST]
    return ExpectationReport(
        question, tuple(row for supernet in nearest for row in _rows(question, supernet)), bool(exact)
    )


def _rows(question: Question, supernet: PublishedSupernet) -> list[ExpectationRow]:
    own = supernet.setting.flat
    differs = tuple(
        f"{key} {setting_words(own[key]) if key in own else 'not known'}"
        for key in question.differences(supernet.setting)
    )
    if question.budget is None:
        places = [LengthPlace((length,)) for length in supernet.lengths]
    else:
        unit, amount = question.budget
        places = [expected.place_among(supernet.lengths, amount, lambda length: length.amount(unit))]
    return [ExpectationRow(supernet.setting, at, _metrics(at, question.runs), differs) for at in places]


def _metrics(at: LengthPlace, runs: int) -> dict[str, Estimate | None]:
    return {name: expected.expected(at, name, runs) for name in METRICS}


def told_apart(settings: Sequence[SupernetSetting]) -> list[str]:
    """Settings in words: names, and the keys in which settings of the same names differ among these."""
    named = [tuple(setting.flat[key] for key in unsplit.NAMES) for setting in settings]
    words = []
    for setting, names in zip(settings, named, strict=True):
        alike = [other.flat for other, own in zip(settings, named, strict=True) if own == names]
        keys = [key for key in setting.flat if any(other.get(key) != setting.flat[key] for other in alike)]
        apart = ", ".join(f"{key.removeprefix('trainer.')} {setting_words(setting.flat[key])}" for key in keys)
        words.append(f"{names[0]} on {names[1]}, {names[2]}" + (f": {apart}" if apart else ""))
    return words
