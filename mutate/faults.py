"""The faults: how a cluster is broken, which claims are false then, and which are true all the same."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from throwaway import Cluster, CommandFailedError

NODES = ("control-plane", "worker1", "worker2")
DEADLINE_SECONDS = 90.0
Breaking = Callable[[Cluster], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A way to break a cluster."""

    name: str
    """Its name, as in `kube-proxy-stopped`."""
    what: str
    """What is broken, for readers."""
    broken: Breaking
    """Breaks a cluster for as long as a block lasts."""
    noticed_by: tuple[str, ...]
    """The claims that are false on such a cluster, or whose control is: said before it is tried."""
    unaffected: tuple[str, ...]
    """Claims that hold all the same: their proofs pass, or the whole cluster would be dead."""
    mode: str = "nftables"
    """The proxy mode of the cluster."""
    any_mode: bool = False
    """Whether claims that are said of the other mode are tried: the fault is that the mode is another."""


# Ways to break a cluster


def on_node(cluster: Cluster, script: str, node: str) -> None:
    """Run a shell script on a node, as its root."""
    cluster.exec(node, ["sh", "-c", script])


def until(what: Callable[[], object], complaint: str) -> None:
    """Poll until something is so; raises `TimeoutError`."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {DEADLINE_SECONDS:.0f} s: {complaint}")
        time.sleep(0.2)


@contextmanager
def nothing(cluster: Cluster) -> Iterator[None]:
    """Leave the cluster as it is: its proxy mode is the fault."""
    yield


def scripts(begin: str, end: str, nodes: Sequence[str] = NODES) -> Breaking:
    """Break nodes by a shell script, and mend them by another."""

    @contextmanager
    def broken(cluster: Cluster) -> Iterator[None]:
        with ExitStack() as mended:
            for node in nodes:
                on_node(cluster, begin, node)
                mended.callback(on_node, cluster, end, node)
            yield

    return broken


def stopped(process: str, *nodes: str) -> Breaking:
    """Stop a process on nodes (SIGSTOP), and let it go on."""
    return scripts(f"pkill -STOP -x {process}", f"pkill -CONT -x {process}", nodes)


def table(chains: str, nodes: Sequence[str] = NODES) -> Breaking:
    """Add an nftables table of ours. `nft` asks for a semicolon after a chain that ends on the same line."""
    return scripts(f"nft 'table inet seeded {{ {chains}; }}'", "nft delete table inet seeded", nodes)


def rewritten(program: str, sed: str) -> Breaking:
    """Rewrite by sed what kube-proxy tells `nft` or `iptables-restore` from now on, on all nodes.

    /usr/local/sbin comes before /usr/sbin, where the real program is; see rules-in-batches.
    """
    script = f"""#!/bin/sh
case "$*" in
*--version*|*--json*|*list*) exec /usr/sbin/{program} "$@" ;;
*) sed '{sed}' | /usr/sbin/{program} "$@" ;;
esac
"""
    begin = (
        f"mkdir -p /run/seeded && cat >/run/seeded/{program} <<'END' && chmod +x /run/seeded/{program}"
        f" && mount --bind /run/seeded /usr/local/sbin\n{script}END"
    )
    return scripts(begin, "umount /usr/local/sbin && rm -r /run/seeded")


def without_rule(chain: str, rule: str, nodes: Sequence[str] = NODES) -> Breaking:
    """Drop the rules with these words from a chain of kube-proxy's, in nftables mode."""
    listed = f"nft -s list chain ip kube-proxy {chain}"
    reload = f"(echo flush chain ip kube-proxy {chain}; cat) | nft -f -"
    begin = (
        f"mkdir -p /run/seeded && {listed} >/run/seeded/{chain} && grep -q '{rule}' /run/seeded/{chain}"
        f" && grep -v '{rule}' /run/seeded/{chain} | {reload}"
    )
    return scripts(begin, f"{reload} </run/seeded/{chain} && rm -r /run/seeded", nodes)


def scaled_down(namespace: str, deployment: str) -> Breaking:
    """Take all Pods of a Deployment away."""

    @contextmanager
    def broken(cluster: Cluster) -> Iterator[None]:
        def scale(count: int) -> None:
            cluster.kubectl(["scale", f"deployment/{deployment}", "-n", namespace, f"--replicas={count}"])

        scale(0)
        try:
            until(lambda: deployment not in cluster.kubectl(["get", "pods", "-n", namespace]), "its Pods are gone")
            yield
        finally:
            scale(1)
            cluster.wait(f"deployment/{deployment}", "condition=Available", namespace=namespace)

    return broken


@contextmanager
def without_speakers(cluster: Cluster) -> Iterator[None]:
    """Take the Pods away that announce the addresses of load balancers."""
    of_speaker = ["daemonset/speaker", "-n", "metallb-system"]

    def select(value: str | None) -> None:
        patch = {"spec": {"template": {"spec": {"nodeSelector": {"seeded": value}}}}}
        cluster.kubectl(["patch", *of_speaker, f"--patch={json.dumps(patch)}"])

    select("nowhere")
    try:
        pods = ["get", "pods", "-n", "metallb-system"]
        until(lambda: "speaker" not in cluster.kubectl(pods), "the speakers are gone")
        yield
    finally:
        select(None)
        cluster.kubectl(["rollout", "status", *of_speaker, "--timeout=90s"])


def changed(
    resource: str, condition: str, patches: str, probe: Mapping[str, Any], is_changed: Callable[[Any], bool]
) -> Breaking:
    """Have the API server change objects that it is given (a MutatingAdmissionPolicy).

    `condition` and `patches` are CEL. `probe` is an object that it would change; `is_changed` says whether it did.
    """
    spec = {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
            ]
        },
        "matchConditions": [{"name": "it-is-so", "expression": condition}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{patches}]"}}],
    }
    common = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "seeded"}}
    objects = [
        common | {"kind": "MutatingAdmissionPolicy", "spec": spec},
        common | {"kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": "seeded"}},
    ]

    def is_in_force(cluster: Cluster) -> bool:
        command = ["apply", "--dry-run=server", "--filename=-", "-o", "json"]
        try:
            return is_changed(cluster.kubectl(command, json.dumps(probe))["spec"])
        except CommandFailedError:  # what it is changed into may be refused
            return True

    @contextmanager
    def broken(cluster: Cluster) -> Iterator[None]:
        assert not is_in_force(cluster), "it is so without the fault"
        cluster.apply(objects)
        try:
            until(lambda: is_in_force(cluster), "the API server changes what it is given")
            yield
        finally:
            cluster.delete(objects)
            until(lambda: not is_in_force(cluster), "the API server leaves it as it is")

    return broken


def service(**spec: Any) -> dict[str, Any]:
    """A Service, for a dry run."""
    whole = {"ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "seeded"}, "spec": whole}


def field_changed(field: str, before: str, after: object, extra: str = "", **probe: Any) -> Breaking:
    """Have the API server put another value into a field of Services; `before` is what is changed, "" for all."""
    has = f"has(object.spec.{field})"
    condition = f'{has} && object.spec.{field} == "{before}"' if before else "object.spec.type != 'ExternalName'"
    patch = f'JSONPatch{{op: "add", path: "/spec/{field}", value: {json.dumps(after)}}}{extra}'
    return changed("services", condition, patch, service(**probe), lambda spec: spec.get(field) == after)


def both(*ways: Breaking) -> Breaking:
    """Break it in several ways at once."""

    @contextmanager
    def broken(cluster: Cluster) -> Iterator[None]:
        with ExitStack() as stack:
            for way in ways:
                stack.enter_context(way(cluster))
            yield

    return broken


WHY_NOT = {
    ("wrong-port", "myths-container-port"): "its Service has two Pods: there the rules have another form, which the"
    " fault leaves as it is",
    ("silence-for-refusal-iptables", "nodeport-last-pod-dies"): "perhaps it takes the refusal of the Pod that ends for"
    " that of the Service",
}
"""Why a claim's proof passes in spite of a fault: fault and claim, as far as it is known."""

LISTENER = "import socket, time; s = socket.socket(); s.bind(('', 30080)); s.listen(); time.sleep(3600)"

FAULTS = (
    Fault(
        "kube-proxy-stopped",
        "kube-proxy stands still on worker1",
        stopped("kube-proxy", "worker1"),
        noticed_by=(
            "nodeport-every-node",
            "nodeport-wherever-pods-run",
            "nodeport-affinity",
            "nodeport-snat",
            "nodeport-addresses-nftables",
            "nodeport-policy-inside",
            "nodeport-terminating-pods",
            "nodeport-input-chain",
            "troubleshooting-kube-proxy",
        ),
        unaffected=("clusterip-default-type", "services-labels-decide"),
    ),
    Fault(
        "kube-proxy-stopped-everywhere",
        "kube-proxy stands still on all Nodes",
        stopped("kube-proxy", *NODES),
        noticed_by=(
            "clusterip-hairpin",
            "clusterip-affinity-times-out",
            "services-dns-names",
            "services-target-port-defaults",
            "myths-selector",
            "troubleshooting-selector",
        ),
        unaffected=("services-without-selector", "services-environment-variables"),
    ),
    Fault(
        "pods-take-turns",
        "the kernel's rules let Pods take turns (`numgen inc`)",
        rewritten("nft", "s/numgen random/numgen inc/"),
        noticed_by=("clusterip-random", "nodeport-random", "clusterip-no-turns", "myths-round-robin"),
        unaffected=("services-named-target-port", "clusterip-not-least-loaded"),
    ),
    Fault(
        "first-pod-gets-all",
        "the kernel's rules lead all connections to the first Pod",
        rewritten("nft", "s/numgen random mod [0-9]*/numgen random mod 1/"),
        noticed_by=(
            "loadbalancer-spread",
            "clusterip-random",
            "clusterip-not-least-loaded",
            "services-named-target-port",
            "nodeport-affinity",
            "nodeport-pod-dies",
            "troubleshooting-too-many",
            "troubleshooting-affinity",
            "troubleshooting-one-of-many",
            "myths-port-forward",
        ),
        unaffected=("services-target-port-defaults",),
    ),
    Fault(
        "wrong-port",
        "the kernel's rules lead to port 8081 of the Pods instead of 8080",
        rewritten("nft", r"s/\(dnat to [0-9.]* *[:.] *\)8080/\18081/"),
        noticed_by=(
            "services-target-port-defaults",
            "services-readiness-decides",
            "nodeport-has-cluster-ip",
            "nodeport-every-node",
            "nodeport-dnat",
            "myths-container-port",
        ),
        unaffected=("services-named-target-port", "services-without-selector"),
    ),
    Fault(
        "no-masquerading",
        "the rules that change a connection's source are gone on all Nodes",
        without_rule("masquerading", "masquerade"),
        noticed_by=(
            "kube-proxy-hairpin",
            "loadbalancer-source-cluster",
            "nodeport-snat",
            "nodeport-every-node",
            "clusterip-hairpin",
            "nodeport-input-chain",
        ),
        unaffected=("services-dns-names", "clusterip-wrong-port-nftables"),
    ),
    Fault(
        "node-port-rule-gone",
        "on the control plane the rule is gone that leads NodePorts to Services",
        without_rule("services", "@service-nodeports", ("control-plane",)),
        noticed_by=("nodeport-every-node", "nodeport-random", "nodeport-pod-dies", "myths-only-nodes-with-pods"),
        unaffected=("nodeport-affinity", "services-dns-names"),
    ),
    Fault(
        "no-check-of-cluster-ips",
        "the rules are gone that refuse connections to other ports of a Service, on all Nodes",
        without_rule("cluster-ips-check", "daddr"),
        noticed_by=("clusterip-wrong-port-nftables",),
        unaffected=("troubleshooting-target-port", "services-dns-names"),
    ),
    Fault(
        "refusals-are-swallowed",
        "a firewall on all Nodes drops the messages (ICMP) by which connections are refused",
        table(
            "chain out { type filter hook output priority 300;"
            " icmp type destination-unreachable drop; tcp flags rst drop; }"
        ),
        noticed_by=(
            "loadbalancer-without-pods-refused",
            "clusterip-wrong-port-nftables",
            "clusterip-unallocated",
            "nodeport-last-pod-dies",
            "myths-selector",
            "troubleshooting-selector",
            "nodeport-refused-without-pods",
        ),
        unaffected=("services-dns-names", "nodeport-affinity"),
    ),
    Fault(
        "source-hidden",
        "a rule on all Nodes puts the Node's address in place of every client's",
        table(
            "chain post { type nat hook postrouting priority 90;"
            " ip saddr != 127.0.0.0/8 ip daddr 10.244.0.0/16 tcp dport 1024-65535 masquerade; }"
        ),
        noticed_by=(
            "loadbalancer-source-local",
            "clusterip-source",
            "nodeport-policy-local-source",
            "troubleshooting-source",
        ),
        unaffected=("services-dns-names", "nodeport-every-node"),
    ),
    Fault(
        "addresses-belong-to-nodes",
        "all Nodes take the Services' addresses for their own",
        scripts("ip route add local 10.96.0.0/16 dev lo", "ip route del local 10.96.0.0/16 dev lo"),
        noticed_by=("clusterip-unallocated", "clusterip-no-ping", "myths-ping"),
        unaffected=("services-dns-names", "services-target-port-defaults"),
    ),
    Fault(
        "somebody-listens",
        "a program on the control plane listens on port 30080",
        scripts(
            f'setsid python3 -c "{LISTENER}" >/dev/null 2>&1 </dev/null & echo $! >/run/seeded.pid',
            "kill $(cat /run/seeded.pid); rm /run/seeded.pid",
            ("control-plane",),
        ),
        noticed_by=("nodeport-nothing-listens", "myths-netstat"),
        unaffected=("nodeport-every-node",),
    ),
    Fault(
        "node-cut-off",
        "worker2 is cut off from the network",
        table('chain cut { type filter hook prerouting priority raw; iifname != "lo" drop; }', ("worker2",)),
        noticed_by=("nodeport-every-node", "nodeport-wherever-pods-run", "nodeport-node-dies"),
        unaffected=("clusterip-default-type", "nodeport-taken-for-udp-too"),
    ),
    Fault(
        "no-dns",
        "CoreDNS has no Pod",
        scaled_down("kube-system", "coredns"),
        noticed_by=(
            "services-dns-names",
            "clusterip-other-namespace",
            "myths-external-name-proxies",
            "myths-external-name-address",
            "troubleshooting-namespace",
            "troubleshooting-headless",
            "nodeport-dns-name",
            "clusterip-address-and-name",
        ),
        unaffected=("nodeport-every-node", "clusterip-nowhere"),
    ),
    Fault(
        "no-load-balancers",
        "the provider of load balancers stands still: its controller has no Pod",
        scaled_down("metallb-system", "controller"),
        noticed_by=(
            "loadbalancer-address",
            "loadbalancer-wish",
            "loadbalancer-shared",
            "troubleshooting-no-provider",
            "troubleshooting-no-address",
            "troubleshooting-source-ranges",
        ),
        unaffected=("nodeport-every-node",),
    ),
    Fault(
        "addresses-not-announced",
        "nobody announces the load balancers' addresses: the speakers have no Pods",
        without_speakers,
        noticed_by=(
            "loadbalancer-one-node",
            "loadbalancer-local-one-node",
            "troubleshooting-source-ranges",
        ),
        unaffected=("troubleshooting-no-provider", "nodeport-every-node"),
    ),
    Fault(
        "external-local-ignored",
        "the API server makes externalTrafficPolicy Cluster of Local",
        field_changed("externalTrafficPolicy", "Local", "Cluster", type="NodePort", externalTrafficPolicy="Local"),
        noticed_by=(
            "traffic-local-silent",
            "loadbalancer-source-local",
            "troubleshooting-external-local",
            "troubleshooting-source",
            "nodeport-policy-inside",
            "nodeport-policy-local-source",
        ),
        unaffected=("troubleshooting-internal-local", "nodeport-every-node"),
    ),
    Fault(
        "internal-local-ignored",
        "the API server makes internalTrafficPolicy Cluster of Local",
        field_changed("internalTrafficPolicy", "Local", "Cluster", internalTrafficPolicy="Local"),
        noticed_by=(
            "traffic-internal-node-process",
            "clusterip-internal-local",
            "clusterip-internal-local-none",
            "troubleshooting-internal-local",
        ),
        unaffected=("troubleshooting-external-local",),
    ),
    Fault(
        "affinity-ignored",
        "the API server makes sessionAffinity None of ClientIP",
        field_changed(
            "sessionAffinity",
            "ClientIP",
            "None",
            ', JSONPatch{op: "remove", path: "/spec/sessionAffinityConfig"}',
            sessionAffinity="ClientIP",
        ),
        noticed_by=(
            "traffic-affinity-within",
            "kube-proxy-affinity-nftables",
            "nodeport-affinity",
            "clusterip-affinity-times-out",
            "clusterip-affinity",
            "myths-affinity-address",
            "myths-cookie",
            "troubleshooting-affinity",
        ),
        unaffected=("services-named-target-port",),
    ),
    Fault(
        "affinity-for-ever",
        "the API server makes every timeout of a session affinity three hours",
        changed(
            "services",
            'has(object.spec.sessionAffinity) && object.spec.sessionAffinity == "ClientIP"',
            'JSONPatch{op: "replace", path: "/spec/sessionAffinityConfig/clientIP/timeoutSeconds", value: 10800}',
            service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 1}}),
            lambda spec: spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10800,
        ),
        noticed_by=("clusterip-affinity-times-out",),
        unaffected=("nodeport-affinity",),
    ),
    Fault(
        "another-default-of-affinity",
        "the API server's default of a session affinity's timeout is one hour",
        changed(
            "services",
            'has(object.spec.sessionAffinity) && object.spec.sessionAffinity == "ClientIP"',
            'JSONPatch{op: "replace", path: "/spec/sessionAffinityConfig/clientIP/timeoutSeconds", value: 3600}',
            service(sessionAffinity="ClientIP"),
            lambda spec: spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 3600,
        ),
        noticed_by=("clusterip-affinity-default",),
        unaffected=("nodeport-affinity",),
    ),
    Fault(
        "readiness-ignored",
        "all Services lead to Pods that are not ready, too (publishNotReadyAddresses)",
        field_changed("publishNotReadyAddresses", "", True),
        noticed_by=(
            "headless-only-ready",
            "services-readiness-decides",
            "nodeport-selector-ready",
            "troubleshooting-not-ready",
            "troubleshooting-headless",
            "myths-health",
            "myths-connections-move",
        ),
        unaffected=("services-labels-decide",),
    ),
    Fault(
        "target-port-ignored",
        "the API server makes 8081 of every targetPort",
        changed(
            "services",
            "has(object.spec.ports) && size(object.spec.ports) > 0",
            'JSONPatch{op: "add", path: "/spec/ports/0/targetPort", value: 8081}',
            service(),
            lambda spec: spec["ports"][0]["targetPort"] == 8081,
        ),
        noticed_by=(
            "services-target-port-defaults",
            "services-named-target-port",
            "troubleshooting-target-port",
            "nodeport-target-port-default",
        ),
        unaffected=("clusterip-default-type",),
    ),
    Fault(
        "another-default-type",
        "the API server makes NodePort of the type ClusterIP",
        changed(
            "services",
            'object.spec.type == "ClusterIP" && (!has(object.spec.clusterIP) || object.spec.clusterIP != "None")',
            'JSONPatch{op: "replace", path: "/spec/type", value: "NodePort"}',
            service(),
            lambda spec: bool(spec["type"] == "NodePort"),
        ),
        noticed_by=("clusterip-default-type", "clusterip-not-outside", "services-port-is-released"),
        unaffected=("nodeport-every-node",),
    ),
    Fault(
        "selector-lost",
        "the API server takes the selector from every Service",
        changed(
            "services",
            "has(object.spec.selector)",
            'JSONPatch{op: "remove", path: "/spec/selector"}',
            service(selector={"app": "seeded"}),
            lambda spec: "selector" not in spec,
        ),
        noticed_by=(
            "services-without-selector",
            "services-own-namespace-only",
            "services-labels-decide",
            "nodeport-endpointslice",
            "nodeport-bare-pods",
            "troubleshooting-too-many",
        ),
        unaffected=("clusterip-default-type", "services-same-number-tcp-udp"),
    ),
    Fault(
        "never-headless",
        "the API server gives headless Services an address",
        changed(
            "services",
            'has(object.spec.clusterIP) && object.spec.clusterIP == "None"',
            'JSONPatch{op: "remove", path: "/spec/clusterIP"}, JSONPatch{op: "remove", path: "/spec/clusterIPs"}',
            service(clusterIP="None"),
            lambda spec: spec.get("clusterIP") != "None",
        ),
        noticed_by=(
            "kube-proxy-headless",
            "services-headless-without-port",
            "myths-no-port",
            "troubleshooting-headless",
        ),
        unaffected=("services-dns-names",),
    ),
    Fault(
        "another-external-name",
        "the API server changes the names of ExternalName Services",
        field_changed(
            "externalName", "example.org", "example.com", type="ExternalName", externalName="example.org", ports=None
        ),
        noticed_by=("myths-external-name-address",),
        unaffected=("services-externalname-loses-address",),
    ),
    Fault(
        "no-environment-of-services",
        "the API server keeps the Services out of all Pods' environment (enableServiceLinks)",
        changed(
            "pods",
            "true",
            'JSONPatch{op: "add", path: "/spec/enableServiceLinks", value: false}',
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "seeded"},
                "spec": {"containers": [{"name": "main", "image": "seeded"}]},
            },
            lambda spec: bool(spec["enableServiceLinks"] is False),
        ),
        noticed_by=("services-environment-variables", "myths-environment"),
        unaffected=("services-dns-names",),
    ),
    Fault(
        "other-mode-nftables",
        "kube-proxy is in nftables mode, of which these claims are not said",
        nothing,
        noticed_by=("clusterip-wrong-port-iptables", "nodeport-addresses-iptables", "myths-every-address-iptables"),
        unaffected=("nodeport-addresses-nftables",),
        any_mode=True,
    ),
    Fault(
        "other-mode-iptables",
        "kube-proxy is in iptables mode, of which these claims are not said",
        nothing,
        noticed_by=("clusterip-wrong-port-nftables", "nodeport-addresses-nftables", "myths-every-address-nftables"),
        unaffected=("nodeport-addresses-iptables",),
        mode="iptables",
        any_mode=True,
    ),
    Fault(
        "first-pod-gets-all-iptables",
        "the kernel's rules lead all connections to the first Pod, in iptables mode",
        rewritten("iptables-restore", "s/--probability [0-9.]*/--probability 1.0/"),
        noticed_by=("clusterip-random", "services-named-target-port", "nodeport-affinity", "troubleshooting-too-many"),
        unaffected=("services-target-port-defaults",),
        mode="iptables",
    ),
    Fault(
        "no-masquerading-iptables",
        "the rules that change a connection's source are not written on any Node, in iptables mode",
        rewritten("iptables-restore", "/-A KUBE-POSTROUTING.*MASQUERADE/d"),
        noticed_by=("nodeport-snat", "nodeport-every-node", "clusterip-hairpin"),
        unaffected=("services-dns-names",),
        mode="iptables",
    ),
    Fault(
        "silence-for-refusal-iptables",
        "the kernel's rules drop what they should refuse, in iptables mode",
        rewritten("iptables-restore", "s/-j REJECT.*/-j DROP/"),
        noticed_by=(
            "troubleshooting-selector",
            "clusterip-unallocated",
            "nodeport-last-pod-dies",
            "myths-selector",
            "clusterip-nobody",
        ),
        unaffected=("services-target-port-defaults", "clusterip-wrong-port-iptables"),
        mode="iptables",
    ),
    Fault(
        "no-local-net-routes-iptables",
        "worker1's kernel leads nothing from 127.0.0.1 to other machines (route_localnet), in iptables mode",
        scripts(
            "echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet",
            "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet",
            ("worker1",),
        ),
        noticed_by=("nodeport-addresses-iptables", "myths-every-address-iptables"),
        unaffected=("nodeport-every-node",),
        mode="iptables",
    ),
    Fault(
        "kube-proxy-stopped-iptables",
        "kube-proxy stands still on worker1, in iptables mode",
        stopped("kube-proxy", "worker1"),
        noticed_by=("nodeport-every-node", "nodeport-affinity", "nodeport-snat", "nodeport-addresses-iptables"),
        unaffected=("clusterip-default-type",),
        mode="iptables",
    ),
)
