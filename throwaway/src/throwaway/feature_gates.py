"""Kubernetes' feature gates: read from what a user writes, and checked by Kubernetes itself before a cluster starts.

Every component is told all of them. That is possible because each of them knows the same ones: they come from packages
that all components import, see kubernetes.io, "Feature Gates".
"""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from throwaway.errors import ThrowawayError


def parse(texts: Iterable[str]) -> dict[str, bool]:
    """Feature gates from texts `NAME=true` or `NAME=false`; raises `ThrowawayError` for one that is neither."""
    gates = {}
    for text in texts:
        match = re.fullmatch(r"([A-Za-z0-9]+)=(true|false)", text)
        if not match:
            raise ThrowawayError(f"--feature-gate {text}: write NAME=true or NAME=false")
        gates[match[1]] = match[2] == "true"
    return gates


def flag(gates: Mapping[str, bool]) -> str:
    """The flag by which a component is told all of them."""
    return "--feature-gates=" + ",".join(f"{name}={str(value).lower()}" for name, value in gates.items())


def check(gates: Mapping[str, bool], binaries: Path) -> None:
    """Raise `ThrowawayError` with the API server's complaint if it refuses the gates: unknown, or no longer a choice.

    `binaries` is the folder of programs. Takes 0.2 s, and nothing if there are no gates. The API server is started
    only to say its version, which it does after it has looked at its gates.
    """
    if not gates:
        return
    command = [str(binaries / "kube-apiserver"), flag(gates), "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        complaint = re.search(r'err="(.*)"', lines[-1])
        reason = complaint[1].strip("[]") if complaint else lines[-1]
        raise ThrowawayError(f"--feature-gate: kube-apiserver says: {reason}")
