"""What this machine has: versions, devices, data folders."""

from __future__ import annotations

import importlib.metadata
import os
import platform

from splitbench.spaces.files import sources


def environment() -> dict[str, object]:
    """Versions, devices and folders, in words."""
    import torch

    from splitbench.harness.device import cpu_model, instructions

    packages = (
        "splitbench",
        "torch",
        "numpy",
        "scipy",
        "pandas",
        "pyarrow",
        "pydantic",
        "safetensors",
        "scikit-learn",
        "optuna",
    )
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "cpu model": cpu_model(),
        "instruction set": instructions(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        **{package: importlib.metadata.version(package) for package in packages},
        "data home": sources.data_home(),
        "SPLITBENCH_DATA": os.environ.get("SPLITBENCH_DATA", "not set"),
    }
