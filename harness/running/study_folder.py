"""The results folder of a study. It belongs to one study, and holds its file beside the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from splitbench.harness.errors import StoreError
from splitbench.harness.running.set_aside import set_aside
from splitbench.harness.runs.record import arm_mark, protocol
from splitbench.harness.study.config import StudyConfig
from splitbench.results.grids.grids import GRID
from splitbench.results.records.files import write_atomically
from splitbench.results.records.listing import SWEEP

if TYPE_CHECKING:
    from splitbench.harness.running.study import Study

STUDY_FILE = "study.yaml"


def check_study_folder(config: StudyConfig, folder: Path) -> Path:
    """Refuse a folder of another study; returns the path of the study file in it.

    Raises:
        StoreError: if the folder is another study's, a sweep's or a grid's.
    """
    if (folder / SWEEP).exists():
        raise StoreError(f"{folder} holds a sweep, whose trials would be set aside; choose another --out")
    if (folder / GRID).exists():
        raise StoreError(f"{folder} holds a grid of studies; choose another --out")
    path = folder / STUDY_FILE
    if path.exists():
        try:
            name = (yaml.safe_load(path.read_text()) or {}).get("name")
        except (yaml.YAMLError, AttributeError, OSError):
            name = None
        if name not in (None, config.name):
            raise StoreError(f"{folder} holds the study {name!r}, not {config.name!r}; choose another --out")
    return path


def take_study_folder(study: Study, folder: Path) -> list[str]:
    """Write the study's file beside its records, and set aside records that the study no longer asks for.

    Returns a sentence for each group of records that was set aside.

    Raises:
        StoreError: if the folder is another study's or a newer version's; nothing is changed then.
    """
    path = check_study_folder(study.config, folder)
    text = yaml.safe_dump(study.config.model_dump(mode="json", exclude_none=True), sort_keys=False)
    shared = protocol(study.config, study.settings)
    wanted = {
        (shared, arm.label, arm_mark(arm.config()), repetition, draw) for arm, repetition, draw in study.all_runs()
    }
    sentences = set_aside(folder, wanted)
    write_atomically(path, text.encode())
    return sentences
