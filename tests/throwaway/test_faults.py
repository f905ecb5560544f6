"""What can go wrong around a running cluster, and what becomes of it then."""

import ctypes
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from command_line import CommandLine, descendants, eventually
from throwaway import cluster as clusters
from throwaway import pki, sandbox
from throwaway.pki import KeyPair
from throwaway.plan import make_plan

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"
HYBRID_CGROUPS = pytest.mark.skipif(
    not Path("/sys/fs/cgroup/unified").exists(), reason="this machine has one version of cgroups only"
)
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root may set the machine up like this")
PAUSE_SECONDS = 60.0
"""Longer than a Node may be silent: 50 s, --node-monitor-grace-period of kube-controller-manager."""
COMPONENTS = (
    ("control-plane", "etcd"),
    ("control-plane", "kube-apiserver"),
    ("control-plane", "kube-controller-manager"),
    ("control-plane", "kube-scheduler"),
    ("worker1", "containerd"),
    ("worker1", "kubelet"),
    ("worker1", "kube-proxy"),
)


@pytest.fixture(scope="module")
def name(throwaway: CommandLine) -> Iterator[str]:
    """A cluster of two nodes with a Deployment behind a NodePort."""
    name = f"faults-{os.getpid()}"
    done = throwaway("up", "--name", name, "--nodes", "2", "--no-load-balancer")
    assert done.returncode == 0, done.stderr
    for command in (
        f"create deployment web --image={AGNHOST} -- /agnhost netexec",
        "create service nodeport web --tcp=8080 --node-port=30080",
    ):
        assert kubectl(throwaway, name, *shlex.split(command)).returncode == 0
    yield name
    throwaway("down", "--name", name)


def kubectl(throwaway: CommandLine, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run kubectl beside the nodes."""
    return throwaway("shell", "--name", name, "--", "kubectl", *arguments)


@contextmanager
def still_does_as_it_is_told(throwaway: CommandLine, name: str) -> Iterator[None]:
    """After what happens in the block, have the Deployment's Pod replaced.

    The new one is made, placed, started and connected to the NodePort: for that each component has to do its work.
    """

    def pods() -> list[str]:
        listed = kubectl(throwaway, name, "get", "pods", "-l=app=web", "--output=json")
        return [
            pod["metadata"]["name"]
            for pod in json.loads(listed.stdout or '{"items": []}')["items"]
            if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
        ]

    def answers() -> str:
        curl = ("exec", "--name", name, "client", "--", "curl", "-s", "-m", "2", "http://172.30.0.12:30080/hostname")
        return throwaway(*curl).stdout

    eventually(lambda: len(pods()) == 1 and answers() in pods(), "the Deployment is there", 90)
    before = pods()
    yield
    delete = ("delete", "pod", *before, "--wait=false", "--ignore-not-found")
    eventually(lambda: kubectl(throwaway, name, *delete).returncode == 0, "the Pod is deleted")
    eventually(lambda: len(pods()) == 1 and pods() != before and answers() in pods(), "a new Pod answers", 120)


@pytest.mark.parametrize(("node", "component"), COMPONENTS)
def test_a_component_is_killed_and_the_cluster_still_does_as_it_is_told(
    throwaway: CommandLine, name: str, node: str, component: str
) -> None:
    with still_does_as_it_is_told(throwaway, name):
        killed = throwaway("exec", "--name", name, node, "--", "pkill", "-KILL", "-x", component[:15])
        assert killed.returncode == 0, killed.stderr


def test_after_a_pause_of_the_whole_machine_the_cluster_goes_on(throwaway: CommandLine, name: str) -> None:
    """As when a laptop sleeps, or its clock is set forward: leases have run out when the cluster wakes."""
    found = sandbox.find(name)
    assert found
    with still_does_as_it_is_told(throwaway, name):
        processes = descendants(found.pid)
        for how, pause in ((signal.SIGSTOP, PAUSE_SECONDS), (signal.SIGCONT, 0)):
            for pid in processes:
                with suppress(ProcessLookupError):  # a probe that has ended, for instance
                    os.kill(pid, how)
            time.sleep(pause)


def test_certificates_outlast_a_clock_that_is_set_wrong() -> None:
    made = vars(pki.make_pki(make_plan("clock"), None)).values()
    pairs = [pair for each in made for pair in (each.values() if isinstance(each, dict) else [each])]
    certificates = [
        x509.load_pem_x509_certificate(pair.certificate.encode()) for pair in pairs if isinstance(pair, KeyPair)
    ]
    assert len(certificates) == 14
    now = datetime.now(UTC)
    for certificate in certificates:
        assert certificate.not_valid_before_utc < now - timedelta(days=364)
        assert certificate.not_valid_after_utc > now + timedelta(days=3640)


def test_a_kubeconfig_that_points_elsewhere_is_passed_over(
    throwaway: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text("apiVersion: v1\nkind: Config\ncurrent-context: gone\n")
    monkeypatch.setenv("KUBECONFIG", str(elsewhere))
    assert kubectl(throwaway, name, "get", "nodes", "-o", "name").stdout.split() == [
        "node/control-plane",
        "node/worker1",
    ]


def test_the_api_server_is_on_loopback_only_and_its_keys_are_the_owners_alone(name: str) -> None:
    found = clusters.find_or_fail(name)
    server = json.loads(found.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    host, port = server.removeprefix("https://").split(":")
    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=5):
        pass
    listed = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    for address in listed:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((address, int(port)), timeout=2)
    node = Path(f"/proc/{found.node_pid('control-plane')}/root/run/throwaway")
    for path in (found.kubeconfig, *node.glob("pki/*"), *node.glob("*.kubeconfig")):
        assert path.stat().st_mode & 0o077 == 0, path


def _on_a_machine_with(setup: str, commands: str) -> "subprocess.CompletedProcess[str]":
    """Run shell commands as root in mount and network namespaces of their own, which `setup` has changed first."""
    script = f"ip link set lo up\n{setup}\n{commands}"
    return subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-ec", script], capture_output=True, text=True, timeout=180
    )


THROWAWAY = f"{shlex.quote(sys.executable)} -m throwaway"
NO_CGROUPS = "umount --recursive --lazy /sys/fs/cgroup"


@AS_ROOT
@pytest.mark.parametrize(
    ("machine", "setup"),
    [
        ("cgroup v2 only", f"{NO_CGROUPS}; mount -t cgroup2 none /sys/fs/cgroup"),
        pytest.param("cgroup v1 only", "umount /sys/fs/cgroup/unified", marks=HYBRID_CGROUPS),
        (
            "a route to the nodes' subnet",
            "ip link add here type veth peer name there && ip link set here up && ip addr add 172.30.0.12/24 dev here",
        ),
    ],
)
def test_a_cluster_starts_on_a_machine_with(throwaway: CommandLine, machine: str, setup: str) -> None:
    name = f"machine-{os.getpid()}"
    throwaway.started.add(name)
    commands = f"""
        trap '{THROWAWAY} down --name {name} >&2' EXIT
        {THROWAWAY} up --name {name} --nodes 1 --no-load-balancer >&2
        {THROWAWAY} shell --name {name} -- kubectl get nodes -o name
    """
    done = _on_a_machine_with(setup, commands)
    assert (done.returncode, done.stdout) == (0, "node/control-plane\n"), done.stderr


@AS_ROOT
def test_without_cgroups_one_line_says_how_to_mount_them() -> None:
    done = _on_a_machine_with(NO_CGROUPS, f"{THROWAWAY} up --name nothing --nodes 1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "throwaway: this machine lacks cgroups; as root: mount -t cgroup2 none /sys/fs/cgroup"
    ]


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """File descriptors that a test takes, given back after it."""
    taken: list[int] = []
    yield taken
    for fd in taken:
        os.close(fd)


def test_too_few_inotify_instances_are_said_before_anything_starts(
    throwaway: CommandLine, name: str, taken: list[int]
) -> None:
    libc = ctypes.CDLL(None)
    while (fd := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
        taken.append(fd)
    for command, what in (
        (("up", "--name", f"inotify-{os.getpid()}"), "--nodes 3"),
        (("node", "add", "--name", name), "one more node"),
    ):
        done = throwaway(*command)
        assert done.returncode == 1
        assert done.stderr.startswith(f"throwaway: {what} needs ")
        assert "sudo sysctl fs.inotify.max_user_instances=" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_ports_that_other_programs_use_are_in_nobodys_way(throwaway: CommandLine, taken: list[int]) -> None:
    for port in (6443, 2379, 10250, 10256, 30080):  # of the API server, etcd, kubelet, kube-proxy, and a NodePort
        with suppress(OSError), socket.socket() as listener:  # if it is taken already, all the better
            listener.bind(("127.0.0.1", port))
            listener.listen()
            taken.append(listener.detach())
    name = f"ports-{os.getpid()}"
    done = throwaway("up", "--name", name, "--nodes", "1", "--no-load-balancer")
    assert done.returncode == 0, done.stderr
    assert kubectl(throwaway, name, "get", "nodes", "-o", "name").stdout.split() == ["node/control-plane"]
    assert throwaway("down", "--name", name).returncode == 0


def test_a_cluster_that_was_killed_leaves_the_next_one_of_its_name_no_state(throwaway: CommandLine) -> None:
    name = f"stale-{os.getpid()}"
    options = ("--name", name, "--nodes", "1", "--no-load-balancer")
    assert throwaway("up", *options).returncode == 0
    assert kubectl(throwaway, name, "create", "namespace", "old").returncode == 0
    found = sandbox.find(name)
    assert found
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: sandbox.find(name) is None, "the cluster is gone")
    done = throwaway("up", *options)
    assert done.returncode == 0, done.stderr
    namespaces = kubectl(throwaway, name, "get", "namespaces", "-o", "name").stdout.split()
    assert "namespace/default" in namespaces
    assert "namespace/old" not in namespaces
    assert throwaway("down", "--name", name).returncode == 0
