"""What a cluster is: its Kubernetes, and the mode of its kube-proxy."""

from throwaway import Cluster
from throwaway.plan import PROXY_MODES, ProxyMode


def kubernetes_of(cluster: Cluster) -> str:
    """The version of Kubernetes that its API server says, as in `v1.37.2`."""
    return str(cluster.kubectl(["version", "-o", "json"])["serverVersion"]["gitVersion"])


def mode_of(cluster: Cluster) -> ProxyMode:
    """Kube-proxy's mode as it says itself, on every Node the same; if it stands still, its rules tell."""
    nodes = cluster.nodes
    ask = ["sh", "-c", "curl -s --max-time 2 http://127.0.0.1:10249/proxyMode || true"]
    found = {cluster.exec(node.name, ask) for node in nodes} - {""}
    if not found:
        tables = cluster.exec(nodes[0].name, ["nft", "list", "tables"])
        found = {"nftables" if "table ip kube-proxy" in tables else "iptables"}
    assert len(found) == 1, found
    mode = found.pop()
    assert mode in PROXY_MODES, mode
    return mode
