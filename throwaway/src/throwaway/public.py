"""The public Python API: a cluster to be had in a `with` block, and what tests and lessons ask of it."""

import itertools
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from throwaway import image_archive, kubectl
from throwaway.capabilities import CAPABILITIES, check_names
from throwaway.errors import ThrowawayError
from throwaway.plan import DEFAULT_NAME, IpFamily, ProxyMode
from throwaway.providers import PROVIDER_VARIABLE, provider
from throwaway.providers.base import NodeChange, Provider, Report, Wanted

Manifest = Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""What `apply` and `delete` take: a file, folder or URL as kubectl's `--filename` does, or objects themselves."""

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@dataclass(frozen=True)
class Node:
    """A Node, as the API server knows it."""

    name: str
    """Its name."""
    addresses: tuple[str, ...]
    """Its InternalIPs, the first one of the cluster's first address family."""
    is_control_plane: bool
    """Whether the API server runs on it."""
    architecture: str
    """Its architecture by Go's name, as in amd64."""

    @property
    def address(self) -> str:
        """The first of its InternalIPs."""
        return self.addresses[0]


class Cluster:
    """A running cluster: `Cluster.up(…)` starts one, `Cluster.find(…)` finds one.

    As a context manager it is ended at the end of the block, unless it ran before or was to be kept. Whatever goes
    wrong is a `ThrowawayError` of one line; a program that fails raises its subclass `CommandFailedError`.
    """

    def __init__(self, provided: Provider, ends_with_block: bool = False) -> None:
        """For the class methods; `ends_with_block` says whether a `with` block ends it."""
        self._provided = provided
        self._ends_with_block = ends_with_block

    @classmethod
    def up(
        cls,
        name: str = "",
        *,
        nodes: int = 3,
        proxy_mode: ProxyMode = "nftables",
        ip_family: IpFamily = "ipv4",
        service_cidr: str = "",
        service_node_port_range: str = "",
        feature_gates: Mapping[str, bool] | None = None,
        zones: int = 0,
        load_balancer: bool = True,
        network_policy: bool = False,
        provider: str | None = None,
        context: str = "",
        keep: bool = False,
        report: Report | None = None,
    ) -> Self:
        """Start a cluster, or find the one of this name, and return it when it is ready.

        `provider` is `embedded`, `kind` or `existing` (which takes `context`, and starts nothing); without it
        $THROWAWAY_PROVIDER decides. `nodes` counts the control plane. `keep` leaves the cluster running after a `with`
        block. `report` is called with what is done next. Raises `ThrowawayError`; then nothing is left.
        """
        maker = _maker(provider)
        wanted = Wanted(
            name=_name(maker, name, context),
            nodes=nodes,
            proxy_mode=proxy_mode,
            ip_family=ip_family,
            service_cidr=service_cidr,
            service_node_port_range=service_node_port_range,
            feature_gates=feature_gates or {},
            zones=zones,
            load_balancer=load_balancer,
            network_policy=network_policy,
        )
        provided, is_new = maker.up(wanted, report or (lambda _: None))
        return cls(provided, ends_with_block=is_new and not keep)

    @classmethod
    def find(cls, name: str = "", *, provider: str | None = None, context: str = "") -> Self | None:
        """The ready cluster of this name, in a `throwaway shell` by default the shell's; None if there is none.

        Raises `ThrowawayError` for one that was not made to be thrown away; nothing is done to it.
        """
        maker = _maker(provider)
        provided = maker.find(_name(maker, name, context))
        return cls(provided) if provided else None

    @classmethod
    def find_or_fail(cls, name: str = "", *, provider: str | None = None, context: str = "") -> Self:
        """Like `find`, but raises `ThrowawayError` that says how to start it if there is none."""
        found = cls.find(name, provider=provider, context=context)
        if found is None:
            maker = _maker(provider)
            raise ThrowawayError(maker.absence(_name(maker, name, context)))
        return found

    @classmethod
    def of_shell(cls) -> Self:
        """The cluster of the `throwaway shell` in which this program runs.

        What KUBECONFIG names is compared byte by byte with what the cluster's provider says, so that all programs that
        go by it reach this cluster and no other. Raises `ThrowawayError` when that is not so.
        """
        named = os.environ.get("KUBECONFIG", "")
        if not named or not ("THROWAWAY_CLUSTER" in os.environ or "THROWAWAY_CONTEXT" in os.environ):
            raise ThrowawayError("this is no 'throwaway shell': KUBECONFIG, THROWAWAY_CLUSTER are not set by one")
        found = cls.find_or_fail()
        try:
            is_same = Path(named).read_bytes() == found.kubeconfig.read_bytes()
        except OSError:
            is_same = False
        if not is_same:
            raise ThrowawayError(
                f"KUBECONFIG is {named}, which is not the kubeconfig of cluster {found.name!r},"
                " the one of this 'throwaway shell'"
            )
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ends_with_block:
            self.down()

    def __repr__(self) -> str:
        return f"<Cluster {self.name!r} of provider {self.provider}>"

    def down(self) -> None:
        """End it; returns when nothing of it is left. Raises `ThrowawayError` if it is an adopted one."""
        self._provided.down()
        self._ends_with_block = False

    # What it is

    @property
    def name(self) -> str:
        """Its name; for an adopted cluster that of its context."""
        return self._provided.name

    @property
    def provider(self) -> str:
        """What its provider is called: `embedded`, `kind` or `existing`."""
        return self._provided.kind

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator that holds this cluster and no other. It ends with this process."""
        return self._provided.kubeconfig

    @property
    def environment(self) -> dict[str, str]:
        """This process' environment, with KUBECONFIG and all else that clients of the cluster need."""
        return self._provided.environment

    @property
    def nodes(self) -> list[Node]:
        """Its Nodes as they are now, the control plane first, then by name."""
        items = json.loads(self._ask("/api/v1/nodes"))["items"]
        nodes = [
            Node(
                name=item["metadata"]["name"],
                addresses=tuple(
                    each["address"] for each in item["status"].get("addresses", []) if each["type"] == "InternalIP"
                ),
                is_control_plane=_CONTROL_PLANE in item["metadata"].get("labels", {}),
                architecture=item["status"].get("nodeInfo", {}).get("architecture", ""),
            )
            for item in items
        ]
        return sorted(nodes, key=lambda node: (not node.is_control_plane, node.name))

    # What it can do

    @cached_property
    def _missing(self) -> dict[str, str]:
        addresses = [address for node in self.nodes for address in node.addresses]
        return self._provided.missing(self._ask, addresses)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, of `throwaway.capabilities.CAPABILITIES`; found out from the cluster once."""
        return frozenset(CAPABILITIES) - frozenset(self._missing)

    def lacks(self, *capabilities: str, nodes: int = 1) -> str:
        """Why it lacks one of these capabilities or has fewer nodes, in one line; empty if it has all.

        Raises `ThrowawayError` for a name that no capability has.
        """
        check_names(capabilities)
        for each in capabilities:
            if each in self._missing:
                return f"cluster {self.name!r} has no capability {each!r}: {self._missing[each]}"
        if nodes > 1 and (count := len(self.nodes)) < nodes:
            return f"cluster {self.name!r} has {count} nodes, {nodes} are needed"
        return ""

    def need(self, *capabilities: str, nodes: int = 1) -> None:
        """Raise `ThrowawayError` with what `lacks` says."""
        if reason := self.lacks(*capabilities, nodes=nodes):
            raise ThrowawayError(reason)

    # What is done with it

    def kubectl(self, arguments: Sequence[str], input: str = "", timeout: float | None = 120) -> Any:
        """Run kubectl; returns what it prints, with `-o json` as Python objects.

        `input` is its standard input, `timeout` in seconds. Raises `CommandFailedError` when it fails, `ThrowawayError`
        for options that would lead it to another cluster.
        """
        kubectl.refuse_other_targets(arguments)
        printed = kubectl.run(arguments, self.environment, input, timeout)
        return json.loads(printed) if _asks_for_json(arguments) else printed

    def apply(self, manifest: Manifest, namespace: str = "") -> str:
        """Create or change objects; returns kubectl's answer. Raises `CommandFailedError` when one is refused."""
        return self._with_manifest("apply", manifest, namespace)

    def delete(self, manifest: Manifest, namespace: str = "", timeout: float = 120) -> str:
        """Delete what `apply` was given, and wait until it is gone; what is not there is no error."""
        return self._with_manifest(f"delete --ignore-not-found --timeout={timeout:.0f}s", manifest, namespace, timeout)

    def wait(self, name: str, condition: str, timeout: float = 90, namespace: str = "") -> None:
        """Wait for an object such as `deployment/echo` until `condition`, which is kubectl's `--for`.

        For instance `condition=Available`, `delete`, `jsonpath={.status.phase}=Running`. Raises `CommandFailedError`
        when it is not so after `timeout` seconds.
        """
        options = [f"--for={condition}", f"--timeout={timeout:.0f}s", *_namespaced(namespace)]
        self.kubectl(["wait", name, *options], timeout=timeout + 10)

    def logs(self, pod: str, container: str = "", namespace: str = "") -> str:
        """What a Pod has printed, or something that has Pods, such as `deployment/echo`."""
        options = [f"--container={container}"] if container else []
        return str(self.kubectl(["logs", pod, *options, *_namespaced(namespace)]))

    def exec(self, node: str, command: Sequence[str], timeout: float | None = 120) -> str:
        """Run a program on a node, as its root; returns what it prints.

        Raises `CommandFailedError` when it fails, `ThrowawayError` if the cluster has no capability `exec`.
        """
        self.need("exec")
        shown = f"exec {node} -- {' '.join(command)}"
        return kubectl.output_of(self.node_command(node, command), self.environment, timeout=timeout, shown=shown)

    def node_command(self, node: str, command: Sequence[str], is_terminal: bool = False) -> list[str]:
        """The command line of this machine that `exec` runs, to be started otherwise; see `environment`."""
        return self._provided.node_command(node, command, is_terminal)

    def shell(self, command: Sequence[str], timeout: float | None = 120) -> str:
        """Run a program of this machine beside the nodes, where their addresses answer; returns what it prints.

        Raises `CommandFailedError` when it fails.
        """
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                preexec_fn=self._provided.network,
            )
        except subprocess.TimeoutExpired:
            raise ThrowawayError(f"'{' '.join(command)}' had not ended after {timeout:.0f} s") from None
        except subprocess.SubprocessError:  # in `network`
            raise ThrowawayError(f"cluster {self.name!r} has ended; nothing can be run in its network") from None
        except OSError as error:
            raise ThrowawayError(f"'{' '.join(command)}' cannot be run: {error.strerror}") from None
        return kubectl.checked(" ".join(command), done)

    def load(self, tar: Path | str) -> list[str]:
        """Give all nodes the images of a tar, as `docker save`, `podman save` and others write it; returns their names.

        It may be gzip'ed; `-` is standard input. Nodes that `throwaway node` adds or starts later have them, too.
        Raises `ThrowawayError` for what is no such tar, for an image of another architecture than the nodes', when a
        node refuses it, and if the cluster has no capability `load`.
        """
        self.need("load")
        with image_archive.opened(Path(tar)) as archive:
            nodes = self.nodes
            for image in archive.images:
                there = {variant.platform for variant in image.variants}
                for wanted in {f"linux/{node.architecture}" for node in nodes if node.architecture} - there:
                    raise ThrowawayError(
                        f"image {image.reference} in {tar} is for {', '.join(sorted(there)) or 'no platform'},"
                        f" the nodes are {wanted}; save it with --platform {wanted}"
                    )
            self._provided.load(archive.tar, [node.name for node in nodes])
            return archive.references

    def add_node(self, name: str = "") -> Node:
        """Add a worker and wait until it is Ready; without a name it is the next workerN.

        This and the next three raise `ThrowawayError` when it fails, and if the cluster has no capability
        `change-nodes`. The control plane's node can be neither stopped nor deleted.
        """
        added = self._change_node("add", name)
        return next(node for node in self.nodes if node.name == added)

    def stop_node(self, name: str) -> None:
        """End a node at once, as if its power had been cut; Kubernetes is not told."""
        self._change_node("stop", name)

    def start_node(self, name: str) -> None:
        """Start a node that was stopped, and wait until it is Ready; one that runs stays as it is."""
        self._change_node("start", name)

    def delete_node(self, name: str) -> None:
        """End a node and delete its Node object."""
        self._change_node("delete", name)

    def _change_node(self, change: NodeChange, name: str) -> str:
        self.need("change-nodes")
        return self._provided.change_node(change, name)

    def _ask(self, path: str) -> str:
        return kubectl.run(["get", "--raw", path], self.environment, timeout=60)

    def _with_manifest(self, verb: str, manifest: Manifest, namespace: str, timeout: float = 120) -> str:
        if isinstance(manifest, Path | str):
            file, text = str(manifest), ""
        else:
            items = [manifest] if isinstance(manifest, Mapping) else list(manifest)
            file, text = "-", json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        return str(self.kubectl([*verb.split(), f"--filename={file}", *_namespaced(namespace)], text, timeout + 10))


def _maker(name: str | None) -> type[Provider]:
    return provider(name)


def _name(maker: type[Provider], name: str, context: str) -> str:
    """What the provider is to look for: a context of `existing`, else a name; of the environment if none is given."""
    if maker.kind == "existing":
        return context or os.environ.get("THROWAWAY_CONTEXT", "")
    if context:
        raise ThrowawayError(f"a context is for the provider existing, not for {maker.kind}")
    if name:
        return name
    # The environment's name is one of the environment's provider.
    is_same = maker.kind == (os.environ.get(PROVIDER_VARIABLE) or "embedded")
    return (os.environ.get("THROWAWAY_CLUSTER") if is_same else None) or DEFAULT_NAME


def _namespaced(namespace: str) -> list[str]:
    return [f"--namespace={namespace}"] if namespace else []


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether kubectl is told to print JSON; what follows `--` is for another program."""
    own = list(arguments[: list(arguments).index("--")] if "--" in arguments else arguments)
    joined = {f"{option}={value}" for option, value in itertools.pairwise(own)}
    return bool({"-ojson", "-o=json", "--output=json"} & {*own, *joined})
