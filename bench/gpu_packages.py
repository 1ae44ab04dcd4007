"""Makes splitbench importable on a machine without a network: from what is there, and from wheels that were carried.

    python bench/gpu_packages.py SITE WHEELS         # then: PYTHONPATH=SITE python -m splitbench ...

Writes into the folder SITE alone: splitbench itself, by links and with its entry points, and the carried wheels of
whatever it needs and the machine lacks or has in a version that does not do. Torch stays the machine's own. Prints a
sentence for each package, and ends with status 1 if one that splitbench needs is missing.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name, parse_wheel_filename
except ImportError:  # pip brings a copy
    from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]
    from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename  # type: ignore[assignment]

TOP = Path(__file__).parents[1]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
OPTIONAL = ("pytest>=8",)
"""Without these a step is left out, and the others run."""


class Plan:
    """Which wheels are wanted, and which packages nobody has."""

    def __init__(self, wheels: Path) -> None:
        self.carried = {parse_wheel_filename(path.name)[0]: path for path in sorted(wheels.glob("*.whl"))}
        self.chosen: dict[str, Path] = {}
        self.missing: list[str] = []
        self._seen: set[str] = set()

    def need(self, requirement: Requirement) -> None:
        """See to a requirement and to what it requires in turn."""
        if str(requirement) in self._seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            return
        self._seen.add(str(requirement))
        name = canonicalize_name(requirement.name)
        wheel, there = self.carried.get(name), version(name)
        if there is not None and name not in self.chosen and requirement.specifier.contains(there, prereleases=True):
            inner = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        elif wheel is not None and requirement.specifier.contains(
            parse_wheel_filename(wheel.name)[1], prereleases=True
        ):
            self.chosen[name] = wheel
            inner = required_by(wheel)
        else:
            self.missing.append(f"{requirement} ({'not installed' if there is None else f'{there} is installed'})")
            return
        if name != "torch":  # the machine's own, and what it needs there
            for one in inner:
                self.need(one)


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def required_by(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().partition("\n\n")[0].splitlines()
    return [Requirement(line.partition(":")[2].strip()) for line in lines if line.startswith("Requires-Dist:")]


def place_splitbench(site: Path) -> None:
    """The package with its four folders, and what an install says about it."""
    package = site / "splitbench"
    package.mkdir(parents=True, exist_ok=True)
    sources = [path for path in (TOP / "src" / "splitbench").iterdir() if path.suffix == ".py"]
    for path in [*sources, *(TOP / name for name in ("harness", "criteria", "spaces", "results"))]:
        if not (package / path.name).is_symlink():
            (package / path.name).symlink_to(path)
    info = site / f"splitbench-{PROJECT['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: splitbench\nVersion: {PROJECT['version']}\n")
    groups = {"console_scripts": PROJECT["scripts"]} | PROJECT["entry-points"]
    points = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(points))


def main() -> None:
    site, wheels = (Path(word).resolve() for word in sys.argv[1:3])
    place_splitbench(site)
    plan = Plan(wheels)
    for text in PROJECT["dependencies"]:
        plan.need(Requirement(text))
    needed = list(plan.missing)
    for text in OPTIONAL:
        plan.need(Requirement(text))
    if plan.chosen:
        words = [
            "--no-index",
            "--no-deps",
            "--quiet",
            "--disable-pip-version-check",
            "--upgrade",
            "--target",
            str(site),
        ]
        wanted = list(map(str, plan.chosen.values()))
        subprocess.run([sys.executable, "-m", "pip", "install", *words, *wanted], check=True)
    print(f"from {wheels}: {', '.join(path.name for path in plan.chosen.values()) or 'nothing is needed'}")
    for one in plan.missing:
        print(f"missing{'' if one in needed else ', and a step is left out'}: {one}; carry its wheel (bench/wheels.sh)")
    sys.exit(bool(needed))


if __name__ == "__main__":
    main()
