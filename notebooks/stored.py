"""What is stored in a notebook beside its cells: what it is about, and when and where its outputs were made."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "docs/notebooks"
VERSION = 4
"""The version of nbformat that is written, see https://nbformat.readthedocs.io/."""


class NotShownError(Exception):
    """A cell shows something that a page cannot. The message starts with its place."""


@dataclass(frozen=True)
class Recorded:
    """How outputs came about."""

    digest: str
    """Of the code and its outputs: changes when either does."""
    kubernetes: str
    """The version of the cluster."""
    mode: str
    """Its kube-proxy's mode."""
    when: str
    """The day, as in 2026-11-26."""


def read(file: Path) -> NotebookNode:
    """A notebook from its file."""
    notebook: NotebookNode = nbformat.read(file, VERSION)
    return notebook


def write(notebook: NotebookNode, file: Path, kubernetes: str, mode: str, when: str) -> None:
    """Store a notebook that was executed."""
    recorded = Recorded(digest(notebook), kubernetes, mode, when)
    notebook.metadata["recorded"] = asdict(recorded)
    notebook.metadata.pop("language_info", None)  # the Python that happened to run it
    nbformat.write(notebook, file)


def recorded(notebook: NotebookNode) -> Recorded:
    """How its outputs came about; raises `KeyError` if it has never been executed by `./dev notebooks`."""
    return Recorded(**notebook.metadata["recorded"])


def digest(notebook: NotebookNode) -> str:
    """A digest of all code, with its outputs. Text may change without it."""
    cells = [[cell.source, cell.outputs] for cell in code(notebook)]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:16]


def code(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that are code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: NotebookNode) -> list[str]:
    """The lines that a cell of code has printed."""
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return text.rstrip("\n").split("\n") if text.strip() else []


def check_shown(notebook: NotebookNode, what: str) -> None:
    """Raise `NotShownError` where a cell ends in a value, whose words no page can show; `what` is the notebook."""
    for number, cell in enumerate(notebook.cells, start=1):
        for output in pictures(cell) if cell.cell_type == "code" else ():
            if "image/svg+xml" not in output.data or "alt" not in output.metadata.get("image/svg+xml", {}):
                raise NotShownError(f"{what}, cell {number}: show it by print() or show(figure, text)")


def pictures(cell: NotebookNode) -> list[NotebookNode]:
    """What a cell of code has shown besides: outputs with `data`, by MIME type."""
    return [output for output in cell.outputs if "data" in output]
