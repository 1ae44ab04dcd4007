"""How long the command takes to answer, and what it imports meanwhile.

python bench/startup.py [RESULTS_FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 9
HEAVY = ("torch", "numpy", "scipy", "pandas", "pyarrow", "sklearn", "pydantic", "rich")


def seconds(command: list[str]) -> list[float]:
    """Wall seconds of each of ``REPEATS`` runs, ascending."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        taken.append(time.perf_counter() - start)
    return sorted(taken)


def imported(arguments: list[str]) -> list[str]:
    """Which of the heavy packages are imported by the end of a command."""
    script = (
        "import sys, contextlib, io\n"
        "from splitbench.harness.cli.app import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({arguments!r})\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return found.stdout.split()


def main() -> None:
    verbs = [["--help"], ["--version"], ["list"], ["data", "list"], ["describe", "gm"], ["env"]]
    if len(sys.argv) > 1:
        verbs[3:3] = [["leaderboard", sys.argv[1]]]
    print(f"{'command':<40}  least s  median s  imports")
    for arguments in verbs:
        taken = seconds([sys.executable, "-m", "splitbench", *arguments])
        names = " ".join(imported(arguments)) or "-"
        print(f"{' '.join(arguments):<40}  {taken[0]:7.3f}  {taken[REPEATS // 2]:8.3f}  {names}")


if __name__ == "__main__":
    main()
