"""Why a run failed: which errors are a run's own, which component caused them, and the sentence for the record."""

from __future__ import annotations

import errno
import inspect
import re
import traceback
from collections.abc import Iterator

from splitbench.harness.errors import ComponentError, DataError, EngineError, SplitbenchError, StoreError
from splitbench.harness.registry import Component, get, singular
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.record import which_run
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import StudyConfig
from splitbench.results.records.failures import Failure

DEVICE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ESTALE}
LONGEST = 300
BY_STAGE = {"train": "trainers", "score": "criteria", "select": "selectors", "measure": "leaf_choices"}
"""Whose work a stage is, where the traceback names none of the arm's components."""


def is_the_runs(error: BaseException) -> bool:
    """Whether an error is a run's own, so that the others can go on: not a full disk, missing data or dead workers."""
    if isinstance(error, StoreError | DataError | EngineError):
        return False
    return not (isinstance(error, OSError) and error.errno in DEVICE_ERRORS)


def failure_of(
    study: StudyConfig,
    settings: Settings,
    arm: Arm,
    repetition: int,
    draw: int,
    error: BaseException,
    stage: tuple[str, str] | None,
) -> Failure:
    """The record of a run that failed.

    Args:
        study, settings, arm, repetition, draw: which run.
        error: what ended it.
        stage: kind and title of the stage that raised it; None where it was raised between stages.
    """
    text = "".join(traceback.format_exception(error))
    component = responsible(arm, text, stage[0] if stage else "")
    named = f"{component_in_words(component)} from {component.origin}" if component else ""
    return Failure(
        **which_run(study, settings, arm, repetition, draw),
        config={"arm": arm.config()},
        budget_kind=settings.budget.kind,
        budget_limit=settings.budget.limit,
        stage=stage[1].partition(": ")[2] or stage[1] if stage else "",
        component=named,
        reason=failure_reason(error, component).removeprefix(f"arm {arm.label}: "),
        traceback=text,
    )


def failure_reason(error: BaseException, component: Component | None) -> str:
    """One sentence, with the component named."""
    if isinstance(error, ComponentError):
        kind, said = error.kind, error.said
    else:
        kind, said = type(error).__name__, str(error)
    said = one_line(said)
    who = f"the {component_in_words(component)} ({component.origin})" if component else ""
    if kind == "SystemExit":
        return f"{who or 'a component'} ended the program, as by sys.exit({said}); a component raises an error instead"
    if isinstance(error, SplitbenchError):
        return said if component is None or component.name in said else f"{said} (in {who})"
    raised = f"{kind}: {said}" if said else kind
    if component is None:
        return f"this is a bug: {raised}"
    return f"{who} raised {raised}"


def responsible(arm: Arm, text: str, stage: str) -> Component | None:
    """The component whose file is the innermost in a traceback; else the one whose work the stage is, if any."""
    innermost: tuple[int, Component] | None = None
    parts = list(components_of(arm))
    for component in parts:
        try:
            path = inspect.getfile(component.load())
        except (TypeError, OSError):
            continue
        place = text.rfind(f'File "{path}"')
        if place >= 0 and (innermost is None or place > innermost[0]):
            innermost = place, component
    if innermost is not None:
        return innermost[1]
    kind = BY_STAGE.get(stage)
    return next((component for component in parts if component.kind == kind), None)


def components_of(arm: Arm) -> Iterator[Component]:
    """Every component of an arm, those inside of others included."""
    consulted = [arm.consulted.criterion] if arm.consulted else []
    for part in [*arm.parts.values(), *arm.modifier_parts, *consulted]:
        for each in part.all():
            yield get(each.kind, each.name)


def component_in_words(component: Component) -> str:
    """A component's kind and name, as in ``edge rule fixed``."""
    return f"{singular(component.kind).replace('_', ' ')} {component.name}"


def one_line(said: str) -> str:
    """The first line of a message that is not empty, cut to a length that a table can show."""
    line = next((text for text in said.splitlines() if text.strip()), "")
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", " ".join(line.split())).encode(errors="replace").decode()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
