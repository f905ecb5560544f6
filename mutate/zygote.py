"""Runs pytest again and again without starting it each time: `python -m mutate.zygote`, in a cluster's shell.

Importing pytest and Kubernetes' client takes longer than most proofs. So this process imports them once, and each
run is a fork of it. It reads requests and writes answers, one JSON object a line.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

WORKERS = 4
"""How many runs there are side by side: most of the time they wait."""
TIMEOUT_SECONDS = 600.0
"""For how long one run may take."""
_IMPORTED = (
    "pytest",
    "black",
    "jsonschema",
    "kubernetes.client",
    "kubernetes.config",
    "kubernetes.dynamic",
    "kubernetes.stream",
    "markdown",
    "pymdownx.superfences",
    "pytest_examples",
    "throwaway.public",
    "throwaway.trace",
    "xdist.plugin",
    "yaml",
)


class Zygote:
    """The process, from outside."""

    def __init__(self, cluster: str, root: Path) -> None:
        """Start it in the shell of a cluster."""
        command = ["throwaway", "shell", f"--name={cluster}", "--", sys.executable, "-m", "mutate.zygote"]
        environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'tests'}"}
        self._process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its input, which ends it

    def run(self, runs: Sequence[Sequence[str]], environment: Mapping[str, str], output: Path) -> None:
        """Run pytest with each of these arguments, some side by side; returns when all have ended.

        What run N prints goes into the file N in the folder `output`. Raises `RuntimeError` if the process is gone.
        """
        assert self._process.stdin and self._process.stdout
        request = {"runs": [list(each) for each in runs], "environment": dict(environment), "output": str(output)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError("the process that runs pytest has ended")


def main() -> None:
    """Answer requests until there are no more."""
    for name in _IMPORTED:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")  # nothing else may write there
    os.dup2(2, 1)
    for line in sys.stdin:
        run_all(json.loads(line))
        print("done", file=answers, flush=True)


def run_all(request: dict[str, Any]) -> None:
    """Fork for each run, and wait for all."""
    waiting = list(enumerate(request["runs"]))
    running: dict[int, float] = {}
    try:
        while waiting or running:
            while waiting and len(running) < WORKERS:
                number, arguments = waiting.pop(0)
                process = fork(arguments, request["environment"], Path(request["output"]) / str(number))
                running[process] = time.monotonic()
            for process, begin in list(running.items()):
                if os.waitpid(process, os.WNOHANG)[0]:
                    del running[process]
                elif time.monotonic() > begin + TIMEOUT_SECONDS:
                    end(process)
            time.sleep(0.05)
    finally:
        for process in running:
            end(process)


def end(process: int) -> None:
    """Kill a run, with what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def fork(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
    """Run pytest in a fork, in a session of its own; returns its id."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.setsid()  # the kernel shares processors out among sessions, see "autogroup" in sched(7)
        os.environ.update(environment)
        file = os.open(output, os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        import pytest

        status = int(pytest.main(list(arguments)))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)  # what the parent would do at its end is not done here


if __name__ == "__main__":
    main()
