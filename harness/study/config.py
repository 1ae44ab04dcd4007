"""The study file: what is compared, on what, with what budget. Unknown keys are errors; nothing here imports torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, get, split_spec, suggestion
from splitbench.harness.study.complaints import check_text, complaint
from splitbench.harness.study.search import Range, SweepConfig, parse_search
from splitbench.harness.study.sections import (
    BudgetConfig,
    EvaluationConfig,
    PopulationConfig,
    ScheduleConfig,
    StrictModel,
    Whole,
)
from splitbench.harness.study.yaml_text import read_yaml

__all__ = [  # with the sections: results may import this module of the harness's, and no other of this room
    "ArmConfig",
    "BudgetConfig",
    "EvaluationConfig",
    "PopulationConfig",
    "ScheduleConfig",
    "StudyConfig",
    "load_study",
    "parse_study",
    "read_study_file",
    "short",
]
_KINDS = {
    "space": "spaces",
    "dataset": "datasets",
    "trainer": "trainers",
    "selector": "selectors",
    "leaf_choice": "leaf_choices",
}


class ArmConfig(StrictModel):
    """One combination of parts; other keys are parameters of the criterion."""

    model_config = ConfigDict(extra="allow", frozen=True)

    criterion: str
    name: str | None = None
    partitioner: Spec | None = None
    edge_rule: Spec | None = None
    schedule: dict[str, Any] = Field({})
    trainer: Spec | None = None
    modifiers: list[Spec] | None = None
    selector: Spec | None = None
    leaf_choice: Spec | None = None
    draws: Annotated[Whole, Field(ge=1, le=1000)] = 1
    scoring: Literal["charged", "free"] | None = None
    decompose: bool | None = None

    @property
    def criterion_spec(self) -> dict[str, Any]:
        """The criterion with its parameters, which are the keys that no arm has."""
        return {"name": self.criterion, **(self.model_extra or {})}

    @property
    def label(self) -> str:
        """The arm's name: its own, or its criterion with everything that differs from the defaults.

        Free scoring is always part of it, so that every table and picture says what was not paid for.
        """
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


class StudyConfig(StrictModel):
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
        """Refuse unknown names before anything is imported, and before a baseline is missed because of them."""
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
        inner = " ".join(f"{key}={short(inner)}" for key, inner in value.items() if key != "name")
        return f"{value.get('name', '?')}[{inner}]" if inner else str(value.get("name", "?"))
    if isinstance(value, list | tuple):
        if any(isinstance(inner, list | tuple) for row in value if isinstance(row, list | tuple) for inner in row):
            return f"{len(value)} lists"  # of lists of lists: leaves, which no name has room for
        nested = any(isinstance(inner, list | tuple) for inner in value)
        return ("|" if nested else "+").join(map(short, value))
    return str(value)


def load_study(path: str | Path) -> StudyConfig:
    """Read and check a study file; a study without a name gets the file's.

    Raises:
        ConfigError: one sentence with the file, the key's path, what is allowed and what to do.
    """
    return parse_study(read_study_file(path), str(path))


def read_study_file(path: str | Path) -> dict[str, Any]:
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


def parse_study(data: dict[str, Any], source: str = "study") -> StudyConfig:
    """Check a study given as a mapping; numbers like ``2e14`` may be strings, as YAML 1.1 reads them."""
    if "grid" in data:
        raise ConfigError(
            f"{source}: the key 'grid' makes it several studies, which splitbench run takes; here take it out, or name "
            "the study.yaml of one of its cells"
        )
    try:
        check_text(data, "")
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(complaint(error, source, StudyConfig)) from error
    except ConfigError as error:  # of the registry, which does not know the file
        raise ConfigError(f"{source}: {error}") from error
