"""Runs kubectl, and nothing that could lead it to another cluster than the one of the environment it is given."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from throwaway.errors import CommandFailedError, ThrowawayError

_OTHER_TARGETS = ("--kubeconfig", "--context", "--cluster", "--server")
_SWITCHES = "ARhiqtw"
"""kubectl's one-letter options without a value: others may follow each in the same word, as in `-As URL`."""


def program(environment: Mapping[str, str]) -> str:
    """Where kubectl is: on the environment's PATH, else among the built programs.

    Raises `ThrowawayError` when there is none.
    """
    if found := shutil.which("kubectl", path=environment.get("PATH")):
        return found
    try:
        from throwaway import build  # needs Linux
    except ImportError:
        built = None
    else:
        built = build.find()
    if built is None:
        raise ThrowawayError("kubectl is missing; install it, or build it by 'throwaway build'")
    return str(built.bin / "kubectl")


def client_environment(kubeconfig: Path, scratch: Path) -> dict[str, str]:
    """This process' environment for clients of the one cluster of a kubeconfig.

    No kuberc, which may name another context, and a cache of API discovery of its own, in `scratch`.
    """
    ours = {"KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(scratch / "kubectl-cache"), "KUBERC": "off"}
    return {**os.environ, **ours}


def refuse_other_targets(arguments: Sequence[str]) -> None:
    """Raise `ThrowawayError` for options of kubectl's that lead to another cluster; what follows `--` is no option."""
    own = arguments[: list(arguments).index("--")] if "--" in arguments else arguments
    switches = _SWITCHES + ("fp" if "logs" in own else "")  # elsewhere these have values
    for argument in own:
        option = "-s" if re.match(f"-[{switches}]*s", argument) else argument.split("=")[0]
        if option in ("-s", *_OTHER_TARGETS):
            raise ThrowawayError(f"kubectl's option {option} leads to another cluster; leave it out")


def run(arguments: Sequence[str], environment: Mapping[str, str], text: str = "", timeout: float | None = None) -> str:
    """Run kubectl with `text` as its input and return what it prints.

    Raises `CommandFailedError` when it fails, `ThrowawayError` when it has not ended after `timeout` seconds.
    """
    return output_of([program(environment), *arguments], environment, text, timeout)


def output_of(
    command: Sequence[str],
    environment: Mapping[str, str],
    text: str = "",
    timeout: float | None = None,
    shown: str = "",
) -> str:
    """Run any program likewise; `shown` is how errors call the command, which otherwise is as it stands."""
    shown = (shown or " ".join([Path(command[0]).name, *command[1:]]))[:200]
    try:
        done = subprocess.run(
            command, env=dict(environment), input=text, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise ThrowawayError(f"'{shown}' had not ended after {timeout:.0f} s") from None
    except OSError as error:
        raise ThrowawayError(f"'{shown}' cannot be run: {error.strerror}") from None
    return checked(shown, done)


def checked(shown: str, done: "subprocess.CompletedProcess[str]") -> str:
    """What a program has printed; raises `CommandFailedError` with its last complaint if it failed."""
    if done.returncode:
        complaints = done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and gave no reason"]
        message = f"'{shown}' failed: {complaints[-1]}"
        raise CommandFailedError(message, done.returncode, done.stdout, done.stderr)
    return done.stdout
