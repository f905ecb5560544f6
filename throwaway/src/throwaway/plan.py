"""The plan of a cluster: its names, addresses and choices, as pure data. Nothing here touches the machine."""

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, get_args

from throwaway.errors import ThrowawayError

ProxyMode = Literal["nftables", "iptables"]
PROXY_MODES: tuple[ProxyMode, ...] = get_args(ProxyMode)
IpFamily = Literal["ipv4", "ipv6", "dual"]
IP_FAMILIES: tuple[IpFamily, ...] = get_args(IpFamily)

KUBERNETES_VERSION = "v1.37.2"
DEFAULT_NAME = "throwaway"
DEFAULT_NODE_PORTS = "30000-32767"
MAX_NODES = 20
"""More would be slow rather than impossible: 20 take 1.7 GB and 46 s of processor time before the first Pod starts."""
API_PORT = 6443

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MIN_SERVICE_ADDRESSES = 16
"""So that the tenth, which is the DNS server's, is among them."""


@dataclass(frozen=True)
class _Ranges:
    """The addresses of one IP family."""

    nodes: _Network
    """The network that joins the nodes."""
    pods: _Network
    """All Pods' addresses."""
    pods_of_node_prefix: int
    """Prefix length of one node's share of them."""
    services: _Network
    """ClusterIPs, unless others are asked for."""

    def host(self, number: int) -> str:
        """An address on the nodes' network; the number can be read in its end, in IPv6 too: 11 is `::11`."""
        return str(self.nodes[int(str(number), 16) if self.nodes.version == 6 else number])


# All of these exist only inside the cluster's own network namespace, so that they may equal those of the host.
_RANGES: dict[str, _Ranges] = {
    "ipv4": _Ranges(
        nodes=ipaddress.ip_network("172.30.0.0/24"),
        pods=ipaddress.ip_network("10.244.0.0/16"),
        pods_of_node_prefix=24,
        services=ipaddress.ip_network("10.96.0.0/16"),
    ),
    "ipv6": _Ranges(
        nodes=ipaddress.ip_network("fd00:172:30::/64"),
        pods=ipaddress.ip_network("fd00:10:244::/56"),
        pods_of_node_prefix=64,
        services=ipaddress.ip_network("fd00:10:96::/112"),
    ),
}
_GATEWAY = 1
_CLIENT = 3
_FIRST_NODE = 11
_LOAD_BALANCER = (200, 250)


@dataclass(frozen=True)
class Host:
    """One machine on the nodes' network: a node, or a client beside them."""

    name: str
    """Its host name; a node's is also the name of its Node object."""
    addresses: tuple[str, ...]
    """Its address of each IP family of the cluster; a node's are its InternalIPs."""

    @property
    def address(self) -> str:
        """Its primary address, that of the cluster's first IP family."""
        return self.addresses[0]


@dataclass(frozen=True)
class Node(Host):
    """One machine of the cluster."""

    pod_subnets: tuple[str, ...]
    """Ranges of its Pods' addresses, the Node's `spec.podCIDRs`."""
    is_control_plane: bool
    """Whether etcd, the API server and the controllers run here; ordinary Pods then do not."""
    zone: str = ""
    """Its label `topology.kubernetes.io/zone`; none if empty."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything starts.

    What is there for each IP family is a tuple of one or two, the cluster's primary family first.
    """

    name: str
    """The cluster's name."""
    nodes: tuple[Node, ...]
    """The nodes, the control plane first."""
    clients: tuple[Host, ...]
    """Machines beside the nodes that run nothing of Kubernetes: the outside world."""
    proxy_mode: ProxyMode
    """kube-proxy's mode on every node."""
    ip_family: IpFamily
    """Which addresses nodes, Pods and Services have; `dual`: both, IPv4 being the primary family."""
    node_subnets: tuple[str, ...]
    """Ranges of the nodes' network."""
    gateways: tuple[str, ...]
    """Addresses of the bridge that joins the nodes; programs started by `throwaway shell` have them."""
    pod_subnets: tuple[str, ...]
    """Ranges of all Pods' addresses."""
    service_subnets: tuple[str, ...]
    """Ranges of ClusterIPs."""
    service_node_port_range: str
    """Ports that a NodePort can be, as the API server takes them: `FIRST-LAST`."""
    load_balancer_range: str
    """Addresses for Services of type LoadBalancer: `FIRST-LAST`, of two IP families with a comma between them."""
    load_balancer: bool = True
    """Whether such Services get an address."""
    network_policy: bool = False
    """Whether NetworkPolicies are enforced."""
    feature_gates: dict[str, bool] = field(default_factory=dict)
    """Kubernetes' feature gates that are set otherwise than by default."""

    @property
    def control_plane(self) -> Node:
        """The node that runs the API server."""
        return self.nodes[0]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All machines: the nodes, then the clients."""
        return (*self.nodes, *self.clients)

    @property
    def has_ipv6(self) -> bool:
        """Whether any address of the cluster is of IPv6."""
        return self.ip_family != "ipv4"

    @property
    def gateway(self) -> str:
        """The bridge's primary address, from which programs in `throwaway shell` come."""
        return self.gateways[0]

    @property
    def api_server(self) -> str:
        """The URL of the API server in the nodes' network."""
        address = self.control_plane.address
        return f"https://[{address}]:{API_PORT}" if ":" in address else f"https://{address}:{API_PORT}"

    @property
    def api_service(self) -> str:
        """ClusterIP of the Service `kubernetes`: the primary range's first address."""
        return str(ipaddress.ip_network(self.service_subnets[0])[1])

    @property
    def dns_services(self) -> tuple[str, ...]:
        """ClusterIPs of the Service `kube-dns`, by custom each range's tenth address."""
        return tuple(str(ipaddress.ip_network(subnet)[10]) for subnet in self.service_subnets)

    @property
    def settings(self) -> dict[str, list[str]]:
        """The choices it was made by: what `throwaway up` calls them → how they are written after it."""
        zones = {node.zone for node in self.nodes if node.zone}
        gates = [f"--feature-gate {name}={str(value).lower()}" for name, value in sorted(self.feature_gates.items())]
        return {
            "nodes": [f"--nodes {len(self.nodes)}"],
            "proxy_mode": [f"--proxy-mode {self.proxy_mode}"],
            "ip_family": [f"--ip-family {self.ip_family}"],
            "zones": [f"--zones {len(zones)}"],
            "service_cidr": [f"--service-cidr {','.join(self.service_subnets)}"],
            "service_node_port_range": [f"--service-node-port-range {self.service_node_port_range}"],
            "gates": gates or ["no --feature-gate"],
            "load_balancer": ["--load-balancer" if self.load_balancer else "--no-load-balancer"],
            "network_policy": ["--network-policy" if self.network_policy else "--no-network-policy"],
        }

    def node(self, name: str) -> Node:
        """The node called `name`; raises `ThrowawayError` with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise ThrowawayError(f"cluster {self.name!r} has no node {name!r}; its nodes are {names}")

    def host(self, name: str) -> Host:
        """The node or client called `name`; raises `ThrowawayError` with the names there are."""
        for client in self.clients:
            if client.name == name:
                return client
        try:
            return self.node(name)
        except ThrowawayError as error:
            names = ", ".join(client.name for client in self.clients)
            raise ThrowawayError(f"{error}; beside them there is {names}") from None


def check_name(name: str, what: str = "cluster") -> str:
    """The name as it is; raises `ThrowawayError` unless it is a DNS label (RFC 1123) of at most 32 characters."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", name):
        raise ThrowawayError(f"{name!r} cannot name a {what}: use up to 32 of a-z, 0-9 and '-', as in 'my-test'")
    return name


def check_zones(zones: int, nodes: int) -> None:
    """Raise `ThrowawayError` for a number of zones that so many nodes cannot be in; 0 stands for no labels."""
    if not 0 <= zones <= nodes:
        raise ThrowawayError(f"{zones} zones for {nodes} nodes are not possible: ask for 0 to {nodes}")


def check_proxy_mode(proxy_mode: str) -> None:
    """Raise `ThrowawayError` for a mode that kube-proxy does not have here."""
    if proxy_mode not in PROXY_MODES:
        raise ThrowawayError(f"kube-proxy has no mode {proxy_mode!r} here; choose {' or '.join(PROXY_MODES)}")


def plan_from_dict(fields: dict[str, Any]) -> Plan:
    """A plan from what `dataclasses.asdict` made of it, possibly by way of JSON.

    Raises `ThrowawayError` when it is one of another version of this package.
    """
    try:
        nodes = tuple(Node(**_with_tuples(node)) for node in fields["nodes"])
        clients = tuple(Host(**_with_tuples(client)) for client in fields["clients"])
        return Plan(**{**_with_tuples(fields), "nodes": nodes, "clients": clients})
    except (KeyError, TypeError):
        name = fields.get("name")
        raise ThrowawayError(
            f"cluster {name!r} was started by another version of throwaway; 'throwaway down --name {name}' ends it"
        ) from None


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """The same fields; JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def make_plan(
    name: str = DEFAULT_NAME,
    nodes: int = 3,
    proxy_mode: ProxyMode = "nftables",
    *,
    ip_family: IpFamily = "ipv4",
    service_cidr: str = "",
    service_node_port_range: str = DEFAULT_NODE_PORTS,
    feature_gates: Mapping[str, bool] | None = None,
    zones: int = 0,
    load_balancer: bool = True,
    network_policy: bool = False,
) -> Plan:
    """Decide a cluster's names and addresses.

    `nodes` counts the control plane, which is a node of its own: with 1 it also runs ordinary Pods. `service_cidr` is
    a range of ClusterIPs, or one of each IP family with a comma between them; "" stands for the usual one. With
    `zones` above 0 the nodes get labels `zone1`, `zone2`, …, in turn; the control plane is in the last one.

    Raises `ThrowawayError` for a name that is not a DNS label (RFC 1123, at most 32 characters), a number of nodes or
    zones that cannot be, ranges that are none or overlap, network policy with IPv6. Whether there are such
    feature gates is for Kubernetes to say, see `feature_gates`.
    """
    check_name(name)
    if not 1 <= nodes <= MAX_NODES:
        raise ThrowawayError(f"a cluster of {nodes} nodes is not possible: ask for 1 to {MAX_NODES}")
    check_zones(zones, nodes)
    check_proxy_mode(proxy_mode)
    if ip_family not in IP_FAMILIES:
        raise ThrowawayError(f"there is no IP family {ip_family!r}; choose {', '.join(IP_FAMILIES)}")
    if network_policy and ip_family != "ipv4":
        # kube-router v2.1.0 calls a set `inet6:KUBE-…` where it makes it, and `KUBE-…` in the rules that need it.
        raise ThrowawayError(
            f"--network-policy is not possible with --ip-family {ip_family}: kube-router's rules for IPv6 are refused"
            " by the kernel; use --ip-family ipv4"
        )
    ranges = _ranges(ip_family)
    return Plan(
        name=name,
        nodes=tuple(_node(number, ranges, zones) for number in range(nodes)),
        clients=(Host("client", tuple(each.host(_CLIENT) for each in ranges)),),
        proxy_mode=proxy_mode,
        ip_family=ip_family,
        node_subnets=tuple(str(each.nodes) for each in ranges),
        gateways=tuple(each.host(_GATEWAY) for each in ranges),
        pod_subnets=tuple(str(each.pods) for each in ranges),
        service_subnets=_service_subnets(service_cidr, ranges),
        service_node_port_range=_port_range(service_node_port_range),
        load_balancer_range=",".join("-".join(map(each.host, _LOAD_BALANCER)) for each in ranges),
        load_balancer=load_balancer,
        network_policy=network_policy,
        feature_gates=dict(feature_gates or {}),
    )


def with_node(plan: Plan, name: str = "") -> Plan:
    """The plan with one more node, a worker; without a name it is the first `workerN` that is free.

    Raises `ThrowawayError` for a name that is taken or no DNS label, and when there are as many nodes as can be.
    """
    zones = len({node.zone for node in plan.nodes if node.zone})
    ranges = _ranges(plan.ip_family)
    taken = {node.address for node in plan.nodes}
    free = (_node(number, ranges, zones) for number in range(1, MAX_NODES))
    node = next((node for node in free if node.address not in taken), None)
    if node is None:
        raise ThrowawayError(f"cluster {plan.name!r} has {len(plan.nodes)} nodes, which is as many as there can be")
    node = replace(node, name=check_name(name, "node") if name else node.name)
    if node.name in {host.name for host in plan.hosts}:
        raise ThrowawayError(f"cluster {plan.name!r} has a machine {node.name!r} already; choose another name")
    return replace(plan, nodes=(*plan.nodes, node))


def without_node(plan: Plan, name: str) -> Plan:
    """The plan without a node."""
    return replace(plan, nodes=tuple(node for node in plan.nodes if node.name != name))


def _ranges(ip_family: IpFamily) -> list[_Ranges]:
    return list(_RANGES.values()) if ip_family == "dual" else [_RANGES[ip_family]]


def _node(number: int, ranges: list[_Ranges], zones: int) -> Node:
    """A node by its number, which is 0 for the control plane."""
    subnets = (each.pods.subnets(new_prefix=each.pods_of_node_prefix) for each in ranges)
    return Node(
        name=f"worker{number}" if number else "control-plane",
        addresses=tuple(each.host(_FIRST_NODE + number) for each in ranges),
        pod_subnets=tuple(str(next(islice(of_family, number, None))) for of_family in subnets),
        is_control_plane=number == 0,
        zone=f"zone{(number - 1) % zones + 1}" if zones else "",
    )


def _service_subnets(text: str, ranges: list[_Ranges]) -> tuple[str, ...]:
    """The ranges of ClusterIPs that are asked for, in the families' order; raises `ThrowawayError` for wrong ones."""
    if not text:
        return tuple(str(each.services) for each in ranges)
    usual = ",".join(str(each.services) for each in ranges)
    try:
        subnets = [ipaddress.ip_network(part.strip()) for part in text.split(",")]
    except ValueError as error:
        raise ThrowawayError(f"--service-cidr {text}: {error}; write a range as in {usual}") from None
    if [subnet.version for subnet in subnets] != [each.nodes.version for each in ranges]:
        families = " and then an ".join(f"IPv{each.nodes.version} range" for each in ranges)
        raise ThrowawayError(f"--service-cidr {text}: this --ip-family needs an {families}, as in {usual}")
    for subnet, each in zip(subnets, ranges, strict=True):
        if subnet.num_addresses < _MIN_SERVICE_ADDRESSES:
            raise ThrowawayError(
                f"--service-cidr {text}: {subnet} is too small; Services need {_MIN_SERVICE_ADDRESSES} addresses"
            )
        if subnet.is_loopback or subnet.is_multicast or subnet.is_link_local:
            raise ThrowawayError(f"--service-cidr {text}: addresses of {subnet} reach no other machine; try {usual}")
        for what, taken in (("the nodes'", each.nodes), ("the Pods'", each.pods)):
            if subnet.overlaps(taken):
                raise ThrowawayError(f"--service-cidr {text}: {subnet} overlaps {what} range {taken}; try {usual}")
    return tuple(map(str, subnets))


def _port_range(text: str) -> str:
    """The range of ports as it is; raises `ThrowawayError` when it is none."""
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
        raise ThrowawayError(
            f"--service-node-port-range {text}: write FIRST-LAST, ports from 1 to 65535, as in {DEFAULT_NODE_PORTS}"
        )
    return text


def differing_settings(plan: Plan, other: Plan, compared: Collection[str] | None = None) -> tuple[list[str], list[str]]:
    """The choices in which two plans differ, as each of them would be written after `throwaway up`.

    Only those that are `compared`, by the names of `Plan.settings`; without it all are.
    """
    mine, others = plan.settings, other.settings
    different = [what for what in mine if mine[what] != others[what] and (compared is None or what in compared)]
    return [each for what in different for each in mine[what]], [each for what in different for each in others[what]]


def unusual_settings(plan: Plan) -> list[str]:
    """The choices in which a plan differs from what `throwaway up` does by itself, but for nodes and proxy mode."""
    # The range of Services depends on the family.
    usual = make_plan(nodes=len(plan.nodes), proxy_mode=plan.proxy_mode, ip_family=plan.ip_family)
    family = [] if plan.ip_family == "ipv4" else plan.settings["ip_family"]
    return [*family, *differing_settings(plan, usual)[0]]
