"""A shell in a Pod that stays open, so that each command costs a fork there, not an exec by the kubelet."""

import shlex
import time
import uuid

from kubernetes import client
from kubernetes.stream import stream
from websocket import WebSocketException

SECONDS = 120.0
"""How long a command may take."""


class PodShell:
    """A shell in a Pod.

    Each exec starts several programs on the Node, and a TLS connection to it: a tenth of a second of processor time.
    """

    def __init__(self, pod: str, namespace: str) -> None:
        self._pod = pod
        self._connection = stream(
            client.CoreV1Api().connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=["sh"],
            stdin=True,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
        )

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it: the API server, say, or the Pod's end."""
        try:
            self._connection.update(timeout=0)
        except (OSError, WebSocketException):
            return False
        return bool(self._connection.is_open())

    def run(self, command: str) -> str:
        """Run a command in a shell of its own, as `sh -c` does; returns what it prints, both streams.

        Raises `ConnectionError` where the connection ends before the command does, and `AssertionError` where the
        command does not end in time; then the shell is closed.
        """
        end = uuid.uuid4().hex
        deadline = time.monotonic() + SECONDS
        printed = ""
        try:
            self._connection.write_stdin(f"sh -c {shlex.quote(command)} </dev/null 2>&1; printf {end}\n")
            while not printed.endswith(end):
                if not self._connection.is_open():
                    raise ConnectionError("it was closed")
                if time.monotonic() > deadline:
                    self.close()  # the command still runs in it: nobody is to be given what that prints
                    raise AssertionError(f"not ended within {SECONDS:.0f} s in Pod {self._pod}: {command}")
                printed += self._connection.read_stdout(timeout=1)
        except (OSError, WebSocketException) as error:
            raise ConnectionError(f"the shell in Pod {self._pod} has ended: {error}; it said {printed!r}") from error
        return printed.removesuffix(end)

    def close(self) -> None:
        """End it."""
        self._connection.close()
