"""How fast the page of ten thousand runs opens and sorts in Chromium, how large it is, and how long building it takes.

    python bench/page.py            # 500 arms x 20 seeds, and 2,500 arms x 4 seeds

Opening is from the request until the table has been painted; sorting from the click until the new order has been
painted, the slowest of all columns. Records are made in memory, so reading them from disk is not in the building time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
SIZES = ((500, 20), (2_500, 4))
PAINTED = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"


def measure(browser: Any, arms: int, seeds: int, repeats: int) -> None:
    import pytest
    from crowded_folder import crowd, crowded

    from splitbench.results.page import page

    crowd(arms, seeds)
    with pytest.MonkeyPatch.context() as patch:
        crowded(patch, arms, seeds)
        start = time.perf_counter()
        content = page("unread")
        built = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_bytes(content)
        opened, slowest, run = [], [], []
        for _ in range(repeats):
            shown = browser.new_page(viewport={"width": 1440, "height": 900})
            start = time.perf_counter()
            shown.goto(path.as_uri())
            shown.evaluate(PAINTED)
            opened.append(time.perf_counter() - start)
            sorts = []
            for button in shown.locator("#table th button[title], #table th.c-arm button").all():
                if "arm" in (button.get_attribute("class") or ""):
                    continue
                start = time.perf_counter()
                button.evaluate("button => button.click()")
                shown.evaluate(PAINTED)
                sorts.append(time.perf_counter() - start)
            slowest.append(max(sorts))
            address = shown.evaluate(
                "document.querySelector('button.arm').click(), document.querySelector('a[href^=\"#run\"]').hash"
            )
            start = time.perf_counter()
            shown.evaluate("address => { location.hash = address; }", address)
            shown.locator("#run-title").wait_for()
            shown.evaluate(PAINTED)
            run.append(time.perf_counter() - start)
            shown.close()
    print(
        f"{arms:,} arms x {seeds} seeds: {len(content) / 1e6:.2f} MB, built in {built:.1f} s; "
        f"opens in {1e3 * min(opened):.0f} ms, sorts in {1e3 * min(slowest):.0f} ms, "
        f"opens the first run in {1e3 * min(run):.0f} ms (fastest of {repeats})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    sys.path[:0] = [str(TESTS / "helpers" / "records"), str(TESTS.parent)]
    from chromium import ARGUMENTS, executable
    from playwright.sync_api import sync_playwright

    path = executable()
    if path is None:
        raise SystemExit("bench/page.py: needs Chromium: put it on PATH or set SPLITBENCH_CHROMIUM to it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        for arms, seeds in SIZES:
            measure(browser, arms, seeds, repeats)
        browser.close()


if __name__ == "__main__":
    main()
