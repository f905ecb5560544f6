"""Checks YAML fences with the API server and saves them as the files that later fences apply."""

import subprocess
from pathlib import Path

import yaml

from fences.find import Fence, FenceError

DEADLINE = 60.0
"""Seconds that a dry run of one object may take."""


def save_manifest(fence: Fence, folder: Path, namespace: str) -> None:
    """Ask the API server by a dry run whether each document is valid, then save the fence in `folder`.

    `namespace` is for objects that name none. Raises `FenceError` for the line that is no YAML, and for the
    first line of the document that the API server refuses, with its message.
    """
    try:
        documents = list(yaml.compose_all(fence.source, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = fence.place(mark.line + 1 if mark else 0)
        raise FenceError(f"{place}: this is not YAML: {error.problem}") from None
    if not any(documents):
        raise FenceError(f"{fence.place()}: the fence contains no object")
    for node, document in zip(documents, yaml.safe_load_all(fence.source), strict=True):
        if node is not None:
            _dry_run(document, fence, node.start_mark.line + 1, namespace)
    (folder / fence.settings["title"]).write_text(fence.source, "utf-8")


def _dry_run(document: object, fence: Fence, line: int, namespace: str) -> None:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    names_one = isinstance(metadata, dict) and "namespace" in metadata
    arguments = ["kubectl", "apply", "--dry-run=server", "--filename=-"]
    dry_run = subprocess.run(
        arguments if names_one else [*arguments, f"--namespace={namespace}"],
        input=yaml.safe_dump(document),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    if dry_run.returncode:
        raise FenceError(f"{fence.place(line)}: the API server refuses this: {dry_run.stderr.strip()}")
