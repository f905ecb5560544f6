"""Giving a cluster of one's own away: adopt."""

import json
import sys

import click

from throwaway import adoption
from throwaway.errors import ThrowawayError


@click.command()
@click.option("--context", required=True, metavar="CONTEXT", help="Which context of your kubeconfig.")
@click.option(
    "--days",
    type=click.FloatRange(0, 366, min_open=True),
    default=adoption.DEFAULT_DAYS,
    show_default=True,
    help="How long the mark counts.",
)
@click.option("--load-balancer", is_flag=True, help="Its Services of type LoadBalancer are given an address.")
@click.option("--release", is_flag=True, help="Take the mark back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(context: str, days: float, load_balancer: bool, release: bool, yes: bool) -> None:
    """Mark a cluster of yours as throwaway.

    Whatever is in it may be changed and deleted from then on.
    Without the mark nothing is ever created on, or deleted from, a cluster that throwaway has not made. The mark is
    the ConfigMap kube-system/throwaway. It counts for this cluster, at this address, and ends by itself.
    """
    found = adoption.take_context(context)
    uid = adoption.cluster_uid(found)
    if not yes:
        nodes = len(json.loads(found.get("/api/v1/nodes"))["items"])
        namespaces = len(json.loads(found.get("/api/v1/namespaces"))["items"])
        click.echo(f"Context {context!r}: {found.server}, {nodes} nodes, {namespaces} namespaces, cluster {uid}.")
        click.echo("Its mark is taken back." if release else "Everything in it may be destroyed from now on.")
        click.echo("Type the context's name to go on: ", nl=False)
        if sys.stdin.readline().strip() != context:
            raise ThrowawayError(f"that is not {context!r}; nothing was done")
    if release:
        was_there = adoption.release(found)
        click.echo(f"Context {context!r} is released." if was_there else f"Context {context!r} has no mark.")
        return
    mark = adoption.adopt(found, days, load_balancer)
    click.echo(f"Context {context!r} is throwaway until {mark.until:%Y-%m-%d %H:%M} UTC.")
    click.echo(f"Next: 'throwaway shell --provider existing --context {context}'.")
