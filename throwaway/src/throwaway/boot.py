"""What a sandbox is told when it is started; it crosses from whoever starts it to `init`, its first process."""

import json
import socket
from dataclasses import asdict, dataclass

from throwaway.components import Component
from throwaway.plan import Plan, plan_from_dict


@dataclass(frozen=True)
class Boot:
    """What the sandbox is made from; crosses the process boundary as JSON."""

    plan: Plan
    """The cluster."""
    folders: dict[str, str]
    """Folders of the host to show inside, read-only: path inside → path on the host."""
    files: dict[str, dict[str, str]]
    """Files to write, each readable by its owner only: Host name, or "" for the sandbox itself → path → text."""
    components: dict[str, list[Component]]
    """Node name → the programs it can be told to start."""
    control: int
    """File descriptor of the socket to whoever starts the cluster."""
    listeners: list[int]
    """File descriptors of sockets on the host's loopback; each connection is handed to the API server."""
    presence: int
    """File descriptor of the bound socket by which the cluster is found."""

    def to_json(self) -> str:
        """The whole as one JSON text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Boot":
        """The reverse of `to_json`."""
        fields = json.loads(text)
        fields["plan"] = plan_from_dict(fields["plan"])
        fields["components"] = {
            node: [Component(name=entry["name"], argv=tuple(entry["argv"])) for entry in entries]
            for node, entries in fields["components"].items()
        }
        return Boot(**fields)


def read_line(control: socket.socket) -> str:
    """One line without its end, and not a byte of the next one, which is for another reader; "" at the end."""
    line = b""
    while not line.endswith(b"\n") and (byte := control.recv(1)):
        line += byte
    return line.decode().rstrip("\n")
