"""The situations that proofs set up: Pods, Services, and questions asked from where a reader might ask them."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kubernetes import client

from cluster_mode import mode_of
from proofs.pod_shell import PodShell
from throwaway import Cluster
from throwaway.plan import ProxyMode

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"
TOOLBOX = "localhost/toolbox:1"
POD_PORT = 8080
"""Where the Pods of `World.pods` listen, by TCP for HTTP; by UDP at 8081."""
SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which an EndpointSlice belongs to a Service."""

PATIENCE_SECONDS = float(os.environ.get("PROOF_PATIENCE_SECONDS", "60"))
"""For how long a proof waits for what it expects. Less is enough where a proof is to fail, as `./dev mutate` has it."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Pod:
    """A running Pod."""

    name: str
    address: str
    """Its first IP."""
    node: str
    """The Node that it runs on."""


@dataclass
class World:
    """A namespace of a proof's own, and what is done there."""

    cluster: Cluster
    namespace: str
    nodes: dict[str, str]
    """Node → its first InternalIP, the control plane first."""
    mode: ProxyMode
    """Kube-proxy's mode, `nftables` or `iptables`."""
    core: Any
    """The API of the core group, as `kubernetes.client.CoreV1Api`."""
    discovery: Any
    """The API of EndpointSlices."""
    client: "Client | None" = None
    """A toolbox that is there already."""
    _toolboxes: dict[str, Pod] = field(default_factory=dict)
    _shells: dict[str, PodShell] = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster, namespace: str) -> "World":
        """A namespace that is there."""
        mode = mode_of(cluster)
        return cls(cluster, namespace, addresses_of(cluster), mode, client.CoreV1Api(), client.DiscoveryV1Api())

    def pods(
        self,
        name: str = "echo",
        count: int = 1,
        node: str = "",
        args: Sequence[str] = ("netexec",),
        labels: dict[str, str] | None = None,
        ready: bool = True,
        **spec: Any,
    ) -> list[Pod]:
        """Start Pods of agnhost's that answer over HTTP: /hostname, /clientip (the client's address:port), /echo?msg=….

        They have the label `app: NAME` unless `labels` says otherwise; `spec` goes into the Pods' spec. Returns them
        when they are Ready; with `ready=False` they never are, and are returned when they have an address.
        """
        names = [f"{name}-{number}" for number in range(count)]
        container = {
            "name": "main",
            "image": AGNHOST,
            "args": list(args),
            "readinessProbe": {"httpGet": {"path": "/", "port": POD_PORT}, "periodSeconds": 1},
        }
        if not ready:
            container["readinessProbe"] = {"exec": {"command": ["/not-there"]}, "periodSeconds": 1}
        elif args[0] != "netexec":
            del container["readinessProbe"]
        rest = {"containers": [container], "terminationGracePeriodSeconds": 0, **({"nodeName": node} if node else {})}
        for each in names:
            metadata = {"name": each, "labels": labels or {"app": name}}
            self.core.create_namespaced_pod(self.namespace, {"metadata": metadata, "spec": rest | spec})
        return [self._running(each, ready) for each in names]

    def _running(self, name: str, ready: bool = True) -> Pod:
        def running() -> Pod | None:
            pod = self.core.read_namespaced_pod(name, self.namespace)
            is_ready = any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or ())
            if not pod.status.pod_ip or (ready and not is_ready):
                return None
            return Pod(name, pod.status.pod_ip, pod.spec.node_name)

        return wait_for(running, f"Pod {name} runs")

    def toolbox(self, node: str = "") -> Pod:
        """A Pod with sh, curl, dig and nc, of which there is one for each Node that is asked for; else on any."""
        if node not in self._toolboxes:
            name = f"toolbox-{node or 'anywhere'}"
            container = {"name": "main", "image": TOOLBOX, "command": ["sleep", "infinity"]}
            spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
            if node:
                spec["nodeName"] = node
            self.core.create_namespaced_pod(self.namespace, {"metadata": {"name": name}, "spec": spec})
            self._toolboxes[node] = self._running(name)
        return self._toolboxes[node]

    def service(self, name: str = "echo", metadata: dict[str, Any] | None = None, **spec: Any) -> Any:
        """Make a Service, by default for the Pods of the same name at port 80; returns it as the API does."""
        spec.setdefault("selector", {"app": name})
        spec.setdefault("ports", [{"port": 80, "targetPort": POD_PORT}])
        spec = {key: value for key, value in spec.items() if value is not None}
        return self.core.create_namespaced_service(
            self.namespace, {"metadata": {"name": name, **(metadata or {})}, "spec": spec}
        )

    def slices(self, service: str) -> list[Any]:
        """The EndpointSlices of a Service, as the API has them."""
        label = f"{SERVICE_NAME}={service}"
        return list(self.discovery.list_namespaced_endpoint_slice(self.namespace, label_selector=label).items)

    def endpoints(self, service: str) -> dict[str, Any]:
        """The endpoints of a Service by their address, as its slices have them."""
        return {endpoint.addresses[0]: endpoint for each in self.slices(service) for endpoint in each.endpoints or ()}

    def endpoint_slice(
        self,
        service: str,
        port: int | dict[str, Any],
        *endpoints: str | dict[str, Any],
        kind: str = "IPv4",
        **metadata: Any,
    ) -> tuple[Any, str]:
        """Write an EndpointSlice by hand: a Service without a selector leads to these endpoints at this port.

        An endpoint is an address, or an entry of the slice's as a whole; so is the port a number or an entry. `kind` is
        the slice's `addressType`. Returns the slice as the API does, and the API server's warning, "" if there is none.
        """
        own = {
            "metadata": {"generateName": f"{service}-", "labels": {SERVICE_NAME: service}} | metadata,
            "addressType": kind,
            "ports": [{"port": port} if isinstance(port, int) else port],
            "endpoints": [{"addresses": [each]} if isinstance(each, str) else each for each in endpoints],
        }
        made, _, headers = self.discovery.create_namespaced_endpoint_slice_with_http_info(self.namespace, own)
        return made, headers.get("Warning", "")

    def patch(self, service: str, **spec: Any) -> Any:
        """Change fields of a Service's spec."""
        return self.core.patch_namespaced_service(service, self.namespace, {"spec": spec})

    def delete_pod(self, pod: Pod) -> None:
        """Delete a Pod, without waiting until it is gone."""
        self.core.delete_namespaced_pod(pod.name, self.namespace)

    def refusal(self, **spec: Any) -> tuple[int, str]:
        """How the API server refuses a Service of this spec: status code and message. Fails if it does not."""
        try:
            self.service("refused", **spec)
        except client.ApiException as refused:
            return refused.status, json.loads(refused.body)["message"]
        raise AssertionError(f"the API server takes a Service with {spec}")

    def run(self, command: str, pod: str = "") -> str:
        """What a shell command prints in a Pod, both streams.

        Without a Pod it is a toolbox: the proof's own, if it has asked for one on any Node, else the client.
        """
        if not pod and "" not in self._toolboxes and self.client:
            return self.client.run(command, self.namespace)
        name = pod or self.toolbox().name
        if name not in self._shells or not self._shells[name].is_open:
            self._shells[name] = PodShell(name, self.namespace)
        return self._shells[name].run(command)

    def close(self) -> None:
        """End what it holds open."""
        for shell in self._shells.values():
            shell.close()

    def ask(self, url: str, times: int = 1, pod: str = "", seconds: float = 2) -> list[str]:
        """What an address answers to a Pod over so many connections, one after another; "" where nothing comes."""
        return answered(self.run(asking(url, times, seconds), pod))

    def failure(self, url: str, pod: str = "", seconds: float = 1) -> str:
        """How a connection from a Pod fails: "refused", "timeout", "unreachable", "name not found"; else ""."""
        said = self.run(f"curl -sv -o /dev/null --globoff --max-time {seconds} '{url}' 2>&1; echo $?", pod)
        code = said.split()[-1]
        if code == "7":  # no connection; the kernel's words for it are among curl's
            return "refused" if "refused" in said else "unreachable" if "unreachable" in said else said
        return {"0": "", "28": "timeout", "6": "name not found"}.get(code, f"curl's exit code {code}")


class Client:
    """A toolbox for one proof after another, since starting one takes a second and half a second of processor time.

    It is in a namespace of its own, and looks up names as if it were in the proof's.
    """

    def __init__(self, make_world: Callable[[], World]) -> None:
        """`make_world` makes a namespace for it."""
        self._make_world = make_world
        self._world: World | None = None
        self._looks_up_in = ""

    def run(self, command: str, namespace: str) -> str:
        """What a shell command prints there, as a Pod of this namespace."""
        if namespace != self._looks_up_in:
            self._move(namespace)
        assert self._world
        return self._world.run(command, self._world.toolbox().name)

    def _move(self, namespace: str) -> None:
        file = "/etc/resolv.conf"
        script = f"sed 's/^search [^.]*/search {namespace}/' {file} >/tmp/new && cat /tmp/new >{file} && cat {file}"
        told = ""
        if self._world is not None:
            with contextlib.suppress(ConnectionError, client.ApiException):  # a proof has emptied its Node
                told = self._world.run(script, self._world.toolbox().name)
        if not told:
            self._world = self._make_world()
            told = self._world.run(script, self._world.toolbox().name)
        assert f"search {namespace}.svc." in told, told
        self._looks_up_in = namespace


def addresses_of(cluster: Cluster) -> dict[str, str]:
    """Node → its first InternalIP, the control plane first."""
    return {node.name: node.address for node in cluster.nodes}


@contextmanager
def new_namespace(name: str) -> Iterator[str]:
    """Make a namespace, which is gone from the API's view of things afterwards."""
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": name}})
    wait_for(
        lambda: core.list_namespaced_service_account(name).items, "the namespace has its service account"
    )  # Pods are refused before
    try:
        yield name
    finally:
        # Services first: their ports and addresses are free again at once, the rest goes while others run.
        for service in core.list_namespaced_service(name).items:
            core.delete_namespaced_service(service.metadata.name, name)
        core.delete_namespace(name, grace_period_seconds=0)


def asking(url: str, times: int, seconds: float = 2) -> str:
    """A shell command that asks an address over so many connections, and prints a line for each: see `answered`.

    All by one curl, which takes ten times as long to begin as to ask. It looks up the name once.
    """
    # As it is asked to, the server closes each connection: for the next request there has to be a new one.
    options = f"-s --globoff --max-time {seconds} -H 'Connection: close' -w ' %{{num_connects}}\\n'"
    return f"curl {options} {' '.join([shlex.quote(url)] * times)} || true"


def answered(printed: str) -> list[str]:
    """The answers that a command of `asking` has printed; "" for no answer. Fails where two came by one connection."""
    answers = []
    for line in printed.removesuffix("\n").split("\n"):
        answer, _, new_connections = line.rpartition(" ")
        assert not answer or new_connections == "1", f"no new connection for this answer: {printed}"
        answers.append(answer)
    return answers


def outside(url: str, seconds: float = 2) -> str:
    """What an address answers to a machine outside the cluster (this one, beside the Nodes), by a new connection.

    Raises `OSError` (`TimeoutError`, or `URLError` with its reason) where nothing comes.
    """
    request = urllib.request.Request(url, headers={"Connection": "close"})
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        return str(answer.read().decode())


@contextmanager
def clients_outside(world: World, first: int) -> Iterator[Callable[[str], list[str]]]:
    """Give the machine `client` 24 more addresses, from 172.30.0.FIRST on; another range for each proof.

    What is given asks an address by one connection from each of them: the answers in order, "" where nothing comes.
    """
    addresses = [f"172.30.0.{number}" for number in range(first, first + 24)]

    def change(verb: str) -> None:
        commands = "; ".join(f"ip address {verb} {address}/32 dev eth0" for address in addresses)
        world.cluster.exec("client", ["sh", "-c", commands])

    def ask(url: str) -> list[str]:
        one = f"curl -s --max-time 2 --interface $i '{url}' || true; echo"
        told = world.cluster.exec("client", ["sh", "-c", f"for i in {' '.join(addresses)}; do {one}; done"])
        return told.removesuffix("\n").split("\n")

    change("replace")  # not `add`, which fails where a run that was killed has left them
    try:
        yield ask
    finally:
        change("del")


def outside_failure(url: str, seconds: float = 1) -> str:
    """How a connection from outside fails: "refused", "timeout", "reset" or the kernel's words; "" if it does not."""
    try:
        outside(url, seconds)
    except TimeoutError:
        return "timeout"
    except ConnectionResetError:  # the connection stood already
        return "reset"
    except urllib.error.HTTPError:
        return ""
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return "timeout"
        return "refused" if isinstance(error.reason, ConnectionRefusedError) else str(error.reason)
    return ""


def start_trace(world: World, node: str, *wanted: str) -> "subprocess.Popen[str]":
    """Trace the first packet of one connection on a Node; waits while another test does so there."""
    command = [sys.executable, "-m", "throwaway", "trace", node, "--count", "1", "--output", "json", *wanted]

    def begun() -> "subprocess.Popen[str] | None":
        tracing = subprocess.Popen(command, env=world.cluster.environment, stdout=-1, stderr=-1, text=True)
        assert tracing.stderr
        if tracing.stderr.readline().startswith(f"Tracing on {node}"):
            return tracing
        tracing.communicate()
        return None

    return wait_for(begun, f"{node} is traced")


def wait_for(what: Callable[[], _T | None], complaint: str, seconds: float = PATIENCE_SECONDS) -> _T:
    """Poll until something is there (true) and return it; fails after `seconds` with the complaint and what it was.

    More and more seldom: looking at a Pod 20 times a second costs as much processor time as starting it.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while not (value := what()):
        assert time.monotonic() < deadline, f"not so within {seconds:.0f} s: {complaint}; last seen: {value!r}"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.3)
    return value


def answers(url: str) -> bool:
    """Whether an address answers from outside by now."""
    try:
        return bool(outside(url, 1))
    except OSError:
        return False


def asked(url: str, times: int) -> list[str]:
    """What an address answers from outside over so many connections, one after another; "" where nothing comes."""
    found = []
    for _ in range(times):
        try:
            found.append(outside(url))
        except OSError:
            found.append("")
    return found


def spread(answered: Sequence[str], pods: Sequence[Pod]) -> Counter[str]:
    """How often each Pod answered; fails where somebody else did."""
    counts = Counter(answered)
    assert set(counts) <= {pod.name for pod in pods}, counts
    return Counter({pod.name: counts[pod.name] for pod in pods})
