"""What commands report: for people in words, for programs as JSON of these dataclasses, one object each.

Names and meaning of fields stay; new ones may come.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import click

Output = Literal["text", "json"]

output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Words for people, or JSON for programs; then nothing else is on standard output.",
)


@dataclass(frozen=True)
class Machine:
    """A node, or a client beside the nodes."""

    name: str
    """Its host name; a node's is also that of its Node object."""
    addresses: list[str]
    """Its addresses on the nodes' network, those of the cluster's first IP family first."""
    alive: bool
    """Whether its first process lives."""


@dataclass(frozen=True)
class NodeStatus(Machine):
    """A node of a cluster that runs."""

    is_control_plane: bool
    """Whether the API server runs on it."""
    pod_subnets: list[str]
    """Ranges of its Pods' addresses."""
    zone: str
    """Its zone; "" if it is in none."""


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster that runs."""

    name: str
    """Its name."""
    state: Literal["starting", "ready"]
    """`ready` once its start was completed."""
    kubernetes: str
    """Version of Kubernetes."""
    proxy_mode: str
    """kube-proxy's mode."""
    ip_family: str
    """`ipv4`, `ipv6` or `dual`."""
    settings: list[str]
    """The other options of `throwaway up` that it was started with."""
    nodes: list[NodeStatus]
    """Its nodes, the control plane first."""
    clients: list[Machine]
    """Machines beside the nodes."""


@dataclass(frozen=True)
class Status:
    """What `throwaway status` reports."""

    clusters: list[ClusterStatus]
    """The clusters of this account."""


@dataclass(frozen=True)
class NodeUp:
    """A node of a cluster that was started, whoever its provider is."""

    name: str
    """Name of its Node object."""
    addresses: list[str]
    """Its InternalIPs."""
    is_control_plane: bool
    """Whether the API server runs on it."""


@dataclass(frozen=True)
class Up:
    """What `throwaway up` reports."""

    name: str
    """The cluster's name."""
    provider: str
    """Its provider."""
    is_new: bool
    """Whether it was started now; else it ran before."""
    seconds: float
    """How long it took until it was ready, building not included."""
    nodes: list[NodeUp]
    """Its nodes, the control plane first."""


@dataclass(frozen=True)
class NodeReady:
    """What `throwaway node add` and `throwaway node start` report."""

    name: str
    """Name of its Node object."""
    addresses: list[str]
    """Its InternalIPs."""
    seconds: float
    """How long it took until it was Ready."""


@dataclass(frozen=True)
class Ended:
    """A cluster that was to be ended."""

    name: str
    """Its name."""
    was_running: bool
    """Whether there was one."""
    seconds: float
    """How long its end took."""


@dataclass(frozen=True)
class Down:
    """What `throwaway down` reports."""

    clusters: list[Ended]
    """The clusters that are gone now."""


@dataclass(frozen=True)
class Log:
    """The log of a component."""

    component: str
    """Its name."""
    bytes: int
    """How long the log is."""


@dataclass(frozen=True)
class Logs:
    """What `throwaway logs NODE` reports."""

    node: str
    """The node's name."""
    logs: list[Log]
    """The logs there are on it."""


@dataclass(frozen=True)
class Build:
    """What `throwaway build` reports."""

    programs: str
    """The folder of the cluster's programs."""
    images: str
    """The folder of the images."""


@dataclass(frozen=True)
class LoadedImage:
    """An image that was loaded."""

    reference: str
    """Its name, with registry and tag."""
    is_pulled_always: bool
    """Whether a Pod has it pulled nevertheless, unless its imagePullPolicy is another: so it is with the tag latest."""


@dataclass(frozen=True)
class NodeEnded:
    """What `throwaway node stop` and `node delete` report."""

    name: str
    """The node's name."""
    is_deleted: bool
    """Whether its Node object is gone, too."""


@dataclass(frozen=True)
class Loaded:
    """What `throwaway load` reports."""

    cluster: str
    """The cluster's name."""
    provider: str
    """Its provider."""
    images: list[LoadedImage]
    """The images that all its nodes have now."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True)
class ImageBuilt:
    """What `throwaway image build` reports."""

    reference: str
    """The image's name, with registry and tag."""
    digest: str
    """The digest of its manifest."""
    file: str
    """The tar that was written; "" if none was asked for."""
    cluster: str
    """The cluster that it was loaded into; "" if none."""
    is_pulled_always: bool
    """As with `LoadedImage`."""
    seconds: float
    """How long it took."""


def echo(report: Any, output: Output, in_words: Callable[[], str]) -> None:
    """Print a dataclass as one line of JSON, or what `in_words` says of it."""
    click.echo(json.dumps(asdict(report)) if output == "json" else in_words())
