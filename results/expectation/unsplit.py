"""Unsplit supernets: their settings, and what their seeds measured.

A setting is everything that an unsplit supernet's ranking depends on, except the length of its training. Parts that
have no effect without a split are left out: levels and warm-up of the schedule, how leaves share the budget, leaf
choice and scoring. So are the selector, which reads a trained supernet, and the budget: both affect the number of
training steps alone, and lengths are compared by that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from splitbench.harness.errors import StoreError
from splitbench.harness.study.config import EvaluationConfig, PopulationConfig, StudyConfig
from splitbench.results.arms.arms import PRIMARY, SELECTED, TEST, ArmRuns, Getter, metric, selected
from splitbench.results.records.record import Record, bare

SCHEMA = 1
TABLE = Path(__file__).with_name("unsplit.json")
METRICS: Mapping[str, Getter] = {
    PRIMARY: metric(PRIMARY),
    "tau[top50%]": metric("tau[top50%]"),
    TEST: selected(SELECTED[TEST]),
}
"""What is expected of a supernet."""
UNITS = ("flops", "steps", "examples")
"""Of a budget, where it is the same on every machine."""
COMPONENTS = ("space.", "dataset.", "trainer.")
"""Keys of a setting that an older record lacks where the component had no such parameter yet: they are not known."""
BEST_DIGITS = 3


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SupernetSetting(_Model):
    """The setting of an unsplit supernet, as records hold it; components without fingerprints."""

    space: dict[str, Any]
    dataset: dict[str, Any]
    trainer: dict[str, Any]
    modifiers: list[dict[str, Any]]
    sampling: str
    precision: str
    evaluation: dict[str, Any]
    population: dict[str, Any] = Field(description="of what, and of how many a sample; null for all of them")
    best_test: float | None = Field(description="best test accuracy of the space: tells one ground truth from another")

    @functools.cached_property
    def flat(self) -> dict[str, Any]:
        """Dotted key -> value, with the defaults of a study file filled in."""
        return flat({**self.model_dump(), "evaluation": {**_defaults(EvaluationConfig), **self.evaluation}})

    def differences(self, other: SupernetSetting) -> list[str]:
        """The keys in which two settings differ. Parameters of components that one of them does not know are none."""
        if any(self.flat[key] != other.flat[key] for key in NAMES):
            return [key for key in NAMES if self.flat[key] != other.flat[key]]
        keys = sorted(self.flat.keys() | other.flat.keys())
        unknown = self.unknown(other)
        return [key for key in keys if key not in unknown and self.flat.get(key) != other.flat.get(key)]

    def distance(self, other: SupernetSetting) -> tuple[bool, int]:
        """How far two settings are apart: one of other components is further than any of the same."""
        differs = self.differences(other)
        return any(key in NAMES for key in differs), len(differs)

    def unknown(self, other: SupernetSetting) -> list[str]:
        """Parameters of components that one of the two does not know."""
        return sorted(key for key in self.flat.keys() ^ other.flat.keys() if key.startswith(COMPONENTS))


NAMES = ("space.name", "dataset.name", "trainer.name")


class Length(_Model):
    """Supernets of one setting, trained equally long: what each seed measured."""

    kind: str = Field(description="of the budget: flops, steps, examples or seconds")
    limit: float
    selector: dict[str, Any]
    steps: float = Field(description="of training, on average")
    spent: dict[str, float] = Field(description="in all, on average: flops, steps and examples")
    studies: list[str]
    code: list[str] = Field(description="fingerprints of space, dataset and trainer")
    seeds: list[tuple[int, int]] = Field(description="the study's own seed, and the repetition")
    values: dict[str, list[float]] = Field(description="metric -> a value a seed; without those that a run lacks")
    flops: dict[str, float] = Field(description="what the stand-alone networks' FLOPs give on the same architectures")
    ceiling: dict[str, float]

    @property
    def budget(self) -> str:
        """In words: ``flops 5e+10``."""
        return f"{self.kind} {self.limit:g}"

    def amount(self, unit: str) -> float:
        """The whole budget in a unit: the limit in its own, what was spent in others."""
        return self.limit if unit == self.kind else self.spent[unit]


class PublishedSupernet(_Model):
    """A setting, and its lengths of training, ascending."""

    setting: SupernetSetting
    lengths: list[Length]


class Known(_Model):
    """The whole table."""

    schema_version: int = SCHEMA
    supernets: list[PublishedSupernet]


def read_unsplit(path: Path = TABLE) -> tuple[PublishedSupernet, ...]:
    """The unsplit supernets of published studies; the package's own table unless another is named.

    Raises:
        StoreError: if the file is missing or damaged.
    """
    try:
        return tuple(Known.model_validate_json(path.read_bytes()).supernets)
    except OSError as error:
        raise StoreError(f"{path}: the table cannot be read ({error.strerror}); install splitbench again") from error
    except ValidationError as error:
        raise StoreError(f"{path}: the table is damaged; install splitbench again") from error


def never_split(arm: ArmRuns) -> bool:
    """Whether no run of an arm has split its supernet."""
    return not any(run.record.tree.children for run in arm.runs)


def setting_of(arm: ArmRuns) -> SupernetSetting | None:
    """The setting of an unsplit arm; None where its records do not say."""
    records = [run.record for run in arm.runs]
    study, own, common = _parts(records[0])
    best = {round(record.selection.test + record.selection.regret, BEST_DIGITS) for record in records}
    try:
        population = {**_defaults(PopulationConfig), **(study.get("population") or {})}
        if records[0].population.startswith("all "):
            population["sample"] = None
        setting = SupernetSetting(
            space=_component(common["space"]),
            dataset=_component(common["dataset"]),
            trainer=_component(own["trainers"]),
            modifiers=[_component(modifier) for modifier in own.get("modifiers") or []],
            sampling=study.get("sampling") or StudyConfig.model_fields["sampling"].default,
            precision=common.get("precision") or StudyConfig.model_fields["precision"].default,
            evaluation=dict(study.get("evaluation") or {}),
            population=population,
            best_test=best.pop() if len(best) == 1 else None,
        )
    except (LookupError, TypeError, ValueError):  # a record's configuration may be anything
        return None
    return setting if all(name in setting.flat for name in NAMES) else None


def selector(arm: ArmRuns) -> dict[str, Any]:
    """The selector of an arm, as its records hold it."""
    _, own, _ = _parts(arm.runs[0].record)
    return _component(own.get("selectors", {}))


def kept_back(arm: ArmRuns) -> Any:
    """The share of the budget that the schedule keeps back for selection; None for what the selector plans."""
    _, own, _ = _parts(arm.runs[0].record)
    schedule = own.get("schedule")
    return schedule.get("selection") if isinstance(schedule, Mapping) else None


def study_seed(arm: ArmRuns) -> int:
    """The study's own seed: repetitions of equal ones are paired."""
    study, _, _ = _parts(arm.runs[0].record)
    seed = study.get("seed")
    return seed if isinstance(seed, int) else 0


def code(arm: ArmRuns) -> list[str]:
    """Fingerprints of the components that decide about a ranking."""
    _, own, common = _parts(arm.runs[0].record)
    parts = (common.get("space"), common.get("dataset"), own.get("trainers"))
    return [str(part["fingerprint"]) for part in parts if isinstance(part, Mapping) and "fingerprint" in part]


def _parts(record: Record) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """A record's configuration of its study, of its arm, and of what all arms share."""
    study, own, common = (
        part if isinstance(part := record.config.get(key), Mapping) else {} for key in ("study", "arm", "common")
    )
    return study, own, common


def steps(arm: ArmRuns) -> float:
    """The mean number of training steps of its supernets."""
    return arithmetic_mean(float(run.record.tree.steps) for run in arm.runs)


def spent_by_run(record: Record, unit: str) -> float:
    """What a run spent in all, in flops, steps or examples."""
    return float(sum(getattr(cost, unit) for cost in record.cost.values()))


def arithmetic_mean(values: Iterable[float]) -> float:
    """The arithmetic mean."""
    known = list(values)
    return math.fsum(known) / len(known)


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Dotted key -> plain value, of mappings within mappings; a list is one value."""
    if not isinstance(value, Mapping):
        return {place: value}
    inner = (flat(inner_value, f"{place}.{key}" if place else str(key)) for key, inner_value in value.items())
    return {key: inner_value for part in inner for key, inner_value in part.items()}


def _component(spec: Any) -> dict[str, Any]:
    return dict(bare(spec)) if isinstance(spec, Mapping) else {"name": str(spec)}


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """By field and not as it is dumped: a model may leave a default out where older study files lacked the key."""
    return {name: field.default for name, field in model.model_fields.items()}
