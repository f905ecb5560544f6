"""What kube-proxy does on a Node, as one program.

It makes a Service with two endpoints and reads the rules that each Node's kube-proxy has written for it, in nftables or
iptables mode. Then it takes an endpoint away, and reads again. In the end it removes what it made.

It reads the rules of Nodes, so it runs beside them:

    throwaway shell -- python examples/kube_proxy.py

What it prints is in kube_proxy.expected.txt, word for word, and the same in both modes.

Needs: exec
"""

import functools
import re
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config

from throwaway import Cluster

NAMESPACE = "example-kube-proxy"
ENDPOINTS = ["192.0.2.1", "192.0.2.2"]
"""Addresses that nobody has: rules are written for them all the same."""


def main() -> None:
    """Tell the story, all of it in one namespace, which goes in the end, also when something fails."""
    config.load_kube_config()
    core, cluster = client.CoreV1Api(), Cluster.of_shell()
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    try:
        ask_kube_proxies(cluster)
        make_service(core)
        show_rules(cluster)
        take_one_away(cluster)
        take_both_away(cluster)
    finally:
        core.delete_namespace(NAMESPACE)
        wait_until(lambda: is_gone(core), seconds=60)
    print("\nThe namespace is deleted, and the rules with it.")


def ask_kube_proxies(cluster: Cluster) -> None:
    """Each Node has a kube-proxy of its own, which says in which mode it is."""
    modes = {node.name: proxy_mode(cluster, node.name) for node in cluster.nodes}
    print("kube-proxy says that its mode is nftables or iptables on")
    for node, mode in modes.items():
        print(f"  {node}: {yes_or_no(mode in ('nftables', 'iptables'))}")
    print(f"  and the same on all: {yes_or_no(len(set(modes.values())) == 1)}")


def make_service(core: client.CoreV1Api) -> None:
    """Make a Service without a selector, and the EndpointSlice that says where it leads."""
    core.create_namespaced_service(NAMESPACE, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
    own = {
        "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": [address]} for address in ENDPOINTS],
    }
    client.DiscoveryV1Api().create_namespaced_endpoint_slice(NAMESPACE, own)


def show_rules(cluster: Cluster) -> None:
    """Every Node's rules lead to both endpoints, and choose by chance."""
    print("\nA Service with two endpoints: the rules lead to both on")
    nodes = [node.name for node in cluster.nodes]
    wait_until(lambda: all(leads_to(cluster, node) == set(ENDPOINTS) for node in nodes))
    for node in nodes:
        print(f"  {node}: {yes_or_no(leads_to(cluster, node) == set(ENDPOINTS))}")
    print(f"  and chance decides: {yes_or_no(bool(re.search('numgen random|mode random', rules(cluster, 'worker1'))))}")


def take_one_away(cluster: Cluster) -> None:
    """When an endpoint goes, the rules follow; with one there is nothing to choose."""
    left = {"endpoints": [{"addresses": [ENDPOINTS[0]]}]}
    client.DiscoveryV1Api().patch_namespaced_endpoint_slice("web", NAMESPACE, left)
    wait_until(lambda: leads_to(cluster, "worker1") == {ENDPOINTS[0]})
    print("\nOne endpoint is taken away.")
    chance = bool(re.search("numgen random|mode random", rules(cluster, "worker1")))
    print(f"  chance decides: {yes_or_no(chance)}")


def take_both_away(cluster: Cluster) -> None:
    """Without an endpoint, a rule refuses connections."""
    client.DiscoveryV1Api().patch_namespaced_endpoint_slice("web", NAMESPACE, {"endpoints": []})
    wait_until(lambda: not leads_to(cluster, "worker1"))
    print("\nThe other one is taken away.")
    wait_until(lambda: "reject" in rules(cluster, "worker1").lower())
    print("  a rule refuses connections: yes")


@functools.cache
def proxy_mode(cluster: Cluster, node: str) -> str:
    """The mode of a Node's kube-proxy, as it says itself."""
    return cluster.exec(node, ["curl", "-s", "http://127.0.0.1:10249/proxyMode"])


def rules(cluster: Cluster, node: str) -> str:
    """The rules that a Node has for the Service: those in whose chain or comment it is named."""
    if proxy_mode(cluster, node) == "iptables":
        lines = cluster.exec(node, ["iptables-save"]).splitlines()
        return "\n".join(line for line in lines if f"{NAMESPACE}/web" in line)
    table = cluster.exec(node, ["nft", "list", "table", "ip", "kube-proxy"])
    chains: list[Any] = re.findall(rf"^\tchain \S+-{NAMESPACE}/web/\S* {{\n(.*?)^\t}}", table, re.M | re.S)
    return "\n".join([*chains, *re.findall(rf'.*comment "{NAMESPACE}/web".*', table)])


def leads_to(cluster: Cluster, node: str) -> set[str]:
    """Which of the endpoints a Node's rules lead to."""
    told = rules(cluster, node)
    return {address for address in ENDPOINTS if address in told}


def is_gone(core: client.CoreV1Api) -> bool:
    """Whether the namespace, and so everything in it, is deleted."""
    return NAMESPACE not in {namespace.metadata.name for namespace in core.list_namespace().items}


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until a change has reached the place where it shows; raise TimeoutError if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a change did not show within {seconds} seconds")
        time.sleep(0.1)


def yes_or_no(answer: bool) -> str:
    """The word for it."""
    return "yes" if answer else "no"


if __name__ == "__main__":
    main()
