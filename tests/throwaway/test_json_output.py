"""`--output json`: one object of a known shape on standard output, and nothing else there."""

import json
import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from command_line import CommandLine
from throwaway.cli import reports


def report(throwaway: CommandLine, shape: type, *arguments: str) -> Any:
    """What a command reports; fails unless it is one line with just the fields of a dataclass."""
    done = throwaway(*arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert is_dataclass(shape)
    assert set(found) == {field.name for field in fields(shape)}
    return found


def test_status(throwaway: CommandLine, cluster_name: str) -> None:
    clusters = report(throwaway, reports.Status, "status")["clusters"]
    (own,) = [each for each in clusters if each["name"] == cluster_name]
    version = throwaway("shell", "--name", cluster_name, "--", "kubectl", "version", "-o", "json").stdout
    assert own == {
        "name": cluster_name,
        "state": "ready",
        "kubernetes": json.loads(version)["serverVersion"]["gitVersion"],
        "proxy_mode": "nftables",
        "ip_family": "ipv4",
        "settings": [],
        "nodes": [
            {
                "name": name,
                "addresses": [f"172.30.0.{11 + number}"],
                "alive": True,
                "is_control_plane": number == 0,
                "pod_subnets": [f"10.244.{number}.0/24"],
                "zone": "",
            }
            for number, name in enumerate(("control-plane", "worker1", "worker2"))
        ],
        "clients": [{"name": "client", "addresses": ["172.30.0.3"], "alive": True}],
    }


def test_up_and_down(throwaway: CommandLine) -> None:
    name = f"json-{os.getpid()}"
    up = report(throwaway, reports.Up, "up", "--name", name, "--nodes", "1")
    assert (up["name"], up["provider"]) == (name, "embedded")
    assert up["nodes"] == [{"name": "control-plane", "addresses": ["172.30.0.11"], "is_control_plane": True}]
    assert up["seconds"] > 0
    for was_running in (True, False):
        (ended,) = report(throwaway, reports.Down, "down", "--name", name)["clusters"]
        assert (ended["name"], ended["was_running"]) == (name, was_running)


def test_logs(throwaway: CommandLine, cluster_name: str) -> None:
    listed = report(throwaway, reports.Logs, "logs", "--name", cluster_name, "worker1")
    assert listed["node"] == "worker1"
    assert [log["component"] for log in listed["logs"]] == ["containerd", "kube-proxy", "kubelet"]
    assert all(log["bytes"] > 0 for log in listed["logs"])


def test_build(throwaway: CommandLine) -> None:
    built = report(throwaway, reports.Build, "build")
    assert Path(built["programs"], "kubectl").exists()
    assert Path(built["images"]).is_dir()


def test_an_error_is_not_on_standard_output(throwaway: CommandLine) -> None:
    done = throwaway("logs", "--name", "not-there", "worker1", "--output", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("throwaway: no cluster 'not-there' is running")
