"""A part of a study: some of its arms, some of its repetitions. Nothing here imports torch.

Runs of a part have the records that they have in the whole: the study, its protocol and its seeds stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import suggestion
from splitbench.harness.study.config import StudyConfig
from splitbench.results.words.sheet import count

SPAN = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Portion:
    """Which runs of a study are asked for.

    Attributes:
        arms: names; None for all.
        repetitions: counted from 0; None for all.
    """

    arms: tuple[str, ...] | None = None
    repetitions: tuple[int, ...] | None = None

    def holds(self, arm: str, repetition: int) -> bool:
        """Whether a run is asked for."""
        return (self.arms is None or arm in self.arms) and (self.repetitions is None or repetition in self.repetitions)

    def notes(self, study: StudyConfig) -> list[str]:
        """What whoever runs a part should know; nothing for the whole."""
        if self == Portion():
            return []
        arms = f"{len(self.arms)} of {count(len(study.arms), 'arm')}" if self.arms is not None else "all arms"
        seeds = "all seeds"
        if self.repetitions is not None:
            seeds = f"{len(self.repetitions)} of {count(study.seeds, 'seed')}"
        notes = [f"a part of the study: {arms}, {seeds}; splitbench merge joins the folders of its parts"]
        if self.arms is not None and study.baseline not in self.arms:
            notes.append(
                f"the baseline {study.baseline} is not in this part, so it gets no verdicts before it is merged with "
                "the part that holds it"
            )
        return notes


def portion(study: StudyConfig, arms: Sequence[str], seeds: str | None) -> Portion:
    """The part of a study that ``--arms`` and ``--seeds`` name.

    Args:
        study: the whole.
        arms: names of arms, or several with commas between; none for all. (A comma inside of brackets is a name's own.)
        seeds: numbers and spans of repetitions from 0, as ``0-5,8``; None for all.

    Raises:
        ConfigError: for an arm or a repetition that the study does not have, or what is no list of them.
    """
    labels = [arm.label for arm in study.arms]
    asked = [name for word in arms for name in ([word] if word in labels else split_names(word))]
    for name in asked:
        if name not in labels:
            raise ConfigError(
                f"--arms: {name!r} is not an arm{suggestion(name, labels)}; the study's arms: {', '.join(labels)}"
            )
    named = tuple(label for label in labels if label in asked) if arms else None
    return Portion(named, None if seeds is None else repetitions(seeds, study.seeds))


def split_names(text: str) -> list[str]:
    """Names with commas between them; those inside of brackets are parts of names."""
    names, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0:
            names.append("")
        else:
            names[-1] += character
    return [name.strip() for name in names]


def repetitions(text: str, seeds: int) -> tuple[int, ...]:
    """The repetitions that ``0-5,8`` names, of ``seeds``; in order, each once.

    Raises:
        ConfigError: for text of another form, or a repetition that there is not.
    """
    numbers: set[int] = set()
    for word in text.split(","):
        span = SPAN.fullmatch(word.strip())
        if span is None:
            raise ConfigError(
                f"--seeds {text}: numbers and spans from 0 are expected, as in 0-5,8, not {word.strip()!r}"
            )
        first, last = int(span[1]), int(span[2] or span[1])
        if not first <= last < seeds:
            raise ConfigError(
                f"--seeds {text}: {word.strip()} is not among the study's {count(seeds, 'seed')}, 0 to {seeds - 1}; "
                "raise seeds in the study file, or name others"
            )
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))
