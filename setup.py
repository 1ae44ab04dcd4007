"""Names the packages of the distribution; everything else is in pyproject.toml.

The four folders at the top level are the packages ``splitbench.harness``, ``.criteria``, ``.spaces`` and ``.results``.
The symbolic links in src/splitbench serve a checkout alone (editable installs, mypy, editors), and the build never
reads them: a zip downloaded from a code host has none, and would otherwise install an empty package without a word.
"""

from setuptools import find_packages, setup

FOLDERS = ("harness", "criteria", "spaces", "results")
packages = {"splitbench": "src/splitbench"} | {f"splitbench.{name}": name for name in FOLDERS}
inner = [f"splitbench.{name}.{package}" for name in FOLDERS for package in find_packages(name)]
setup(packages=[*packages, *inner], package_dir=packages)
