"""A headless Chromium, and pages that tell of every request and every complaint.

SPLITBENCH_CHROMIUM names the browser; without it, the usual names are looked for. Where there is none the tests skip,
with a sentence; with SPLITBENCH_REQUIRE_BROWSER=1, as in CI, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chromium import ARGUMENTS, executable


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = executable()
    if path is None:
        says = "needs Chromium: put it on PATH or set SPLITBENCH_CHROMIUM to it"
        if os.environ.get("SPLITBENCH_REQUIRE_BROWSER") == "1":
            pytest.fail(f"SPLITBENCH_REQUIRE_BROWSER is set, and there is no browser: this test {says}")
        pytest.skip(says)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield found
        found.close()


@dataclass
class Opened:
    """A page, what it asked for beside itself, and what the console said."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Opener = Callable[..., Opened]


@pytest.fixture
def opened(browser: Any) -> Iterator[Opener]:
    """Opens a file; after the test, no request may have left the page and nothing may stand in the console."""
    contexts, pages = [], []

    def opening(path: Path, address: str = "", **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        one = Opened(context.new_page())
        pages.append(one)
        one.page.set_default_timeout(10_000)
        own = path.as_uri()

        def answer(route: Any) -> None:
            if route.request.url.partition("#")[0] == own:
                route.continue_()
            elif not route.request.url.startswith("data:"):
                one.requests.append(route.request.url)
                route.abort()

        one.page.route("**/*", answer)
        one.page.on("console", lambda said: one.complaints.append(f"{said.type}: {said.text}"))
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.page.goto(own + address)
        return one

    yield opening
    for context in contexts:
        context.close()
    assert [request for one in pages for request in one.requests] == []
    assert [complaint for one in pages for complaint in one.complaints] == []
