"""Execute the notebooks beside this file anew and keep their outputs.

    python docs/notebooks/execute.py

What differs from machine to machine is taken out (timings, versions), and cells are numbered, so that executing a
notebook twice gives the same file as long as its numbers are the same. A notebook whose outputs name this machine, or
one of its folders, is refused.
"""

from __future__ import annotations

import platform
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TIMEOUT = 300


def run(path: Path) -> Any:
    """A notebook with the outputs that its cells give now, run in its own folder.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, kernel_name="python3", timeout=TIMEOUT, resources=where).execute()
    return tidy(notebook)


def tidy(notebook: Any) -> Any:
    """Leave nothing in it that a second execution would change."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    nbformat.validate(notebook)
    return notebook


def texts(cell: Any) -> list[str]:
    """What a cell printed or showed as text, without what it wrote to standard error."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream" and output.name == "stdout":
            found.append(output.text)
        elif "data" in output:
            found.append(output.data.get("text/plain", ""))
    return found


def problems(notebook: Any) -> list[str]:
    """Outputs that belong to this machine, or that nobody should see."""
    ours = [str(HERE.parents[1]), str(Path.home()), tempfile.gettempdir()]
    found = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        said = "".join([*texts(cell), *(output.get("data", {}).get("text/html", "") for output in outputs)])
        found += [f"{cell.id} names {place}" for place in ours if len(place) > 1 and place in said]
        if re.search(rf"\b{re.escape(platform.node() or ' ')}\b", said):
            found.append(f"{cell.id} names this machine")
        found += [f"{cell.id} wrote to standard error" for output in outputs if output.get("name") == "stderr"]
    return found


def main() -> None:
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = run(path)
        if found := problems(notebook):
            raise SystemExit(f"{path.name} is left as it was: {'; '.join(found)}")
        nbformat.write(notebook, path)
        print(f"executed {path.name}")


if __name__ == "__main__":
    main()
