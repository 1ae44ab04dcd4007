"""What mkdocs calls while it builds: generated pages, published studies, links."""

from __future__ import annotations

from typing import Any

import command
import components
import published
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MARKS = {"<!-- verbs -->": command.reference, "<!-- components -->": components.overview}
"""A comment in a page -> what stands there in the site. On a plain view of the file there is nothing."""


def on_config(config: MkDocsConfig) -> None:
    """Complete the navigation with the generated pages."""
    more = {"components.md": components.navigation, "published/README.md": published.navigation}
    for entry in config.nav or []:
        for title, inside in entry.items():
            if isinstance(inside, list) and isinstance(inside[0], str) and inside[0] in more:
                entry[title] = expanded(inside, more)


def expanded(inside: list[Any], more: dict[str, Any]) -> list[Any]:
    """A section with what belongs below its first page."""
    found = more[inside[0]]()
    return found if found[0] == inside[0] else [*inside, *found]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add a page for each component, and the published studies."""
    for uri, markdown in components.pages():
        files.append(File.generated(config, uri, content=markdown))
    for uri, path in published.sources():
        files.append(File.generated(config, uri, abs_src_path=str(path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the marks, and keep links inside the site."""
    for mark, content in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, content())
    if page.file.src_uri.endswith("/leaderboard.md"):  # tables of numbers: wide, and nothing to search for
        page.meta.update({"search": {"exclude": True}, "hide": ["toc"]})
    uri, known = page.file.src_uri, {file.src_uri for file in files}
    return f"{published.rewritten(markdown, uri, known)}\n\n{published.addition(uri, known)}"
