"""Nodes of a running cluster: node add, stop, start, delete."""

import time

import click

from throwaway import nodes
from throwaway.cli.common import find_embedded, name_option
from throwaway.cli.completion import complete_worker
from throwaway.cli.display import progress
from throwaway.cli.reports import NodeEnded, NodeReady, Output, echo, output_option
from throwaway.hints import which
from throwaway.plan import Node


@click.group()
def node() -> None:
    """Add a node, let one die, bring it back, remove it.

    Everything on a node is in memory, so that one that comes back has lost its containers and their files.
    """


@node.command()
@name_option
@output_option
@click.argument("node", required=False, default="")
def add(name: str, output: Output, node: str) -> None:
    """Add a worker and wait until it is Ready; without a name it is the next workerN."""
    running = find_embedded(name)
    begin = time.monotonic()
    with progress() as display:
        added = nodes.add(running, node, display.step)
    _say_ready(added, time.monotonic() - begin, output)


@node.command()
@name_option
@output_option
@click.argument("node", shell_complete=complete_worker)
def stop(name: str, output: Output, node: str) -> None:
    """End a node at once, as if its power had been cut.

    Kubernetes is not told: it marks the Node NotReady when nothing was heard of it for a while.
    """
    nodes.stop(find_embedded(name), node)
    echo(
        NodeEnded(node, is_deleted=False),
        output,
        lambda: (
            f"Node {node!r} is off; kubectl shows it as Ready for up to a minute more.\n"
            f"Next: 'throwaway node start{which(name)} {node}' brings it back."
        ),
    )


@node.command()
@name_option
@output_option
@click.argument("node", shell_complete=complete_worker)
def start(name: str, output: Output, node: str) -> None:
    """Start a node that was stopped or has died, and wait until it is Ready."""
    running = find_embedded(name)
    begin = time.monotonic()
    with progress() as display:
        started = nodes.start(running, node, display.step)
    _say_ready(started, time.monotonic() - begin, output)


@node.command()
@name_option
@output_option
@click.argument("node", shell_complete=complete_worker)
def delete(name: str, output: Output, node: str) -> None:
    """End a node and delete its Node object; its Pods start elsewhere, if a controller sees to them."""
    nodes.delete(find_embedded(name), node)
    echo(NodeEnded(node, is_deleted=True), output, lambda: f"Node {node!r} is gone.")


def _say_ready(node: Node, seconds: float, output: Output) -> None:
    addresses = list(node.addresses)
    echo(
        NodeReady(node.name, addresses, round(seconds, 3)),
        output,
        lambda: f"Node {node.name!r} is Ready at {' '.join(addresses)} ({seconds:.1f} s).",
    )
