"""A page for each component of the registry, made of its docstring and parameters."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import docstrings
import yaml

from splitbench.harness.registry import KINDS, Component, build, components, nested_specs, parameters

TITLES = {
    "criteria": ("Criteria", "criterion", "What decides a split: how much the operations of an edge disagree."),
    "partitioners": ("Partitioners", "partitioner", "From an affinity to groups of operations."),
    "edge_rules": ("Edge rules", "edge rule", "From all edges' affinities and groups to the edge that is split."),
    "trainers": ("Trainers", "trainer", "How one supernet's weights are trained."),
    "modifiers": ("Modifiers", "modifier", "What changes the sampler, loss or step of any trainer."),
    "selectors": ("Selectors", "selector", "How one architecture is read from a leaf."),
    "leaf_choices": ("Leaf choices", "leaf choice", "How one of the leaves' architectures is chosen."),
    "spaces": ("Search spaces", "search space", "Edges, operations, a supernet, and the ground truth."),
    "datasets": ("Datasets", "dataset", "The images that supernets are trained and validated on."),
    "proxies": ("Zero-cost proxies", "proxy", "A number that a network gives without training."),
    "engines": ("Engines", "engine", "What runs the stages of a study: this process, others, a cluster."),
}
"""Kind -> heading of its index page, the word for one component, what it is."""

FLAGS = {
    "reads_truth": "**An oracle control**: it reads the ground truth, and every table marks it with †.",
    "draws": "**It draws at random**: an arm of it can have `draws`, averaged within their seed.",
}

GUIDES = {"criteria": "criteria.md", "partitioners": "criteria.md", "edge_rules": "criteria.md"} | {
    "spaces": "data.md",
    "datasets": "data.md",
    "proxies": "proxies.md",
    "engines": "engines.md",
}
"""Kind -> the page about it that is written by hand."""


def kinds() -> list[str]:
    """Kinds that have a component."""
    return [kind for kind in KINDS if components(kind)]


def path_of(kind: str, name: str) -> str:
    """A component's page in the site."""
    return f"components/{kind}/{name}.md"


def navigation() -> list[dict[str, Any]]:
    """Entries of the navigation, a section a kind."""
    return [
        {TITLES[kind][0]: [f"components/{kind}/index.md", *({n: path_of(kind, n)} for n in components(kind))]}
        for kind in kinds()
    ]


def pages() -> Iterator[tuple[str, str]]:
    """Path and Markdown of every generated page."""
    for kind in kinds():
        known = components(kind)
        yield f"components/{kind}/index.md", index(kind, known)
        for name, component in known.items():
            yield path_of(kind, name), page(component)


def index(kind: str, known: Mapping[str, Component]) -> str:
    """The list of a kind's components."""
    title, _, what = TITLES[kind]
    rows = "\n".join(f"| [`{n}`]({n}.md) | {docstrings.cell(summary(c))} |" for n, c in known.items())
    guide = f" [More about them](../../{GUIDES[kind]})." if kind in GUIDES else ""
    return f"# {title}\n\n{what}{guide}\n\n| name | |\n|---|---|\n{rows}\n"


def summary(component: Component) -> str:
    """A component in one paragraph."""
    return docstrings.markdown(docstrings.of(component.load()).summary)


def overview() -> str:
    """A table of all kinds, for the page about components."""
    rows = [
        f"| [{TITLES[kind][0]}](components/{kind}/index.md) | {TITLES[kind][2]} | "
        + ", ".join(f"[`{name}`]({path_of(kind, name)})" for name in components(kind))
        + " |"
        for kind in kinds()
    ]
    return "| kind | what it is | there are |\n|---|---|---|\n" + "\n".join(rows)


def page(component: Component) -> str:
    """The whole page of a component."""
    thing = component.load()
    doc = docstrings.of(thing)
    module, _, attribute = component.target.partition(":")
    background = docstrings.parse(inspect.getdoc(sys.modules[module]) or "")
    word = TITLES[component.kind][1]
    parts = [
        f"# {component.name}",
        f"{word[0].upper()}{word[1:]} · `{module}.{attribute}` · from {component.origin}",
        docstrings.markdown(doc.summary),
        docstrings.markdown(doc.body),
        *(sentence for flag, sentence in FLAGS.items() if getattr(thing, flag, False) is True),
        "## Parameters",
        table(component, {**doc.entries.get("Attributes", {}), **doc.entries.get("Args", {})}),
        *usage(component),
        *(own_parts(component) if component.kind == "criteria" else ()),
        *(topology(component) if component.kind == "spaces" else ()),
        *listed("Errors", doc.entries.get("Raises", {})),
        *(("## The module", docstrings.markdown(background.summary), docstrings.markdown(background.body))),
        f"`splitbench describe {component.name}` shows this on a terminal.",
    ]
    whole = "\n\n".join(part for part in parts if part) + "\n"
    return re.sub(r"(?<![\w/`])docs/([\w-]+)\.md", r"[\1](../../\1.md)", whole)


def usage(component: Component) -> tuple[str, str]:
    """How a component is named, with its defaults: in a study file, or (an engine) on the command line."""
    if component.kind == "engines":
        defaults = {name: p.default for name, p in parameters(component).items()}
        named = f"'{flow({'name': component.name, **defaults})}'" if defaults else component.name
        return "## On the command line", f"`splitbench run STUDY.yaml --engine {named}`"
    return "## In a study file", f"With every parameter at its default:\n\n```yaml\n{snippet(component)}```"


def listed(title: str, entries: Mapping[str, str]) -> Iterator[str]:
    """A section of names and meanings."""
    if entries:
        yield f"## {title}"
        yield "\n".join(f"- `{name}`: {docstrings.markdown(text)}" for name, text in entries.items())


def table(component: Component, meanings: Mapping[str, str]) -> str:
    """Name, type, default and meaning of each parameter."""
    known = parameters(component)
    if not known:
        return "It takes none."
    hints = type_hints(component.load())
    inner = nested_specs(component.load())
    rows = ["| name | type | default | meaning |", "|---|---|---|---|"]
    for name, parameter in known.items():
        kind = inner.get(name)
        typed = (
            f"[{TITLES[kind][1]}](../{kind}/index.md)" if kind else type_words(hints.get(name, parameter.annotation))
        )
        default = "required" if parameter.default is parameter.empty else f"`{flow(parameter.default)}`"
        meaning = docstrings.markdown(meanings.get(name, ""))
        rows.append("| " + " | ".join(docstrings.cell(c) for c in (f"`{name}`", typed, default, meaning)) + " |")
    return "\n".join(rows)


def type_hints(thing: Any) -> dict[str, Any]:
    """Annotations as types, or nothing where they exist for the type checker alone."""
    try:
        return typing.get_type_hints(thing)
    except (NameError, TypeError):
        return {}


def type_words(hint: Any) -> str:
    """A type in the words of a study file."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and not arguments:
        return {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}.get(
            hint.__name__, hint.__name__
        )
    if origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence":
        return f"list of {type_words(arguments[0])}s" if arguments else "list"
    if getattr(origin, "__name__", "") == "Mapping":
        return "mapping"
    if arguments:
        return " or ".join(dict.fromkeys(type_words(each) for each in arguments))
    return f"`{hint}`"


def plain(value: Any) -> Any:
    """A default as YAML can write it."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return {key: plain(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def flow(value: Any) -> str:
    """A value as YAML in one line."""
    text: str = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()


def snippet(component: Component) -> str:
    """Lines of a study file that name the component with its defaults, or with its own example where it has one."""
    defaults = {name: p.default for name, p in parameters(component).items() if p.default is not p.empty}
    given = example(component) or defaults
    named = {"name": component.name, **given} if given else component.name
    arms = {
        "criteria": {"criterion": component.name, **given} if given else component.name,
        "partitioners": {"criterion": "gm", "partitioner": named},
        "edge_rules": {"criterion": "gm", "edge_rule": named},
        "proxies": {"criterion": "zero_cost", "proxy": named},
    }
    if component.kind == "modifiers":
        return lines("modifiers:", [named])
    if component.kind not in arms:
        return lines(f"{component.kind.removesuffix('s')}:", named)
    arm = arms[component.kind]
    return "arms:\n" + (lines("  -", "none") if arm != "none" else "") + lines("  -", arm)


def lines(head: str, value: Any) -> str:
    """A value behind its key (or dash): in one line if that is short, else a line a parameter."""
    short = f"{head} {flow(value)}\n"
    if len(short) <= 80 or not isinstance(value, Mapping):
        return short
    pad = " " * (len(head) + 1) if head.endswith("-") else "  "
    rows = [f"{key}: {flow(each)}" for key, each in value.items()]
    first = f"{head} {rows[0]}" if head.endswith("-") else f"{head}\n{pad}{rows[0]}"
    return "\n".join([first, *(pad + row for row in rows[1:])]) + "\n"


def example(component: Component) -> Mapping[str, Any]:
    """Parameters of a component that is nothing without some: it gives an ``example`` of them."""
    found: Mapping[str, Any] = getattr(component.load(), "example", {})
    return found


def own_parts(component: Component) -> Iterator[str]:
    """What an arm of this criterion uses where it names nothing else."""
    from splitbench.criteria.base import parts_of, splits

    criterion = build("criteria", {"name": component.name, **example(component)})
    if not splits(criterion):
        return
    own = parts_of(criterion)
    yield "## Its own parts"
    yield "What an arm that names only this criterion uses:"
    said = [
        f"- [partitioner](../partitioners/index.md): `{flow(own.partitioner)}`",
        f"- [edge rule](../edge_rules/index.md): `{flow(own.edge_rule)}`",
    ]
    if own.schedule:
        said.append(f"- [schedule](../../study-files.md#keys): `{flow(own.schedule)}`")
    if own.only_whole_edges:
        said.append("- only edges that still allow all their operations are split")
    yield "\n".join(said)


def topology(component: Component) -> Iterator[str]:
    """Edges of a space and what may be on them."""
    space = build("spaces", component.name)
    yield "## Edges and operations"
    rows = [
        f"| {i} | {edge} | {', '.join(f'`{operation}`' for operation in space.operations(i))} |"
        for i, edge in enumerate(space.edges)
    ]
    yield "| index | edge | operations, by index |\n|---|---|---|\n" + "\n".join(rows)
