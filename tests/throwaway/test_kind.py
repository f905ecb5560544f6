"""The contract with the kind CLI: the real one reads our configuration and calls a `docker` that is played.

It parses strictly, and writes the kubeadm configuration of each node, which is what these tests look at. That the
clusters work is tested in .github/workflows/kind.yml alone, where there are Docker and a registry.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from command_line import CommandLine
from throwaway import Cluster, ThrowawayError
from throwaway.providers import kind
from throwaway.providers.base import Wanted

MODULE = Path(__file__).parents[1] / "kind"


@pytest.fixture(scope="session")
def kind_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kind CLI of tests/kind/go.mod; built in under a minute, the second time in a second."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go to build the kind CLI with")
    folder = tmp_path_factory.mktemp("kind")
    environment = os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    command = [go, "build", "-o", f"{folder}/", "sigs.k8s.io/kind"]
    subprocess.run(command, cwd=MODULE, env=environment, check=True, timeout=600)
    return folder / "kind"


@dataclass
class Docker:
    """The played docker's folder."""

    folder: Path

    @property
    def calls(self) -> list[list[str]]:
        """What it was called with."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def containers(self) -> list[str]:
        """The containers that run."""
        return list(json.loads((self.folder / "containers.json").read_text()))

    def kubeadm(self, node: str) -> dict[str, dict[str, Any]]:
        """The kubeadm configuration of a node, by kind."""
        text = (self.folder / "files" / node / "kind/kubeadm.conf").read_text()
        return {document["kind"]: document for document in yaml.safe_load_all(text) if document}


@pytest.fixture
def docker(kind_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Kind and the played docker on PATH, and a home folder in which kind must write nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kind").symlink_to(kind_program)
    (programs / "docker").write_text(f'#!/bin/sh\nexec {sys.executable} -S {MODULE / "fake_docker.py"} "$@"\n')
    (programs / "docker").chmod(0o755)
    for name in ("home", "docker"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FAKE_DOCKER", str(tmp_path / "docker"))
    for variable in ("KUBECONFIG", "KIND_EXPERIMENTAL_PROVIDER", "THROWAWAY_CLUSTER", "THROWAWAY_PROVIDER"):
        monkeypatch.delenv(variable, raising=False)
    return Docker(tmp_path / "docker")


def up(**settings: Any) -> None:
    """Start a cluster, which goes well until kubeadm is to be run."""
    with pytest.raises(ThrowawayError, match="kind made no cluster: ERROR: failed to create cluster: failed to init"):
        Cluster.up(name="contract", provider="kind", **settings)


def settings_of(name: str) -> str:
    """The label that tells settings apart, of a cluster with the usual ones."""
    return str(kind.configuration(Wanted(name))["nodes"][0]["labels"][kind.SETTINGS])


def arguments(component: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component["extraArgs"]}


def test_kind_makes_as_many_nodes_as_wanted_with_our_label(docker: Docker) -> None:
    up(nodes=3, proxy_mode="nftables")
    nodes = ("contract-control-plane", "contract-worker", "contract-worker2")
    for node in nodes:
        config = docker.kubeadm(node)
        joining = config["InitConfiguration" if node == nodes[0] else "JoinConfiguration"]
        labels = arguments({"extraArgs": joining["nodeRegistration"]["kubeletExtraArgs"]})["node-labels"].split(",")
        # kind writes them in any order, since to it they are a map of Go's.
        assert sorted(labels) == ["throwaway/cluster=contract", f"throwaway/settings={settings_of('contract')}"]
    assert docker.kubeadm(nodes[0])["KubeProxyConfiguration"]["mode"] == "nftables"
    runs = [call for call in docker.calls if call[0] == "run"]
    assert sorted(call[call.index("--name") + 1] for call in runs) == list(nodes)


def test_kind_takes_over_families_ranges_gates_and_zones(docker: Docker) -> None:
    up(
        nodes=2,
        proxy_mode="iptables",
        ip_family="dual",
        service_cidr="10.97.0.0/16,fd00:97::/112",
        service_node_port_range="30000-30100",
        feature_gates={"WatchList": True},
        zones=2,
    )
    config = docker.kubeadm("contract-control-plane")
    cluster = config["ClusterConfiguration"]
    assert cluster["networking"]["serviceSubnet"] == "10.97.0.0/16,fd00:97::/112"
    assert config["KubeProxyConfiguration"]["mode"] == "iptables"
    assert arguments(cluster["apiServer"])["service-node-port-range"] == "30000-30100"
    assert "runtime-config" in arguments(cluster["apiServer"]), "kind's own arguments are kept"
    for component in ("apiServer", "controllerManager", "scheduler"):
        assert "WatchList=true" in arguments(cluster[component])["feature-gates"]
    assert config["KubeletConfiguration"]["featureGates"]["WatchList"] is True
    worker = docker.kubeadm("contract-worker")["JoinConfiguration"]["nodeRegistration"]["kubeletExtraArgs"]
    assert "topology.kubernetes.io/zone=zone1" in arguments({"extraArgs": worker})["node-labels"]
    assert any("--sysctl=net.ipv6.conf.all.disable_ipv6=0" in call for call in docker.calls if call[0] == "run")


def test_more_zones_than_nodes_are_refused() -> None:
    with pytest.raises(ThrowawayError, match="3 zones for 2 nodes are not possible"):
        kind.configuration(Wanted("contract", nodes=2, zones=3))


def test_what_fails_leaves_no_container_and_no_kubeconfig(docker: Docker) -> None:
    up(nodes=2)
    assert docker.containers == []
    assert not list(Path.home().rglob("*"))


def test_kind_refuses_what_its_documentation_does_not_know(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the other tests would prove nothing."""
    wrong = kind.configuration(Wanted("contract")) | {"featureGate": {}}
    monkeypatch.setattr(kind, "configuration", lambda _: wrong)
    with pytest.raises(ThrowawayError, match="field featureGate not found"):
        Cluster.up(name="contract", provider="kind")


def test_without_kind_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ThrowawayError, match="the kind CLI is missing"):
        Cluster.find("contract", provider="kind")


@pytest.mark.parametrize(
    ("asked", "program"), [("", "docker"), ("podman", "podman"), ("nerdctl", "nerdctl"), ("misspelt", "docker")]
)
def test_the_engine_is_the_one_that_kind_takes(
    asked: str, program: str, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", asked)
    assert kind.engine() == program


def test_only_a_cluster_that_has_our_label_is_found_used_and_ended(
    docker: Docker, throwaway: CommandLine, cluster_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kind's node is played, the API server behind it is a real one."""
    real = Cluster.find_or_fail(cluster_name, provider="embedded")
    config = real.kubeconfig.read_text()
    monkeypatch.setenv("FAKE_API_PORT", str(urlsplit(json.loads(config)["clusters"][0]["cluster"]["server"]).port))
    node = "mine-control-plane"
    admin = docker.folder / "files" / node / "etc/kubernetes/admin.conf"
    admin.parent.mkdir(parents=True)
    admin.write_text(config)
    labels = ("--label", "io.x-k8s.kind.cluster=mine", "--label", "io.x-k8s.kind.role=control-plane")
    subprocess.run(["docker", "run", "--name", node, *labels, "image"], check=True)
    with pytest.raises(ThrowawayError, match="kind cluster 'mine' was not made by throwaway, so nothing is done to it"):
        Cluster.find("mine", provider="kind")
    assert throwaway("down", "--provider", "kind", "--name", "mine").returncode == 1
    assert docker.containers == [node]
    real.kubectl(["label", "node", "--all", f"{kind.LABEL}=mine"])
    try:
        found = Cluster.find_or_fail("mine", provider="kind")
        assert found.kubectl(["config", "current-context"]) == "kind-mine\n"
        assert len(found.nodes) == 3
        real.kubectl(["label", "node", "--all", f"{kind.SETTINGS}={settings_of('mine')}"])
        assert Cluster.up("mine", provider="kind").name == "mine"
        for other in ({"proxy_mode": "iptables"}, {"nodes": 2}, {"zones": 1}):
            with pytest.raises(ThrowawayError, match="'mine' is running with other settings than these"):
                Cluster.up("mine", provider="kind", **other)
        assert found.exec(node, ["echo", "hello"]) == "hello\n"
        assert docker.calls[-1] == ["exec", "-i", node, "echo", "hello"]
        probe = "from throwaway import Cluster; print(Cluster.of_shell())"
        inside = throwaway("shell", "--provider", "kind", "--name", "mine", "--", sys.executable, "-c", probe)
        assert inside.stdout == "<Cluster 'mine' of provider kind>\n", inside.stderr
        down = throwaway("down", "--provider", "kind", "--name", "mine")
        assert re.fullmatch(r"Cluster 'mine' is gone \(\d+\.\d s\)\.\n", down.stdout), down.stderr
    finally:
        real.kubectl(["label", "node", "--all", f"{kind.LABEL}-", f"{kind.SETTINGS}-"])
    assert docker.containers == []
    assert not [path for path in Path.home().rglob("*") if "kube" in path.name]
