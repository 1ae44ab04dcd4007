"""Published studies as pages of the site, and links that leave docs/ turned into links within it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "published"
SUFFIXES = (".md", ".svg", ".png", ".html", ".json", ".yaml")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
ELSEWHERE = re.compile(r"[a-z]+:|#")
PAGE = "interactive.html"
"""What a study's leaderboard.html is called in the site, where leaderboard.md becomes the page of that name."""


def sources() -> Iterator[tuple[str, Path]]:
    """Path in the site and file of everything that is shown: no records, no scores."""
    for path in sorted([*FOLDER.glob("*.*"), *FOLDER.glob("*/*.*"), *FOLDER.glob("*/*/*.*")]):
        if path.suffix in SUFFIXES and path.is_file():
            yield placed(f"published/{path.relative_to(FOLDER).as_posix()}"), path


def placed(uri: str) -> str:
    """Where a published file stands in the site."""
    folder, name = posixpath.split(uri)
    return f"{folder}/{PAGE}" if name == "leaderboard.html" else uri


def navigation() -> list[object]:
    """Entries of the navigation: what the studies show, the studies, what else was measured."""
    pages = [(uri, path) for uri, path in sources() if path.suffix == ".md" and path.name != "README.md"]
    studies = [{titled(path): uri} for uri, path in pages if path.parent != FOLDER]
    others: list[object] = [uri for uri, path in pages if path.parent == FOLDER]
    return ["published/README.md", {"Leaderboards": studies}, *others]


def titled(path: Path) -> str:
    """What the navigation calls a page of a study, or of a cell of a grid."""
    folder = path.relative_to(FOLDER).parent.as_posix()
    return folder if path.stem == "leaderboard" else f"{folder}: {path.stem}"


def addition(uri: str, known: Collection[str]) -> str:
    """What a study's leaderboard page says beyond its table: the interactive page, the study file, the picture."""
    folder, name = posixpath.split(uri)
    if not folder.startswith("published/") or name != "leaderboard.md":
        return ""
    links = {PAGE: "the page to sort and filter", "study.yaml": "the study file"}
    links |= {"leaderboard.json": "all numbers as JSON"}
    there = [f"[{words}]({file})" for file, words in links.items() if f"{folder}/{file}" in known]
    picture = "![Kendall's tau of each arm](ranking.svg)" if f"{folder}/ranking.svg" in known else ""
    return "\n\n".join(part for part in ("Also: " + ", ".join(there) + "." if there else "", picture) if part)


def origin(uri: str) -> str:
    """Where a page of the site lies in the repository."""
    return f"results/{uri}" if uri.startswith("published/") else f"docs/{uri}"


def within(path: str) -> str | None:
    """Where a file of the repository lies in the site; None for one that is outside."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == "results/published" or path.startswith("results/published/"):
        return placed(path.removeprefix("results/"))
    return None


def rewritten(markdown: str, uri: str, known: Collection[str]) -> str:
    """The page with each link that leaves its folder pointing into the site, or without it where it points nowhere.

    Args:
        markdown: of the page.
        uri: its path in the site.
        known: paths of all files of the site.
    """

    def change(match: re.Match[str]) -> str:
        image, text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if ELSEWHERE.match(target) or not path:
            return match.group(0)
        place = within(posixpath.normpath(posixpath.join(posixpath.dirname(origin(uri)), path)))
        if place not in known and f"{place}/README.md" in known:
            place = f"{place}/README.md"
        if place is None or place not in known:
            if not (ROOT / posixpath.normpath(posixpath.join(posixpath.dirname(origin(uri)), path))).exists():
                return match.group(0)  # a broken link stays one, for mkdocs to complain of
            return text
        return f"{image}[{text}]({posixpath.relpath(place, posixpath.dirname(uri) or '.')}{hash_}{anchor})"

    lines, fenced = [], False
    for line in markdown.split("\n"):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        lines.append(line if fenced else LINK.sub(change, line))
    return "\n".join(lines)
