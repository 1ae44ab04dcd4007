"""The documentation builds without a warning, is complete, and fetches nothing when it is read."""

from __future__ import annotations

import importlib
import os
import posixpath
import re
import subprocess
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from docs_pages import PAGES, TOP

from splitbench.harness.registry import KINDS, build, components, parameters
from splitbench.harness.study import config

SITE = TOP / "docs" / "site"
BUILT_IN = [(kind, name) for kind in KINDS for name, c in components(kind).items() if c.origin == "splitbench"]
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""Tags that make a browser fetch something, and the attribute that says what. (A link does where its rel says so.)"""


class Html(HTMLParser):
    """The links, names and fetched things of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.names |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and given.get(FETCHED[tag]):
            self.fetched.append(given[FETCHED[tag]])
        if tag == "link" and not set(given.get("rel", "").split()) & {"prev", "next", "canonical", "alternate"}:
            self.fetched.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The built site: path -> text of every page and style sheet."""
    out = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOP)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "mkdocs", "build", "--strict", "--site-dir", out],
        cwd=TOP,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "WARNING" not in said, said
    found = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return {name: p.read_text() if p.suffix in (".html", ".css") else "" for name, p in found.items()}


@pytest.fixture(scope="module")
def pages(site: dict[str, str]) -> dict[str, Html]:
    return {name: Html(text) for name, text in site.items() if name.endswith(".html")}


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/site/components.py, imported as mkdocs does."""
    sys.path.insert(0, str(SITE))
    try:
        return importlib.import_module("components")
    finally:
        sys.path.remove(str(SITE))


# -- the site --------------------------------------------------------------------------------------------------------


def test_every_component_has_its_page(site: dict[str, str]) -> None:
    for kind, name in BUILT_IN:
        page = site[f"components/{kind}/{name}.html"]
        text = re.sub(r"<[^>]+>", "", page)
        for parameter in parameters(components(kind)[name]):
            assert parameter in text, (kind, name, parameter)
        assert f'href="{name}.html"' in site[f"components/{kind}/index.html"]


def test_every_verb_is_on_the_page_about_the_command(pages: dict[str, Html]) -> None:
    from splitbench.harness.cli.app import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {"run", "leaderboard"} <= names
    assert names <= pages["command.html"].names


def test_published_studies_are_pages(site: dict[str, str]) -> None:
    published = TOP / "results" / "published"
    for page in [*published.glob("*.md"), *published.glob("**/leaderboard.md"), *published.glob("*/grid.md")]:
        name = page.relative_to(published).with_suffix(".html").as_posix().replace("README", "index")
        assert f"published/{name}" in site
    for page in published.glob("**/leaderboard.html"):
        folder = f"published/{page.parent.relative_to(published).as_posix()}"
        assert site[f"{folder}/interactive.html"] == page.read_text()
        assert 'href="interactive.html"' in site[f"{folder}/leaderboard.html"]
    assert 'src="ranking.svg"' in site["published/quickstart/leaderboard.html"]
    assert not [name for name in site if "/records/" in name]


def test_every_internal_link_and_anchor_resolves(site: dict[str, str], pages: dict[str, Html]) -> None:
    checked = 0
    for name, page in pages.items():
        if name == "404.html" or name.endswith("/interactive.html"):  # absolute links; a program, tested as one
            continue
        for link in [*page.links, *page.fetched]:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("#__") or not link:
                continue
            path = urllib.parse.unquote(parts.path)
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            target = {".": "index.html"}.get(target, target)
            assert target in site, f"{name}: {link}"
            if parts.fragment and target in pages:
                assert urllib.parse.unquote(parts.fragment) in pages[target].names, f"{name}: {link}"
            checked += 1
    assert checked > 1000


def test_nothing_is_fetched_from_elsewhere(site: dict[str, str], pages: dict[str, Html]) -> None:
    for name, page in pages.items():
        elsewhere = [each for each in page.fetched if re.match(r"(https?:)?//", each)]
        assert not elsewhere, f"{name}: {elsewhere}"
    for name, text in site.items():
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", text if name.endswith(".css") else ""), name
        assert not re.search(r"<style[^>]*>[^<]*(@import|url\(\s*['\"]?(https?:)?//)", text), name


def test_html_sees_what_a_browser_would_fetch() -> None:
    page = Html('<link rel="stylesheet" href="//a.b/c.css"><link rel="next" href="x"><img src="https://a.b/c.png">')
    assert page.fetched == ["//a.b/c.css", "https://a.b/c.png"]


# -- generated pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [each for each in BUILT_IN if each[0] != "engines"])  # no study names one
def test_snippets_parse_and_are_the_defaults(kind: str, name: str, generator: ModuleType) -> None:
    snippet = yaml.safe_load(generator.snippet(components(kind)[name]))
    base = {"space": "micro", "dataset": "digits", "budget": {"steps": 100}, "arms": ["none"]}
    study = config.parse_study(base | snippet)
    key = kind.removesuffix("s")
    if kind in ("criteria", "partitioners", "edge_rules", "proxies"):
        arm = study.arms[-1]
        found: Any = {"criteria": arm.criterion_spec, "proxies": arm.criterion_spec.get("proxy")}.get(kind)
        found = getattr(arm, key) if found is None else found
    elif kind == "modifiers":
        (found,) = study.modifiers
    else:
        found = getattr(study, key)
    given = {"name": found} if isinstance(found, str) else dict(found)
    assert given["name"] == name
    written = build(kind, given)
    if not callable(getattr(written, "func", None)):
        assert written == build(kind, {"name": name, **generator.example(components(kind)[name])})


def test_docstrings_are_taken_apart(generator: ModuleType) -> None:
    docstrings = sys.modules["docstrings"]
    doc = docstrings.parse(
        "What it is.\n\nMore *of* it.\n\nAttributes:\n    a: the first,\n        on two lines: yes.\n    b: second.\n\n"
        "Raises:\n    ConfigError: if not.\n\nReturns:\n    A number."
    )
    assert (doc.summary, doc.body) == ("What it is.", "More *of* it.")
    assert doc.entries["Attributes"] == {"a": "the first, on two lines: yes.", "b": "second."}
    assert doc.entries["Raises"] == {"ConfigError": "if not."}
    assert doc.texts["Returns"] == "A number."
    assert docstrings.markdown("``a*b`` is 2*c < [d], see :func:`e`") == "`a*b` is 2\\*c &lt; \\[d\\], see `e`"


# -- files as they lie in the repository -----------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_work_on_a_plain_view_of_the_files(page: Path) -> None:
    text = re.sub(r"^(```+).*?^\1", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^()\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {link}"


def test_nothing_of_the_documentation_is_installed() -> None:
    import setuptools

    packages = setuptools.find_packages(str(TOP), include=["harness*", "criteria*", "spaces*", "results*"])
    assert not [name for name in packages if name.startswith("docs") or ".docs" in name]


# -- citing ----------------------------------------------------------------------------------------------------------


def test_citation_is_valid_and_of_this_version() -> None:
    import tomllib

    citation = yaml.safe_load((TOP / "CITATION.cff").read_text())
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # required by CFF 1.2.0
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["title"] == project["name"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["authors"] == [{"name": "splitbench contributors"}]
    assert not {"doi", "url", "repository-code"} & set(citation)
