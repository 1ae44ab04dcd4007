#!/usr/bin/env bash
# Collects the wheels that bench/gpu.sh may need on a machine without a network: Python 3.12, Linux, x86-64.
#
#   bench/wheels.sh [DIR [NAME...]]        # into ./wheels by default, without the packages NAME
#
# All that splitbench needs except torch and what only torch needs, and pytest. What the machine has already is not
# installed there: leave out the large ones that it is known to have, or all of them are 160 MB: pyarrow 53, scipy 34,
# numpy 15, pandas 12, matplotlib 10, scikit-learn 9, pillow 7.
set -euo pipefail
case "${1:-}" in -*) sed -n '2,9s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] || exit 2; exit 0 ;; esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
into=${1:-wheels}
shift $(($# > 0))
python=${PYTHON:-python3}
mkdir -p "$into"
mapfile -t wanted < <("$python" - "$root/pyproject.toml" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
print(*(text for text in project["dependencies"] if not text.startswith("torch")), "pytest>=8", sep="\n")
PYTHON
)
"$python" -m pip download --disable-pip-version-check --only-binary=:all: --python-version 3.12 \
  --implementation cp --abi cp312 --abi abi3 --abi none \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --dest "$into" "${wanted[@]}"
for name in "$@"; do rm -f "$into/${name//-/_}"-*.whl; done
du -ch "$into"/*.whl | sort -h | tail -8
