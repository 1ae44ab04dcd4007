"""The shape of the code: modules, folders, functions, and public names that two modules share.

    python bench/house.py [ROOT]    # ROOT: a checkout, this one if it is not named

tests/test_house.py holds the limits.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("harness", "criteria", "spaces", "results")
TOP = Path(__file__).resolve().parents[1]
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class House:
    """What is counted.

    Attributes:
        lines: of each module, by its path.
        folders: modules directly in each folder that has any.
        functions: lines of each function, by path and name.
        names: the modules that define each public class or function at their top level.
        assigned: how often each name is bound in a function or a class, and at the top level.
    """

    lines: dict[str, int] = field(default_factory=dict)
    folders: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    functions: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    assigned: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def twins(self) -> dict[str, list[str]]:
        """Public names that more than one module defines."""
        return {name: places for name, places in sorted(self.names.items()) if len(places) > 1}


def modules(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted(path for path in (root / package).rglob("*.py") if "published" not in path.parts)


def house(root: Path = TOP) -> House:
    """Count the packages of a checkout."""
    counted = House()
    for path in modules(root):
        name = path.relative_to(root).as_posix()
        text = path.read_text()
        counted.lines[name] = len(text.splitlines())
        counted.folders[path.parent.relative_to(root).as_posix()].append(path.name)
        tree = ast.parse(text)
        for node in tree.body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                counted.names[node.name].append(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                counted.functions[f"{name}:{node.name}:{node.lineno}"] = (node.end_lineno or 0) - node.lineno + 1
                counted.assigned[node.name] += 1
                for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                    counted.assigned[argument.arg] += 1
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                counted.assigned[node.id] += 1
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                counted.assigned[node.attr] += 1
    return counted


def main(root: Path) -> None:
    counted = house(root)
    longest = max(counted.functions, key=lambda name: counted.functions[name])
    fullest = max(counted.folders, key=lambda folder: len(counted.folders[folder]))
    largest = max(counted.lines, key=lambda name: counted.lines[name])
    print(f"modules           {len(counted.lines)}, {sum(counted.lines.values())} lines")
    long = sum(lines > 300 for lines in counted.lines.values())
    print(f"largest module    {largest}: {counted.lines[largest]}; over 300: {long}")
    print(f"folders           {len(counted.folders)}; fullest {fullest}: {len(counted.folders[fullest])} modules")
    print(f"longest function  {longest.rpartition(':')[0]}: {counted.functions[longest]} lines")
    print(f"public names      {len(counted.names)}; in two or more modules: {len(counted.twins)}")
    for name, places in counted.twins.items():
        print(f"    {name}: {', '.join(places)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else TOP)
