"""The example notebook of the docs says what its cells give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[3] / "docs" / "notebooks"


@pytest.fixture(scope="module")
def execute() -> Any:
    """The program that executes the notebooks, as a module."""
    spec = importlib.util.spec_from_file_location("docs_notebooks_execute", NOTEBOOKS / "execute.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(NOTEBOOKS / "results.ipynb", as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_cells_give_what_is_committed(execute: Any, committed: Any) -> None:
    """All but those that are marked as varying: trained numbers and seconds are a machine's own."""
    anew = execute.run(NOTEBOOKS / "results.ipynb")
    compared = 0
    for old, new in zip(code_cells(committed), code_cells(anew), strict=True):
        assert execute.texts(new), f"{new.id} shows nothing"
        if "varies" in new.metadata.get("tags", []):
            continue
        assert execute.texts(new) == execute.texts(old), f"{new.id}: renew it with python docs/notebooks/execute.py"
        compared += 1
    assert compared >= 8
    assert execute.problems(anew) == []


def test_nothing_of_a_machine_is_committed(execute: Any, committed: Any) -> None:
    assert execute.problems(committed) == []
    assert dict(committed.metadata) == {"kernelspec": execute.KERNEL, "language_info": {"name": "python"}}
    assert [cell.id for cell in committed.cells] == [f"cell-{n:02d}" for n in range(1, len(committed.cells) + 1)]
    assert all(set(cell.metadata) <= {"tags"} for cell in committed.cells)


def test_outputs_that_name_a_machine_are_found(execute: Any) -> None:
    def cell(name: str, text: str) -> Any:
        output = nbformat.v4.new_output("stream", name=name, text=text)
        return nbformat.v4.new_code_cell("", outputs=[output], id="cell-01")

    def problems(*cells: Any) -> list[str]:
        found: list[str] = execute.problems(nbformat.v4.new_notebook(cells=list(cells)))
        return found

    assert problems(cell("stdout", "0.5")) == []
    repository = str(NOTEBOOKS.parents[1])
    assert f"cell-01 names {repository}" in problems(cell("stdout", f"{repository}/runs"))
    assert problems(cell("stderr", "a warning")) == ["cell-01 wrote to standard error"]


def test_the_notebook_shows_a_picture_and_tables_that_fetch_nothing(committed: Any) -> None:
    data = [output["data"] for cell in code_cells(committed) for output in cell.outputs if "data" in output]
    assert sum("image/png" in one for one in data) == 1
    tables = [one["text/html"] for one in data if "text/html" in one]
    assert len(tables) >= 6
    assert not [table for table in tables if "http" in table or "src=" in table or "url(" in table]
