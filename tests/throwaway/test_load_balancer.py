"""LoadBalancer Services as a client beside the nodes sees them: addresses that answer, move, or never come."""

import json
import os
import signal
from ipaddress import IPv4Address
from typing import Any

from command_line import CommandLine, eventually
from throwaway import sandbox

FIRST, LAST = IPv4Address("172.30.0.200"), IPv4Address("172.30.0.250")
"""The pool: on the nodes' network, and apart from the nodes."""
ECHO = ("--image=hashicorp/http-echo:1.0.0", "--replicas=2")


def kubectl(throwaway: CommandLine, name: str, *arguments: str) -> str:
    """Run kubectl in the cluster's shell; fails on an error."""
    done = throwaway("shell", "--name", name, "--", "kubectl", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def get(throwaway: CommandLine, name: str, *arguments: str) -> Any:
    """What `kubectl get` says, as data."""
    return json.loads(kubectl(throwaway, name, "get", *arguments, "-o", "json"))


def start_echo(throwaway: CommandLine, name: str, app: str, *expose: str) -> None:
    """A Deployment that answers with its name, and a Service of type LoadBalancer on port 80 in front of it."""
    kubectl(throwaway, name, "create", "deployment", app, *ECHO, "--", "/http-echo", f"-text={app}")
    kubectl(throwaway, name, "expose", f"deployment/{app}", "--type=LoadBalancer", "--port=80", *expose)
    kubectl(throwaway, name, "wait", "--for=condition=Available", f"deployment/{app}", "--timeout=60s")


def address_of(throwaway: CommandLine, name: str, service: str) -> str:
    """The address that a Service has got; "" while it is pending."""
    ingress = get(throwaway, name, f"service/{service}")["status"]["loadBalancer"].get("ingress", [{}])
    return str(ingress[0].get("ip", ""))


def wait_for_address(throwaway: CommandLine, name: str, service: str) -> str:
    """The address of a Service, once it has one."""
    eventually(lambda: address_of(throwaway, name, service), f"{service} has an address")
    return address_of(throwaway, name, service)


def ask(throwaway: CommandLine, name: str, address: str) -> str:
    """What a client beside the nodes is answered; "" if it is not."""
    return throwaway("shell", "--name", name, "--", "curl", "-s", "--max-time", "1", f"http://{address}/").stdout


def announcer(throwaway: CommandLine, name: str, service: str) -> str:
    """The Node whose speaker answers for a Service's address; "" if there is none or more than one."""
    statuses = get(throwaway, name, "servicel2statuses", "--namespace=metallb-system")["items"]
    nodes = [item["status"]["node"] for item in statuses if item.get("status", {}).get("serviceName") == service]
    return str(nodes[0]) if len(nodes) == 1 else ""


def test_a_service_gets_an_address_of_the_pool_that_answers_beside_the_nodes(
    throwaway: CommandLine, cluster_name: str
) -> None:
    start_echo(throwaway, cluster_name, "lb-echo", "--target-port=5678")
    address = wait_for_address(throwaway, cluster_name, "lb-echo")
    assert FIRST <= IPv4Address(address) <= LAST
    eventually(lambda: ask(throwaway, cluster_name, address) == "lb-echo\n", f"{address} answers")
    kubectl(throwaway, cluster_name, "delete", "service/lb-echo", "deployment/lb-echo")
    eventually(lambda: not ask(throwaway, cluster_name, address), f"{address} no longer answers")


def test_two_services_get_two_addresses(throwaway: CommandLine, cluster_name: str) -> None:
    for service in ("lb-one", "lb-two"):
        kubectl(throwaway, cluster_name, "create", "service", "loadbalancer", service, "--tcp=80")
    one, two = (wait_for_address(throwaway, cluster_name, service) for service in ("lb-one", "lb-two"))
    assert one != two
    kubectl(throwaway, cluster_name, "delete", "service/lb-one", "service/lb-two")


def test_a_service_with_another_load_balancer_class_stays_pending(throwaway: CommandLine, cluster_name: str) -> None:
    other = '--overrides={"spec":{"loadBalancerClass":"example.com/other"}}'
    kubectl(throwaway, cluster_name, "create", "deployment", "lb-other", *ECHO)
    kubectl(throwaway, cluster_name, "expose", "deployment/lb-other", "--type=LoadBalancer", "--port=80", other)
    kubectl(throwaway, cluster_name, "create", "service", "loadbalancer", "lb-later", "--tcp=80")
    wait_for_address(throwaway, cluster_name, "lb-later")  # by now MetalLB has seen the earlier one
    assert address_of(throwaway, cluster_name, "lb-other") == ""
    kubectl(throwaway, cluster_name, "delete", "deployment/lb-other", "service/lb-other", "service/lb-later")


def test_one_node_answers_for_an_address_and_another_when_it_dies(throwaway: CommandLine) -> None:
    name = f"fail-over-{os.getpid()}"
    assert throwaway("up", "--name", name, "--nodes", "3").returncode == 0
    start_echo(throwaway, name, "moving", "--target-port=5678")
    address = wait_for_address(throwaway, name, "moving")
    eventually(lambda: ask(throwaway, name, address), f"{address} answers")
    eventually(lambda: announcer(throwaway, name, "moving"), "one Node announces the address")
    before = announcer(throwaway, name, "moving")
    assert before != "control-plane", "MetalLB chooses by a hash of Node and address; take another address"
    found = sandbox.find(name)
    assert found

    def hardware_address() -> str:
        neighbour = throwaway("shell", "--name", name, "--", "ip", "neigh", "show", address).stdout.split()
        return neighbour[neighbour.index("lladdr") + 1] if "lladdr" in neighbour else ""

    dead = hardware_address()
    assert dead
    os.kill(found.node_pid(before), signal.SIGKILL)
    # Speakers notice within seconds. Until the Node is NotReady, some requests still go to its Pods, and fail.
    eventually(lambda: ask(throwaway, name, address) == "moving\n", f"{address} answers again", 20)
    assert hardware_address() not in ("", dead)
    assert throwaway("down", "--name", name).returncode == 0


def test_without_load_balancer_a_service_stays_pending(throwaway: CommandLine) -> None:
    name = f"no-lb-{os.getpid()}"
    assert throwaway("up", "--name", name, "--nodes", "1", "--no-load-balancer").returncode == 0
    kubectl(throwaway, name, "create", "service", "loadbalancer", "pending", "--tcp=80")
    assert "metallb-system" not in kubectl(throwaway, name, "get", "namespaces", "-o", "name")
    listed = kubectl(throwaway, name, "get", "service/pending")
    assert "<pending>" in listed
    assert throwaway("down", "--name", name).returncode == 0
