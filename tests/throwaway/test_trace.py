"""`throwaway trace` on real clusters of both proxy modes: what it shows is what happened."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from command_line import CommandLine, eventually, next_complaint, next_line, rest
from echo_service import NODE_PORT, POD_PORT, answer, deploy, kubectl
from throwaway import trace
from throwaway.plan import PROXY_MODES
from throwaway.requirements import SYSTEM_PATH
from throwaway.trace import Step

WORKER1 = "172.30.0.12"


@dataclass
class Traced:
    """A cluster with an echo Service."""

    name: str
    """Its name."""
    proxy_mode: str
    """Its proxy mode."""
    pods: dict[str, str]
    """The Service's Pods: name → address."""


@pytest.fixture(scope="module", params=PROXY_MODES)
def cluster(request: pytest.FixtureRequest, throwaway: CommandLine) -> Iterator[Traced]:
    name = f"trace-{request.param}-{os.getpid()}"
    up = throwaway("up", "--name", name, "--nodes", "2", "--proxy-mode", request.param)
    assert up.returncode == 0, up.stderr
    yield Traced(name, request.param, deploy(throwaway, name, WORKER1))
    throwaway("down", "--name", name)


def start(throwaway: CommandLine, cluster: Traced, *arguments: str) -> "subprocess.Popen[str]":
    """Start a trace on worker1; returns when it sees whatever comes."""
    process = throwaway.start("trace", "--name", cluster.name, "worker1", *arguments)
    assert next_complaint(process) == "Tracing on worker1; Ctrl+C ends it.\n"
    return process


def ended(process: "subprocess.Popen[str]") -> str:
    """What a trace has printed that ends by itself."""
    output, error = rest(process)
    assert process.returncode == 0, error
    return output


def tables(throwaway: CommandLine, cluster: Traced) -> list[str]:
    """Tables of ours on worker1."""
    listed = throwaway("exec", "--name", cluster.name, "worker1", "--", "nft", "list", "tables").stdout
    return [line for line in listed.splitlines() if "throwaway" in line]


def test_a_connection_to_a_node_port_is_followed_to_the_pod_that_answers(
    throwaway: CommandLine, cluster: Traced
) -> None:
    process = start(throwaway, cluster, "--port", str(NODE_PORT), "--count", "1", "--output", "json")
    pod = answer(throwaway, cluster.name, WORKER1)
    (line,) = ended(process).splitlines()
    found = json.loads(line)
    assert found["destination"] == f"{WORKER1}:{NODE_PORT}"
    assert found["destination_name"] == "worker1, NodePort of default/echo"
    assert found["source"].startswith("172.30.0.1:")
    (dnat,) = [step for step in found["steps"] if step["kind"] == "dnat"]
    assert (dnat["before"], dnat["after"]) == (f"{WORKER1}:{NODE_PORT}", f"{cluster.pods[pod]}:{POD_PORT}")
    assert dnat["name"] == f"Pod default/{pod}"
    assert found["final_destination"] == dnat["after"]
    (snat,) = [step for step in found["steps"] if step["kind"] == "snat"]
    assert (snat["before"], snat["after"]) == (found["source"], found["final_source"])
    assert found["outcome"] == "left"
    hooks = [step["hook"] for step in found["steps"]]
    assert hooks == sorted(hooks, key=["prerouting", "forward", "postrouting"].index)
    rules = [step["rule"] for step in found["steps"] if step["kind"] == "rule"]
    chains = [step["chain"] for step in found["steps"]]
    if cluster.proxy_mode == "nftables":
        assert chains[:2] == ["nat-prerouting", "services"]
        assert any("dnat" in rule for rule in rules)
    else:
        assert chains[:3] == ["PREROUTING", "KUBE-SERVICES", "KUBE-NODEPORTS"]
        assert any(f"-j DNAT --to-destination {dnat['after']}" in rule for rule in rules)
        saved = throwaway("exec", "--name", cluster.name, "worker1", "--", "iptables-save").stdout.splitlines()
        assert all(f"-A {step['chain']} {step['rule']}" in saved for step in found["steps"] if step["kind"] == "rule")


def test_in_words_each_packet_says_where_it_came_from_and_what_became_of_it(
    throwaway: CommandLine, cluster: Traced
) -> None:
    process = start(throwaway, cluster, "--port", str(NODE_PORT), "--from", "172.30.0.1", "--count", "1")
    pod = answer(throwaway, cluster.name, WORKER1)
    lines = ended(process).splitlines()
    assert lines[0].endswith(f"→ {WORKER1}:{NODE_PORT} (worker1, NodePort of default/echo), in by eth0")
    target = f"{cluster.pods[pod]}:{POD_PORT}"
    assert any(line.strip() == f"DNAT: {WORKER1}:{NODE_PORT} → {target} (Pod default/{pod})" for line in lines)
    assert any(line.startswith("  out by ") and line.endswith(f" → {target}") for line in lines)


def test_all_shows_answers_too_and_takes_translations_back(throwaway: CommandLine, cluster: Traced) -> None:
    process = start(throwaway, cluster, "--port", str(NODE_PORT), "--all", "--output", "json", "--count", "6")
    answer(throwaway, cluster.name, WORKER1)
    found: list[dict[str, Any]] = [json.loads(line) for line in ended(process).splitlines()]
    first = found[0]
    back = next(each for each in found if each["is_answer"])
    assert (back["source"], back["destination"]) == (first["final_destination"], first["final_source"])
    assert (back["final_source"], back["final_destination"]) == (first["destination"], first["source"])
    assert any(step["verdict"].startswith("jump") for each in found for step in each["steps"])
    if cluster.proxy_mode == "nftables":  # in the other mode rules accept the packet before a policy is asked
        assert any(step["kind"] == "policy" and step["verdict"] == "accept" for step in first["steps"])


def test_a_service_without_pods_is_seen_to_be_refused(throwaway: CommandLine, cluster: Traced) -> None:
    kubectl(
        throwaway, cluster.name, "kubectl", "create", "service", "nodeport", "empty", "--tcp=80", "--node-port=30099"
    )
    url = f"http://{WORKER1}:30099/"
    process = start(throwaway, cluster, "--port", "30099", "--output", "json")
    seen: list[dict[str, Any]] = []

    def is_refused() -> bool:  # kube-proxy needs a moment for its rule
        throwaway("shell", "--name", cluster.name, "--", "curl", "--silent", "--max-time", "1", url)
        seen.append(json.loads(next_line(process)))
        return bool(seen[-1]["outcome"] == "dropped")

    eventually(is_refused, "a packet is dropped")
    process.send_signal(signal.SIGINT)
    ended(process)
    last = seen[-1]["steps"][-1]
    assert "reject" in last["rule"].lower()
    assert last["hook"] == "input"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_its_table_is_gone(throwaway: CommandLine, cluster: Traced, how: signal.Signals) -> None:
    process = start(throwaway, cluster, "--port", "1")
    assert len(tables(throwaway, cluster)) == 1
    process.send_signal(how)
    _, error = rest(process, 30)
    assert process.returncode == (0 if how == signal.SIGINT else -how)
    assert "Traceback" not in error
    eventually(lambda: not tables(throwaway, cluster), "the table is gone", 20)


def test_a_second_one_on_the_same_node_is_refused_until_the_first_has_ended(
    throwaway: CommandLine, cluster: Traced
) -> None:
    first = start(throwaway, cluster, "--port", "1")
    second = throwaway("trace", "--name", cluster.name, "worker1", "--port", "1")
    assert (second.returncode, second.stderr) == (1, "throwaway: another trace runs on worker1\n")
    first.kill()
    rest(first)
    assert ended(start(throwaway, cluster, "--port", "1", "--seconds", "0.1")) == ""


def test_it_ends_after_the_seconds_asked_for(throwaway: CommandLine, cluster: Traced) -> None:
    process = start(throwaway, cluster, "--port", "1", "--seconds", "0.5")
    assert ended(process) == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "say which packets: --port, --protocol, --from or --to"),
        (("--from", "worker2"), "'worker2' is no IP address"),
        (("--protocol", "icmp", "--port", "80"), "icmp has no ports; leave out --port or --protocol"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_in_one_line(
    throwaway: CommandLine, cluster: Traced, arguments: tuple[str, ...], complaint: str
) -> None:
    done = throwaway("trace", "--name", cluster.name, "worker1", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"throwaway: {complaint}\n")


def test_rules_of_an_iptables_that_cannot_be_traced_are_said_to_be(throwaway: CommandLine, cluster: Traced) -> None:
    if cluster.proxy_mode != "nftables":
        pytest.skip("kube-proxy would write rules with what stands in for its iptables here")
    if not shutil.which("iptables-legacy", path=SYSTEM_PATH):
        pytest.skip("this machine has no legacy iptables")

    def on_worker1(script: str) -> None:
        assert throwaway("exec", "--name", cluster.name, "worker1", "--", "sh", "-ec", script).returncode == 0

    # Both programs act as what they are called by: under the other's name the legacy one answers for it.
    own, legacy = (f'"$(readlink -f "$(command -v {name})")"' for name in ("iptables", "iptables-legacy"))
    on_worker1(f"mount --bind {legacy} {own}")
    try:
        process = throwaway.start("trace", "--name", cluster.name, "worker1", "--port", "1", "--seconds", "0.5")
        _, error = rest(process)
    finally:
        on_worker1(f"umount {own}")
    assert error.startswith("This machine's iptables is the legacy one: its rules cannot be traced")


def test_what_had_no_effect_is_not_essential() -> None:
    def rule(chain: str, verdict: str) -> Step:
        return Step("rule", "prerouting", "ip nat", chain, f"{chain} {verdict}", verdict)

    effects = [rule("base", "jump marks"), rule("marks", "goto more"), rule("more", "continue")]
    steps = [
        rule("base", "jump empty"),
        *effects,
        rule("base", "jump returning"),
        rule("returning", "return"),
        Step("policy", "prerouting", "ip nat", "base", verdict="accept"),
        Step("policy", "forward", "ip filter", "last", verdict="drop"),
    ]
    assert trace.essential(steps) == [*effects, steps[-1]]
