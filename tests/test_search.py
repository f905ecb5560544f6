"""What people type into the site's search leads them to the answer.

The index is the site's own, and so is what searches it: the script of mkdocs-material that browsers run.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import material  # type: ignore[import-untyped]
import pytest
from py_mini_racer import MiniRacer

ROOT = Path(__file__).parents[1]
QUESTIONS = ROOT / "docs/kubernetes/resources/questions.md"
PAGES = 3
"""Among how many pages that a search finds the right one has to be."""
SECTIONS = 5
"""Among how many sections of a page that it finds the right one has to be."""

TYPED = {
    "types": "difference between ClusterIP, NodePort and LoadBalancer service types",
    "which-type": "which service type should i use",
    "ingress": "service vs ingress",
    "deployment": "does service select pods or deployment",
    "kubectl-expose": "kubectl expose deployment",
    "pod-ip": "pod to pod communication without service by ip",
    "two-services": "two services same pods",
    "other-namespace-selector": "service selector cross namespace",
    "restart": "restart pods after changing service",
    "change-type": "change service type from ClusterIP to NodePort",
    "three-ports": "difference between port targetPort and nodePort",
    "same-port": "port and targetPort same",
    "container-port": "is containerPort needed",
    "named-port": "targetPort name",
    "several-ports": "service multiple several ports",
    "port-range": "allow port range in service",
    "tcp-udp": "tcp and udp same port",
    "protocol": "service protocol default tcp",
    "tls": "service https 443 tls",
    "ports-column": "PORT(S) 80:30080/TCP meaning",
    "all-nodes": "nodeport on all nodes",
    "not-from-outside": "NodePort not reachable from outside",
    "nodeport-refused": "nodeport connection refused",
    "only-one-node": "nodeport only works on one node",
    "netstat": "nodeport netstat not listening",
    "localhost": "nodeport localhost not working",
    "cluster-ip-node-port": "ClusterIP nodePort not working",
    "port-80": "use port 80 as nodeport",
    "node-port-range": "change nodeport range",
    "already-allocated": "provided port is already allocated",
    "choose-node-port": "choose nodeport",
    "apply-again": "nodePort changes when applying again",
    "node-port-addresses": "restrict nodeport to addresses",
    "port-conflict": "nodeport same port as program on node",
    "node-dies": "nodeport node dies",
    "host-port": "difference between nodeport and hostPort",
    "nodeport-production": "nodeport in production",
    "external-ip-pending": "external ip pending",
    "external-ip-none": "external-ip none",
    "metallb-pending": "metallb no address",
    "loadbalancer-ping": "cannot ping loadbalancer ip",
    "metallb-not-reachable": "metallb ip not reachable",
    "share-ip": "share one ip between services",
    "static-ip": "static loadbalancer ip",
    "loadbalancer-tcp-udp": "loadbalancer tcp and udp",
    "loadbalancer-from-inside": "pods access loadbalancer address",
    "source-ranges": "restrict loadbalancer",
    "internal-load-balancer": "internal load balancer aws",
    "allocate-node-ports": "loadbalancer without nodeport",
    "pending-works": "loadbalancer pending but works",
    "unhealthy-targets": "targets unhealthy externalTrafficPolicy local",
    "ping": "cannot ping clusterip",
    "cluster-ip-outside": "access clusterip from outside",
    "cluster-ip-from-node": "clusterip from node",
    "cluster-ip-one-node": "clusterip only reachable on node that runs the pod",
    "cluster-ip-stays": "does clusterip change restart",
    "choose-cluster-ip": "choose clusterip",
    "immutable": "spec.clusterIP: Invalid value: field is immutable",
    "hairpin": "pod cannot reach itself via service",
    "out-of-addresses": "run out of clusterips",
    "dns-name": "dns name of service",
    "other-namespace": "service in another namespace",
    "could-not-resolve": "could not resolve host",
    "resolve-from-node": "resolve service name from node",
    "ndots": "ndots dns queries",
    "dns-one-address": "dns returns clusterip not pods",
    "statefulset": "statefulset pod name not resolved",
    "environment": "SERVICE_HOST environment variables",
    "enable-service-links": "turn off service environment variables",
    "name-rules": "rename service",
    "round-robin": "is service round robin",
    "one-pod": "all traffic goes to one pod",
    "grpc": "grpc not load balanced",
    "refresh": "refresh browser same pod",
    "sticky": "sticky sessions",
    "affinity-timeout": "session affinity how long",
    "affinity-nat": "session affinity all clients same pod",
    "least-connections": "service less load pods",
    "scale-up": "new pods traffic after scaling",
    "retry": "service health check retry",
    "same-node": "prefer pods on same node",
    "source-ip": "pod sees node ip not client ip",
    "preserve-source-ip": "keep real client ip",
    "uneven": "uneven load externalTrafficPolicy local",
    "source-ip-inside": "client ip inside cluster",
    "policy-inside": "externalTrafficPolicy inside cluster",
    "no-endpoints": "service has no endpoints",
    "running-not-ready": "pod running but no traffic",
    "localhost-only": "works in pod but not through service",
    "endpoints-deprecated": "endpoints or endpointslices",
    "rolling-update": "requests fail during rolling update",
    "connections-cut": "open connections cut unready",
    "take-out": "take pod out of service to debug",
    "publish-not-ready": "traffic to pods that are not ready",
    "how-many": "how many pods can a service have",
    "before-pods": "service before pods exist",
    "external-database": "external database service",
    "external-name-ip": "externalname ip address",
    "external-name-host": "externalname host header tls",
    "external-ips": "externalIPs",
    "minikube-pending": "minikube external ip pending",
    "kind-nodeport": "kind nodeport",
    "k3s-pending": "k3s external ip pending",
    "reach-host": "reach host from pod",
    "port-forward": "kubectl port-forward service one pod",
    "which-mode": "iptables nftables ipvs mode",
    "kube-proxy-stops": "kube-proxy stops",
    "udp-conntrack": "udp still goes to old pod",
    "ipv6": "service ipv6 dual stack",
    "encrypted": "is service traffic encrypted",
    "network-policy": "networkpolicy services",
}
"""The anchor of a question → what somebody types who has it, much as in the titles of the threads under it."""

TITLES = {
    "ExternalIP is always in Pending state": "external-ip-pending minikube-pending k3s-pending",
    "LoadBalancer Service has pending IP address": "external-ip-pending",
    "Connection refused when using nodeport": "nodeport-refused",
    "why cann't ping svc,the kubernetes svc can ping access,others cannot": "ping loadbalancer-ping",
    "Cannot ping ClusterIP of the service from the cluster": "ping",
    "SessionAffinity not working": "sticky affinity-timeout affinity-nat",
    "port-forward to Service always go to first pod": "port-forward",
    "Nodeports are not working on loopback addresses in nftables mode": "localhost",
    "How to change Kubernetes service's node port range?": "node-port-range",
    "endpoints not showing up for service": "no-endpoints",
    "Lost requests when doing a rolling update": "rolling-update",
    "Source IP not preserved for Layer2 Local traffic policy": "preserve-source-ip source-ip",
    "Can't resolve service names on namespace kube-system": "could-not-resolve resolve-from-node other-namespace",
    "Pods in StatefulSets doesn't have DNS A record if service is non-headless": "statefulset",
    "gRPC Load Balance in Kubernetes doesn't work": "grpc",
    "why no namespace selector in service selector": "other-namespace-selector",
    "Is it possible accessing host machine ports from Kind pods?": "reach-host",
    "Service type ExternalName is not filling Host header": "external-name-host",
    "How to allow port range in kubernetes clusterIP kind service": "port-range",
    'spec.clusterIP: Invalid value: "": field is immutable': "immutable",
    "nodePort: Invalid value: xxx: provided port is already allocated": "already-allocated",
    "provided port is not in the valid range": "port-80",
    "AWS EKS NLB Healthcheck failure unhealthy targets": "unhealthy-targets",
    "Conntrack tables having stale entries for UDP connection": "udp-conntrack",
    "external IP is pending k3s port 80": "k3s-pending external-ip-pending",
}
"""Titles of threads and error messages as they were written → the anchors of questions that answer them."""

Search = Callable[[str], list[list[str]]]


@pytest.fixture(scope="module")
def search(built_site: Path) -> Iterator[Search]:
    """Searches the built site: for each page that is found, best first, the locations of its sections, best first."""
    index = json.loads((built_site / "search/search_index.json").read_text("utf-8"))
    (worker,) = (Path(material.__file__).parent / "templates/assets/javascripts/workers").glob("search.*.min.js")
    with MiniRacer() as engine:
        engine.eval(
            "var answers = [], listeners = [], self = globalThis, console = {warn() {}};"
            "function addEventListener(_, listener) { listeners.push(listener) }"
            "function postMessage(message) { answers.push(message) }"
        )
        engine.eval(worker.read_text("utf-8"))

        def ask(message: dict[str, Any]) -> Any:
            engine.eval(f"answers = []; listeners[0]({{data: {json.dumps(message)}}}); 0")
            return json.loads(str(engine.eval("JSON.stringify(answers[0])")))

        ask({"type": 0, "data": {**index, "options": {"suggest": True}}})

        def searched(typed: str) -> list[list[str]]:
            return [[item["location"] for item in page] for page in ask({"type": 2, "data": typed})["data"]["items"]]

        yield searched


def anchors() -> list[str]:
    """Those of all questions, in the page's order."""
    return re.findall(r"^### .* \{ #(\S+) \}$", QUESTIONS.read_text("utf-8"), re.MULTILINE)


def test_there_are_a_hundred_questions_and_something_is_typed_for_each() -> None:
    assert len(anchors()) >= 100
    assert list(TYPED) == anchors()


def test_what_marks_say_and_names_of_tabs_are_not_in_what_is_searched(built_site: Path) -> None:
    docs = json.loads((built_site / "search/search_index.json").read_text("utf-8"))["docs"]
    of_pages = " ".join(doc["text"] for doc in docs if not doc["location"].startswith("proofs/"))
    for said in (
        "Its code and its results",
        "how it is tried",
        "It rests on what",
        "If it were not so",
        "Pythonkubectl",
    ):
        assert said not in of_pages


@pytest.mark.parametrize("anchor", TYPED)
def test_what_is_typed_finds_the_answer(search: Search, anchor: str) -> None:
    pages = search(TYPED[anchor])
    place = f"kubernetes/resources/questions/#{anchor}"
    first = [locations[:SECTIONS] for locations in pages[:PAGES]]
    assert any(place in locations for locations in first), f"{TYPED[anchor]!r} finds {first}"


@pytest.mark.parametrize("title", TITLES)
def test_the_title_of_a_thread_finds_an_answer(search: Search, title: str) -> None:
    places = {f"kubernetes/resources/questions/#{anchor}" for anchor in TITLES[title].split()}
    first = [locations[:SECTIONS] for locations in search(title)[:PAGES]]
    assert any(places & set(locations) for locations in first), f"{title!r} finds {first}"
