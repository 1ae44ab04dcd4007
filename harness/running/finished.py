"""Runs that have ended: a record whose versions match is kept, with or without the stages that it was made of.

Stages are many times larger than records, and may be deleted once a study has ended. A record holds its protocol and
its arm's configuration, with the versions of everything that was computed. A run whose record agrees with the study
file in these is not run again.
"""

from __future__ import annotations

from pathlib import Path

from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.record import arm_mark, protocol
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import StudyConfig
from splitbench.results.records import store
from splitbench.results.records.files import digest
from splitbench.results.records.listing import ESTIMATES, run_path
from splitbench.results.records.reading import read_measured, read_record
from splitbench.results.records.record import Measured, Record


class Finished:
    """The runs of a study that its folder holds."""

    def __init__(self, config: StudyConfig, settings: Settings, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.protocol = protocol(config, settings)

    def of(self, arm: Arm, repetition: int, draw: int) -> tuple[Record, Measured] | None:
        """A run's record and measured costs; None if there is none, if it is another configuration's or damaged, or if
        its estimates are not those that it names."""
        path = run_path(self.folder, arm.label, self.protocol, repetition, draw)
        if not path.is_file():
            return None
        record, _ = read_record(path, str(path))
        measured, _ = read_measured(str(path), str(path))
        if record is None or measured is None:
            return None
        wanted = (self.protocol, arm.label, repetition, draw, arm_mark(arm.config()))
        if (record.protocol, record.arm, record.repetition, record.draw, arm_mark(record.config["arm"])) != wanted:
            return None
        try:
            estimates = path.with_suffix(ESTIMATES).read_bytes()
        except OSError:
            return None
        if digest(estimates) != record.estimates_sha256:
            return None
        now = {
            "baseline": arm.label == self.config.baseline,
            "expected_runs": self.config.seeds * arm.draws,
            "study": self.config.name,
        }
        if any(getattr(record, key) != value for key, value in now.items()):  # the study has more seeds now, say
            record = record.model_copy(update=now)
            store.write_run(self.folder, record, measured, estimates)
        return record, measured
