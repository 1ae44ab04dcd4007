"""Every command that README and docs show is run here, in the order of its page, and prints what the page says.

Commands of splitbench run in this process; the others in a shell. What is not run is listed, with a reason.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from docs_pages import COMMANDS, DATA, PAGES, TOP, Block, Command, blocks, commands

from splitbench.harness import registry
from splitbench.harness.cli.app import app, main
from splitbench.harness.study import config
from splitbench.harness.sweeps.tuner import Tuner

NOT_RUN = {
    "make quickstart": "sets up an environment from the network, then runs `splitbench quickstart`, which is run here",
    "make test": "would run itself",
    "make docs": "tests/test_docs_site.py builds the site",
    "pip install -e .": "installed already, or no test would run; tests/test_packaging.py checks what gets installed",
    "splitbench data import nb201 --from PATH": "needs real data: test_real_data_commands",
    "optuna-dashboard runs/first-sweep-sweep/sweep.journal": "serves until stopped; sweeps/test_sweep.py asks",
}
"""Commands that are not run as they stand -> why."""

REAL_DATA = {"splitbench data import nb201 --from PATH": "nb201"}
"""Commands with a PATH -> what stands for it below SPLITBENCH_DATA."""

ONCE = {"splitbench quickstart": "docs/quick-start.md", "splitbench run mine.yaml": "docs/quick-start.md"}
"""Commands that several pages show, for the same files -> the page that they are run for."""

FRAGMENTS = {
    "docs/plugins.md": "lines of a class, for readers of the text around them",
}
"""Pages whose untitled Python blocks are parts of a program -> why they are not run."""

PROVIDED = {
    "docs/gate.md": {
        "gate-study.yaml": """
            {space: micro, dataset: digits, budget: {steps: 20}, seeds: 3, population: {sample: 20},
             evaluation: {images: 50}, selector: {name: random_best, samples: 2}, arms: [none, random]}
        """
    }
}
"""Files of the reader's own that a page's commands name -> what stands for them here."""

FOLDERS = {"docs/page.md": {"DIR": "results/published/criteria-micro"}}
"""Results folders of the reader's own -> the published one that stands for them. Nothing may write into it."""

SHORTENED = {"quickstart": 5, "my_criterion": 3, "first-sweep": 2, "first-sweep-tuned": 1}
"""Studies that are run with fewer seeds (sweeps: and trials) and a smaller budget -> the divisor of the budget."""

TRAINS = ("run", "sweep", "quickstart", "geometry")

EXACT = {"docs/tutorial.md": (r"\| \((flops|parameters|convolutions)\) ", r"\| (none|random) +\| \d\.\d+e\+\d+ ")}
"""Pages that train -> what begins lines whose numbers are exact arithmetic: metrics of sizes, and costs of arms that
decide nothing by what was trained."""


def flat(page: Path) -> list[Block]:
    return blocks(page)


def shown_commands(page: Path) -> list[Command]:
    return [c for block in flat(page) if block.language in COMMANDS for c in commands(block)]


def trains(page: Path) -> bool:
    """Whether a command of the page trains: then its numbers are the machine's."""
    return any(c.line.startswith(tuple(f"splitbench {verb} " for verb in TRAINS)) for c in shown_commands(page))


def named(page: Path) -> str:
    return str(page.relative_to(TOP))


# -- every block is something ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_says_what_it_is(page: Path) -> None:
    """So that a command cannot hide from this file: in an unknown language, or in an indented block."""
    for block in flat(page):
        assert block.language in (*COMMANDS, *DATA), f"{block.where}: unknown language {block.language!r}"
        if block.language in COMMANDS and block.text.strip():
            assert list(commands(block)), f"{block.where}: no command in it; a block of output alone is text"
    outside = re.sub(r"^(```+).*?^\1", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^(    |\t)\$? ?(splitbench|pip|make|python) ", outside, re.MULTILINE), (
        f"{named(page)}: an indented block of commands; fence it"
    )


def test_what_is_not_run_is_still_shown() -> None:
    shown = {command.line for page in PAGES for command in shown_commands(page)}
    assert set(REAL_DATA) <= shown, "no page shows these any more; take them out of the list"
    assert not {page for page in FRAGMENTS if not (TOP / page).exists()}
    for line, page in ONCE.items():
        assert line in {command.line for command in shown_commands(TOP / page)}


def test_every_verb_and_option_that_a_page_names_exists() -> None:
    group: Any = typer.main.get_command(app)
    known: dict[str, set[str]] = {}
    for name, verb in group.commands.items():
        parts = verb.commands.values() if hasattr(verb, "commands") else [verb]
        known[name] = {o for each in parts for p in each.params for o in getattr(p, "opts", [])} | {"--help", "--debug"}
    for page in PAGES:
        for line in re.findall(r"(?:^|`)(?:\$ )?splitbench ([a-z][^`\n]*)", page.read_text(), re.MULTILINE):
            verb = line.split()[0].rstrip(",;")
            assert verb in known, f"{named(page)}: splitbench {line}"
            wrong = set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", line.partition("splitbench ")[0])) - known[verb]
            assert not wrong, f"{named(page)}: splitbench {line}: there is no {', '.join(sorted(wrong))}"


# -- running them ----------------------------------------------------------------------------------------------------


class Folder:
    """A temporary folder in which the commands of a page run one after the other."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
        text = (TOP / page).read_text()
        self.path, self.monkeypatch = path, monkeypatch
        self.packages: list[str] = []
        path.mkdir()
        monkeypatch.chdir(path)
        monkeypatch.setenv("SPLITBENCH_HOME", str(path / "home"))
        monkeypatch.delenv("SPLITBENCH_DATA", raising=False)
        monkeypatch.setenv("COLUMNS", "120")
        (path / "studies").mkdir()
        for study in (TOP / "studies").iterdir():
            (path / "studies" / study.name).symlink_to(study)
        for name, content in PROVIDED.get(page, {}).items():
            if not (path / name).exists():
                (path / name).write_text(content)
        for name, there in FOLDERS.get(page, {}).items():
            (path / name).symlink_to(TOP / there)
        for study in sorted((TOP / "results" / "published").iterdir()):  # copies: a command may write beside them
            if study.is_dir() and f"results/published/{study.name}" in text:
                shutil.copytree(study, path / "results" / "published" / study.name)

    def write(self, block: Block) -> None:
        file = self.path / block.title
        assert file.resolve().is_relative_to(self.path.resolve()), block.where
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)

    def run(self, line: str) -> tuple[int, str]:
        """A command's exit status and everything it printed."""
        words = shlex.split(line, comments=True)
        if words[0] == "splitbench" and not set(words) & {"|", ">", "&&", ";", "||"}:
            return self.splitbench(words[1:])
        if words[:3] == ["pip", "install", "-e"]:
            return self.install(Path(words[3]))
        found = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        packages = os.pathsep.join([*self.packages, str(TOP)])
        environment = os.environ | {"PATH": found, "PYTHONPATH": packages, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            ["bash", "-c", line], env=environment, capture_output=True, text=True, cwd=self.path, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def splitbench(self, words: Sequence[str]) -> tuple[int, str]:
        """As in a process of its own: nothing that another command registered is known."""
        self.monkeypatch.setattr(registry, "_registered", {})
        for name in [each for each in sys.modules if each.startswith("splitbench_plugin_")]:
            del sys.modules[name]
        if words[0] in TRAINS and "--workers" not in words:
            words = [*words, "--workers", "1"]
        printed, status = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), 0
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                main(list(words))
            except SystemExit as end:
                status = int(end.code or 0)
        printed.seek(0)
        return status, printed.read()

    def install(self, package: Path) -> tuple[int, str]:
        """What `pip install -e` leaves behind: the package's folder on the path, and its entry points."""
        import tomllib

        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        source = self.path / package / "src"
        metadata = source / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
        groups = [
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
            for group, points in project["entry-points"].items()
        ]
        (metadata / "entry_points.txt").write_text("\n".join(groups))
        self.packages.append(str(source))
        self.monkeypatch.syspath_prepend(str(source))
        registry._installed.cache_clear()
        return 0, ""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Folder]:
    load = config.load_study

    def shorter(path: str | Path) -> config.StudyConfig:
        study = load(path)
        if study.name not in SHORTENED:
            return study
        budget = {unit: amount / SHORTENED[study.name] for unit, amount in study.budget.given.items()}
        small = study.model_dump() | {"budget": budget, "seeds": 1, "population": {"sample": 20}}
        small["sweep"]["trials"] = 3
        return config.parse_study(small | {"evaluation": {"images": 50}}, str(path))

    monkeypatch.setattr(config, "load_study", shorter)
    for name in [each for each in sys.modules if each.partition(".")[0].startswith("my_")]:
        monkeypatch.delitem(sys.modules, name)  # another test's package of the same name
    before = set(sys.modules)
    yield Folder(tmp_path / "page", monkeypatch, named(request.param))
    registry._installed.cache_clear()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


WITH_COMMANDS = [page for page in PAGES if any(b.title or b.language in (*COMMANDS, "python") for b in flat(page))]


@pytest.mark.parametrize(
    ("folder", "page"),
    [
        pytest.param(page, page, marks=[pytest.mark.portable] if trains(page) and named(page) in EXACT else [])
        for page in WITH_COMMANDS
    ],
    ids=map(named, WITH_COMMANDS),
    indirect=["folder"],
)
def test_the_commands_of_a_page_run(folder: Folder, page: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in flat(page):
        if block.title:
            folder.write(block)
        elif block.language == "python" and named(page) not in FRAGMENTS:
            folder.monkeypatch.setattr(registry, "_registered", {})
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, block.where, "exec"), names)
        elif block.language in COMMANDS:
            for command in commands(block):
                bare = command.line.partition("  #")[0].strip()
                if bare in NOT_RUN or ONCE.get(bare, named(page)) != named(page):
                    continue
                status, printed = folder.run(command.line)
                assert status == 0, f"{command.where}: {command.line}\nended with {status}:\n{printed}"
                if command.shown is not None:
                    agree(command, printed, trains(page), EXACT.get(named(page), ()))


def agree(command: Command, printed: str, trained: bool, exact: Sequence[str] = ()) -> None:
    """The output is what the page shows; ``...`` stands for anything, and seconds are any.

    Args:
        trained: whether a training of this machine decides numbers. Then those with decimals, and shares in percent,
            are only alike in form, as another machine's training ends elsewhere; and rows may change places.
        exact: patterns of lines whose numbers are exact arithmetic all the same.
    """
    assert command.shown is not None
    shown, got = ordered(command.shown, trained), ordered(printed, trained)
    at = 0
    anything = False
    for line in shown:
        if line.strip() == "...":
            anything = True
            continue
        free = trained and not any(re.match(pattern, line) for pattern in exact)
        places = range(at, len(got)) if anything else range(at, min(at + 1, len(got)))
        match = next((i for i in places if re.fullmatch(form(line, free), "".join(tokens(got[i])))), None)
        assert match is not None, (
            f"{command.where}: {command.line}\nof its output a line is shown as\n  {line}\nand what was printed is\n"
            f"{printed}"
        )
        at, anything = match + 1, False
    assert anything or at == len(got), f"{command.where}: {command.line}: more was printed than is shown:\n{printed}"


NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
RULE = re.compile(r"\|[-:| .]+")


def ordered(text: str, trained: bool) -> list[str]:
    """The lines of an output. Where a training decides the order of a table's rows, they are sorted by their names."""
    lines = text.strip().splitlines()
    if not trained:
        return lines
    found: list[str] = []
    while lines:
        found.append(lines.pop(0))
        if RULE.fullmatch(found[-1].strip()):
            rows = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
            found += sorted(rows, key=lambda row: row.split("|")[1].strip())
            del lines[: len(rows)]
    return found


def tokens(line: str) -> list[str]:
    """Numbers and what lies between them, without the spaces and dashes that only fill columns."""
    line = re.sub(r"\(\d+ s in all\)", "(S s in all)", line)
    line = re.sub(r"-{3,}:?", "---", line)
    found = []
    for piece in re.split(rf"({NUMBER.pattern})", line):
        if piece.strip():
            found.append("".join(piece.split()))
    return found


def form(line: str, free: bool) -> str:
    """What matches a printed line's tokens; ``free`` lets every number that a training decides be another one."""
    found = ""
    for word, following in itertools.pairwise([*tokens(line), ""]):
        share = following.startswith("%") and not following.startswith("%]") and word != "95"
        if free and NUMBER.fullmatch(word) and ("." in word or share):
            digits = len(word.partition("e")[0].partition(".")[2])
            decimals = rf"\.\d{{{digits}}}" if digits else ""
            found += rf"[-+]?\d+{decimals}" + (r"e[-+]\d+" if "e" in word else "")
        else:  # something within the line may stand for anything, such as a path
            found += ".*".join(map(re.escape, word.split("...")))
    return found


ROW = "| none | 0.185 [-0.847, 1.217] | +0.023 | 27% | 2 |"


@pytest.mark.parametrize(
    ("shown", "printed", "trained", "same"),
    [
        (ROW, "| none  |  0.185 [-0.847, 1.217]   | +0.023 | 27% | 2 |", False, True),
        (ROW, "| none  |  0.186 [-0.847, 1.217]   | +0.023 | 27% | 2 |", False, False),
        (ROW, "| none  | -0.286 [-0.950, 0.350]   | -0.011 | -3% | 2 |", True, True),
        (ROW, "| none  |  0.19  [-0.847, 1.217]   | +0.023 | 27% | 2 |", True, False),
        (ROW, "| none  |  0.185 [-0.847, 1.217]   | +0.023 | 27% | 3 |", True, False),
        (ROW, "| none  |  0.185                   | +0.023 | 27% | 2 |", True, False),
        (ROW, "| other |  0.185 [-0.847, 1.217]   | +0.023 | 27% | 2 |", True, False),
        ("| 9.941e+09 |", "| 9.87e+09 |", True, False),
        ("| 9.941e+09 |", "| 9.872e+09 |", True, True),
        ("tau[top50%], 95%", "tau[top50%], 95%", True, True),
        ("tau[top50%], 95%", "tau[top40%], 95%", True, False),
        ("tau[top50%], 95%", "tau[top50%], 90%", True, False),
        ("a\n|---|\n| x | 0.2 |\n| y | 0.1 |\nb", "a\n|---|\n| y | 0.3 |\n| x | 0.2 |\nb", True, True),
        ("a\n|---|\n| x | 0.2 |\n| y | 0.1 |\nb", "a\n|---|\n| y | 0.1 |\n| x | 0.2 |\nb", False, False),
        ("a\n|---|\n| x | 0.2 |\n| y | 0.1 |\nb", "a\n|---|\n| y | 0.3 |\n| y | 0.2 |\nb", True, False),
        ("| (flops) | 0.682 |", "| (flops) | 0.682 |", True, True),
        ("| (flops) | 0.682 |", "| (flops) | 0.683 |", True, False),
        ("[1/6] none (9 s in all)", "[1/6] none (123 s in all)", False, True),
        ("[1/6] none (9 s in all)", "[2/6] none (9 s in all)", True, False),
        ("better", "worse", True, False),
        ("first\n...\nlast", "first\nany\nthing\nlast", False, True),
        ("first\n...", "other\nany", False, False),
        ("a line", "a line\nand more", True, False),
        ("from plugin_...:thing", "from plugin_0a1b:thing", False, True),
    ],
)
def test_agree_tells_right_from_wrong(shown: str, printed: str, trained: bool, same: bool) -> None:
    command = Command("page:1", "splitbench", shown)
    with contextlib.nullcontext() if same else pytest.raises(AssertionError, match="page:1"):
        agree(command, printed, trained, [r"\| \(flops\)"])


def test_lines_of_exact_numbers_are_shown() -> None:
    """A pattern that fits no line any more would check nothing."""
    for page, patterns in EXACT.items():
        lines = [line for c in shown_commands(TOP / page) for line in (c.shown or "").splitlines()]
        for pattern in patterns:
            assert any(re.match(pattern, line) for line in lines), f"{page}: {pattern}"


@pytest.mark.real_data
@pytest.mark.parametrize("line", REAL_DATA)
def test_real_data_commands(line: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBENCH_HOME", str(tmp_path))
    words = shlex.split(line.replace("PATH", str(real_data / REAL_DATA[line])))
    main(words[1:])
    assert (tmp_path / REAL_DATA[line] / "source.json").is_file()


# -- study files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if any(b.language == "yaml" for b in flat(page))], ids=named)
def test_study_files_in_pages_parse(page: Path) -> None:
    for block in flat(page):
        if block.language != "yaml":
            continue
        content = yaml.safe_load(block.text)
        if isinstance(content, dict) and set(content) <= set(config.StudyConfig.model_fields):
            whole = {"space": "micro", "dataset": "digits", "budget": {"steps": 9999}, "arms": ["none", "gm"]} | content
            mine = [a for a in whole["arms"] if known_arm(a)]
            theirs = [
                k for k in ("space", "trainer", "modifiers") if not all(map(known_part, listed(whole.get(k, []))))
            ]
            known = {key: value for key, value in whole.items() if key not in theirs}
            study = config.parse_study({"space": "micro"} | known | {"arms": mine})
            assert study.arms, block.where
            if study.search is not None:  # the arms have what is searched, and take its ends and choices
                assert Tuner(study, "cpu").pairs, block.where


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def known_part(spec: Any) -> bool:
    """Whether a space, trainer or modifier is built in."""
    name = spec if isinstance(spec, str) else spec["name"]
    return any(name in registry.components(kind) for kind in ("spaces", "trainers", "modifiers"))


def known_arm(arm: Any) -> bool:
    """Whether the arm's criterion is built in: a page's own is registered by the file that defines it."""
    name = arm if isinstance(arm, str) else arm.get("criterion")
    return (name if isinstance(name, str) else name["name"]) in registry.components("criteria")
