"""The arm with suggested values: its configuration, the values that run, and the name of its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from splitbench.harness.registry import Spec, get, nested_specs, parameters, split_spec
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import ArmConfig, StudyConfig, short
from splitbench.harness.sweeps.accepted_numbers import Value
from splitbench.harness.sweeps.search_parameters import DIGITS, KINDS, Parameter

OF_STUDIES = ("trainer", "selector", "leaf_choice")  # what a study file may give for all arms


def configured(
    config: StudyConfig, base: ArmConfig, arm: Arm, parameters_: Sequence[Parameter], suggested: Mapping[str, Value]
) -> tuple[ArmConfig, dict[str, Value]]:
    """The arm's configuration with suggested values, and the values that run, by path.

    A parameter of a component that is not the chosen one has no effect and is left out.

    Args:
        config: the study.
        base, arm: the arm of the study file: its configuration, and built.
        parameters_: the searched parameters of the arm.
        suggested: path -> value; a parameter that is not named keeps its own.
    """
    data = base.model_dump(exclude_defaults=True)
    values: dict[str, Value] = {}
    for parameter in sorted(parameters_, key=lambda parameter: parameter.path.count(".")):
        if parameter.path not in suggested:
            continue
        shown = parameter.shown(suggested[parameter.path])
        part, *rest = parameter.path.split(".")
        if part == "schedule":
            data["schedule"] = {**data.get("schedule", {}), rest[0]: parameter.given(shown)}
        elif part == "criterion":
            own = {"name": base.criterion, **{key: data[key] for key in base.model_extra or {}}}
            changed = put_parameter(own, "criteria", rest, parameter.given(shown), arm.parts["criteria"].written())
            if changed is None:
                continue
            data.update({key: value for key, value in changed.items() if key != "name"})
        else:
            kind = KINDS[part]
            usual = arm.parts[kind].written()
            shared = getattr(config, part) if part in OF_STUDIES else usual
            changed = put_parameter(data.get(part) or shared, kind, rest, parameter.given(shown), usual)
            if changed is None:
                continue
            data[part] = changed
        values[parameter.path] = shown
    ordered = {parameter.path: values[parameter.path] for parameter in parameters_ if parameter.path in values}
    data["name"] = configuration_label(base.label, ordered)
    return ArmConfig.model_validate(data), ordered


def put_parameter(spec: Spec, kind: str, rest: Sequence[str], value: Any, usual: Mapping[str, Any]) -> Any:
    """A component's spec with one parameter changed; None if the component has no such parameter.

    Args:
        spec: as it is so far.
        kind: its registry.
        rest: the parameter, and what lies in it; nothing, if the whole component is exchanged.
        value: the new one.
        usual: the component as the study file has it, every default filled in.
    """
    if not rest:
        return value
    name, given = split_spec(spec, kind)
    component = get(kind, name)
    if rest[0] not in parameters(component):
        return None
    if len(rest) > 1:
        inner = nested_specs(component.load()).get(rest[0])
        filled = usual.get(rest[0]) if usual.get("name") == name else None
        current = given.get(rest[0]) or filled
        if inner is None or current is None:
            return None
        value = put_parameter(current, inner, rest[1:], value, filled if isinstance(filled, Mapping) else {})
        if value is None:
            return None
    return {"name": name, **given, rest[0]: value}


def configuration_label(arm: str, values: Mapping[str, Value]) -> str:
    """The name of a configuration in its records: the arm with the values in brackets."""
    last = [path.rpartition(".")[2] for path in values]
    names = [name if last.count(name) == 1 else path for name, path in zip(last, values, strict=True)]
    shown = (f"{v:.{DIGITS}g}" if isinstance(v, float) else short(v) for v in values.values())
    words = ", ".join(f"{name}={value}" for name, value in zip(names, shown, strict=True))
    return f"{arm} [{words}]" if words else arm
