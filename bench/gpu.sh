#!/usr/bin/env bash
# What to run on a machine with a CUDA device: the CUDA tests, bench/throughput.py, then a study as far as time allows.
#
#   bench/gpu.sh [--minutes N] [--wheels DIR] [--out DIR] [--study FILE] [--keep DIR]
#
# The machine needs Linux, Python 3.12 with torch, and no network: what else splitbench needs is installed from the
# wheels that bench/wheels.sh collected, into a folder of its own. Without a CUDA device everything runs on the CPU.
#
#   --minutes N   limit of all of it, 12 by default (or GPU_MINUTES); fractions are allowed. It ends in time even if a
#                 step hangs.
#   --wheels DIR  ./wheels by default (or GPU_WHEELS).
#   --out DIR     where the results go, at most 8 files: $OUT, or ./gpu-results. summary.json has each step's outcome.
#   --study FILE  studies/nb201-cifar10.yaml by default, or the quick start's where its data are missing
#                 (SPLITBENCH_DATA names the folder of real data: docs/data.md).
#
#   --keep DIR    where the study keeps its stages, so that the next call goes on where this one was cut off:
#                 runs/gpu-NAME by default. Its records come back packed.
#
# A step that fails stops no other; the status is 1 if one did.
set -uo pipefail
began=$SECONDS
usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
refuse() { echo "bench/gpu.sh: $1" >&2; exit 2; }
here=$PWD
minutes=${GPU_MINUTES:-12} wheels=${GPU_WHEELS:-wheels} out=${OUT:-gpu-results} study= keep=
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --minutes | --wheels | --out | --study | --keep)
      [ $# -ge 2 ] || refuse "$1 needs a value; see --help"
      printf -v "${1#--}" %s "$2"; shift 2 ;;
    *) refuse "there is no option $1; there are: --minutes, --wheels, --out, --study, --keep, --help" ;;
  esac
done
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "--minutes $minutes: give a number, like 12"
limit=$(awk -v m="$minutes" 'BEGIN { printf "%d", m * 60 }')
[ "$limit" -ge 10 ] || refuse "--minutes $minutes: it takes at least 10 seconds (0.17)"
reserve=$((limit / 10 > 60 ? 60 : limit / 10 < 6 ? 6 : limit / 10)) # for packing and the summary
python=$(command -v "${PYTHON:-python3}" || command -v python) || refuse "there is no Python; name one with PYTHON=PATH"
absolute() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
out=$(absolute "$out") wheels=$(absolute "$wheels")
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
[ -z "$study" ] || study=$(absolute "$study")
[ -z "$keep" ] || keep=$(absolute "$keep")
[ -z "$study" ] || [ -f "$study" ] || refuse "--study $study: there is no such file"
mkdir -p "$out" || refuse "--out $out cannot be written"
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$work/site PYTHONUNBUFFERED=1
: >"$out/log.txt"
steps=() failed=0 device=unknown packed="nothing yet"

left() { echo $((limit - reserve - (SECONDS - began))); }
# within SECONDS COMMAND...: of what is not a step of its own; never beyond the limit itself.
within() {
  local most=$1 rest=$((limit - 1 - (SECONDS - began)))
  shift
  timeout --kill-after=1 $((rest < 1 ? 1 : most < rest ? most : rest)) "$@"
}
summary() {
  local joined
  joined=$(printf ',\n  %s' "${steps[@]}")
  printf '{\n "limit_seconds": %d,\n "seconds": %d,\n "device": "%s",\n "study": "%s",\n "records": "%s",\n "steps": [%s\n ]\n}\n' \
    "$limit" "$((SECONDS - began))" "$device" "${study#"$PWD/"}" "$packed" "${joined#,}" >"$out/summary.json.new"
  mv "$out/summary.json.new" "$out/summary.json"
}
note() { # NAME OUTCOME STATUS SECONDS
  steps+=("$(printf '{"step": "%s", "outcome": "%s", "status": %s, "seconds": %d}' "$1" "$2" "$3" "$4")")
  echo "$1: $2 (${4} s)"
  summary
}
# step NAME MOST COMMAND...: run it for MOST seconds at most, and never beyond what is left; its last lines go to the log.
step() {
  local name=$1 most=$2 rest begun=$SECONDS status outcome
  shift 2
  rest=$(left)
  most=$((most < rest ? most : rest))
  if [ "$most" -lt 1 ]; then note "$name" "skipped: no time is left" null 0; failed=1; return 1; fi
  timeout --signal=INT --kill-after=3 "$most" "$@" >"$work/$name" 2>&1 </dev/null
  status=$?
  { echo "== $name"; tail -c 400000 "$work/$name"; } >>"$out/log.txt"
  case $status in
    0) outcome=ok ;;
    124 | 137) outcome="cut off after $most s" ;;
    *) outcome=failed failed=1 ;;
  esac
  note "$name" "$outcome" "$status" $((SECONDS - begun))
  return $status
}

echo "results go to $out, within $limit seconds"
step packages $((limit / 4)) "$python" bench/gpu_packages.py "$work/site" "$wheels"
grep '^missing' "$work/packages"
step device 60 "$python" -c 'import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu")' &&
  device=$(tail -n 1 "$work/device" | tr -d '"\\')
on=cuda
if [ "$device" = cpu ] || [ "$device" = unknown ]; then on=cpu; echo "there is no CUDA device: everything runs on the CPU"; fi
if [ $on = cuda ]; then step nvidia-smi 20 nvidia-smi; fi
step environment 60 "$python" -m splitbench env --json && cp "$work/environment" "$out/environment.json"

if within $((limit / 12 + 1)) "$python" -c 'import pytest' 2>/dev/null; then
  if [ $on = cuda ]; then
    step tests $((limit / 4)) "$python" -m pytest -m gpu -q -rs -p no:cacheprovider tests
  else
    note tests "skipped: they need a CUDA device" null 0
  fi
else
  note tests "skipped: pytest is not there; carry its wheel" null 0
fi

speed=(--device cpu --space micro --steps 3)
[ $on = cpu ] || speed=(--device cuda --space micro --space nb201 --precision bfloat16)
step throughput $((limit / 6)) "$python" bench/throughput.py "${speed[@]}"
! grep -q '^{' "$work/throughput" 2>/dev/null || grep '^{' "$work/throughput" >"$out/throughput.jsonl"

if [ -z "$study" ]; then
  study=$PWD/studies/nb201-cifar10.yaml
  if ! within $((limit / 12 + 1)) "$python" -c 'from splitbench.spaces.files.sources import status
import sys; sys.exit(any(status(name).state == "missing" for name in ("nb201", "cifar10")))' 2>>"$out/log.txt"; then
    echo "data of nb201 or cifar10 are missing: SPLITBENCH_DATA names no folder that has them; the quick start's study runs"
    study=$PWD/studies/quickstart.yaml
    [ -f "$study" ] && head -c 20 "$study" | grep -q '^\.\./' && study=$PWD/harness/quickstart.yaml # a zip has no links
  fi
fi
results=${keep:-runs/gpu-$(basename "$study" .yaml)}
step study "$limit" "$python" -m splitbench run "$study" --out "$results" --device $on
if compgen -G "$results/records/*.json" >/dev/null; then
  cp "$results/study.yaml" "$out/study.yaml" 2>/dev/null
  packed=$(within 30 "$python" - "$results" "$out" 2>>"$out/log.txt" <<'PYTHON'
import sys
from pathlib import Path
from splitbench.results.records import archive
from splitbench.results.records import store
folder, out = map(Path, sys.argv[1:])
content = archive.pack_records(folder / "records")
store.write_atomically(out / archive.ARCHIVE, content)
runs = sum(name.endswith(".json") and not name.endswith(".measured.json") for name in archive.archive_members(out / archive.ARCHIVE))
print(f"{runs} runs in {archive.ARCHIVE}, {len(content):,} bytes" + (", too large to come back" if len(content) > 2**24 else ""))
PYTHON
) || packed="not packed: see log.txt"
  within 20 "$python" -m splitbench leaderboard "$out" --format md >"$out/leaderboard.md" 2>>"$out/log.txt" || rm -f "$out/leaderboard.md"
else
  packed="none: the study was cut off before a run ended"
fi
summary
echo "$packed; summary in $out/summary.json"
exit $failed
