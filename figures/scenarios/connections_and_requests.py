"""What is balanced is connections, not requests: 20 requests of one client, sent in four ways.

By a new connection each, by one that is kept, all at once by one of HTTP/2, and by a new connection each to a Service
with session affinity. Of each request it is recorded which connection carried it (by the client's port), which Pod
answered, and how long that took.
"""

from functools import partial
from typing import Any

from cryptography import x509

from proofs.certificates import certificate
from proofs.world import AGNHOST, World, wait_for
from throwaway import Cluster

MODES = ("nftables",)
VARIES = ("port", "pod", "milliseconds")

REQUESTS = 20
PORT = 8443
"""Where the Pods listen."""
WAYS = {
    "new": ("web", "--http1.1 -H 'Connection: close'"),
    "kept": ("web", "--http1.1"),
    "http2": ("web", "--http2 --parallel"),
    "affinity": ("sticky", "--http1.1 -H 'Connection: close'"),
}
"""The ways to ask: the Service, and curl's options. All by TLS, by which the two sides agree on HTTP/2."""
_ASK = """
rm -rf /tmp/answers && mkdir /tmp/answers && cd /tmp/answers
curl -s --insecure --max-time 5 {options} 'https://{service}/hostname?[1-{requests}]' -o '#1' \\
  -w '%{{filename_effective}} %{{local_port}} %{{time_total}} %{{http_version}}\\n' >sent 2>progress
sort -n sent | while read number sent; do echo "$(cat $number) $sent"; done
"""
"""By `[1-20]` curl asks so many times, and writes each answer into a file of that number. `-w` says how it was sent."""


def record(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Ask three Pods in the four ways, from a fourth one."""
    world = World.of(cluster, namespace)
    crt, key = certificate(x509.DNSName("web"))  # which curl does not look at
    secret = {"metadata": {"name": "web"}, "stringData": {"tls.crt": crt, "tls.key": key}}
    world.core.create_namespaced_secret(namespace, secret)
    files = ["--tls-cert-file=/tls/tls.crt", "--tls-private-key-file=/tls/tls.key"]
    server = {
        "name": "main",
        "image": AGNHOST,
        "args": ["netexec", f"--http-port={PORT}", *files],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    volume = {"name": "tls", "secret": {"secretName": "web"}}
    names = [pod.name for pod in world.pods("web", 3, containers=[server], volumes=[volume])]
    ports = [{"port": 443, "targetPort": PORT}]
    world.service("web", ports=ports)
    world.service("sticky", ports=ports, selector={"app": "web"}, sessionAffinity="ClientIP")
    wait_for(lambda: _pods(_asked(world, "new")) == set(names), "all Pods answer")
    # Where there is affinity nobody has asked before: what is recorded begins with the pick.
    seen = {way: wait_for(partial(_asked, world, way), "all are answered") for way in WAYS}
    assert len(_pods(seen["new"])) > 1, "new connections meet more than one Pod"
    return {"pods": names, "ways": {way: _summed_up(requests) for way, requests in seen.items()}}


def _asked(world: World, way: str) -> list[dict[str, Any]]:
    """Send the requests, by one run of curl; what became of each, or nothing if it is not answered."""
    service, options = WAYS[way]
    lines = world.run(_ASK.format(service=service, options=options, requests=REQUESTS)).splitlines()
    told = [line.split() for line in lines]
    if [len(words) for words in told] != [4] * REQUESTS:
        return []
    return [
        {"port": int(port), "pod": pod, "milliseconds": round(1000 * float(seconds), 1), "http": version}
        for pod, port, seconds, version in told
    ]


def _pods(requests: list[dict[str, Any]]) -> set[str]:
    return {each["pod"] for each in requests}


def _summed_up(requests: list[dict[str, Any]]) -> dict[str, Any]:
    """The requests of one way, and what is the same whenever they are sent."""
    (version,) = {each.pop("http") for each in requests}
    return {
        "http": version,
        "connections": len({each["port"] for each in requests}),
        "one Pod": len(_pods(requests)) == 1,
        "requests": requests,
    }
