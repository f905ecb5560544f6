"""Being inside a cluster: exec, logs, shell."""

import os

import click

from throwaway import sandbox
from throwaway.cli.common import SHELL_VARIABLE, name_option
from throwaway.cluster import find_or_fail
from throwaway.components import KUBECONFIG, NODE_PATH
from throwaway.errors import ThrowawayError


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@name_option
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on NODE as its root: throwaway exec worker1 -- nft list ruleset

    Besides the nodes there is 'client', a machine outside the cluster: throwaway exec client -- curl …
    """
    running = find_or_fail(name)
    pid = running.node_pid(node)
    kept = {key: value for key, value in os.environ.items() if key in ("TERM", "LANG", "LC_ALL")}
    environment = {**kept, "PATH": NODE_PATH, "HOME": "/tmp", "KUBECONFIG": KUBECONFIG}
    sandbox.run_on_node(pid, command, environment)


@click.command()
@name_option
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


@click.command(context_settings={"ignore_unknown_options": True})
@name_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(name: str, command: tuple[str, ...]) -> None:
    """Open a shell inside the cluster's network, or run COMMAND there.

    Files and programs are this machine's, the network is the cluster's: curl reaches the nodes' addresses, kubectl
    and Python's kubernetes package find the API server. You stand beside the nodes, outside the cluster: ClusterIPs
    and cluster names answer only in Pods and on nodes (see 'throwaway exec').
    """
    running = find_or_fail(name)
    environment = {
        **running.environment,
        SHELL_VARIABLE: name,
        sandbox.ACCOUNT_VARIABLE: os.environ.get(sandbox.ACCOUNT_VARIABLE, str(os.getuid())),
    }
    if not command:
        click.echo(f"You are in the network of cluster {name!r}; 'exit' leaves it. Nodes:", err=True)
        for node in running.plan.nodes:
            click.echo(f"  {node.name:<14} {' '.join(node.addresses)}", err=True)
        command = (os.environ.get("SHELL", "/bin/sh"),)
    sandbox.enter_network(running.sandbox)
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        raise ThrowawayError(f"{command[0]}: {error.strerror}") from None
