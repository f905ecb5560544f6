"""A cluster from start to end: the recipe of `up`, and what can be asked of one that runs."""

import json
import os
import socket
import ssl
import string
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from throwaway import components, pki, sandbox
from throwaway.build import Built
from throwaway.components import BIN, IMAGES, KEPT, KUBECONFIG, LOGS
from throwaway.errors import AlreadyRunsError, ThrowawayError
from throwaway.plan import DEFAULT_NAME, Node, Plan, plan_from_dict
from throwaway.sandbox import Sandbox, Starting

Report = Callable[[str], None]
"""Called with what is done next, in a few words."""

SHELL_VARIABLE = "THROWAWAY_CLUSTER"
"""Set in `throwaway shell` to the cluster's name, for prompts and scripts too."""

_PLAN = f"{components.FOLDER}/plan.json"
_BIN_OUTSIDE = f"{components.FOLDER}/bin-outside"
_START_SECONDS = 120.0
"""How long a cluster may take until it is ready, on a machine that is busy with other things."""

_GIVE_UP_AFTER_ENDINGS = 3


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    sandbox: Sandbox
    """Where it runs."""
    plan: Plan
    """Its names and addresses."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.plan.name

    @property
    def is_ready(self) -> bool:
        """Whether its start was completed."""
        return self._inside(KEPT).exists()

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator; valid on the host and inside the cluster's network alike."""
        return self._inside(KUBECONFIG)

    @property
    def bin(self) -> Path:
        """The folder of this machine with kubectl and the cluster's other programs."""
        return Path(self._inside(_BIN_OUTSIDE).read_text())

    @property
    def environment(self) -> dict[str, str]:
        """This process' environment, made fit for clients of the cluster.

        Nothing in it leads elsewhere: no proxy, for none can be reached from the cluster's network, no kuberc, and no
        cache of API discovery in the home folder, since each cluster has a port of its own.
        """
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return kept | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self._inside("/tmp/kubectl-cache")),
            "KUBERC": "off",
            "PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}",
        }

    def logs(self, node: str) -> dict[str, Path]:
        """The logs of a node's components, by component."""
        folder = Path(f"/proc/{self.node_pid(node)}/root{LOGS}")
        return {path.stem: path for path in sorted(folder.glob("*.log"))}

    def log(self, node: str, component: str) -> Path:
        """A component's log; raises `ThrowawayError` with the names there are when there is none."""
        logs = self.logs(node)
        if component not in logs:
            raise ThrowawayError(f"node {node} has no log of {component!r}; it has {', '.join(logs)}")
        return logs[component]

    def node_pid(self, node: str) -> int:
        """The first process of a node; raises `ThrowawayError` when there is no such node."""
        return self.sandbox.node_pid(self.plan.node(node).name)

    def start_kubectl(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start kubectl as an administrator with pipes for input, output and errors; it ends with this process."""
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", self.bin / "kubectl", *arguments],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def down(self) -> None:
        """End it; returns when nothing of it is left."""
        self.sandbox.end()

    def _inside(self, path: str) -> Path:
        return self.sandbox.root / path.lstrip("/")


def find(name: str) -> Cluster | None:
    """The cluster of this account that is called `name`, ready or starting; None if there is none."""
    found = sandbox.find(name)
    if found is None:
        return None
    try:
        text = (found.root / _PLAN.lstrip("/")).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended just now
    return Cluster(found, plan_from_dict(json.loads(text)))


def shell_variables(name: str) -> dict[str, str]:
    """What the environment of a program in a cluster's network says, for `throwaway` called there."""
    return {
        SHELL_VARIABLE: name,
        "THROWAWAY_PROVIDER": "embedded",
        sandbox.ACCOUNT_VARIABLE: os.environ.get(sandbox.ACCOUNT_VARIABLE, str(os.getuid())),
    }


def find_or_fail(name: str) -> Cluster:
    """Like `find`, for those who need one that is ready: raises `ThrowawayError` that says how to start it."""
    cluster = find(name)
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    if cluster is None:
        raise ThrowawayError(f"no cluster {name!r} is running; start it with 'throwaway up{option}'")
    if not cluster.is_ready:
        raise ThrowawayError(f"cluster {name!r} is still starting; 'throwaway up{option}' waits for it")
    return cluster


def up(plan: Plan, built: Built, report: Report, new: bool = False) -> Cluster:
    """Start a cluster, or find the one of this name, and return it when it is ready.

    Ready means: every Node is `Ready` and CoreDNS answers. If this process ends before, however it ends, so does all
    that was started. Raises `ThrowawayError` when a component fails or nothing moves for two minutes, and, if the
    cluster has to be a `new` one, `AlreadyRunsError` when there is one of this name.
    """
    deadline = time.monotonic() + _START_SECONDS
    while (presence := sandbox.reserve(plan.name)) is None:
        if new:
            raise AlreadyRunsError(f"cluster {plan.name!r} runs already; 'throwaway down --name {plan.name}' ends it")
        if running := _ready_and_as_planned(plan):
            return running
        if time.monotonic() > deadline:
            raise ThrowawayError(
                f"the name {plan.name!r} is taken, and no cluster of yours became ready under it;"
                " try 'throwaway down' or another --name"
            )
        report("waiting for another 'throwaway up' of the same name")
        time.sleep(0.1)
    report("making certificates and namespaces")
    listener = socket.create_server(("127.0.0.1", 0))
    certificates = pki.make_pki(plan)
    server = f"https://127.0.0.1:{listener.getsockname()[1]}"
    admin = components.kubeconfig(server, certificates.authority, certificates.clients["admin"], plan.name)
    starting = sandbox.start(
        plan,
        folders={BIN: str(built.bin), IMAGES: str(built.images)},
        files={
            "": {KUBECONFIG: admin, _PLAN: json.dumps(asdict(plan)), _BIN_OUTSIDE: str(built.bin)},
            **{node.name: components.files(plan, certificates, node) for node in plan.nodes},
        },
        components={node.name: components.components(plan, node) for node in plan.nodes},
        presence=presence,
        listeners=[listener],
    )
    cluster = Cluster(starting.sandbox, plan)
    try:
        _bring_up(cluster, starting, server, certificates.authority.certificate, report)
        starting.keep()
    except BaseException:
        cluster.down()
        raise
    return cluster


def _bring_up(cluster: Cluster, starting: Starting, server: str, authority: str, report: Report) -> None:
    plan = cluster.plan
    at_first = ("etcd", "kube-apiserver", "containerd")
    report("starting etcd and the API server")
    for node in plan.nodes:
        for component in components.components(plan, node):
            if component.name in at_first:
                starting.start(node.name, component.name)
    api_server = ssl.create_default_context(cadata=authority)
    _wait(cluster, starting, lambda: _answers(f"{server}/readyz", api_server), "the API server is not ready")

    report("starting the nodes")
    # Nodes exist before their kubelets start, so that each has the range of Pod addresses that its routes are for.
    objects = [_node_object(plan, node) for node in plan.nodes]
    _kubectl(cluster, starting, "create", "--validate=false", "-f", "-", text=json.dumps(_list_of(objects)))
    for node in plan.nodes:
        for component in components.components(plan, node):
            if component.name not in at_first:
                starting.start(node.name, component.name)
    manifest = resources.files("throwaway.addons").joinpath("coredns.yaml").read_text()
    manifest = string.Template(manifest).substitute(dns_service=plan.dns_service)
    _kubectl(cluster, starting, "create", "--validate=false", "-f", "-", text=manifest)
    wait = ("wait", f"--timeout={_START_SECONDS:.0f}s")
    _kubectl(cluster, starting, *wait, "--for=condition=Ready", "nodes", "--all")
    report("starting CoreDNS")
    _kubectl(cluster, starting, *wait, "--for=condition=Available", "deployment/coredns", "--namespace=kube-system")


def _node_object(plan: Plan, node: Node) -> dict[str, Any]:
    role = "node-role.kubernetes.io/control-plane"
    reserved = node.is_control_plane and len(plan.nodes) > 1
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": {role: ""} if node.is_control_plane else {}},
        "spec": {
            "podCIDR": node.pod_subnet,
            "podCIDRs": [node.pod_subnet],
            "taints": [{"key": role, "effect": "NoSchedule"}] if reserved else [],
        },
    }


def _list_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def _answers(url: str, context: ssl.SSLContext) -> bool:
    """Whether the API server answers 200; /readyz is open to everybody (RBAC: system:public-info-viewer)."""
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # refused, reset, or an HTTP error
        return False


def _kubectl(cluster: Cluster, starting: Starting, *arguments: str, text: str = "") -> None:
    """Run kubectl, giving up as `_wait` does; raises `ThrowawayError` with its message when it fails."""
    process = cluster.start_kubectl(*arguments)
    try:
        assert process.stdin and process.stderr
        process.stdin.write(text)
        process.stdin.close()
        _wait(cluster, starting, lambda: process.poll() is not None, f"'kubectl {arguments[0]}' has not ended")
        if process.returncode:
            raise ThrowawayError(f"'kubectl {' '.join(arguments)}' failed: {process.stderr.read().strip()}")
    finally:
        process.kill()


def _wait(cluster: Cluster, starting: Starting, condition: Callable[[], bool], complaint: str) -> None:
    """Wait for a condition; raises `ThrowawayError` when a component ends again and again or it takes too long.

    Once or twice a component may end: on a busy machine some give up waiting for another, and are started again.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if ended := starting.ended_component():
            node, component, code = ended
            starting.endings[node, component] += 1
            if starting.endings[node, component] < _GIVE_UP_AFTER_ENDINGS:
                continue
            lines = cluster.log(node, component).read_text(errors="replace").strip().splitlines()
            last = next((line for line in reversed(lines) if not line.startswith("\t")), "(it said nothing)")
            raise ThrowawayError(f"{component} on {node} ended with code {code}: {last[:500]}")
        if time.monotonic() > deadline:
            raise ThrowawayError(f"{complaint} after {_START_SECONDS:.0f} s: the machine may be overloaded; try again")
        time.sleep(0.05)


def _ready_and_as_planned(plan: Plan) -> Cluster | None:
    """The cluster that has our name, once it is ready; raises `ThrowawayError` when it is another than planned."""
    cluster = find(plan.name)
    if cluster is None or not cluster.is_ready:
        return None
    if cluster.plan != plan:
        raise ThrowawayError(
            f"cluster {plan.name!r} is running with other settings ({len(cluster.plan.nodes)} nodes,"
            f" {cluster.plan.proxy_mode}); take it down first or choose another --name"
        )
    return cluster
