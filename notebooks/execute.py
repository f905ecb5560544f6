"""Executes a notebook from top to bottom, in a kernel of its own, by nbclient."""

import os
import shutil
import tempfile
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

CELL_SECONDS = 240
"""How long one cell may take."""


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in `folder`, as Jupyter does with "Run all"; the notebook then has what they showed.

    It runs where this program does: for a cluster, in `throwaway shell`. What the account has configured for IPython
    does not count. Raises `nbclient.exceptions.CellExecutionError` for the first cell that raises.
    """
    scratch = Path(tempfile.mkdtemp(prefix="nb-"))  # sockets need a short path
    kernel = {
        "transport": "ipc",  # ports might be taken by then: notebooks open thousands of connections
        "ip": str(scratch / "kernel"),
        "connection_file": str(scratch / "kernel.json"),
    }
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        config=Config(KernelManager=kernel),
        timeout=CELL_SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env=os.environ | {"IPYTHONDIR": str(scratch)})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
