"""What an address stands for: the names of Nodes, Pods and Services, for people who read packets."""

import json
import time
from base64 import b64decode
from ipaddress import ip_network
from urllib.parse import urlsplit

from throwaway.api import Api
from throwaway.cluster import Cluster
from throwaway.errors import ApiError
from throwaway.pki import KeyPair

_LOAD_AGAIN_AFTER_SECONDS = 2.0
_TIMEOUT_SECONDS = 2.0


class Names:
    """The names of a running cluster's addresses, as the API server has them.

    They are asked for again when an address turns up that has none, but not more often than every two seconds. An API
    server that does not answer costs names, and nothing else.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._api = _api(cluster)
        self._machines = {address: host.name for host in cluster.plan.hosts for address in host.addresses}
        self._machines |= {address: "throwaway shell" for address in cluster.plan.gateways}
        # A node's own address on its Pods' side, the first of their range, with which it asks them.
        self._machines |= {
            str(ip_network(subnet)[1]): node.name for node in cluster.plan.nodes for subnet in node.pod_subnets
        }
        self._nodes = {address for node in cluster.plan.nodes for address in node.addresses}
        self._node_port_range = tuple(map(int, cluster.plan.service_node_port_range.split("-")))
        self._others: dict[str, str] = {}
        self._node_ports: dict[int, str] = {}
        self._load_again = 0.0

    def of(self, address: str, port: int = 0) -> str:
        """The name of an address, such as `Pod default/echo-1`, with a NodePort its Service's; "" if it has none."""
        if name := self._machines.get(address):
            first, last = self._node_port_range
            if address not in self._nodes or not first <= port <= last:
                return name
            if port not in self._node_ports:
                self._load()
            service = self._node_ports.get(port)
            return f"{name}, NodePort of {service}" if service else name
        if address not in self._others:
            self._load()
        return self._others.get(address, "")

    def _load(self) -> None:
        if time.monotonic() < self._load_again:
            return
        try:
            pods = self._api.get("/api/v1/pods")["items"]
            services = self._api.get("/api/v1/services")["items"]
        except ApiError:
            return
        finally:
            self._load_again = time.monotonic() + _LOAD_AGAIN_AFTER_SECONDS
        self._others, self._node_ports = {}, {}
        for pod in pods:
            has_ended = pod["status"].get("phase") in ("Succeeded", "Failed")  # its address may be another's by now
            if not pod["spec"].get("hostNetwork") and not has_ended:
                for entry in pod["status"].get("podIPs", []):
                    self._others[entry["ip"]] = f"Pod {_full_name(pod)}"
        for service in services:
            spec = service["spec"]
            ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
            addresses = [*spec.get("clusterIPs", []), *spec.get("externalIPs", []), *(i.get("ip", "") for i in ingress)]
            self._others |= dict.fromkeys(addresses, f"Service {_full_name(service)}")
            self._node_ports |= {
                port["nodePort"]: _full_name(service) for port in spec.get("ports", []) if "nodePort" in port
            }


def _full_name(item: dict[str, dict[str, str]]) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _api(cluster: Cluster) -> Api:
    config = json.loads(cluster.kubeconfig.read_text())
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]

    def decoded(encoded: str) -> str:
        return b64decode(encoded).decode()

    url = urlsplit(server["server"])
    assert url.hostname and url.port
    return Api(
        url.hostname,
        url.port,
        KeyPair(decoded(server["certificate-authority-data"]), key=""),
        KeyPair(decoded(user["client-certificate-data"]), decoded(user["client-key-data"])),
        _TIMEOUT_SECONDS,
    )
