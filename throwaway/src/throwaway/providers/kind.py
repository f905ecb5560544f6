"""A cluster made by the kind CLI, for Docker, Podman and nerdctl users, where there are no namespaces of Linux too."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from throwaway import kubectl
from throwaway.capabilities import Ask, missing_address_families, missing_metallb, missing_node_network
from throwaway.errors import CommandFailedError, ThrowawayError
from throwaway.kubectl import checked
from throwaway.plan import check_name, check_proxy_mode, check_zones
from throwaway.providers.base import Provider, Report, Wanted

LABEL = "throwaway/cluster"
"""A label of each Node that was made here: nothing is done to other clusters of kind, whatever they are called."""
SETTINGS = "throwaway/settings"
"""A label of each Node that tells by which configuration the cluster was made."""

_OLDEST = (0, 33)  # the first whose node image is of Kubernetes 1.37
_WAIT = "180s"
_ENGINES = {"podman": "podman", "nerdctl": "nerdctl", "finch": "finch", "nerdctl.lima": "nerdctl.lima"}
_ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Kind(Provider):
    """A cluster that kind made for us."""

    name: str
    """The cluster's name."""
    folder: "tempfile.TemporaryDirectory[str]"
    """Holds its kubeconfig, and goes with the last reference to it."""

    kind = "kind"

    @property
    def kubeconfig(self) -> Path:  # type: ignore[override]  # it lies in the folder
        """A copy; `~/.kube/config` is left alone."""
        return Path(self.folder.name) / "kubeconfig"

    @classmethod
    def up(cls, wanted: Wanted, report: Report) -> tuple[Self, bool]:
        """See `Provider`."""
        config = configuration(wanted)
        _check_version()
        if found := cls.find(wanted.name):
            settings = [node["labels"][SETTINGS] for node in config["nodes"]]
            if [labels.get(SETTINGS) for labels in found._labels()] != settings:
                raise ThrowawayError(
                    f"kind cluster {wanted.name!r} is running with other settings than these;"
                    " take it down first or choose another --name"
                )
            return found, False
        report("creating the cluster with kind")
        folder = _new_folder()
        options = ["--name", wanted.name, "--kubeconfig", f"{folder.name}/kubeconfig", "--wait", _WAIT]
        try:
            _kind("create", "cluster", *options, "--config", "-", text=json.dumps(config))
        except CommandFailedError as error:  # kind has removed all by itself
            raise ThrowawayError(f"kind made no cluster: {_complaint(error)}") from None
        except BaseException:
            _kind("delete", "cluster", "--name", wanted.name, "--kubeconfig", f"{folder.name}/kubeconfig")
            raise
        return cls(wanted.name, folder), True

    @classmethod
    def find(cls, name: str) -> Self | None:
        """See `Provider`; raises for a cluster of kind that was not made here, and where that cannot be seen."""
        if check_name(name) not in _kind("get", "clusters").split():
            return None
        folder = _new_folder()
        found = cls(name, folder)
        found.kubeconfig.touch(mode=0o600)
        found.kubeconfig.write_text(_kind("get", "kubeconfig", "--name", name))
        try:
            names = [labels.get(LABEL) for labels in found._labels()]
        except CommandFailedError as error:
            raise ThrowawayError(
                f"kind cluster {name!r} does not say whether it was made by throwaway: {_complaint(error)};"
                f" 'kind delete cluster --name {name}' ends it in any case"
            ) from None
        if set(names) != {name}:
            raise ThrowawayError(
                f"kind cluster {name!r} was not made by throwaway, so nothing is done to it; choose another --name"
            )
        return found

    def _labels(self) -> list[dict[str, str]]:
        """The labels of each Node."""
        nodes = json.loads(kubectl.run(["get", "--raw", "/api/v1/nodes"], self.environment, timeout=60))["items"]
        return [node["metadata"].get("labels", {}) for node in nodes]

    def down(self) -> None:
        """See `Provider`."""
        _kind("delete", "cluster", "--name", self.name, "--kubeconfig", str(self.kubeconfig))

    @property
    def environment(self) -> dict[str, str]:
        """See `Provider`."""
        own = {"THROWAWAY_CLUSTER": self.name, "THROWAWAY_PROVIDER": self.kind}
        return kubectl.client_environment(self.kubeconfig, Path(self.folder.name)) | own

    def missing(self, ask: Ask, addresses: Sequence[str]) -> dict[str, str]:
        """See `Provider`; nodes' addresses are reached from here where containers' are: on Linux, by root's engine."""
        return {
            "change-nodes": "the nodes of a kind cluster stay as they are",
            **missing_node_network(addresses),
            **missing_address_families(ask),
            **missing_metallb(ask),
        }

    def node_command(self, node: str, command: Sequence[str], is_terminal: bool = False) -> list[str]:
        """See `Provider`; kind's nodes are containers of the Node's name."""
        return [engine(), "exec", "-it" if is_terminal else "-i", node, *command]

    def load(self, tar: Path, nodes: Sequence[str]) -> None:
        """See `Provider`."""
        _kind("load", "image-archive", str(tar), "--name", self.name)


def configuration(wanted: Wanted) -> dict[str, Any]:
    """What kind is to read for such a cluster, see kind.sigs.k8s.io/docs/user/configuration.

    Raises `ThrowawayError` for a number of nodes or zones, or a proxy mode, that cannot be.
    """
    check_name(wanted.name)
    if wanted.nodes < 1:
        raise ThrowawayError(f"a cluster of {wanted.nodes} nodes is not possible")
    check_zones(wanted.zones, wanted.nodes)
    check_proxy_mode(wanted.proxy_mode)
    networking: dict[str, str] = {"ipFamily": wanted.ip_family, "kubeProxyMode": wanted.proxy_mode}
    if wanted.service_cidr:
        networking["serviceSubnet"] = wanted.service_cidr
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": networking,
        "nodes": [_node(wanted, number) for number in range(wanted.nodes)],
    }
    if wanted.feature_gates:
        config["featureGates"] = dict(wanted.feature_gates)
    if wanted.service_node_port_range:
        # kubeadm's v1beta4, which kind writes for Kubernetes 1.36 and later, lists arguments; kind has put one there.
        argument = {"name": "service-node-port-range", "value": wanted.service_node_port_range}
        patch = [{"op": "add", "path": "/apiServer/extraArgs/-", "value": argument}]
        config["kubeadmConfigPatchesJSON6902"] = [
            {
                "group": "kubeadm.k8s.io",
                "version": "v1beta4",
                "kind": "ClusterConfiguration",
                "patch": json.dumps(patch),
            }
        ]
    settings = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    for node in config["nodes"]:
        node["labels"][SETTINGS] = settings
    return config


def _node(wanted: Wanted, number: int) -> dict[str, Any]:
    zone = {_ZONE: f"zone{(number - 1) % wanted.zones + 1}"} if wanted.zones else {}
    return {"role": "worker" if number else "control-plane", "labels": {LABEL: wanted.name, **zone}}


def engine() -> str:
    """The program that runs kind's containers, chosen as kind itself does it; Docker when there is none."""
    asked = os.environ.get("KIND_EXPERIMENTAL_PROVIDER", "")
    if asked in ("docker", *_ENGINES):
        return _ENGINES.get(asked, "docker")
    return next((name for name in ("docker", "nerdctl", "finch", "podman") if shutil.which(name)), "docker")


def _check_version() -> None:
    found = re.search(r"v?(\d+)\.(\d+)", text := _kind("version", "--quiet"))
    if not found or tuple(map(int, found.groups())) < _OLDEST:
        raise ThrowawayError(f"kind {'.'.join(map(str, _OLDEST))} or newer is needed; this is {text.strip()}")


def _new_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="throwaway-kind-")


def _kind(*arguments: str, text: str = "") -> str:
    """Run kind and return what it prints; raises `CommandFailedError`, and `ThrowawayError` when it is missing."""
    program = shutil.which("kind")
    if program is None:
        raise ThrowawayError("the kind CLI is missing; see kind.sigs.k8s.io, 'Quick Start'")
    done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True)
    return checked(f"kind {' '.join(arguments[:2])}", done)


def _complaint(error: CommandFailedError) -> str:
    """The first line of kind's that names an error, with the next one if it announces that; its last are a stack."""
    lines = [line.strip() for line in error.stderr.splitlines() if line.strip()] or ["it gave no reason"]
    at = next((at for at, line in enumerate(lines) if line.startswith("ERROR:")), len(lines) - 1)
    return " ".join(lines[at : at + 2] if lines[at].endswith(":") else lines[at : at + 1])
