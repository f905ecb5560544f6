"""Measures the throwaway cluster: `./dev bench` runs this and writes results.json and the page of figures.

Each figure is the median of several runs, with the lowest and the highest. What is measured is what a user starts:
the command line, in processes of its own.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from throwaway import build, recipe
from throwaway.cluster import Cluster, find_or_fail
from throwaway.plan import KUBERNETES_VERSION, PROXY_MODES, make_plan

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
TRIED = HERE / "tried.md"
PAGE = HERE.parent / "docs" / "throwaway" / "figures.md"
NAME = "bench"
TICKS = os.sysconf("SC_CLK_TCK")
DEADLINE_SECONDS = 120.0
SETTLED_SECONDS = 15.0
"""How long a cluster is left alone before its idle memory is read."""


@dataclass(frozen=True)
class Figure:
    """A figure of several runs."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.lowest:.1f} to {self.highest:.1f})"


def figure(values: list[float]) -> Figure:
    """What is reported of several runs, rounded to hundredths."""
    return Figure(*(round(value, 2) for value in (statistics.median(values), min(values), max(values))))


# The command line, from outside


def throwaway(*arguments: str, text: str | None = None) -> str:
    """Run the command line; raises `CalledProcessError` when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "throwaway", *arguments], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def kubectl(*arguments: str, text: str | None = None) -> str:
    """Run kubectl beside the nodes."""
    return throwaway("shell", "--name", NAME, "--", "kubectl", *arguments, text=text)


@contextmanager
def running(*options: str) -> Iterator[Cluster]:
    """A cluster of our own for as long as the block lasts."""
    throwaway("up", "--new", "--name", NAME, *options)
    try:
        yield find_or_fail(NAME)
    finally:
        throwaway("down", "--name", NAME)


# What is read of a cluster


def processes(cluster: Cluster) -> set[int]:
    """Every process of a cluster, its inits included."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended just now
    found = {cluster.sandbox.pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(cluster: Cluster) -> float:
    """Processor time that a cluster has used, that of ended processes included: their inits have reaped them."""
    ticks = 0
    for pid in processes(cluster):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return ticks / TICKS


def memory_mb(cluster: Cluster) -> tuple[float, float]:
    """Megabytes of memory (MiB): of processes, shared pages counted once (PSS), and of files kept in memory."""
    of_processes = 0
    for pid in processes(cluster):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        of_processes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    of_files = 0
    for node in cluster.plan.nodes:
        for folder in ("run", "var", "tmp"):
            space = os.statvfs(f"/proc/{cluster.node_pid(node.name)}/root/{folder}")
            of_files += (space.f_blocks - space.f_bfree) * space.f_frsize
    return of_processes / 1024, of_files / 1024**2


ASK_NODES = """
import sys, time, urllib.request
for address in sys.argv[2:]:
    while True:
        try:
            urllib.request.urlopen(f"http://{address}:{sys.argv[1]}", timeout=1).read()
            break
        except OSError:
            time.sleep(0.02)
"""


def wait_for_node_port(cluster: Cluster, port: int) -> None:
    """Wait until a NodePort answers at every node's address."""
    addresses = [node.address for node in cluster.plan.nodes]
    throwaway("shell", "--name", NAME, "--", sys.executable, "-c", ASK_NODES, str(port), *addresses)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll a condition; raises `TimeoutError` that says what was waited for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {DEADLINE_SECONDS:.0f} s: {what}")
        time.sleep(0.1)


# What is measured


def start_and_end(runs: int) -> dict[str, Figure]:
    """The times of a cluster's start and end in seconds, and its processor time."""
    values: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        values.setdefault(what, []).append(value)

    for _ in range(runs):
        begin = time.monotonic()
        throwaway("up", "--new", "--name", NAME)
        cluster = find_or_fail(NAME)
        try:
            note("up: CoreDNS and the load balancer are ready, seconds", time.monotonic() - begin)
            note("up: processor time of the cluster, seconds", cpu_seconds(cluster))
            kubectl("create", "--filename", str(HERE / "echo.yaml"))
            wait_for_node_port(cluster, 30080)
            note("up, then an echo Deployment answers on every node, seconds", time.monotonic() - begin)
            note("up and the echo Deployment: processor time of the cluster, seconds", cpu_seconds(cluster))
        finally:
            begin = time.monotonic()
            throwaway("down", "--name", NAME)
            note("down, seconds", time.monotonic() - begin)
    return {what: figure(numbers) for what, numbers in values.items()}


def idle_memory(runs: int) -> dict[str, Figure]:
    """The memory of clusters on which nothing runs but their own Pods."""
    of_processes, of_files = [], []
    for _ in range(runs):
        with running() as cluster:
            time.sleep(SETTLED_SECONDS)
            processes_mb, files_mb = memory_mb(cluster)
            of_processes.append(processes_mb)
            of_files.append(files_mb)
    return {"memory of processes when idle, MiB": figure(of_processes), "memory of files, MiB": figure(of_files)}


def steps_of_up(runs: int) -> dict[str, Figure]:
    """When each step of `up` was done, in seconds after its start, without the start of the command line."""
    done: dict[str, list[float]] = {}
    built = build.find()
    assert built, "throwaway up has built it"
    for _ in range(runs):
        steps: list[tuple[str, float]] = []
        begin = time.monotonic()

        def note(step: str, steps: list[tuple[str, float]] = steps, begin: float = begin) -> None:
            steps.append((step, time.monotonic() - begin))

        cluster = recipe.up(make_plan(NAME), built, note)
        note("")
        cluster.down()
        for (step, _), (_, end) in pairwise(steps):
            done.setdefault(step, []).append(end)
    return {step: figure(ends) for step, ends in done.items()}


def in_sequence(count: int) -> list[float]:
    """Seconds of `up`, for one cluster after another."""
    seconds = []
    for _ in range(count):
        begin = time.monotonic()
        with running():
            seconds.append(round(time.monotonic() - begin, 2))
    return seconds


def services(numbers: range) -> str:
    """Manifests of Services of these numbers, each with an EndpointSlice of one address, behind which is no Pod."""
    items: list[dict[str, object]] = []
    for number in numbers:
        name = f"hollow-{number}"
        address = f"10.244.{200 + number // 250}.{1 + number % 250}"
        items += [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"type": "NodePort", "ports": [{"port": 80}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
                "ports": [{"port": 80, "protocol": "TCP"}],
            },
        ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def rules(mode: str) -> int:
    """How many rules and map elements the first worker has for Services, by its proxy mode."""
    if mode == "iptables":
        listed = throwaway("exec", "--name", NAME, "worker1", "--", "iptables-save", "-t", "nat")
        return sum(line.startswith("-A KUBE-") for line in listed.splitlines())
    listed = throwaway("exec", "--name", NAME, "worker1", "--", "nft", "--json", "list", "table", "ip", "kube-proxy")
    entries = json.loads(listed)["nftables"]
    elements = sum(len(entry[kind].get("elem", [])) for entry in entries for kind in ("map", "set") if kind in entry)
    return elements + sum("rule" in entry for entry in entries)


def scale(mode: str, counts: Sequence[int]) -> list[dict[str, float]]:
    """What Services with one endpoint each cost as they become more: rules, memory, and how long one more takes."""
    rows = []
    with running("--proxy-mode", mode) as cluster:
        none = rules(mode)
        there = 0
        for count in counts:
            if count > there:
                kubectl("create", "--filename", "-", text=services(range(there, count)))
                wait_until_programmed(mode, f"hollow-{count - 1}")
                there = count
            time.sleep(SETTLED_SECONDS)
            row: dict[str, float] = {"Services": count, "rules and map elements on a Node": rules(mode) - none}
            row["memory of processes, MiB"] = round(memory_mb(cluster)[0])
            begin = time.monotonic()
            kubectl("create", "--filename", "-", text=services(range(there, there + 1)))
            wait_until_programmed(mode, f"hollow-{there}")
            row["seconds until one more is programmed"] = round(time.monotonic() - begin, 1)
            there += 1
            rows.append(row)
    return rows


def wait_until_programmed(mode: str, service: str) -> None:
    """Wait until the first worker's rules have a Service's endpoint."""
    slices = ("get", "endpointslice", service, "--output=jsonpath={.endpoints[0].addresses[0]}")
    address = kubectl(*slices)
    command = ("iptables-save", "-t", "nat") if mode == "iptables" else ("nft", "list", "table", "ip", "kube-proxy")
    wait_until(
        lambda: f"{address}:80" in throwaway("exec", "--name", NAME, "worker1", "--", *command),
        "an endpoint stands in the rules",
    )


# What is written


def machine() -> dict[str, str | int | float]:
    """What this machine is, in the words of its kernel."""
    models = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "processors": os.cpu_count() or 0,
        "model": models[0] if models else platform.machine(),
        "memory, GiB": round(memory, 1),
        "kernel": platform.release(),
        "load before": round(os.getloadavg()[0], 2),
    }


def page(results: dict[str, Any]) -> str:
    """The figures as a page of the site."""
    described = results["machine"]
    figures = [f"| {what} | {Figure(**values)} |" for what, values in results["start and end"].items()]
    steps = [f"| {step} | {Figure(**values)} |" for step, values in results["steps of up"].items()]
    lines = [
        "# Figures",
        "",
        "<!-- Written by ./dev bench; do not edit. -->",
        "",
        f"Measured on {results['date']} with Kubernetes {results['version']} and clusters of three nodes, on a machine"
        f" with {described['processors']} processors ({described['model']}), {described['memory, GiB']} GiB of memory"
        f" and Linux {described['kernel']}. Programs and images were built before.",
        "",
        "Unless said otherwise, each figure is the median of "
        f"{results['runs']} runs (memory: three), with the lowest and the highest in brackets. Before the first, the"
        f" machine's load was {described['load before']}. `./dev bench` measures them anew.",
        "",
        "## Start and end",
        "",
        "| What | Median (lowest to highest) |",
        "| --- | --- |",
        *figures,
        "",
        "Memory counts each page once, also where processes share it (PSS). Files in memory are the logs, etcd's data"
        " and what Pods write.",
        "",
        "## Where the time goes",
        "",
        "| `throwaway up` is done with | seconds after its start |",
        "| --- | --- |",
        *steps,
    ]
    if sequence := results.get("seconds of up, one after another"):
        lines += [
            "",
            "## One after another",
            "",
            f"Measured once: {len(sequence)} clusters in a row took {', '.join(map(str, sequence))} seconds to start.",
        ]
    lines += ["", TRIED.read_text().strip()]
    if scales := results.get("scale"):
        heads = list(next(iter(scales.values()))[0])
        lines += [
            "",
            "## Many Services",
            "",
            "Each figure here was measured once. NodePort Services with one endpoint each, on a running cluster. The"
            " endpoints are hollow: addresses without a Pod. So this shows the cost of Services, not that of Pods. One"
            " more is programmed when its endpoint stands in the rules of worker1; that includes the start of kubectl.",
            "",
            f"| kube-proxy | {' | '.join(heads)} |",
            "| --- |" + " --- |" * len(heads),
            *(
                f"| {mode} | {' | '.join(str(row[head]) for head in heads)} |"
                for mode, rows in scales.items()
                for row in rows
            ),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how often a cluster is started and ended (5)")
    parser.add_argument("--sequence", type=int, default=10, help="clusters one after another (10; 0 leaves it out)")
    parser.add_argument("--services", type=int, default=1000, help="hollow Services at most (1000; 0 leaves it out)")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "date": str(date.today()),
        "version": KUBERNETES_VERSION,
        "machine": machine(),
        "runs": options.runs,
    }
    say(f"{options.runs} clusters, started and ended")
    measured = start_and_end(options.runs)
    say("memory of idle clusters")
    measured |= idle_memory(min(options.runs, 3))
    results["start and end"] = {what: asdict(values) for what, values in measured.items()}
    say("the steps of up")
    results["steps of up"] = {step: asdict(values) for step, values in steps_of_up(options.runs).items()}
    if options.sequence:
        say(f"{options.sequence} clusters one after another")
        results["seconds of up, one after another"] = in_sequence(options.sequence)
    if options.services:
        results["scale"] = {}
        for mode in PROXY_MODES:
            say(f"{options.services} Services with kube-proxy in {mode} mode")
            counts = [0, options.services // 10, options.services // 2, options.services]
            results["scale"][mode] = scale(mode, counts)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(results))
    print(PAGE.read_text())
    say(f"written to {RESULTS.relative_to(HERE.parent)} and {PAGE.relative_to(HERE.parent)}")


def say(what: str) -> None:
    """Show what is done now."""
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
