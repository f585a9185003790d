"""Execute the notebooks of this folder and keep their outputs: `python examples/execute.py [NOTEBOOK …]`.

They run in a temporary folder, where their files go. Outputs are kept without the seconds of rounds, which tell of the
machine, and the metadata of the kernel.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TIMEOUT = 1800
"""Seconds for one cell."""
IGNORED = ["IProgress not found", "The `srun` command is available", "`isinstance(treespec"]
"""How warnings begin that tell of the machine, or of Lightning beside a new torch, and not of a notebook."""
_SECONDS = re.compile(r"(?<=acc) +seconds$|(?<=%) +[\d,.]+$", re.MULTILINE)
"""The last column of the table that a run shows."""


def execute(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook, executed in `folder`.

    Raises:
        CellExecutionError: a cell raised an error.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=TIMEOUT, resources=resources, record_timing=False)
    ignored = ",".join(f"ignore:{message}" for message in IGNORED)
    return client.execute(env={**os.environ, "PYTHONWARNINGS": ignored})


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the outputs of all cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def clean(notebook: NotebookNode) -> NotebookNode:
    """Remove from an executed notebook what tells of the machine, and displays that a run has emptied in the end."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("data", {}).get("text/plain") != ""]
            for one in cell.outputs:
                if one.output_type == "display_data":
                    one.data["text/plain"] = _SECONDS.sub("", one.data["text/plain"])
    return notebook


def main(paths: list[Path]) -> None:
    """Execute notebooks in place."""
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            notebook = clean(execute(path, Path(folder)))
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or NOTEBOOKS)
