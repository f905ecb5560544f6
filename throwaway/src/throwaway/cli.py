"""The command line: what the user types, sees and is told when something is wrong."""

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from throwaway import artifacts, requirements, sandbox
from throwaway import cluster as clusters
from throwaway.cluster import Report, find_or_fail
from throwaway.components import KUBECONFIG, NODE_PATH
from throwaway.errors import ThrowawayError
from throwaway.plan import DEFAULT_NAME, KUBERNETES_VERSION, PROXY_MODES, ProxyMode, make_plan

_console = Console(stderr=True, highlight=False)


class _Group(click.Group):
    """Shows a `ThrowawayError` as one line; with --debug the traceback as well."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ThrowawayError as error:
            if context.params.get("debug"):
                traceback.print_exc()
            click.echo(f"throwaway: {error}", err=True)
            context.exit(1)
        except BrokenPipeError:
            context.exit(141)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def main(debug: bool) -> None:
    """A throwaway Kubernetes cluster: real components, several nodes, one Linux machine, no Docker, no root.

    \b
    throwaway up            start a cluster of three nodes (some seconds; the first time it is built: minutes)
    throwaway shell         a shell in its network, with kubectl: curl http://NODE-ADDRESS:NODE-PORT works there
    throwaway down          end it; nothing is left
    """


_name = click.option("--name", default=DEFAULT_NAME, show_default=True, metavar="NAME", help="Which cluster.")


@main.command()
@_name
@click.option("--nodes", default=3, show_default=True, metavar="N", help="How many, the control plane included.")
@click.option(
    "--proxy-mode", type=click.Choice(PROXY_MODES), default="nftables", show_default=True, help="kube-proxy's mode."
)
def up(name: str, nodes: int, proxy_mode: ProxyMode) -> None:
    """Start a cluster, or find the one that runs, and say what to do next.

    It runs on after this command, until 'throwaway down', and ends with this machine. Until it is ready, Ctrl+C
    or the end of this command, in whatever way, takes all of it back.
    """
    plan = make_plan(name, nodes, proxy_mode)
    requirements.fail_if_missing()
    with _progress() as report:
        binaries, images = artifacts.ensure(report)
        begin = time.monotonic()
        running = clusters.up(plan, binaries, images, lambda step: report(f"{step} …"))
    seconds = time.monotonic() - begin
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    click.echo(f"Cluster {name!r} is ready ({seconds:.1f} s): {len(running.plan.nodes)} nodes, kube-proxy in {proxy_mode} mode.")
    click.echo(f"Next: 'throwaway shell{option}' for a shell with kubectl; 'throwaway down{option}' ends it all.")


@main.command()
@_name
@click.option("--all", "every", is_flag=True, help="End every cluster of this account.")
def down(name: str, every: bool) -> None:
    """End a cluster. Nothing of it is left; a cluster that does not run is no error."""
    for each in sandbox.names() if every else [name]:
        running = sandbox.find(each)
        if running is None:
            click.echo(f"No cluster {each!r} is running.")
            continue
        begin = time.monotonic()
        running.end()
        click.echo(f"Cluster {each!r} is gone ({time.monotonic() - begin:.1f} s).")


@main.command()
def status() -> None:
    """List the clusters of this account and their nodes."""
    names = sandbox.names()
    if not names:
        click.echo("No cluster is running. Start one with 'throwaway up'.")
    for name in names:
        found = clusters.find(name)
        if found is None:
            continue
        state = "ready" if found.is_ready else "starting"
        click.echo(f"{name}: {state}, Kubernetes {KUBERNETES_VERSION}, kube-proxy in {found.plan.proxy_mode} mode")
        for node in found.plan.nodes:
            click.echo(f"  {node.name:<14} {node.address:<14} Pods in {node.pod_subnet}")


@main.command()
@_name
def kubeconfig(name: str) -> None:
    """Print a kubeconfig of an administrator, for programs outside 'throwaway shell'.

    Its API server is a port on this machine's loopback. Nodes and Pods have no way out: for them use the shell.
    """
    click.echo(find_or_fail(name).kubeconfig.read_text(), nl=False)


@main.command(name="exec", context_settings={"ignore_unknown_options": True})
@_name
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on NODE as its root: throwaway exec worker1 -- nft list ruleset"""
    running = find_or_fail(name)
    pid = running.node_pid(node)
    kept = {key: value for key, value in os.environ.items() if key in ("TERM", "LANG", "LC_ALL")}
    environment = {**kept, "PATH": NODE_PATH, "HOME": "/tmp", "KUBECONFIG": KUBECONFIG}
    sandbox.run_on_node(pid, command, environment)


@main.command()
@_name
@click.argument("node")
@click.argument("component", required=False)
def logs(name: str, node: str, component: str | None) -> None:
    """Print the log of a COMPONENT on a NODE; without one, list the logs there are."""
    running = find_or_fail(name)
    if component is None:
        click.echo("\n".join(running.logs(node)))
        return
    with running.log(node, component).open(errors="replace") as log:
        for line in log:
            click.echo(line, nl=False)


@main.command(context_settings={"ignore_unknown_options": True})
@_name
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(name: str, command: tuple[str, ...]) -> None:
    """Open a shell inside the cluster's network, or run COMMAND there.

    Files and programs are this machine's, the network is the cluster's: curl reaches the nodes' addresses, kubectl
    and Python's kubernetes package find the API server. You stand beside the nodes, outside the cluster: ClusterIPs
    and cluster names answer only in Pods and on nodes (see 'throwaway exec').
    """
    running = find_or_fail(name)
    environment = {
        **os.environ,
        "KUBECONFIG": str(running.kubeconfig),
        "PATH": f"{running.bin}:{os.environ.get('PATH', os.defpath)}",
        "THROWAWAY_CLUSTER": name,
    }
    if not command:
        click.echo(f"You are in the network of cluster {name!r}; 'exit' leaves it. Nodes:", err=True)
        for node in running.plan.nodes:
            click.echo(f"  {node.name:<14} {node.address}", err=True)
        command = (os.environ.get("SHELL", "/bin/sh"),)
    sandbox.enter_network(running.sandbox)
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        raise ThrowawayError(f"{command[0]}: {error.strerror}") from None


@main.command()
def build() -> None:
    """Build what clusters are made of, unless it is built already: minutes the first time.

    Kubernetes, etcd, containerd, CoreDNS and the images come from the pinned Go modules of this package.
    An interrupted build goes on where it was.
    """
    requirements.fail_if_missing()
    with _progress() as report:
        binaries, images = artifacts.ensure(report)
    click.echo(f"Programs: {binaries}\nImages:   {images}\nNext: 'throwaway up'.")


@main.command()
def setup() -> None:
    """Install the system packages that a cluster needs, or name them where that is not possible."""
    requirements.setup()
    click.echo("Nothing is missing. Next: 'throwaway up'.")


@contextmanager
def _progress() -> Iterator[Report]:
    """A line that says what is being done: it moves on a terminal, and is printed once per step elsewhere."""
    if not _console.is_terminal:
        last = ""

        def print_step(step: str) -> None:
            nonlocal last
            if step != last:
                click.echo(step, err=True)
            last = step

        yield print_step
        return
    with _console.status("") as line:
        yield lambda step: line.update(step)
