"""Clusters that run: down, status, kubeconfig."""

import time

import click

from throwaway import cluster as clusters
from throwaway import sandbox
from throwaway.cli.common import cluster_options, context_option, name_option, provider_option, require_embedded
from throwaway.cli.completion import complete_cluster
from throwaway.cli.reports import (
    ClusterStatus,
    Down,
    Ended,
    Machine,
    NodeStatus,
    Output,
    Status,
    echo,
    output_option,
)
from throwaway.errors import ThrowawayError
from throwaway.plan import (
    KUBERNETES_VERSION,
    check_name,
    unusual_settings,
)
from throwaway.public import Cluster


@click.command()
@name_option
@click.option("--all", "every", is_flag=True, help="End every embedded cluster of this account.")
@provider_option
@context_option
@output_option
def down(name: str, every: bool, provider: str, context: str, output: Output) -> None:
    """End a cluster; nothing of it is left.

    A cluster that does not run is no error.
    """
    ended = []
    if provider != "embedded" and not every:
        found = Cluster.find(name, provider=provider, context=context)
        begin = time.monotonic()
        if found:
            found.down()
        ended.append(Ended(name, found is not None, round(time.monotonic() - begin, 3)))
    else:
        for each in _own_names() if every else [name]:
            running = sandbox.find(each)
            begin = time.monotonic()
            if running:
                running.end()
            ended.append(Ended(each, running is not None, round(time.monotonic() - begin, 3)))
    echo(Down(ended), output, lambda: "\n".join(map(_end_in_words, ended)) or "No cluster is running.")


def _end_in_words(ended: Ended) -> str:
    gone, none = f"Cluster {ended.name!r} is gone ({ended.seconds:.1f} s).", f"No cluster {ended.name!r} is running."
    return gone if ended.was_running else none


@click.command()
@click.option("--name", default="", metavar="NAME", shell_complete=complete_cluster, help="This cluster alone.")
@output_option
def status(name: str, output: Output) -> None:
    """List the clusters of this account."""
    require_embedded()
    own = []
    for each in [check_name(name)] if name else _own_names():
        try:
            found = clusters.find(each)
        except ThrowawayError as error:
            click.echo(f"{each}: {error}", err=True)
            continue
        if found is not None:
            own.append(_status_of(found))
    if name and not own:
        clusters.find_or_fail(name)  # which says what to do
    none = "No cluster is running. Start one with 'throwaway up'."
    echo(Status(own), output, lambda: "\n".join(map(_status_in_words, own)) or none)


def _status_of(found: clusters.Cluster) -> ClusterStatus:
    plan = found.plan
    return ClusterStatus(
        name=found.name,
        state="ready" if found.is_ready else "starting",
        kubernetes=KUBERNETES_VERSION,
        proxy_mode=plan.proxy_mode,
        ip_family=plan.ip_family,
        settings=list(unusual_settings(plan)),
        nodes=[
            NodeStatus(
                name=node.name,
                addresses=list(node.addresses),
                alive=found.sandbox.has_node(node.name),
                is_control_plane=node.is_control_plane,
                pod_subnets=list(node.pod_subnets),
                zone=node.zone,
            )
            for node in plan.nodes
        ],
        clients=[
            Machine(client.name, list(client.addresses), found.sandbox.has_node(client.name)) for client in plan.clients
        ],
    )


def _status_in_words(found: ClusterStatus) -> str:
    lines = [f"{found.name}: {found.state}, Kubernetes {found.kubernetes}, kube-proxy in {found.proxy_mode} mode"]
    if found.settings:
        lines.append(f"  started with {' '.join(found.settings)}")
    for machine in (*found.nodes, *found.clients):
        where = f"Pods in {' '.join(machine.pod_subnets)}" if isinstance(machine, NodeStatus) else "outside the cluster"
        zone = f"  {machine.zone}" if isinstance(machine, NodeStatus) and machine.zone else ""
        state = "" if machine.alive else "  (dead)"
        lines.append(f"  {machine.name:<14} {' '.join(machine.addresses):<14} {where}{zone}{state}")
    return "\n".join(lines)


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
@cluster_options
def kubeconfig(name: str, provider: str, context: str) -> None:
    """Print a kubeconfig, of an administrator.

    It is for programs outside 'throwaway shell'.
    Its API server is a port on this machine's loopback. Nodes and Pods have no way out: for them use the shell.
    """
    click.echo(Cluster.find_or_fail(name, provider=provider, context=context).kubeconfig.read_text(), nl=False)
