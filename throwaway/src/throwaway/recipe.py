"""The recipe of `up`: from a plan to a cluster that is ready. Apart from `cluster`, for its imports are slow."""

import json
import socket
import string
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from importlib import resources
from typing import Any

import yaml

from throwaway import components, feature_gates, pki, requirements, sandbox
from throwaway.api import Api
from throwaway.build import Built
from throwaway.cluster import BIN_OUTSIDE, Cluster, Report, find
from throwaway.components import BIN, ETCD_STORE, IMAGES, KUBECONFIG, PLAN
from throwaway.errors import AlreadyRunsError, ApiError, ThrowawayError
from throwaway.hints import which
from throwaway.plan import Node, Plan, differing_settings
from throwaway.sandbox import Starting

_START_SECONDS = 120.0
"""How long any one step of a start may take, on a machine that is busy with other things."""

_GIVE_UP_AFTER_ENDINGS = 3


def up(plan: Plan, built: Built, report: Report, new: bool = False, asked: Collection[str] | None = None) -> Cluster:
    """Start a cluster, or find the one of this name, and return it when it is ready.

    One that is found has the plan's settings, or those of them that were `asked` for; see `differing_settings`.

    Ready means: every Node is `Ready` and CoreDNS answers. If this process ends before, however it ends, so does all
    that was started. Raises `ThrowawayError` when a component fails or nothing moves for two minutes, and, if the
    cluster has to be a `new` one, `AlreadyRunsError` when there is one of this name.
    """
    deadline = time.monotonic() + _START_SECONDS
    if sandbox.find(plan.name) is None:
        requirements.require_for(plan)
        if plan.network_policy:
            requirements.require_optional("ipset")
        feature_gates.check(plan.feature_gates, built.bin)
    while (presence := sandbox.reserve(plan.name)) is None:
        if new:
            raise AlreadyRunsError(f"cluster {plan.name!r} runs already; 'throwaway down --name {plan.name}' ends it")
        if running := _ready_and_as_planned(plan, asked):
            return running
        if time.monotonic() > deadline:
            raise ThrowawayError(
                f"the name {plan.name!r} is taken, and no cluster of yours became ready under it;"
                f" try 'throwaway down{which(plan.name)}' or another --name"
            )
        report("waiting for another 'throwaway up' of the same name")
        time.sleep(0.1)
    report("making certificates and namespaces")
    listener = socket.create_server(("127.0.0.1", 0))
    certificates = pki.make_pki(plan)
    host, port = listener.getsockname()
    authority, client = certificates.authority, certificates.clients["admin"]
    admin = components.kubeconfig(f"https://{host}:{port}", authority, client, plan.name)
    starting = sandbox.start(
        plan,
        folders={BIN: str(built.bin), IMAGES: str(built.images), ETCD_STORE: str(built.etcd)},
        files={
            "": {KUBECONFIG: admin, PLAN: json.dumps(asdict(plan)), BIN_OUTSIDE: str(built.bin)},
            **{node.name: components.files(plan, certificates, node) for node in plan.nodes},
            **{client.name: components.client_files(plan, certificates) for client in plan.clients},
        },
        components={node.name: components.components(plan, node) for node in plan.nodes},
        presence=presence,
        listeners=[listener],
    )
    cluster = Cluster(starting.sandbox, plan)
    try:
        _bring_up(cluster, starting, Api(host, port, authority, client), report)
        starting.keep()
    except BaseException:
        cluster.down()
        raise
    return cluster


def _bring_up(cluster: Cluster, starting: Starting, api: Api, report: Report) -> None:
    plan = cluster.plan

    def start(*names: str) -> None:
        for node in plan.nodes:
            for component in components.components(plan, node):
                if component.name in names:
                    starting.start(node.name, component.name)

    report("starting etcd and the API server")
    start("etcd", "kube-apiserver", "containerd")
    # Kubelets start as soon as they can ask: each looks a first time whether it has its Node, too early, and again only
    # after a second (`WaitForAPIServerSyncPeriod` in upstream's pkg/kubelet/config/apiserver.go).
    _wait(cluster, starting, api.answers, "the API server does not answer")
    start("kubelet", "kube-proxy", "kube-scheduler")
    # These two look only after a second for what the etcd store has brought: `wait.Poll` in upstream's storage_rbac.go
    # and storage_scheduling.go.
    late_checks = ("poststarthook/rbac/bootstrap-roles", "poststarthook/scheduling/bootstrap-system-priority-classes")
    namespace = "/api/v1/namespaces/kube-system"  # made beside all checks
    _wait(
        cluster,
        starting,
        lambda: api.is_ready(but_for=late_checks) and api.has(namespace),
        "the API server is not ready",
    )

    report("starting the nodes")
    # Each Node has the range of Pod addresses that its routes are for, also one that a kubelet has made already.
    for node in plan.nodes:
        api.apply(node_object(plan, node))
    for manifest in _addon("coredns", **_dns_service(plan)):
        api.create(manifest)
    load_balancer = _addon("metallb") if plan.load_balancer else []
    kinds = [manifest for manifest in load_balancer if manifest["kind"] == "CustomResourceDefinition"]
    for manifest in kinds:
        api.create(manifest)  # the API server takes a second or two until it serves them
    # Started before all checks pass, the controller manager would lose a second (`WaitForAPIServer` in upstream's
    # k8s.io/controller-manager/app/helper.go).
    _wait(cluster, starting, api.is_ready, "the API server is not ready")
    start("kube-controller-manager")
    _wait(cluster, starting, lambda: _all_ready(api, "/api/v1/nodes"), "the nodes are not ready")
    if plan.network_policy:  # it gives up on a Node without an address
        for manifest in _addon("network-policy"):
            api.create(manifest)
        start("network-policy")

    report("starting CoreDNS")
    pods = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns"
    _wait(cluster, starting, lambda: _all_ready(api, pods), "CoreDNS is not ready")

    if plan.load_balancer:
        # Nobody waits for it: whoever needs an external address waits for that of a Service of their own.
        report("starting the load balancer")
        for manifest in load_balancer:
            if manifest not in kinds:
                api.create(manifest)
        _wait(cluster, starting, lambda: all(api.serves(kind) for kind in kinds), "MetalLB's kinds are not served")
        for manifest in _addon("metallb-pool", load_balancer_range=plan.load_balancer_range):
            api.create(manifest)


def _addon(name: str, **values: str) -> list[dict[str, Any]]:
    """The manifests of an add-on, with values filled in."""
    text = resources.files("throwaway.addons").joinpath(f"{name}.yaml").read_text()
    documents = yaml.load_all(string.Template(text).substitute(values), yaml.CSafeLoader)
    return [item for each in documents for item in (each["items"] if each["kind"] == "List" else [each])]


def _all_ready(api: Api, path: str) -> bool:
    """Whether there are Nodes or Pods at this path, each with the condition `Ready`."""
    found = api.get(path)["items"]
    ready = {"type": "Ready", "status": "True"}
    return bool(found) and all(
        any(ready.items() <= condition.items() for condition in each["status"].get("conditions", [])) for each in found
    )


def _dns_service(plan: Plan) -> dict[str, str]:
    """The values of the Service `kube-dns` that depend on IP families."""
    policy = "SingleStack" if len(plan.dns_services) == 1 else "RequireDualStack"
    addresses = plan.dns_services
    return {"dns_service": addresses[0], "dns_services": json.dumps(addresses), "ip_family_policy": policy}


def node_object(plan: Plan, node: Node) -> dict[str, Any]:
    """The Node object of a node, as it is applied, be there one of its kubelet's already or not."""
    role = "node-role.kubernetes.io/control-plane"
    labels = {role: ""} if node.is_control_plane else {}
    if node.zone:
        labels["topology.kubernetes.io/zone"] = node.zone
    reserved = node.is_control_plane and len(plan.nodes) > 1
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {
            "podCIDR": node.pod_subnets[0],
            "podCIDRs": node.pod_subnets,
            "taints": [{"key": role, "effect": "NoSchedule"}] if reserved else [],
        },
    }


def _wait(cluster: Cluster, starting: Starting, condition: Callable[[], bool], complaint: str) -> None:
    """Wait for a condition; raises `ThrowawayError` when a component ends again and again or it takes too long.

    Once or twice a component may end: on a busy machine some give up waiting for another, and are started again. The
    API server too, so that a request it does not answer counts as "not yet".
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        seen = complaint
        try:
            if condition():
                return
        except ApiError as error:
            seen = f"{complaint} ({error})"
        if ended := starting.ended_component():
            node, component, code = ended
            starting.endings[node, component] += 1
            if starting.endings[node, component] < _GIVE_UP_AFTER_ENDINGS:
                continue
            lines = cluster.log(node, component).read_text(errors="replace").strip().splitlines()
            last = next((line for line in reversed(lines) if not line.startswith("\t")), "(it said nothing)")
            raise ThrowawayError(f"{component} on {node} ended with code {code}: {last[:500]}")
        if time.monotonic() > deadline:
            raise ThrowawayError(f"{seen} after {_START_SECONDS:.0f} s: the machine may be overloaded; try again")
        time.sleep(0.02)


def _ready_and_as_planned(plan: Plan, asked: Collection[str] | None) -> Cluster | None:
    """The cluster that has our name, once it is ready; raises `ThrowawayError` when it is another than planned."""
    cluster = find(plan.name)
    if cluster is None or not cluster.is_ready:
        return None
    is_so, wanted = (" ".join(settings) for settings in differing_settings(cluster.plan, plan, asked))
    if is_so:
        raise ThrowawayError(
            f"cluster {plan.name!r} is running with {is_so}, not with {wanted};"
            " take it down first or choose another --name"
        )
    return cluster
