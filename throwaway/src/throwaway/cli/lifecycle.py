"""A cluster's life: up, down, status, kubeconfig."""

import os
import time

import click

from throwaway import build, requirements, sandbox
from throwaway import cluster as clusters
from throwaway.cli.common import context_option, name_option, progress, provider_option
from throwaway.cluster import SHELL_VARIABLE
from throwaway.errors import AlreadyRunsError, ThrowawayError
from throwaway.plan import DEFAULT_NAME, KUBERNETES_VERSION, PROXY_MODES, ProxyMode, make_plan
from throwaway.public import Cluster


@click.command()
@name_option
@click.option("--nodes", default=3, show_default=True, metavar="N", help="How many, the control plane included.")
@click.option(
    "--proxy-mode",
    type=click.Choice(PROXY_MODES),
    default="nftables",
    show_default=True,
    help="kube-proxy's mode.",
)
@click.option("--new", is_flag=True, help="Fail if a cluster of this name runs already.")
@provider_option
def up(name: str, nodes: int, proxy_mode: ProxyMode, new: bool, provider: str) -> None:
    """Start a cluster, or find the one that runs, and say what to do next.

    It runs on after this command, until 'throwaway down', and ends with this machine. Until it is ready, Ctrl+C
    or the end of this command, in whatever way, takes all of it back.
    """
    if provider != "embedded":
        _up_elsewhere(name, nodes, proxy_mode, new, provider)
        return
    plan = make_plan(name, nodes, proxy_mode)
    if SHELL_VARIABLE in os.environ and not sandbox.find(name):
        raise ThrowawayError("a cluster cannot be started inside another one's 'throwaway shell'; leave it first")
    requirements.require()
    with progress() as display:
        built = build.ensure(display.build)
        begin = time.monotonic()
        clusters.up(plan, built, display.step, new)
    seconds = time.monotonic() - begin
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    count = "1 node" if nodes == 1 else f"{nodes} nodes"
    click.echo(f"Cluster {name!r} is ready ({seconds:.1f} s): {count}, kube-proxy in {proxy_mode} mode.")
    click.echo(f"Next: 'throwaway shell{option}' for a shell with kubectl; 'throwaway down{option}' ends it all.")


def _up_elsewhere(name: str, nodes: int, proxy_mode: str, new: bool, provider: str) -> None:
    if provider == "existing":
        raise ThrowawayError("an adopted cluster is there already; 'throwaway shell --provider existing' uses it")
    if new and Cluster.find(name, provider=provider):
        raise AlreadyRunsError(f"cluster {name!r} runs already")
    with progress() as display:
        Cluster.up(name, nodes=nodes, proxy_mode=proxy_mode, provider=provider, report=display.step)
    click.echo(f"Cluster {name!r} of {provider} is ready.")
    options = f" --provider {provider} --name {name}"
    click.echo(f"Next: 'throwaway shell{options}' for a shell with kubectl; 'throwaway down{options}' ends it all.")


@click.command()
@name_option
@click.option("--all", "every", is_flag=True, help="End every embedded cluster of this account.")
@provider_option
@context_option
def down(name: str, every: bool, provider: str, context: str) -> None:
    """End a cluster. Nothing of it is left; a cluster that does not run is no error."""
    if provider != "embedded" and not every:
        found = Cluster.find(name, provider=provider, context=context)
        if found:
            found.down()
        click.echo(f"Cluster {name!r} is gone." if found else f"No cluster {name!r} is running.")
        return
    for each in _own_names() if every else [name]:
        running = sandbox.find(each)
        if running is None:
            click.echo(f"No cluster {each!r} is running.")
            continue
        begin = time.monotonic()
        running.end()
        click.echo(f"Cluster {each!r} is gone ({time.monotonic() - begin:.1f} s).")


@click.command()
def status() -> None:
    """List the clusters of this account and their nodes."""
    names = _own_names()
    if not names:
        click.echo("No cluster is running. Start one with 'throwaway up'.")
    for name in names:
        found = clusters.find(name)
        if found is None:
            continue
        state = "ready" if found.is_ready else "starting"
        click.echo(f"{name}: {state}, Kubernetes {KUBERNETES_VERSION}, kube-proxy in {found.plan.proxy_mode} mode")
        for node in found.plan.nodes:
            state = "" if found.sandbox.has_node(node.name) else "  (dead)"
            click.echo(f"  {node.name:<14} {node.address:<14} Pods in {node.pod_subnet}{state}")


def _own_names() -> list[str]:
    """The names of our clusters; a name that somebody else's program has taken is said, and passed over."""
    own = []
    for name in sandbox.names():
        try:
            if sandbox.find(name):
                own.append(name)
        except ThrowawayError as error:
            click.echo(f"{name}: {error}", err=True)
    return own


@click.command()
@name_option
@provider_option
@context_option
def kubeconfig(name: str, provider: str, context: str) -> None:
    """Print a kubeconfig of an administrator, for programs outside 'throwaway shell'.

    Its API server is a port on this machine's loopback. Nodes and Pods have no way out: for them use the shell.
    """
    click.echo(Cluster.find_or_fail(name, provider=provider, context=context).kubeconfig.read_text(), nl=False)
