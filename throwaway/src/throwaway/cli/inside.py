"""Being inside a cluster: exec, logs, shell."""

import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

import click

from throwaway import linux, on_node, sandbox
from throwaway.cli.common import cluster_options, find_embedded, name_option
from throwaway.cli.completion import complete_component, complete_machine
from throwaway.cli.reports import Log, Logs, Output, echo, output_option
from throwaway.cluster import find_or_fail, node_variables, shell_variables
from throwaway.errors import ThrowawayError
from throwaway.kubectl import program, refuse_other_targets
from throwaway.public import Cluster

_FOLLOW_SECONDS = 0.1
"""How often a log that is followed is looked at."""

_TAKES_A_COMMAND = {"allow_interspersed_args": False}
"""Options before the command are ours, and wrong ones are said to be; what follows belongs to the command."""
_NOT_FOUND = 127
"""Exit code of a shell whose command is not there (POSIX)."""


@click.command(name="exec", context_settings=_TAKES_A_COMMAND)
@cluster_options
@click.argument("node", shell_complete=complete_machine)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, provider: str, context: str, node: str, command: tuple[str, ...]) -> None:
    """Run a command on a node, as its root.

    \b
    throwaway exec worker1 -- nft list ruleset

    Besides the nodes there is 'client', a machine outside the cluster: throwaway exec client -- curl …
    """  # noqa: D301 - click looks for the backspace itself
    if command[0].startswith("-") and command[0] != "--":
        raise click.UsageError("options stand before the node")
    command = command[1:] if command[0] == "--" and len(command) > 1 else command
    if provider != "embedded":
        found = Cluster.find_or_fail(name, provider=provider, context=context)
        _run(found, found.node_command(node, command, is_terminal=sys.stdin.isatty()))
    running = find_or_fail(name)
    on_node.run(running.node_pid(node), command, node_variables())


@click.command()
@name_option
@click.option("--follow", "-f", is_flag=True, help="Print on what is written, until Ctrl+C or the node's end.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Begin with the last N lines.  [default: all]")
@output_option
@click.argument("node", shell_complete=complete_machine)
@click.argument("component", required=False, shell_complete=complete_component)
def logs(name: str, follow: bool, tail: int | None, output: Output, node: str, component: str | None) -> None:
    """Print the log of a node's component.

    Without COMPONENT, list the logs that NODE has.
    """
    running = find_embedded(name)
    if component is None:
        if follow or tail is not None:
            raise click.UsageError("--follow and --tail are for the log of one COMPONENT")
        found = running.logs(node)
        report = Logs(node, [Log(each, path.stat().st_size) for each, path in found.items()])
        echo(report, output, lambda: "\n".join(found))
        return
    if output == "json":
        raise click.UsageError("a log is text; --output json is for the list of logs")
    with running.log(node, component).open(errors="replace") as log:
        for line in log if tail is None else deque(log, maxlen=tail):
            click.echo(line, nl=False)
        if follow:
            _follow(log, running.node_pid(node))


def _follow(log: IO[str], pid: int) -> None:
    """Print what is written into a log from now on, until Ctrl+C or the end of the node's first process."""
    with suppress(KeyboardInterrupt), os.fdopen(os.pidfd_open(pid)) as node:
        has_ended = False
        while not has_ended:
            has_ended = bool(select.select([node], [], [], _FOLLOW_SECONDS)[0])
            if text := log.read():
                click.echo(text, nl=False)


@click.command(context_settings=_TAKES_A_COMMAND)
@cluster_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(name: str, provider: str, context: str, command: tuple[str, ...]) -> None:
    """Open a shell in the cluster's network.

    With COMMAND, run that there instead: throwaway shell -- kubectl get nodes

    Files and programs are this machine's, the network is the cluster's: curl reaches the nodes' addresses, kubectl
    and Python's kubernetes package find the API server. You stand beside the nodes, outside the cluster: ClusterIPs
    and cluster names answer only in Pods and on nodes (see 'throwaway exec').
    """
    if provider != "embedded":
        found = Cluster.find_or_fail(name, provider=provider, context=context)
        if not command:
            click.echo(
                f"KUBECONFIG leads to cluster {found.name!r} and to no other; 'exit' leaves the shell.", err=True
            )
        _run(found, command or (os.environ.get("SHELL", "/bin/sh"),))
    running = find_or_fail(name)
    environment = running.environment | shell_variables(name)
    if not command:
        click.echo(f"You are in the network of cluster {name!r}; 'exit' leaves it. Nodes:", err=True)
        for node in running.plan.nodes:
            click.echo(f"  {node.name:<14} {' '.join(node.addresses)}", err=True)
        command = _interactive_shell(environment)
    sandbox.enter_network(running.sandbox)
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        click.echo(f"throwaway: cannot run {command[0]!r} on this machine: {error.strerror}", err=True)
        sys.exit(_NOT_FOUND)


def _interactive_shell(environment: dict[str, str]) -> tuple[str, ...]:
    """The account's shell; bash is kept from changing PATH, and shows in its prompt where it is."""
    program = os.environ.get("SHELL", "/bin/sh")
    if Path(program).name != "bash":
        return (program,)
    environment["THROWAWAY_PATH"] = environment["PATH"]
    return (program, "--rcfile", str(Path(__file__).parent.parent / "shell.bashrc"))


# What follows kubectl's first word is its own, a `--` too.
@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@cluster_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, provider: str, context: str, arguments: tuple[str, ...]) -> None:
    """Run kubectl on the cluster, and no other.

    \b
    throwaway kubectl get nodes
    """  # noqa: D301 - click looks for the backspace itself
    found = Cluster.find_or_fail(name, provider=provider, context=context)
    refuse_other_targets(arguments)
    _run(found, (program(found.environment), *arguments))


def _run(cluster: Cluster, command: Sequence[str]) -> NoReturn:
    """Run a program that a person sits before, and end with its exit code; the kubeconfig goes with this process."""
    try:
        # Killed with this process, without whose kubeconfig it could do nothing more.
        process = subprocess.Popen(command, env=cluster.environment, preexec_fn=linux.die_with_parent)
    except OSError as error:
        raise ThrowawayError(f"{command[0]}: {error.strerror}") from None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the program, which gets it too
    code = process.wait()
    sys.exit(code if code >= 0 else 128 - code)
