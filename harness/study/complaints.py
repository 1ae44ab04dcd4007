"""What is wrong with a study file, in one sentence: the place, what is allowed and what to do. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import suggestion

_REMEDIES = {
    "model_type": "a mapping of keys to values is expected",
    "dict_type": "a mapping of keys to values is expected",
    "list_type": "a list is expected",
    "too_short": "at least one is needed",
    "string_type": "a name is expected",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-' are allowed, and a letter or digit at the beginning",
}


def complaint(error: ValidationError, source: str, study: type[BaseModel]) -> str:
    """What is wrong with a study file, where, and what is allowed; the first complaint of several.

    Args:
        error: what pydantic raised.
        source: the file, or the part of the study that was validated.
        study: the model of a whole study, whose sections have the keys that are allowed.
    """
    errors = error.errors()
    around = errors[0]["loc"][:-1]
    # A value that may be one thing or another is complained about once each: the deepest place is what was meant.
    first = max((e for e in errors if e["loc"][: len(around)] == around), key=lambda e: len(e["loc"]))
    place = [str(part) for part in first["loc"] if not _internal(str(part))]
    where, allowed = ".".join(place), list(_model_at(place, study).model_fields)
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


def _model_at(place: Sequence[str], study: type[BaseModel]) -> type[BaseModel]:
    """The model whose key a path ends in: the deepest that the path leads into."""
    model = study
    for part in place[:-1]:
        if part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's annotation names, inside of lists and alternatives too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _internal(part: str) -> bool:
    """Whether a part of an error's place is pydantic's name of an alternative, which no study file contains."""
    return part.startswith(("function-", "constrained", "list[", "dict[", "mapping[")) or part in ("str", "float")


def check_text(value: Any, place: str) -> None:
    """Refuse half characters (surrogates), before a study is validated: no file of results could hold them.

    Args:
        value: any part of a study file's content.
        place: dotted path of the value; empty for the whole.

    Raises:
        ConfigError: naming the place.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{place}: {value!r} holds half a character; write it in full") from None
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check_text(key, f"a key of {place or 'the study'}")
            check_text(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            check_text(inner, f"{place}.{index}")
