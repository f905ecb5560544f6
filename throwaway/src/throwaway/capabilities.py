"""What clusters can do or not, and why not; found out from the cluster, not from what its provider is called."""

import http.client
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterable

from throwaway.errors import CommandFailedError, ThrowawayError

Ask = Callable[[str], str]
"""Answers a path of the API server's, such as `/api/v1/nodes`; raises `CommandFailedError` when it is not there."""

CAPABILITIES = {
    "exec": "programs can be run on its nodes",
    "load": "images can be loaded from tars",
    "change-nodes": "nodes can be added, stopped, started and deleted",
    "node-network": "programs of this machine reach its nodes' addresses",
    "load-balancer": "Services of type LoadBalancer are given an address",
    "network-policy": "NetworkPolicies are enforced",
    "ipv4": "Services can have IPv4 addresses",
    "ipv6": "Services can have IPv6 addresses",
    "dual-stack": "a Service can have addresses of both families",
}
"""What may be asked for: name → what a cluster that has it can do."""

_KUBELET_PORT = 10250
_ANSWER_SECONDS = 3.0


def check_names(names: Iterable[str]) -> None:
    """Raise `ThrowawayError` for a name that no capability has: asked for by mistake it would be missing for ever."""
    for name in names:
        if name not in CAPABILITIES:
            raise ThrowawayError(f"there is no capability {name!r}; there are {', '.join(CAPABILITIES)}")


def missing_address_families(ask: Ask) -> dict[str, str]:
    """Which of `ipv4`, `ipv6` and `dual-stack` the cluster's Services lack.

    By the ServiceCIDRs, see kubernetes.io, "Extend Service IP Ranges" (stable since v1.33).
    """
    served = json.loads(ask("/apis/networking.k8s.io/v1/servicecidrs"))["items"]
    ranges = [ipaddress.ip_network(text) for each in served for text in each["spec"]["cidrs"]]
    versions = {each.version for each in ranges}
    shown = ", ".join(map(str, ranges))
    missing = {
        f"ipv{version}": f"its Services have no IPv{version} addresses, their range is {shown}"
        for version in (4, 6)
        if version not in versions
    }
    if missing:
        missing["dual-stack"] = f"its Services have addresses of one family only, their range is {shown}"
    return missing


def missing_metallb(ask: Ask) -> dict[str, str]:
    """`load-balancer`, unless MetalLB is installed."""
    try:
        ask("/apis/metallb.io")
    except CommandFailedError:
        return {"load-balancer": "nothing gives addresses to its Services of type LoadBalancer"}
    return {}


def missing_node_network(addresses: Iterable[str]) -> dict[str, str]:
    """`node-network`, unless the kubelet at each address answers from here."""
    for address in addresses:
        if not _kubelet_answers(address):
            return {"node-network": f"this machine does not reach its node at {address}"}
    return {}


def _kubelet_answers(address: str) -> bool:
    """Whether a kubelet answers, if only that it does not know us; that anything answers is no proof."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is told to it, and nothing it says is believed
    connection = http.client.HTTPSConnection(address, _KUBELET_PORT, timeout=_ANSWER_SECONDS, context=context)
    try:
        connection.request("GET", "/healthz")
        body = connection.getresponse().read(200)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return body.strip() in (b"ok", b"Unauthorized") or body.startswith(b"Forbidden (user=system:anonymous")
