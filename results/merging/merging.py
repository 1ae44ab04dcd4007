"""Results folders of the parts of one study, joined into one that equals the folder of the whole.

Everything is checked before anything is written: the parts are of one study, one protocol and one version, and a run
that several of them hold is the same in all. Records are joined and not the stages that they were made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.study.config import ArmConfig, short
from splitbench.results.records import archive, store
from splitbench.results.records.failures import Failure
from splitbench.results.records.files import digest, write_atomically
from splitbench.results.records.listing import ESTIMATES, MEASURED, RECORDS, SWEEP
from splitbench.results.records.loading import AllFailedError, Loaded, StoredRun, load_runs
from splitbench.results.records.machines import kinds, machines, mixture
from splitbench.results.records.record import Record

STUDY = "study.yaml"
OF_THE_WHOLE = ("name", "baseline", "seeds", "arms")
"""Keys of a study that its protocol leaves out, and that decide which runs it has."""

RunKey = tuple[str, int, int]
"""Arm, repetition, draw."""


@dataclass(frozen=True)
class StudyPart:
    """A results folder to be joined: its study file, and the runs that were read from it."""

    folder: Path
    study: Mapping[str, Any]
    loaded: Loaded

    @property
    def runs(self) -> dict[RunKey, StoredRun]:
        return {run_name(run.record): run for run in self.loaded.runs}

    @property
    def failed(self) -> dict[RunKey, Failure]:
        return {run_name(failure): failure for failure in self.loaded.failed}


@dataclass(frozen=True)
class Merger:
    """Parts that fit together, and where they go.

    Attributes:
        out: the folder; what it held before is the first part.
        parts: each results folder.
        runs, failed: of all parts, each once.
        overlap: how many runs several parts hold.
        warnings: files that were left out, and unlike machines.
    """

    out: Path
    parts: tuple[StudyPart, ...]
    runs: Mapping[RunKey, StoredRun]
    failed: Mapping[RunKey, Failure]
    overlap: int
    warnings: tuple[str, ...]

    @property
    def study(self) -> str:
        """The study's name."""
        return str(self.parts[0].study.get("name"))

    @property
    def skipped(self) -> dict[str, str]:
        """Arms that cannot run on the space, and why."""
        return {arm.arm: arm.reason for part in self.parts for arm in part.loaded.skipped}

    @property
    def expected(self) -> list[RunKey]:
        """The runs of the whole study."""
        study, arms = self.parts[0].study, [arm_of(arm) for arm in self.parts[0].study["arms"]]
        return [
            (arm.label, repetition, draw)
            for arm in arms
            if arm.label not in self.skipped
            for repetition in range(int(study["seeds"]))
            for draw in range(arm.draws)
        ]

    @property
    def missing(self) -> list[RunKey]:
        """The runs that no part has a record of; those that failed are among them."""
        return [run for run in self.expected if run not in self.runs]

    def write(self) -> None:
        """Write what is not in ``out`` yet.

        Raises:
            StoreError: if the folder cannot be written.
        """
        store.prepare_folder(self.out)
        if not (self.out / STUDY).exists():
            write_atomically(self.out / STUDY, (self.parts[0].folder / STUDY).read_bytes())
        store.write_skipped(self.out, self.skipped)
        for run in self.runs.values():
            if run.path.parent.resolve() != (self.out / RECORDS).resolve():
                assert run.measured is not None  # merger() has refused the others
                store.write_run(self.out, run.record, run.measured, estimates_of_run(run))
        for failure in self.failed.values():
            store.write_failure(self.out, failure)


def merger(folders: Sequence[Path], out: Path, fewest: int = 2) -> Merger:
    """Check that results folders are parts of one study; nothing is written.

    Args:
        folders: of the parts.
        out: where they go: a new folder, or a results folder of the same study, which is a part then.
        fewest: how many parts there must be.

    Raises:
        ConfigError: for fewer parts; StoreError: if folders differ in study, protocol or version, or two records of
            one run differ.
    """
    places = {folder.resolve(): folder for folder in ([out] if (out / STUDY).exists() else []) + list(folders)}
    if len(places) < fewest:
        raise ConfigError(f"{folders[0]}: there is nothing to merge it with; name two or more results folders")
    parts = tuple(map(part, places.values()))
    for portion in parts[1:]:
        check_study(parts[0], portion)
    check_protocol(parts)
    runs: dict[RunKey, StoredRun] = {}
    for portion in parts:
        for key, run in portion.runs.items():
            if key in runs:
                check_equal(runs[key], run)
            if key not in runs or runs[key].measured is None:
                runs[key] = run
    for run in runs.values():
        if run.measured is None:
            raise StoreError(f"{run.path}: its {MEASURED} is missing or damaged; run that part again")
        estimates_of_run(run)
    failed = {key: failure for portion in parts for key, failure in portion.failed.items() if key not in runs}
    warnings = [f"{portion.folder}: {warning}" for portion in parts for warning in portion.loaded.warnings]
    if mixed := mixture(kinds(machines(runs.values())), "the parts mix"):
        warnings.append(mixed)
    overlap = sum(len(portion.runs) for portion in parts) - len(runs)
    return Merger(out, parts, dict(sorted(runs.items())), failed, overlap, tuple(warnings))


def part(folder: Path) -> StudyPart:
    """Read a results folder.

    Raises:
        StoreError: if it is no results folder of `splitbench run`, or is empty.
    """
    if (folder / SWEEP).exists():
        raise StoreError(f"{folder} holds a sweep, whose processes share one folder already; merge takes studies")
    try:
        study = yaml.safe_load((folder / STUDY).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{folder}: there is no {STUDY} in it; name results folders of splitbench run") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StoreError(f"{folder / STUDY} cannot be read; run that part again") from error
    if not isinstance(study, dict) or not isinstance(study.get("arms"), list) or "seeds" not in study:
        raise StoreError(f"{folder / STUDY} is no study file; run that part again")
    try:
        return StudyPart(folder, study, load_runs(folder))
    except AllFailedError as error:
        return StudyPart(folder, study, Loaded((), (), failed=error.failed))


def arm_of(arm: Any) -> ArmConfig:
    """The configuration of an arm in a study file."""
    return ArmConfig.model_validate({"criterion": arm} if isinstance(arm, str) else arm)


def run_name(run: Record | Failure) -> RunKey:
    return run.arm, run.repetition, run.draw


def check_study(first: StudyPart, second: StudyPart) -> None:
    """Refuse parts whose study files ask for other runs."""
    first_study, second_study = (
        {key: part.study.get(key) for key in OF_THE_WHOLE}
        | {"arms": [arm_of(arm).model_dump() for arm in part.study["arms"]]}
        for part in (first, second)
    )
    if (difference := first_json_difference(first_study, second_study)) is not None:
        raise StoreError(
            f"{first.folder} and {second.folder} are no parts of one study: {difference_in_words(*difference)}; run "
            "the parts of one study file with --arms and --seeds"
        )


def check_protocol(parts: Sequence[StudyPart]) -> None:
    """Refuse records of different versions, or of different protocols: they were not compared fairly."""
    first: dict[str, tuple[Any, Path]] = {}
    for portion in parts:
        records: list[Record | Failure] = [run.record for run in portion.loaded.runs]
        for record in [*records, *portion.loaded.failed]:
            same = {
                "version": record.splitbench,
                "protocol": record.protocol,
                f"arm {record.arm}": record.config["arm"],
            }
            for what, value in same.items():
                there, folder = first.setdefault(what, (value, portion.folder))
                if there != value:
                    raise StoreError(unlike(what, there, value, folder, portion, parts))


def unlike(what: str, there: Any, value: Any, folder: Path, other: StudyPart, parts: Sequence[StudyPart]) -> str:
    """The sentence about two folders that differ in version, protocol or an arm's configuration."""
    both = f"{folder} and {other.folder}"
    if what == "version":
        return f"{both} were written by splitbench {there} and {value}; run one of them again with the other's version"
    if what != "protocol":
        difference = first_json_difference(there, value)
        assert difference is not None
        return f"{both} were run with different configurations of {what}: {difference_in_words(*difference)}"
    configs = [
        next((run.record.config for run in portion.loaded.runs if run.record.protocol == wanted), {})
        for portion, wanted in ((next(p for p in parts if p.folder == folder), there), (other, value))
    ]
    first, second = ({key: without_device(config.get(key)) for key in ("study", "common")} for config in configs)
    difference = first_json_difference(first, second)
    why = difference_in_words(*difference) if difference else "versions of stages, or the ground truth"
    return f"{both} were run under different protocols: {why}; only parts of one study can be merged"


def without_device(config: Any) -> Any:
    """A part of a record's configuration without the device, which is no part of its protocol."""
    return {key: value for key, value in config.items() if key != "device"} if isinstance(config, Mapping) else config


def check_equal(first: StoredRun, second: StoredRun) -> None:
    """Refuse two records of one run that differ in anything."""
    left, right = (json.loads(run.record.model_dump_json()) for run in (first, second))
    if (difference := first_json_difference(left, right)) is not None:
        raise StoreError(
            f"{first.path} and {second.path} are records of one run and differ: {difference_in_words(*difference)}; "
            "delete the one that is not to be kept, with its companions, and merge again"
        )


def first_json_difference(first: Any, second: Any, place: str = "") -> tuple[str, Any, Any] | None:
    """Where two values of plain JSON differ first: a dotted path, and both values there; None if they are equal."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in [*first, *(key for key in second if key not in first)]:
            inner = f"{place}.{key}" if place else str(key)
            if key not in first or key not in second:
                return inner, first.get(key), second.get(key)
            if (difference := first_json_difference(first[key], second[key], inner)) is not None:
                return difference
        return None
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = enumerate(zip(first, second, strict=True))
        differences = (
            first_json_difference(left, right, f"{place}.{index}" if place else str(index))
            for index, (left, right) in pairs
        )
        return next((difference for difference in differences if difference is not None), None)
    return None if first == second else (place, first, second)


def difference_in_words(place: str, first: Any, second: Any) -> str:
    """Where two values differ, in a few words."""
    words = [text if len(text := short(value)) <= 60 else f"{text[:60]}..." for value in (first, second)]
    return f"{place} is {words[0]} in the first and {words[1]} in the second"


def estimates_of_run(run: StoredRun) -> bytes:
    """The estimates of a run, as its record names them.

    Raises:
        StoreError: if they are missing, or are not those that the record names.
    """
    path = run.path.with_suffix(ESTIMATES)
    try:
        data = archive.content(path)
    except OSError as error:
        raise StoreError(f"{path}: the estimates cannot be read ({error.strerror}); run that part again") from error
    if digest(data) != run.record.estimates_sha256:
        raise StoreError(f"{path}: these are not the estimates that the record names; run that part again")
    return data


def spans(numbers: Iterable[int]) -> str:
    """Whole numbers as `splitbench run --seeds` takes them: ``0-5,8``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, ends)) for ends in runs)
