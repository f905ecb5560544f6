"""The plan of a cluster: its names, addresses and choices, as pure data. Nothing here touches the machine."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from throwaway.errors import ThrowawayError

ProxyMode = Literal["nftables", "iptables"]
PROXY_MODES: tuple[ProxyMode, ...] = get_args(ProxyMode)

KUBERNETES_VERSION = "v1.37.2"
DEFAULT_NAME = "throwaway"
MAX_NODES = 20

# The nodes' network exists only inside the cluster's own network namespace, so that it may equal one of the host's.
NODE_SUBNET = ipaddress.IPv4Network("172.30.0.0/24")
POD_SUBNET = ipaddress.IPv4Network("10.244.0.0/16")
SERVICE_SUBNET = ipaddress.IPv4Network("10.96.0.0/16")
API_PORT = 6443


@dataclass(frozen=True)
class Node:
    """One machine of the cluster."""

    name: str
    """Name of the Node object and host name."""
    address: str
    """IPv4 address on the nodes' network; the Node's InternalIP."""
    pod_subnet: str
    """Range of its Pods' addresses, the Node's `spec.podCIDR`."""
    is_control_plane: bool
    """Whether etcd, the API server and the controllers run here; ordinary Pods then do not."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything starts."""

    name: str
    """The cluster's name."""
    nodes: tuple[Node, ...]
    """The nodes, the control plane first."""
    proxy_mode: ProxyMode
    """kube-proxy's mode on every node."""
    gateway: str = str(NODE_SUBNET[1])
    """Address of the bridge that joins the nodes; programs started by `throwaway shell` have it."""
    node_prefix: int = NODE_SUBNET.prefixlen
    """Prefix length of the nodes' network."""
    pod_subnet: str = str(POD_SUBNET)
    """Range of all Pods' addresses."""
    service_subnet: str = str(SERVICE_SUBNET)
    """Range of ClusterIPs."""
    api_service: str = str(SERVICE_SUBNET[1])
    """ClusterIP of the Service `kubernetes`: the range's first address."""
    dns_service: str = str(SERVICE_SUBNET[10])
    """ClusterIP of the Service `kube-dns`, by custom the range's tenth address."""

    @property
    def control_plane(self) -> Node:
        """The node that runs the API server."""
        return self.nodes[0]

    def node(self, name: str) -> Node:
        """The node called `name`; raises `ThrowawayError` with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise ThrowawayError(f"cluster {self.name!r} has no node {name!r}; its nodes are {names}")


def check_name(name: str) -> str:
    """The name as it is; raises `ThrowawayError` unless it is a DNS label (RFC 1123) of at most 32 characters."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", name):
        raise ThrowawayError(f"{name!r} cannot name a cluster: use up to 32 of a-z, 0-9 and '-', as in 'my-test'")
    return name


def plan_from_dict(fields: dict[str, Any]) -> Plan:
    """A plan from what `dataclasses.asdict` made of it, possibly by way of JSON."""
    return Plan(**{**fields, "nodes": tuple(Node(**node) for node in fields["nodes"])})


def make_plan(name: str = DEFAULT_NAME, nodes: int = 3, proxy_mode: ProxyMode = "nftables") -> Plan:
    """Decide a cluster's names and addresses.

    `nodes` counts the control plane, which is a node of its own: with 1 it also runs ordinary Pods. Raises
    `ThrowawayError` for a name that is not a DNS label (RFC 1123, at most 32 characters) or a wrong number.
    """
    check_name(name)
    if not 1 <= nodes <= MAX_NODES:
        raise ThrowawayError(f"a cluster of {nodes} nodes is not possible: ask for 1 to {MAX_NODES}")
    if proxy_mode not in PROXY_MODES:
        raise ThrowawayError(f"kube-proxy has no mode {proxy_mode!r} here; choose {' or '.join(PROXY_MODES)}")
    pod_subnets = POD_SUBNET.subnets(new_prefix=24)
    return Plan(
        name=name,
        nodes=tuple(
            Node(
                name=f"worker{number}" if number else "control-plane",
                address=str(NODE_SUBNET[11 + number]),
                pod_subnet=str(pod_subnet),
                is_control_plane=number == 0,
            )
            for number, pod_subnet in zip(range(nodes), pod_subnets, strict=False)
        ),
        proxy_mode=proxy_mode,
    )
