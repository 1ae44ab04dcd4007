"""The study file: what is compared, on what, with what budget. Unknown keys are errors; nothing here imports torch."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, get, split_spec, suggestion
from splitbench.harness.study.search import Range, SweepConfig, parse_search
from splitbench.harness.study.yaml_text import EXPONENT, read_yaml


def _whole(value: Any) -> Any:
    """A whole number that is written as text with an exponent, as ``4e1``; anything else is left to be checked."""
    if isinstance(value, str) and EXPONENT.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_whole)]
CALIBRATION = 2000
"""Training images that statistics are measured on: as many as Once-for-All's code takes."""
BUDGETS = ("flops", "steps", "examples", "seconds")
_KINDS = {
    "space": "spaces",
    "dataset": "datasets",
    "trainer": "trainers",
    "selector": "selectors",
    "leaf_choice": "leaf_choices",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetConfig(_Model):
    """The total compute of one arm; exactly one unit. (``seconds`` cannot be matched exactly; prefer ``flops``.)"""

    flops: Positive | None = None
    steps: Positive | None = None
    examples: Positive | None = None
    seconds: Positive | None = None

    @model_validator(mode="after")
    def _one(self) -> BudgetConfig:
        if len(self.given) != 1:
            raise ValueError(f"give exactly one of {', '.join(BUDGETS)}")
        return self

    @property
    def given(self) -> dict[str, float]:
        return {kind: value for kind in BUDGETS if (value := getattr(self, kind)) is not None}


class ScheduleConfig(_Model):
    """When and how the supernet is split."""

    levels: Annotated[Whole, Field(ge=1, le=8)] = Field(1, description="splits from the root to a leaf")
    branching: Annotated[Whole, Field(ge=2, le=8)] = Field(2, description="groups a split")
    warmup: Annotated[float, Field(ge=0, lt=1)] | list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        0.2, description="share of the budget trained before the splits: in all (equal parts a level), or one a level"
    )
    weights: Literal["inherit", "restart"] = Field(
        "inherit", description="whether leaves go on from their parent's weights or start afresh"
    )
    keep: Literal["all", "best"] = Field(
        "all", description="which children are split further: all, or the one with the best estimate on validation data"
    )
    share: Literal["sampler", "functions", "steps", "flops"] = Field(
        "sampler",
        description="how what is left is divided among leaves: as often as the unsplit supernet's sampler trains what "
        "each owns, by functions owned, in equal steps, or in equal parts of the budget",
    )
    selection: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the budget kept back for selection; if absent, what the selector's plan costs"
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, data: Any) -> Any:
        if isinstance(data, dict) and "splits" in data:
            raise ValueError(
                "splits is no key any more: instead of splits: momentum, write modifiers: [momentum_groups] in the "
                "study or the arm; splits: weights is what happens without it"
            )
        return data

    @model_validator(mode="after")
    def _shares(self) -> ScheduleConfig:
        if isinstance(self.warmup, list) and len(self.warmup) != self.levels:
            raise ValueError(f"warmup lists {len(self.warmup)} shares for {self.levels} levels; give one a level")
        if sum(self.shares) + (self.selection or 0.0) >= 1:
            raise ValueError(
                "the shares of warmup and selection leave nothing for the leaves; their sum must be below 1"
            )
        if self.keep == "best" and self.weights != "inherit":
            raise ValueError("keep: best goes with weights: inherit only")
        if self.keep == "best" and self.levels > 1 and not all(self.shares[1:]):
            raise ValueError("keep: best compares children that have been trained; give every level a share of warmup")
        return self

    @property
    def shares(self) -> list[float]:
        """The share of the budget trained at each level before its split."""
        return self.warmup if isinstance(self.warmup, list) else [self.warmup / self.levels] * self.levels

    @property
    def windows(self) -> list[tuple[float, float]]:
        """Where on the learning-rate schedule each level's training begins and ends. Stages are hashed by it, and sum()
        rounds otherwise from Python 3.12 on; accumulate() is plain addition everywhere."""
        return list(itertools.pairwise(itertools.accumulate(self.shares, initial=0.0)))


class PopulationConfig(_Model):
    """Which architectures the metrics are computed on: distinct connected functions, or connected strings."""

    sample: Annotated[Whole, Field(ge=10)] | None = Field(None, description="how many, drawn uniformly; all if absent")
    of: Literal["functions", "strings"] = Field(
        "functions", description="strings: each spelling of a function is a member, ranked by the leaf that contains it"
    )


class EvaluationConfig(_Model):
    """How an architecture's estimate is measured: on fixed, unaugmented validation images."""

    images: Annotated[Whole, Field(ge=10)] | None = Field(None, description="how many validation images; all if absent")
    batch_size: Annotated[Whole, Field(ge=10)] = 1000
    batch_norm: Literal["batch", "recalibrated", "running"] = Field(
        "batch",
        description="statistics that normalise these images: the batch's own, those of each architecture on training "
        "images, or those that layers kept in training, which mix the paths",
    )
    calibration: Annotated[Whole, Field(ge=10)] | None = Field(
        None, description="on how many training images batch_norm: recalibrated measures statistics; 2000 if absent"
    )

    @model_validator(mode="before")
    @classmethod
    def _calibrated(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("batch_norm") == "recalibrated":
            return {**data, "calibration": CALIBRATION if (given := data.get("calibration")) is None else given}
        return data

    @model_validator(mode="after")
    def _for_recalibration(self) -> EvaluationConfig:
        if self.calibration is not None and self.batch_norm != "recalibrated":
            raise ValueError("calibration is for batch_norm: recalibrated; leave it out, or say that as well")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without batch_norm where it is the default, as all studies were written before there was a choice."""
        unsaid = ("batch_norm", "calibration") if self.batch_norm == "batch" else ()
        return {key: value for key, value in handler(self).items() if key not in unsaid}


class ArmConfig(_Model):
    """One combination of parts; other keys are parameters of the criterion."""

    model_config = ConfigDict(extra="allow", frozen=True)

    criterion: str
    name: str | None = None
    partitioner: Spec | None = None
    edge_rule: Spec | None = None
    schedule: dict[str, Any] = {}
    trainer: Spec | None = None
    modifiers: list[Spec] | None = None
    selector: Spec | None = None
    leaf_choice: Spec | None = None
    draws: Annotated[Whole, Field(ge=1, le=1000)] = 1
    scoring: Literal["charged", "free"] | None = None
    decompose: bool | None = None

    @property
    def criterion_spec(self) -> dict[str, Any]:
        return {"name": self.criterion, **(self.model_extra or {})}

    @property
    def label(self) -> str:
        """The arm's name: its own, or its criterion with everything that differs from the defaults. What was not paid
        for is said in it, so that every table and picture does."""
        if self.name:
            unsaid = self.scoring == "free" and "free" not in self.name.lower()
            return f"{self.name} (scoring free)" if unsaid else self.name
        shown = dict(self.model_extra or {})
        for key in ("partitioner", "edge_rule", "trainer", "selector", "leaf_choice"):
            if (value := getattr(self, key)) is not None:
                shown[key] = value if isinstance(value, str) else value.get("name", "?")
        if self.modifiers is not None:
            shown["modifiers"] = [short(spec) for spec in self.modifiers] or "none"
        if self.scoring is not None:
            shown["scoring"] = self.scoring
        shown |= self.schedule
        words = ", ".join(f"{key}={short(value)}" for key, value in shown.items())
        return f"{self.criterion}({words})" if words else self.criterion


class StudyConfig(_Model):
    """A grid of arms x seeds on one space and dataset."""

    name: str = Field("study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    space: Spec
    dataset: Spec
    trainer: Spec = "rsps"
    modifiers: list[Spec] = Field([], description="what changes any trainer's training; the first is innermost")
    schedule: ScheduleConfig = ScheduleConfig()
    budget: BudgetConfig
    seeds: Annotated[Whole, Field(ge=1, le=10_000)] = Field(3, description="repetitions, paired between arms")
    seed: Whole = Field(0, description="the study's own seed")
    population: PopulationConfig = PopulationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    selector: Spec = "random_best"
    leaf_choice: Spec = "best_estimate"
    sampling: Literal["strings", "functions"] = Field(
        "strings", description="what is equally likely to be drawn in the training of single paths, in all arms"
    )
    scoring: Literal["charged", "free"] = Field(
        "charged", description="whether scoring is paid out of the budget; free is marked in every table"
    )
    decompose: bool = Field(
        False,
        description="whether each arm's difference to no split is decomposed into training lost, bill, relief within "
        "leaves and across leaves, by shams that are trained beside it and charged to no arm",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="bfloat16: autocast of the training's forward pass"
    )
    baseline: str = Field("none", description="the arm that others are compared with")
    arms: Annotated[list[ArmConfig], Field(min_length=1)]
    search: Annotated[dict[str, Range | list[Any]], BeforeValidator(parse_search)] | None = Field(
        None, description="what `splitbench sweep` searches: path of a parameter -> choices, or a range"
    )
    sweep: SweepConfig = SweepConfig()

    @model_validator(mode="before")
    @classmethod
    def _bare_arms(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("arms"), list):
            arms = [{"criterion": arm} if isinstance(arm, str) else arm for arm in data["arms"]]
            return {**data, "arms": arms}
        return data

    @model_validator(mode="after")
    def _components(self) -> StudyConfig:
        """Unknown names are told before anything is imported, and before a baseline is missed because of them."""
        for index, arm in enumerate(self.arms):
            get("criteria", arm.criterion, f"arms[{index}]")
        for key, kind in _KINDS.items():
            get(kind, split_spec(getattr(self, key), key)[0], key)
        for index, spec in enumerate(self.modifiers):
            get("modifiers", split_spec(spec, f"modifiers[{index}]")[0], f"modifiers[{index}]")
        return self

    @model_validator(mode="after")
    def _names(self) -> StudyConfig:
        labels = [arm.label for arm in self.arms]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"two arms are called {twice[0]!r}; give one of them a name of its own")
        if self.baseline not in labels and len(labels) > 1:
            near = suggestion(self.baseline, labels)
            raise ValueError(f"the baseline {self.baseline!r} is not an arm{near}; arms: {', '.join(labels)}")
        return self


def short(value: Any) -> str:
    """A value of a study file in a few characters: a component by its name, with its parameters in brackets."""
    if isinstance(value, dict):
        inner = " ".join(f"{key}={short(one)}" for key, one in value.items() if key != "name")
        return f"{value.get('name', '?')}[{inner}]" if inner else str(value.get("name", "?"))
    if isinstance(value, list | tuple):
        if any(isinstance(inner, list | tuple) for row in value if isinstance(row, list | tuple) for inner in row):
            return f"{len(value)} lists"  # of lists of lists: leaves, which no name has room for
        nested = any(isinstance(inner, list | tuple) for inner in value)
        return ("|" if nested else "+").join(map(short, value))
    return str(value)


def load(path: str | Path) -> StudyConfig:
    """Read and check a study file; a study without a name gets the file's.

    Raises:
        ConfigError: one sentence with the file, the key's path, what is allowed and what to do.
    """
    return parse(read(path), str(path))


def read(path: str | Path) -> dict[str, Any]:
    """What a study file says, not checked yet; a study without a name gets the file's.

    Raises:
        ConfigError: if the file cannot be read, or is no mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such study file") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: this is a folder; name the study file in it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not a study file: it is not text in UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: the study file cannot be read ({error.strerror})") from error
    data = read_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a study file is a mapping with the keys space, dataset, budget and arms")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")
    return {"name": name or "study", **data}


def parse(data: dict[str, Any], source: str = "study") -> StudyConfig:
    """Check a study given as a mapping; numbers like ``2e14`` may be strings, as YAML 1.1 reads them."""
    if "grid" in data:
        raise ConfigError(
            f"{source}: the key 'grid' makes it several studies, which splitbench run takes; here take it out, or name "
            "the study.yaml of one of its cells"
        )
    try:
        _check_text(data, "")
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(sentence(error, source)) from error
    except ConfigError as error:  # of the registry, which does not know the file
        raise ConfigError(f"{source}: {error}") from error


def _check_text(value: Any, place: str) -> None:
    """Refuse half characters (surrogates), which no file of results could hold: said now, not after the training."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{place}: {value!r} holds half a character; write it in full") from None
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _check_text(key, f"a key of {place or 'the study'}")
            _check_text(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _check_text(inner, f"{place}.{index}")


_FIELDS: dict[str, type[BaseModel]] = {
    "budget": BudgetConfig,
    "schedule": ScheduleConfig,
    "population": PopulationConfig,
    "evaluation": EvaluationConfig,
    "sweep": SweepConfig,
}
_REMEDIES = {
    "model_type": "a mapping of keys to values is expected",
    "dict_type": "a mapping of keys to values is expected",
    "list_type": "a list is expected",
    "too_short": "at least one is needed",
    "string_type": "a name is expected",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-' are allowed, and a letter or digit at the beginning",
}


def sentence(error: ValidationError, source: str) -> str:
    """What is wrong with a study file, where, and what is allowed; the first complaint of several."""
    errors = error.errors()
    around = errors[0]["loc"][:-1]
    # A value that may be one thing or another is complained about once each: the deepest place is what was meant.
    first = max((e for e in errors if e["loc"][: len(around)] == around), key=lambda e: len(e["loc"]))
    place = [str(part) for part in first["loc"] if not _internal(str(part))]
    where, allowed = ".".join(place), list(_model_at(place).model_fields)
    if first["type"] == "extra_forbidden":
        return f"{source}: unknown key {where!r}{suggestion(place[-1], allowed)}; allowed keys: {', '.join(allowed)}"
    if first["type"] == "missing":
        needs = "an arm needs criterion" if len(place) > 1 else "a study needs space, dataset, budget and arms"
        return f"{source}: the key {where!r} is missing; {needs}"
    message = _REMEDIES.get(first["type"], first["msg"].removeprefix("Value error, "))
    given = "" if first["type"] in ("value_error", "too_short") else f", not {_brief(first['input'])}"
    return f"{source}: {where}{': ' if where else ''}{message[:1].lower()}{message[1:]}{given}"


def _brief(value: Any) -> str:
    """A value in a sentence: thousands of digits say no more than the first few."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:60]}... ({len(text):,} characters)"


def _model_at(place: list[str]) -> type[BaseModel]:
    """The model whose key a path ends in."""
    if place[:1] == ["arms"] and len(place) > 2:
        return ArmConfig
    return _FIELDS.get(place[0], StudyConfig) if len(place) > 1 else StudyConfig


def _internal(part: str) -> bool:
    """Whether a part of an error's place is pydantic's name of an alternative, which no study file contains."""
    return part.startswith(("function-", "constrained", "list[", "dict[", "mapping[")) or part in ("str", "float")
