"""The study file: what is compared, on what, with what budget. Unknown keys are errors; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import ConfigError
from harness.registry import Spec, suggestion

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BUDGETS = ("flops", "steps", "examples", "seconds")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetConfig(_Model):
    """The total compute of one arm; exactly one unit."""

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

    levels: Annotated[int, Field(ge=1, le=8)] = Field(1, description="splits from the root to a leaf")
    branching: Annotated[int, Field(ge=2, le=8)] = Field(2, description="groups a split")
    warmup: Annotated[float, Field(ge=0, lt=1)] | list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        0.2, description="share of the budget trained before the splits: in all (equal parts a level), or one a level"
    )
    weights: Literal["inherit", "restart"] = Field(
        "inherit", description="whether leaves go on from their parent's weights or start afresh"
    )

    @model_validator(mode="after")
    def _shares(self) -> ScheduleConfig:
        if isinstance(self.warmup, list) and len(self.warmup) != self.levels:
            raise ValueError(f"warmup lists {len(self.warmup)} shares for {self.levels} levels; give one a level")
        if sum(self.shares) >= 1:
            raise ValueError("the warmup shares leave nothing for the leaves; their sum must be below 1")
        return self

    @property
    def shares(self) -> list[float]:
        """The share of the budget trained at each level before its split."""
        return self.warmup if isinstance(self.warmup, list) else [self.warmup / self.levels] * self.levels


class PopulationConfig(_Model):
    """Which architectures the metrics are computed on: distinct connected functions."""

    sample: Annotated[int, Field(ge=10)] | None = Field(None, description="how many, drawn uniformly; all if absent")


class EvaluationConfig(_Model):
    """How an architecture's estimate is measured: fixed, unaugmented validation images, batch statistics."""

    images: Annotated[int, Field(ge=10)] | None = Field(None, description="how many validation images; all if absent")
    batch_size: Annotated[int, Field(ge=10)] = 1000


class ArmConfig(_Model):
    """One combination of parts; other keys are parameters of the criterion."""

    model_config = ConfigDict(extra="allow", frozen=True)

    criterion: str
    name: str | None = None
    partitioner: Spec | None = None
    edge_rule: Spec | None = None
    schedule: dict[str, Any] = {}
    trainer: Spec | None = None
    selector: Spec | None = None
    leaf_choice: Spec | None = None
    draws: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def criterion_spec(self) -> dict[str, Any]:
        return {"name": self.criterion, **(self.model_extra or {})}

    @property
    def label(self) -> str:
        """The arm's name: its own, or its criterion with everything that differs from the defaults."""
        if self.name:
            return self.name
        shown = dict(self.model_extra or {})
        for key in ("partitioner", "edge_rule", "trainer", "selector", "leaf_choice"):
            if (value := getattr(self, key)) is not None:
                shown[key] = value if isinstance(value, str) else value["name"]
        shown |= self.schedule
        words = ", ".join(f"{key}={_short(value)}" for key, value in shown.items())
        return f"{self.criterion}({words})" if words else self.criterion


class StudyConfig(_Model):
    """A grid of arms x seeds on one space and dataset."""

    name: str = Field("study", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    space: Spec
    dataset: Spec
    trainer: Spec = "rsps"
    schedule: ScheduleConfig = ScheduleConfig()
    budget: BudgetConfig
    seeds: Annotated[int, Field(ge=1, le=10_000)] = Field(3, description="repetitions, paired between arms")
    seed: int = Field(0, description="the study's own seed")
    population: PopulationConfig = PopulationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    selector: Spec = "random_best"
    leaf_choice: Spec = "best_estimate"
    precision: Literal["float32", "bfloat16"] = Field("float32", description="bfloat16: autocast of the forward pass")
    baseline: str = Field("none", description="the arm that others are compared with")
    arms: Annotated[list[ArmConfig], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _bare_arms(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("arms"), list):
            arms = [{"criterion": arm} if isinstance(arm, str) else arm for arm in data["arms"]]
            return {**data, "arms": arms}
        return data

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


def _short(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def load(path: str | Path) -> StudyConfig:
    """Read and check a study file.

    Raises:
        ConfigError: one sentence with the file, the key's path, what is allowed and what to do.
    """
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such study file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the study file cannot be read: {error}") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" in line {place.line + 1}" if place else ""
        raise ConfigError(f"{path}: this is not YAML{line}: {getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a study file is a mapping with the keys space, dataset, budget and arms")
    return parse(data, str(path))


def parse(data: dict[str, Any], source: str = "study") -> StudyConfig:
    """Check a study given as a mapping; numbers like ``2e14`` may be strings, as YAML 1.1 reads them."""
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_sentence(error)}") from error


_FIELDS: dict[str, type[BaseModel]] = {
    "budget": BudgetConfig,
    "schedule": ScheduleConfig,
    "population": PopulationConfig,
    "evaluation": EvaluationConfig,
}


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if not str(part).startswith(("function-", "constrained"))]
    where = ".".join(place) or "the study"
    if first["type"] == "extra_forbidden":
        model = _FIELDS.get(place[0], StudyConfig) if len(place) > 1 else StudyConfig
        allowed = list(model.model_fields)
        return f"unknown key {where!r}{suggestion(place[-1], allowed)}; allowed keys: {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"the key {where!r} is missing; a study needs space, dataset, budget and arms"
    message = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(first["input"], dict | list | BaseModel) else f", not {first['input']!r}"
    return f"{where}: {message[:1].lower()}{message[1:]}{given}"
