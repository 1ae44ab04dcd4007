"""Same study, same bytes: run twice, on a worker pool, and killed at any moment and run again."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_studies import record_bytes, tiny

import splitbench

KILLS = 10
ENVIRONMENT = {"SPLITBENCH_CHECKPOINT_SECONDS": "0.03", "OMP_NUM_THREADS": "1"}
STUDY = tiny(
    trainer={"name": "rsps", "batch_size": 16, "learning_rate": 0.1},
    budget={"steps": 80},
    population={"sample": 10},
    evaluation={"images": 30},
    selector={"name": "random_best", "samples": 2},
    arms=["none", {"criterion": "gm", "repetitions": 1, "edge_rule": {"name": "fixed", "edges": [4]}}],
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the study leaves behind when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    splitbench.run(STUDY, folder, device="cpu")
    return record_bytes(folder)


@pytest.mark.portable
def test_two_runs_are_equal_byte_for_byte(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    splitbench.run(STUDY, tmp_path, device="cpu")
    assert [Path(name).suffix for name in undisturbed] == [".json", ".parquet"] * 2
    assert record_bytes(tmp_path) == undisturbed


def test_another_seed_gives_other_records(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    splitbench.run(STUDY | {"seed": 1}, tmp_path, device="cpu")
    both = record_bytes(tmp_path), undisturbed
    found, before = ({apart(name): data for name, data in each.items()} for each in both)
    assert found.keys() == before.keys()
    assert all(found[name] != before[name] for name in found)


def apart(name: str) -> str:
    """A record's file name without the hash of its protocol, which the seed is part of."""
    return re.sub("--[0-9a-f]{16}--", "--", name)


def test_the_number_of_torch_threads_changes_nothing(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """Sums in another order are other bits; so a study runs on one thread, whatever the machine has."""
    code = (
        "import sys, torch, splitbench; torch.set_num_threads(3);"
        "splitbench.run(sys.argv[1], sys.argv[2], device='cpu'); assert torch.get_num_threads() == 3"
    )
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "out")], check=True)
    assert record_bytes(tmp_path / "out") == undisturbed


# --- killed in one process --------------------------------------------------------------------------------------------


class ForkServer:
    """Runs the command in forked children; see fork_server.py."""

    def __init__(self, study: Path, folder: Path) -> None:
        self.log = folder / "log"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[2] / "helpers" / "studies" / "fork_server.py"), str(study)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT,
        )  # fmt: skip
        assert self.receive() == "ready"

    def receive(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def command(
        self, study: Path, folder: Path, kill_after: float | None = None, ended: int | None = None
    ) -> dict[str, Any]:
        """Run the study into the folder, to its end, or until it is killed: after some seconds, or once so many stages
        have ended and another has saved a checkpoint."""
        assert self.process.stdin is not None
        arguments = ["run", str(study), "--out", str(folder), "--workers", "1", "--device", "cpu"]
        once = None if ended is None else {"folder": str(folder), "ended": ended}
        order = {"arguments": arguments, "kill_after": kill_after, "kill_once": once, "log": str(self.log)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = self.receive()
        assert order["kill_after"] or once or answer["status"] == 0, self.log.read_text()
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    server = ForkServer(study, tmp_path_factory.mktemp("server"))
    yield server
    server.close()


def test_killed_at_ten_moments_and_run_again(
    server: ForkServer, study: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Ten moments, one in each tenth of the study's life; every record equals the undisturbed one, ten times of ten.

    21 runs of a study, most of it training.
    """
    whole = server.command(study, tmp_path / "whole")
    assert record_bytes(tmp_path / "whole") == undisturbed
    assert whole["resumed"] == []
    assert server.command(study, tmp_path / "whole")["steps"] == 0  # what has ended is not done again
    draw, tenth, life, tries = random.Random(0), 0, whole["seconds"], 0
    saved = []
    while tenth < KILLS:
        tries += 1
        assert tries < 4 * KILLS, "the study ends before it can be killed"
        folder = tmp_path / f"killed{tries}"
        killed = server.command(study, folder, (tenth + draw.random()) / KILLS * life)
        if killed["signal"] != signal.SIGKILL:  # it was faster this time and ended first
            life *= 0.9
            continue
        again = server.command(study, folder)
        assert record_bytes(folder) == undisturbed, f"killed after {killed['seconds']:.2f} s"
        assert killed["steps"] + again["steps"] >= whole["steps"]
        saved.append(whole["steps"] - again["steps"])
        tenth += 1
    assert max(saved) > whole["steps"] / 2  # late kills lose little
    assert all(steps >= 0 for steps in saved)


@pytest.mark.parametrize("ended", [0, 1, 7], ids=["warm-up", "training of none", "a leaf of gm"])
def test_a_killed_training_goes_on_from_its_checkpoint(
    server: ForkServer, study: Path, undisturbed: dict[str, bytes], tmp_path: Path, ended: int
) -> None:
    for attempt in range(5):  # the stage may end between its checkpoint and the kill: then once more
        folder = tmp_path / str(attempt)
        killed = server.command(study, folder, ended=ended)
        assert killed["signal"] == signal.SIGKILL
        again = server.command(study, folder)
        assert record_bytes(folder) == undisturbed
        if any(steps > 0 for steps in again["resumed"]):
            return
    pytest.fail("no training went on from a checkpoint")


# --- killed on a worker pool ------------------------------------------------------------------------------------------


def in_session(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def wait_until(condition: Any, seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_on_two_workers(study: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """No worker lives on after a kill, and the run that goes on equals the one in a single process.

    Six processes import torch.
    """
    command = [sys.executable, "-m", "splitbench", "run", str(study), "--out", str(tmp_path), "--workers", "2"]

    def start() -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, env=os.environ | ENVIRONMENT, start_new_session=True, **quiet)  # type: ignore[call-overload, no-any-return]

    def ended() -> int:
        return len(list(tmp_path.glob("stages/*/*/result.json")))

    process = start()
    wait_until(lambda: ended() >= 2 or process.poll() is not None, 60, "no stage ended")
    assert process.poll() is None, "the study ended before it could be killed"
    workers = set(in_session(process.pid)) - {process.pid}
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not in_session(process.pid), 15, "a worker outlived its parent")
    process = start()
    assert process.wait(120) == 0
    wait_until(lambda: not in_session(process.pid), 15, "a worker outlived its parent")
    assert record_bytes(tmp_path) == undisturbed
