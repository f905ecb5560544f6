"""The choices of a cluster, each seen at work in real ones: IP families, ranges, zones, feature gates, a client.

Two clusters show all of them: one of both IP families in nftables mode, one of IPv6 alone in iptables mode.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from command_line import CommandLine, eventually
from throwaway import sandbox

DUAL = f"dual-{os.getpid()}"
DUAL_OPTIONS = (
    "--ip-family", "dual",
    "--service-cidr", "10.97.0.0/16,fd00:10:97::/112",
    "--service-node-port-range", "20000-20099",
    "--zones", "2",
    "--feature-gate", "HPAScaleToZero=true",
    "--feature-gate", "KubeProxyNFTablesLocalhostNodePorts=true",
    "--no-load-balancer",
)  # fmt: skip
SINGLE = f"ipv6-{os.getpid()}"
SINGLE_OPTIONS = ("--ip-family", "ipv6", "--proxy-mode", "iptables", "--nodes", "2")
ADDRESSES = [(DUAL, "172.30.0."), (DUAL, "fd00:172:30::"), (SINGLE, "fd00:172:30::")]
"""Every IP family of every cluster: the cluster, and how addresses of its nodes' network begin."""
NODE_PORTS = {DUAL: 20000, SINGLE: 30000}
"""The first of the three NodePorts of the Service `net`: HTTP, UDP, SCTP."""

MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: net, labels: {app: net}}
spec:
  nodeName: worker1
  containers:
    - name: net
      image: registry.k8s.io/e2e-test-images/agnhost:2.66.1
      args: [netexec, --http-port=8080, --udp-port=8081, --sctp-port=SCTP_PORT]
      readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
    - name: toolbox
      image: localhost/toolbox:1
      command: [sleep, infinity]
---
apiVersion: v1
kind: Service
metadata: {name: net}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  externalTrafficPolicy: Local
  selector: {app: net}
  ports:
    - {name: http, port: 80, targetPort: 8080, nodePort: NODE_PORT0}
    - {name: udp, port: 81, targetPort: 8081, nodePort: NODE_PORT1, protocol: UDP}
    - {name: sctp, port: 82, targetPort: 8082, nodePort: NODE_PORT2, protocol: SCTP}
"""


def has_sctp() -> bool:
    """Whether this kernel has sockets of SCTP, which Pods need to speak it; most load it as a module when asked."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "gates, complaint",
    [
        (["NoSuchGate=true"], "kube-apiserver says: unrecognized feature gate: NoSuchGate\n"),
        (
            ["NodeSwap=false"],
            "kube-apiserver says: cannot set feature gate NodeSwap to false, feature is locked to true\n",
        ),
        (["NodeSwap"], "--feature-gate NodeSwap: write NAME=true or NAME=false\n"),
    ],
)
def test_a_feature_gate_that_is_none_ends_in_one_line(throwaway: CommandLine, gates: list[str], complaint: str) -> None:
    name = f"no-gate-{os.getpid()}"
    done = throwaway("up", "--name", name, *(f"--feature-gate={gate}" for gate in gates))
    assert done.returncode == 1
    assert done.stderr.endswith(complaint)
    assert sandbox.find(name) is None


@pytest.fixture(scope="module")
def clusters(throwaway: CommandLine) -> Iterator[CommandLine]:
    """The command line, and both clusters with a Pod on worker1 behind the Service `net`."""
    for name, options in ((DUAL, DUAL_OPTIONS), (SINGLE, SINGLE_OPTIONS)):
        done = throwaway("up", "--name", name, *options, timeout=300)
        assert done.returncode == 0, done.stderr
        manifests = MANIFESTS.replace("SCTP_PORT", "8082" if has_sctp() else "-1")
        manifests = manifests.replace("NODE_PORT", str(NODE_PORTS[name] // 10))
        kubectl(throwaway, name, "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        program = ("sh", "-c", 'echo "$1" | kubectl apply -f -', "sh", manifests)
        applied = throwaway("shell", "--name", name, "--", *program)
        assert applied.returncode == 0, applied.stderr
    for name in (DUAL, SINGLE):
        kubectl(throwaway, name, "wait", "--for=condition=Ready", "pod/net", "--timeout=120s")
    yield throwaway
    for name in (DUAL, SINGLE):
        throwaway("down", "--name", name)


def kubectl(throwaway: CommandLine, name: str, *arguments: str) -> str:
    """Run kubectl in the cluster's shell; fails on an error."""
    done = throwaway("shell", "--name", name, "--", "kubectl", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def on(throwaway: CommandLine, name: str, host: str, *command: str) -> str:
    """What a program prints on a node or client; "" when it fails."""
    done = throwaway("exec", "--name", name, host, "--", *command)
    return done.stdout if done.returncode == 0 else ""


def url(address: str, port: int, path: str) -> str:
    """A URL, for an address of either IP family."""
    return f"http://[{address}]:{port}{path}" if ":" in address else f"http://{address}:{port}{path}"


def without_port(text: str) -> str:
    """The address in texts such as `172.30.0.3:4711` and `[fd00::3]:4711`."""
    return text.strip().rpartition(":")[0].strip("[]")


@pytest.mark.parametrize("name, families", [(DUAL, [4, 6]), (SINGLE, [6])])
def test_nodes_and_pods_have_an_address_of_each_family(clusters: CommandLine, name: str, families: list[int]) -> None:
    for node in json.loads(kubectl(clusters, name, "get", "nodes", "-o", "json"))["items"]:
        internal = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
        assert [ip_address(address).version for address in internal] == families
        assert [ip_network(subnet).version for subnet in node["spec"]["podCIDRs"]] == families
    pod = json.loads(kubectl(clusters, name, "get", "pod", "net", "-o", "json"))
    assert [ip_address(each["ip"]).version for each in pod["status"]["podIPs"]] == families


def test_services_have_addresses_of_the_ranges_asked_for(clusters: CommandLine) -> None:
    subnets = [ip_network("10.97.0.0/16"), ip_network("fd00:10:97::/112")]
    for service in ("net", "kubernetes"):
        found = json.loads(kubectl(clusters, DUAL, "get", "service", service, "-o", "json"))
        addresses = found["spec"]["clusterIPs"]
        assert all(
            ip_address(address) in subnet for address, subnet in zip(addresses, subnets, strict=service == "net")
        )


def test_a_node_port_comes_from_the_range_asked_for(clusters: CommandLine) -> None:
    create = ("create", "service", "nodeport", "chosen", "--tcp=80")
    refused = clusters("shell", "--name", DUAL, "--", "kubectl", *create, "--node-port=30000")
    assert "The range of valid ports is 20000-20099" in refused.stderr
    chosen = kubectl(clusters, DUAL, *create, "-o", "jsonpath={.spec.ports[0].nodePort}")
    assert 20000 <= int(chosen) <= 20099
    kubectl(clusters, DUAL, "delete", "service", "chosen")


def test_zones_are_labels_spread_over_the_nodes(clusters: CommandLine) -> None:
    zone = r"{range .items[*]}{.metadata.name}={.metadata.labels.topology\.kubernetes\.io/zone} {end}"
    assert kubectl(clusters, DUAL, "get", "nodes", "-o", f"jsonpath={zone}").split() == [
        "control-plane=zone2",
        "worker1=zone1",
        "worker2=zone2",
    ]


@pytest.mark.parametrize(
    "component", ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"]
)
def test_every_component_has_the_feature_gates(clusters: CommandLine, component: str) -> None:
    get = ("kubectl", "get", "--raw")
    ask = {
        "kube-apiserver": (*get, "/metrics"),
        "kube-controller-manager": (*get, "/metrics", "--server", "https://127.0.0.1:10257"),
        "kube-scheduler": (*get, "/metrics", "--server", "https://127.0.0.1:10259"),
        "kubelet": (*get, "/api/v1/nodes/control-plane/proxy/metrics"),
        "kube-proxy": ("curl", "-s", "http://127.0.0.1:10249/metrics"),
    }
    metrics = on(clusters, DUAL, "control-plane", *ask[component])
    for gate in ("HPAScaleToZero", "KubeProxyNFTablesLocalhostNodePorts"):
        states = [
            line for line in metrics.splitlines() if line.startswith(f'kubernetes_feature_enabled{{name="{gate}"')
        ]
        assert [state.split()[-1] for state in states] == ["1"], f"{component} and {gate}"


@pytest.mark.parametrize("name, prefix", ADDRESSES)
def test_a_pod_behind_a_local_policy_sees_the_clients_own_address(
    clusters: CommandLine, name: str, prefix: str
) -> None:
    asked = url(f"{prefix}12", NODE_PORTS[name], "/clientip")
    eventually(
        lambda: without_port(on(clusters, name, "client", "curl", "-s", "-m3", asked)) == f"{prefix}3",
        f"{asked} answers with the client's address",
    )
    from_shell = clusters("shell", "--name", name, "--", "curl", "-s", "-m3", asked).stdout
    assert without_port(from_shell) == f"{prefix}1", "programs in the shell are at the gateway"


@pytest.mark.parametrize("name, prefix", ADDRESSES)
def test_udp_passes_a_node_port(clusters: CommandLine, name: str, prefix: str) -> None:
    node = f"{prefix}12"
    ask = f"echo hostname | nc -u -w1 {node} {NODE_PORTS[name] + 1}"
    eventually(lambda: on(clusters, name, "client", "sh", "-c", ask) == "net", f"an answer from {node} by UDP")


@pytest.mark.skipif(not has_sctp(), reason="this machine's kernel has no SCTP sockets (CONFIG_IP_SCTP)")
@pytest.mark.parametrize("name, prefix", ADDRESSES)
def test_sctp_passes_a_node_port(clusters: CommandLine, name: str, prefix: str) -> None:
    node = f"{prefix}12"
    code = (
        "import socket, sys; s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,"
        " socket.SOCK_STREAM, socket.IPPROTO_SCTP); s.settimeout(3); s.connect((sys.argv[1], int(sys.argv[2])));"
        " s.send(b'hostname'); print(s.recv(100).decode().strip())"
    )
    ask = (sys.executable, "-c", code, node, str(NODE_PORTS[name] + 2))
    eventually(
        lambda: clusters("shell", "--name", name, "--", *ask).stdout == "net\n", f"an answer from {node} by SCTP"
    )


@pytest.mark.parametrize("name, kinds", [(DUAL, ["A", "AAAA"]), (SINGLE, ["AAAA"])])
def test_a_pod_finds_a_service_by_name_in_each_family(clusters: CommandLine, name: str, kinds: list[str]) -> None:
    toolbox = ("exec", "net", "--container=toolbox", "--")
    addresses = json.loads(kubectl(clusters, name, "get", "service", "net", "-o", "json"))["spec"]["clusterIPs"]
    for kind, address in zip(kinds, addresses, strict=True):
        dig = ("dig", "+short", "-t", kind, "net.default.svc.cluster.local")
        assert kubectl(clusters, name, *toolbox, *dig).strip() == address
        version = "-4" if kind == "A" else "-6"
        assert kubectl(clusters, name, *toolbox, "curl", "-s", "-m5", version, "http://net.default/hostname") == "net"


def test_the_client_is_a_machine_beside_the_nodes(clusters: CommandLine) -> None:
    assert "client" not in kubectl(clusters, DUAL, "get", "nodes", "-o", "name")
    assert on(clusters, DUAL, "client", "hostname") == "client\n"
    logs = clusters("logs", "--name", DUAL, "client")
    assert (logs.returncode, logs.stderr) == (1, "throwaway: client has no logs: no component runs there\n")
    processes = on(clusters, DUAL, "client", "ps", "-e", "-o", "comm=").split()
    assert [process for process in processes if not process.startswith("python")] == ["ps"]
    assert "control-plane" in on(clusters, DUAL, "client", "kubectl", "get", "nodes", "-o", "name")
    cluster_ip = json.loads(kubectl(clusters, DUAL, "get", "service", "net", "-o", "json"))["spec"]["clusterIP"]
    assert not on(clusters, DUAL, "client", "curl", "-s", "-m2", f"http://{cluster_ip}/"), "it is outside the cluster"


def test_up_with_other_settings_names_those_that_differ(clusters: CommandLine) -> None:
    other = clusters("up", "--name", DUAL, *DUAL_OPTIONS, "--zones", "3")
    assert other.returncode == 1
    assert f"cluster {DUAL!r} is running with --zones 2, not with --zones 3;" in other.stderr.splitlines()[-1]
    same = clusters("up", "--name", DUAL, *DUAL_OPTIONS)
    assert same.returncode == 0
    unsaid = clusters("up", "--name", DUAL, "--zones", "2")
    assert unsaid.returncode == 0, "what was not typed is not compared"


def test_status_shows_settings_that_are_not_the_usual_ones(clusters: CommandLine) -> None:
    lines = clusters("status", "--name", DUAL).stdout.splitlines()
    assert len(lines) == 6, "it is asked for this cluster alone"
    assert set(DUAL_OPTIONS) <= set(lines[1].split())
    assert lines[5].split() == ["client", "172.30.0.3", "fd00:172:30::3", "outside", "the", "cluster"]
