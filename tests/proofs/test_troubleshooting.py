"""Proofs of docs/kubernetes/resources/troubleshooting.md: each sets a fault up, and sees the page's check find it."""

import re

import pytest

from proofs import proof
from proofs.world import (
    POD_PORT,
    TOOLBOX,
    World,
    answers,
    asked,
    outside,
    outside_failure,
    wait_for,
)

HTTP = "http://echo/hostname"


def kubectl(world: World, *arguments: str) -> str:
    """What kubectl prints, in the proof's namespace."""
    return str(world.cluster.kubectl([*arguments, "-n", world.namespace]))


def column(table: str, name: str) -> list[str]:
    """The values in a column of a table of kubectl's."""
    lines = table.splitlines()
    start = lines[0].index(name)
    return [line[start:].split()[0] for line in lines[1:]]


def endpoint_slices(world: World, service: str = "echo") -> str:
    """The table of a Service's EndpointSlices, by the command that the page has."""
    return kubectl(world, "get", "endpointslices", "-l", f"kubernetes.io/service-name={service}")


@proof(
    "troubleshooting-selector", control="The table would list the Pod's address, as it does without the wrong letter."
)
def test_nobody_has_the_labels(world: World) -> None:
    """Makes a Service with a wrong letter in its selector, asks, looks at its EndpointSlice, and mends it."""
    (pod,) = world.pods()
    world.service(selector={"app": "ecko"})
    wait_for(lambda: world.failure(HTTP) == "refused", "connections are refused")
    assert column(endpoint_slices(world), "ENDPOINTS") == ["<unset>"]
    assert kubectl(world, "get", "pods", "-l", "app=ecko") == ""
    world.patch("echo", selector={"app": "echo"})
    wait_for(lambda: column(endpoint_slices(world), "ENDPOINTS") == [pod.address], "the Pod is listed")
    wait_for(lambda: world.ask(HTTP) == [pod.name], "it answers")


@proof(
    "troubleshooting-not-ready",
    "troubleshooting-probe",
    control="READY would say 1/1, as for the Pod that is ready, whose events tell of no such probe.",
)
def test_the_pods_are_not_ready(world: World) -> None:
    """Starts a Pod whose readiness probe fails behind a Service, and a ready one beside it, and looks at both."""
    (pod,) = world.pods(ready=False)
    (ready,) = world.pods("ready")
    world.service()
    wait_for(lambda: world.failure(HTTP) == "refused", "connections are refused")
    wait_for(lambda: column(endpoint_slices(world), "ENDPOINTS") == [pod.address], "the slice lists it all the same")
    assert column(kubectl(world, "get", "pods", "-l", "app=echo"), "READY") == ["0/1"]
    assert column(kubectl(world, "get", "pods", "-l", "app=ready"), "READY") == ["1/1"]
    failed = re.compile("Readiness probe (errored|failed).*/not-there", re.DOTALL)
    wait_for(lambda: failed.search(kubectl(world, "describe", "pod", pod.name)), "an event says why")
    assert not failed.search(kubectl(world, "describe", "pod", ready.name))


@proof("troubleshooting-target-port", control="The Pod would answer at the wrong port, as it does at the right one.")
def test_a_wrong_target_port(world: World) -> None:
    """Makes a Service with a targetPort at which nothing listens, and asks the Service and the Pod."""
    (pod,) = world.pods()
    world.service(ports=[{"port": 80, "targetPort": 9}])
    wait_for(lambda: column(endpoint_slices(world), "PORTS") == ["9"], "the slice shows the wrong port")
    wait_for(lambda: world.failure(HTTP) == "refused", "connections are refused")
    assert column(kubectl(world, "get", "pods", "-l", "app=echo"), "READY") == ["1/1"]
    assert world.failure(f"http://{pod.address}:9/") == "refused"
    assert world.failure(f"http://{pod.address}:{POD_PORT}/") == ""


@proof("troubleshooting-loopback", control="The program would answer at the Pod's address, as it does at 127.0.0.1.")
def test_a_program_that_listens_on_loopback_only(world: World) -> None:
    """Starts a program that listens on 127.0.0.1 only, and asks it within its Pod and through the Service."""
    command = ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{POD_PORT}"]
    (pod,) = world.pods(containers=[{"name": "main", "image": TOOLBOX, "command": command}])
    world.service()
    wait_for(lambda: world.failure(f"http://127.0.0.1:{POD_PORT}", pod.name) == "", "it answers in its Pod")
    wait_for(lambda: column(endpoint_slices(world), "ENDPOINTS") == [pod.address], "it is behind the Service")
    wait_for(lambda: world.failure(HTTP) == "refused", "connections to the Service are refused")
    assert world.failure(f"http://{pod.address}:{POD_PORT}/") == "refused"


@proof(
    "troubleshooting-external-local",
    "troubleshooting-source",
    "nodeport-policy-local-silent",
    "traffic-local-silent",
    control="worker1 would answer, too, as it does with the policy Cluster; the Pod would see one address with both.",
)
def test_a_node_without_a_pod_is_silent(world: World) -> None:
    """Asks a NodePort at two Nodes, of which one has a Pod, with both policies, and sees whom the Pod sees."""
    (pod,) = world.pods(node="worker2")
    port = world.service(type="NodePort", externalTrafficPolicy="Local").spec.ports[0].node_port
    here, silent = (f"http://{world.nodes[node]}:{port}" for node in ("worker2", "worker1"))
    wait_for(lambda: answers(f"{here}/clientip"), "the Node of the Pod answers")
    client = outside(f"{here}/clientip").split(":")[0]
    assert client not in world.nodes.values()
    wait_for(lambda: outside_failure(silent) == "timeout", "the other one is silent")
    assert kubectl(world, "get", "service", "echo", "-o", "jsonpath={.spec.externalTrafficPolicy}") == "Local"
    assert column(kubectl(world, "get", "pods", "-o", "wide"), "NODE") == [pod.node]
    world.patch("echo", externalTrafficPolicy="Cluster")
    wait_for(lambda: answers(silent), "both answer")
    address = outside(f"{silent}/clientip").split(":")[0]
    assert address in world.cluster.exec("worker1", ["hostname", "-I"]).split()


@proof("troubleshooting-internal-local", control="The Pod on worker1 would get an answer, as it does with Cluster.")
def test_a_pod_on_a_node_without_an_endpoint_gets_no_answer(world: World) -> None:
    """Asks a Service with internalTrafficPolicy Local on a Node with a Pod of it and on one without."""
    (pod,) = world.pods(node="worker2")
    world.service(internalTrafficPolicy="Local")
    near, far = world.toolbox("worker2").name, world.toolbox("worker1").name
    wait_for(lambda: world.ask(HTTP, pod=near) == [pod.name], "its own Node's Pod is reached")
    wait_for(lambda: world.failure(HTTP, far) == "timeout", "there is no answer on the other Node")
    assert kubectl(world, "get", "service", "echo", "-o", "jsonpath={.spec.internalTrafficPolicy}") == "Local"
    world.patch("echo", internalTrafficPolicy="Cluster")
    wait_for(lambda: world.ask(HTTP, pod=far) == [pod.name], "it is reached from there")


@proof("troubleshooting-hangs", control="curl would not say that the connection stands, as for one that is swallowed.")
def test_a_program_that_hangs(world: World) -> None:
    """Starts a program that takes connections and says nothing, and asks it by curl -v; then an address of nobody's."""
    container = {
        "name": "main",
        "image": TOOLBOX,
        "command": ["busybox", "nc", "-ll", "-p", f"{POD_PORT}", "-e", "sleep", "60"],
    }
    world.pods(containers=[container])
    address = world.service().spec.cluster_ip

    def said(address: str) -> str:
        return world.run(f"curl -sv --max-time 1 http://{address} 2>&1 || true")

    stands = re.compile("Connected to|Established connection to")
    assert "timed out" in wait_for(lambda: stands.search(text := said(address)) and text, "the connection stands")
    control = said("10.96.200.200")
    assert ("timed out" in control, stands.search(control)) == (True, None)


@proof("troubleshooting-source-ranges", control="We would get an answer, as we do when our range is among them.")
def test_a_client_that_is_not_in_the_source_ranges(world: World) -> None:
    """Makes a LoadBalancer Service for a range without our address, asks, and adds our range."""
    (pod,) = world.pods()
    world.service(type="LoadBalancer", loadBalancerSourceRanges=["198.51.100.0/24"])
    url = f"http://{outside_address(world)}/hostname"
    shown = kubectl(world, "get", "service", "echo", "-o", "jsonpath={.spec.loadBalancerSourceRanges}")
    assert shown == '["198.51.100.0/24"]'
    assert asked(url, 3) == [""] * 3
    world.patch("echo", loadBalancerSourceRanges=["198.51.100.0/24", "172.30.0.0/24"])
    wait_for(lambda: asked(url, 3) == [pod.name] * 3, "it answers")
    world.patch("echo", loadBalancerSourceRanges=["198.51.100.0/24"])
    wait_for(lambda: outside_failure(url) == "timeout", "it is silent again")


@pytest.mark.disturbs
@proof(
    "troubleshooting-kube-proxy", control="The kube-proxy that is stopped would answer, as that of the other Node does."
)
def test_a_kube_proxy_that_stands_still(world: World) -> None:
    """Stops kube-proxy on worker1 (SIGSTOP), makes a Service, asks both Nodes, and asks how their kube-proxies are."""
    (pod,) = world.pods()
    worker1, worker2 = world.nodes["worker1"], world.nodes["worker2"]
    assert outside_failure(f"http://{worker1}:10256/healthz") == ""
    world.cluster.exec("worker1", ["pkill", "-STOP", "-x", "kube-proxy"])
    try:
        port = world.service(type="NodePort").spec.ports[0].node_port
        wait_for(lambda: asked(f"http://{worker2}:{port}/hostname", 1) == [pod.name], "worker2 answers")
        assert not answers(f"http://{worker1}:{port}/")
        assert outside_failure(f"http://{worker1}:10256/healthz") == "timeout"
        assert outside_failure(f"http://{worker2}:10256/healthz") == ""
    finally:
        world.cluster.exec("worker1", ["pkill", "-CONT", "-x", "kube-proxy"])
    wait_for(lambda: answers(f"http://{worker1}:{port}/"), "worker1 answers, too")


@proof("troubleshooting-one-of-many", control="All connections would succeed, or both Pods answer at their addresses.")
def test_one_of_two_pods_is_broken(world: World) -> None:
    """Starts a Pod that answers and one in which nothing listens, asks the Service 30 times, then each Pod."""
    (good,) = world.pods()
    (deaf,) = world.pods("deaf", labels={"app": "echo"}, args=["pause"])
    world.service()
    wait_for(lambda: set(world.ask(HTTP, 30)) == {good.name, ""}, "some connections fail, others do not")
    assert world.failure(f"http://{good.address}:{POD_PORT}/") == ""
    assert world.failure(f"http://{deaf.address}:{POD_PORT}/") == "refused"


@proof("troubleshooting-too-many", control="The other Deployment's Pod would neither answer nor be listed.")
def test_a_selector_that_finds_too_many(world: World) -> None:
    """Starts Pods of two versions with one label in common, and asks a Service that selects by it."""
    (right,) = world.pods("right", labels={"app": "echo", "version": "1"})
    (wrong,) = world.pods("wrong", labels={"app": "echo", "version": "2"})
    world.service()
    wait_for(lambda: set(world.ask(HTTP, 30)) == {right.name, wrong.name}, "both answer")
    assert column(kubectl(world, "get", "pods", "-l", "app=echo"), "NAME") == [right.name, wrong.name]
    world.patch("echo", selector={"app": "echo", "version": "1"})
    wait_for(lambda: world.ask(HTTP, 30) == [right.name] * 30, "the right one alone answers")


@proof("troubleshooting-affinity", control="One Pod would answer all the same with the affinity None.")
def test_one_client_meets_one_pod_by_affinity(world: World) -> None:
    """Asks a Service with two Pods 20 times with the affinity ClientIP, and 20 times without."""
    pods = world.pods(count=2)
    world.service(sessionAffinity="ClientIP")
    wait_for(lambda: len(world.endpoints("echo")) == 2, "both are behind it")
    wait_for(lambda: set(world.ask(HTTP, 20)) in [{pod.name} for pod in pods], "one answers")
    assert kubectl(world, "get", "service", "echo", "-o", "jsonpath={.spec.sessionAffinity}") == "ClientIP"
    world.patch("echo", sessionAffinity="None")
    wait_for(lambda: set(world.ask(HTTP, 20)) == {pod.name for pod in pods}, "both answer")


@proof("troubleshooting-namespace", control="The short name would be found, or the long one not.")
def test_a_name_of_another_namespace(world: World) -> None:
    """Asks for `kube-dns`, which is in kube-system, by its short name and with the namespace."""
    assert world.failure("http://kube-dns:9153/", seconds=5) == "name not found"
    assert "kube-dns" in column(str(world.cluster.kubectl(["get", "services", "-A"])), "NAME ")
    assert world.failure("http://kube-dns.kube-system:9153/", seconds=5) == ""


@proof("troubleshooting-headless", control="The name would be found before the Pod is ready.")
def test_a_headless_service_without_ready_pods(world: World) -> None:
    """Asks DNS for a headless Service whose only Pod is not ready, then for one with a ready Pod."""
    world.pods(ready=False)
    world.service(clusterIP="None")
    (ready,) = world.pods("ready")
    world.service("ready", clusterIP="None")
    wait_for(lambda: world.run("dig +short +search ready").split() == [ready.address], "the other is in DNS")
    assert world.failure(f"http://echo:{POD_PORT}/", seconds=5) == "name not found"


@pytest.mark.disturbs
@proof("troubleshooting-dns", control="Names would still be found while CoreDNS has no Pod.")
def test_dns_has_no_pod(world: World) -> None:
    """Takes CoreDNS' Pods away, asks for a name, looks at the EndpointSlice, and brings them back."""
    apps = world.cluster
    name = "http://kubernetes.default:443/"  # in iptables mode nobody answers at a port that a Service does not have
    slices = ["get", "endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns"]
    before = apps.kubectl(["get", "deployment", "coredns", "-n", "kube-system", "-o", "json"])["spec"]["replicas"]
    assert world.failure(name, seconds=5) == ""
    apps.kubectl(["scale", "deployment", "coredns", "-n", "kube-system", "--replicas=0"])
    try:
        wait_for(lambda: set(column(str(apps.kubectl(slices)), "ENDPOINTS")) == {"<unset>"}, "it has no endpoint")
        wait_for(lambda: world.failure(name, seconds=10) == "name not found", "names are not found")
    finally:
        apps.kubectl(["scale", "deployment", "coredns", "-n", "kube-system", f"--replicas={before}"])
    wait_for(lambda: world.failure(name, seconds=5) == "", "names are found again")


@proof("troubleshooting-no-provider", control="The Service would get an address, as one without the class does.")
def test_nobody_gives_an_address(world: World) -> None:
    """Makes a LoadBalancer Service of a class that nobody serves, and one without, and waits for the latter."""
    world.service("nobody", type="LoadBalancer", loadBalancerClass="example.com/nobody")
    world.service(type="LoadBalancer")
    outside_address(world)
    table = kubectl(world, "get", "services")
    assert dict(zip(column(table, "NAME"), column(table, "EXTERNAL-IP"), strict=True))["nobody"] == "<pending>"
    assert kubectl(world, "describe", "service", "nobody").rstrip().endswith("<none>")


@proof("troubleshooting-no-address", control="There would be an address, or no event that says why there is none.")
def test_an_address_that_is_not_in_the_pool(world: World) -> None:
    """Asks MetalLB for an address outside its pool, and reads the Service's events."""
    wish = {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.1"}}
    world.service(metadata=wish, type="LoadBalancer")
    wait_for(lambda: "AllocationFailed" in kubectl(world, "describe", "service", "echo"), "an event says why")
    assert column(kubectl(world, "get", "services"), "EXTERNAL-IP") == ["<pending>"]


def outside_address(world: World) -> str:
    """The address that the Service `echo` gets from the load balancer."""

    def given() -> str:
        ingress = world.core.read_namespaced_service("echo", world.namespace).status.load_balancer.ingress
        return ingress[0].ip if ingress else ""

    return wait_for(given, "the Service gets an address")
