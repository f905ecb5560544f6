"""Proofs of docs/kubernetes/resources/questions.md, as far as those of other pages do not show the same."""

import json
import re
from typing import Any

import pytest
from kubernetes import client

from proofs import proof
from proofs.world import AGNHOST, POD_PORT, TOOLBOX, World, answers, outside, outside_failure, wait_for
from throwaway import CommandFailedError

HTTP = "http://echo/hostname"


def kubectl(world: World, command: str) -> str:
    """What kubectl prints, in the proof's namespace."""
    return str(world.cluster.kubectl(["-n", world.namespace, *command.split()]))


@proof(
    "questions-pod-address",
    "questions-other-port",
    "questions-two-services",
    "questions-no-tls",
    "questions-from-node",
    "questions-no-restart",
    control=(
        "The Pod would not answer at one of these addresses; or, where `targetPort` is wrong, it would answer before "
        "the change; or it would be another Pod, or started again, after it."
    ),
)
def test_one_pod_and_its_ways_in(world: World) -> None:
    """Asks one Pod at its own address, then by Services of several kinds, one of them from a Node.

    One Service has port 443, `appProtocol: https` and a wrong `targetPort`, which is put right while the Pod runs.
    """
    (pod,) = world.pods()
    assert world.ask(f"http://{pod.address}:{POD_PORT}/hostname") == [pod.name]
    address = world.service().spec.cluster_ip
    wait_for(lambda: world.ask(HTTP) == [pod.name], "port 80 leads to 8080")
    asked = ["curl", "-s", "--max-time", "5", f"http://{address}/hostname"]
    assert world.cluster.exec("worker1", asked) == pod.name

    def uid_and_starts() -> tuple[str, int]:
        found = world.core.read_namespaced_pod(pod.name, world.namespace)
        return found.metadata.uid, found.status.container_statuses[0].restart_count

    before = uid_and_starts()
    https = {"name": "https", "port": 443, "appProtocol": "https"}
    world.service("shop", selector={"app": "echo"}, ports=[{**https, "targetPort": 9}])
    wait_for(lambda: world.failure("http://shop:443/") == "refused", "nobody listens on port 9")
    world.patch("shop", ports=[{**https, "targetPort": POD_PORT}])
    wait_for(lambda: world.ask("http://shop:443/hostname") == [pod.name], "plain HTTP is answered at port 443")
    assert uid_and_starts() == before


@proof(
    "questions-scale-up", control="The new Pod would answer none of the new connections, as it does before it is ready."
)
def test_a_new_pod_gets_new_connections(world: World) -> None:
    """Starts a Pod behind a Service that has one already, and opens new connections."""
    (first,) = world.pods()
    world.service()
    wait_for(lambda: world.ask(HTTP, 10) == [first.name] * 10, "the first one answers")
    (second,) = world.pods("second", labels={"app": "echo"})
    wait_for(lambda: set(world.ask(HTTP, 20)) == {first.name, second.name}, "both answer")


@proof(
    "questions-expose-selector",
    "questions-ports-column",
    control="The selector, the ports or the column would be other ones than those read from the API.",
)
def test_what_kubectl_expose_makes(world: World) -> None:
    """Makes a Deployment without Pods, exposes it by kubectl, and reads the Service from the API and from kubectl."""
    labels = {"app": "web", "tier": "front"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": AGNHOST}]}}
    deployment = {
        "metadata": {"name": "web"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    client.AppsV1Api().create_namespaced_deployment(world.namespace, deployment)
    kubectl(world, "expose deployment web --port=80 --target-port=8080 --type=NodePort")
    spec = world.core.read_namespaced_service("web", world.namespace).spec
    (port,) = spec.ports
    assert (spec.type, spec.selector, port.port, port.target_port) == ("NodePort", labels, 80, 8080)
    row = kubectl(world, "get service web --no-headers").split()
    assert row[4] == f"80:{port.node_port}/TCP"


@proof(
    "questions-no-range",
    "questions-tcp-by-default",
    "questions-no-rename",
    "questions-name-rules",
    control="The API server would take what it refuses here, or refuse what it takes.",
)
def test_what_the_api_server_takes(world: World) -> None:
    """Makes Services with a range as `port`, without a protocol, and with names that are odd; renames one."""
    spec = {"ports": [{"port": "8000-8010"}]}
    several = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "several"}, "spec": spec}
    with pytest.raises(CommandFailedError, match="cannot unmarshal string into Go struct field"):
        world.cluster.kubectl(["-n", world.namespace, "create", "--validate=false", "-f-"], json.dumps(several))
    assert world.service("plain", ports=[{"port": 80}]).spec.ports[0].protocol == "TCP"
    renamed = {"metadata": {"name": "other"}}
    with pytest.raises(client.ApiException) as refused:
        world.core.patch_namespaced_service("plain", world.namespace, renamed)
    assert "the name of the object (other) does not match the name on the URL (plain)" in refused.value.body
    for name in ("7-up", "a" * 63):
        assert world.service(name).metadata.name == name
    for name in ("a" * 64, "Web", "my_web", "my.web", "-web", "web-"):
        with pytest.raises(client.ApiException) as refused:
            world.service(name)
        assert json.loads(refused.value.body)["details"]["causes"][0]["field"] == "metadata.name", name


@proof(
    "questions-health-check-port",
    control="Another Service could have the port, as it can have one that is free; or the table of Services show it.",
)
def test_a_health_check_port_is_taken_and_not_shown(world: World) -> None:
    """Asks for the `healthCheckNodePort` of one Service as another one's NodePort, before and after that is deleted."""
    port = world.service(type="LoadBalancer", externalTrafficPolicy="Local").spec.health_check_node_port
    other: dict[str, Any] = {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}
    assert "provided port is already allocated" in world.refusal(**other)[1]
    assert str(port) not in kubectl(world, "get services")
    assert f"healthCheckNodePort: {port}\n" in kubectl(world, "get services -o yaml")
    world.core.delete_namespaced_service("echo", world.namespace)
    assert world.service(**other).spec.ports[0].node_port == port


@proof(
    "questions-apply-keeps-port",
    "clusterip-applied-again",
    control="The `nodePort` or the ClusterIP would be another one, as it would be of a new Service.",
)
def test_to_apply_again_keeps_port_and_address(world: World) -> None:
    """Applies a manifest without `nodePort` and `clusterIP` three times by kubectl, the last time with a new label."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    }

    def applied() -> tuple[str, int]:
        world.cluster.apply(manifest, world.namespace)
        spec = world.core.read_namespaced_service("web", world.namespace).spec
        return spec.cluster_ip, spec.ports[0].node_port

    first = applied()
    assert all(first)
    assert applied() == first
    manifest["metadata"]["labels"] = {"new": "yes"}  # type: ignore[index]
    assert applied() == first


@proof(
    "questions-cluster-ip-immutable",
    control="kubectl would say `service/web configured`, as it does where the address stays out of the manifest.",
)
def test_the_cluster_ip_cannot_be_changed(world: World) -> None:
    """Applies a Service by kubectl, then again with a label, then with another ClusterIP that is free."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    world.cluster.apply(manifest, world.namespace)
    manifest["metadata"]["labels"] = {"new": "yes"}  # type: ignore[index]
    assert "service/web configured" in world.cluster.apply(manifest, world.namespace)
    spare = world.service("spare").spec.cluster_ip
    world.core.delete_namespaced_service("spare", world.namespace)
    manifest["spec"]["clusterIP"] = spare  # type: ignore[index]
    with pytest.raises(CommandFailedError, match="may not change once set"):
        world.cluster.apply(manifest, world.namespace)


def outside_address(world: World, service: str) -> str:
    """The address that a LoadBalancer Service has been given."""

    def given() -> str:
        found = world.core.read_namespaced_service(service, world.namespace)
        return found.status.load_balancer.ingress[0].ip if found.status.load_balancer.ingress else ""

    return wait_for(given, f"{service} has an address")


@proof(
    "questions-loadbalancer-no-ping",
    needs=("load-balancer",),
    control="The ping would be answered, as that of a Node is.",
)
def test_a_load_balancers_address_answers_at_its_port_only(world: World) -> None:
    """Asks the address of a LoadBalancer Service from outside and from a Pod; pings it, and a Node, from both."""
    (pod,) = world.pods()
    world.service(type="LoadBalancer")
    address = outside_address(world, "echo")
    wait_for(lambda: answers(f"http://{address}/hostname"), "it answers outside")
    wait_for(lambda: world.ask(f"http://{address}/hostname") == [pod.name], "it answers the Pod that pings")

    def from_outside(command: str) -> str:
        return world.cluster.shell(["sh", "-c", f"busybox {command}; true"])

    for said in (world.run, from_outside):
        assert " 0% packet loss" in said(f"ping -c 1 -W 2 {world.nodes['worker1']}")
        assert "100% packet loss" in said(f"ping -c 2 -W 1 {address}")


@proof(
    "questions-ndots",
    "questions-names-inside-only",
    "questions-service-links",
    control=(
        "The file would have other lines; a Node or the client would find the name, as a Pod does; the Pod without "
        "links would have the Service's variables, as the other has."
    ),
)
def test_names_as_pods_and_others_see_them(world: World) -> None:
    """Starts two Pods, one of them with `enableServiceLinks: false`, and reads their resolv.conf and environment.

    Asks for the name of a Service in a Pod, on a Node and on a machine outside.
    """
    address = world.service("redis", ports=[{"port": 6379}]).spec.cluster_ip
    main = {"name": "main", "image": TOOLBOX, "command": ["sleep", "infinity"]}
    toolbox = world.toolbox()
    (without,) = world.pods("without", containers=[main], enableServiceLinks=False)
    linked, unlinked = world.run("env", toolbox.name), world.run("env", without.name)
    assert f"REDIS_PORT=tcp://{address}:6379" in linked
    assert not re.search("^REDIS_", unlinked, re.MULTILINE)
    assert "KUBERNETES_SERVICE_HOST=" in unlinked

    resolv = world.run("cat /etc/resolv.conf")
    (search,) = [line.split()[1:] for line in resolv.splitlines() if line.startswith("search")]
    assert search[:3] == [f"{world.namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    assert re.search(r"^options .*\bndots:5\b", resolv, re.MULTILINE)
    dns = world.core.read_namespaced_service("kube-dns", "kube-system").spec.cluster_ip
    assert f"nameserver {dns}" in resolv

    name = f"redis.{world.namespace}.svc.cluster.local"
    assert world.run(f"dig +short {name}").split() == [address]
    for place in ("worker1", "client"):
        assert world.cluster.exec(place, ["getent", "hosts", "localhost"]), "it looks up names"
        quickly = "RES_OPTIONS='timeout:1 attempts:1'"  # there may be no server at all
        told = world.cluster.exec(place, ["sh", "-c", f"{quickly} getent hosts {name} || echo $?"])
        assert told.strip() == "2", "what getent says of a name that is not found"
        assert dns not in world.cluster.exec(place, ["cat", "/etc/resolv.conf"])


@proof(
    "questions-host-port",
    control="Another Node would answer at the port, too, as all do at a NodePort.",
)
def test_a_host_port_is_on_one_node(world: World) -> None:
    """Starts a Pod on worker1 with a `hostPort`, and asks for it on worker1 and on worker2."""
    container = {
        "name": "main",
        "image": AGNHOST,
        "args": ["netexec"],
        "ports": [{"containerPort": POD_PORT, "hostPort": 8088}],
        "readinessProbe": {"httpGet": {"path": "/", "port": POD_PORT}, "periodSeconds": 1},
    }
    (pod,) = world.pods(node="worker1", containers=[container])
    wait_for(lambda: answers(f"http://{world.nodes['worker1']}:8088/hostname"), "its own Node answers")
    assert outside(f"http://{world.nodes['worker1']}:8088/hostname") == pod.name
    assert outside_failure(f"http://{world.nodes['worker2']}:8088/") == "refused"
