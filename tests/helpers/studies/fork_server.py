"""Runs the command in forked children of a process that has imported everything: a run costs a fork, not an import.

The first argument is the study that children will run. Orders come as lines of JSON, answers go back the same way.
An order: ``{"arguments": [...], "kill_after": seconds or null, "kill_once": {"folder": path, "ended": n} or null,
"log": path}``; the second kills as soon as n stages have ended and another has saved a checkpoint.
Its answer: ``{"signal": number, "status": number, "seconds": ..., "steps": training steps that the child took,
"resumed": [steps that were restored]}``.
"""

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

MODULES = (
    "pyarrow.parquet",
    "splitbench.harness.cli.app",
    "splitbench.harness.cli.training.running",
    "splitbench.results.boards.leaderboard",
    "splitbench.results.words.render",
)


def main() -> None:
    for module in MODULES:
        importlib.import_module(module)
    from splitbench.harness.running.study import Study
    from splitbench.harness.study import config

    Study.build(config.load_study(sys.argv[1]), "cpu")  # images and functions are kept: children start fast
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)


def obey(order: dict) -> dict:
    start, log = time.monotonic(), Path(order["log"])
    log.write_text("")
    child = os.fork()
    if child == 0:
        run(order["arguments"], log)
    if order["kill_once"] is not None:
        while not saved(Path(order["kill_once"]["folder"]), order["kill_once"]["ended"]):
            if os.waitpid(child, os.WNOHANG)[0]:
                return answer(0, start, log)
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    elif order["kill_after"] is not None:
        deadline = start + order["kill_after"]
        while time.monotonic() < deadline:
            if os.waitpid(child, os.WNOHANG)[0]:
                return answer(0, start, log)
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return answer(os.waitpid(child, 0)[1], start, log)


def saved(folder: Path, ended: int) -> bool:
    """Whether that many stages have ended, and one that has not holds a checkpoint."""
    stages = list(folder.glob("stages/*/*"))
    done = [stage for stage in stages if (stage / "result.json").exists()]
    return len(done) >= ended and any((s / "checkpoint.safetensors").exists() for s in stages if s not in done)


def answer(status: int, start: float, log: Path) -> dict:
    events = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
        "seconds": time.monotonic() - start,
        "steps": sum("step" in event for event in events),
        "resumed": [event["resumed"] for event in events if "resumed" in event],
    }


def run(arguments: list, log: Path) -> None:
    """The child: the command with its output in the log, and a line for each training step and each restored one."""
    status = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)

        from splitbench.harness.cli.app import main as command
        from splitbench.harness.stages.train import Training
        from splitbench.harness.trainers.rsps import RspsSession

        step, restore = RspsSession.step, Training.restore

        def counted_step(self, number, position):
            os.write(handle, b'{"step": %d}\n' % number)
            return step(self, number, position)

        def counted_restore(self, *args):
            restore(self, *args)
            os.write(handle, b'{"resumed": %d}\n' % self.done)

        RspsSession.step, Training.restore = counted_step, counted_restore
        command(arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
