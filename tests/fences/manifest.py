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
        nodes = list(yaml.compose_all(fence.source, yaml.SafeLoader))
        documents = list(yaml.safe_load_all(fence.source))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = fence.place(mark.line + 1 if mark else 0)
        raise FenceError(f"{place}: this is not YAML: {error.problem}") from None
    if not any(nodes):
        raise FenceError(f"{fence.place()}: the fence contains no object")
    for node, document in zip(nodes, documents, strict=True):
        if node is None:  # nothing between two separators
            continue
        names_one = isinstance(document, dict) and "namespace" in (document.get("metadata") or {})
        refusal = _dry_run(yaml.serialize(node), None if names_one else namespace)
        if refusal:
            place = fence.place(node.start_mark.line + 1)
            raise FenceError(f"{place}: the API server refuses this: {refusal}")
    (folder / fence.settings["title"]).write_text(fence.source, "utf-8")


def _dry_run(document: str, namespace: str | None) -> str:
    """What the API server has against a document; '' if nothing."""
    command = ["kubectl", "apply", "--dry-run=server", "--filename=-"]
    if namespace:
        command.append(f"--namespace={namespace}")
    dry_run = subprocess.run(command, input=document, capture_output=True, text=True, timeout=DEADLINE)
    return dry_run.stderr.strip() if dry_run.returncode else ""
