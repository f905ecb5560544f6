"""Broken situations to be mended: lab start, check, hint, stop, list."""

import click
from click.shell_completion import CompletionItem

from throwaway import labs
from throwaway.cli.common import cluster_options
from throwaway.errors import ThrowawayError
from throwaway.hints import which
from throwaway.public import Cluster


def _complete(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    try:
        return [CompletionItem(lab.name, help=lab.title) for lab in labs.labs() if lab.name.startswith(begun)]
    except (ThrowawayError, OSError):
        return []


_lab_argument = click.argument("lab_name", metavar="LAB", shell_complete=_complete)


@click.group()
def lab() -> None:
    """Mend what is broken: situations on the running cluster, to practise on.

    \b
    throwaway lab list
    throwaway lab start refused
    throwaway lab check refused
    throwaway lab stop refused

    Each takes place in a namespace of its own, lab-LAB. The site has a page for each.
    """  # noqa: D301 - click looks for the backspace itself


@lab.command(name="list")
@cluster_options
def list_(name: str, provider: str, context: str) -> None:
    """List the labs, and say which are started."""
    there = labs.labs()
    cluster = Cluster.find(name, provider=provider, context=context)
    begun = labs.started(cluster) if cluster else []
    width = max(len(each.name) for each in there)
    for each in there:
        click.echo(f"{each.name:<{width}}  {each.symptom}{' (started)' if each.name in begun else ''}")


@lab.command()
@cluster_options
@_lab_argument
def start(name: str, provider: str, context: str, lab_name: str) -> None:
    """Put a broken situation on the cluster."""
    found = labs.find(lab_name)
    labs.start(found, Cluster.find_or_fail(name, provider=provider, context=context))
    click.echo(f"Lab {found.name!r} is started, in the namespace {found.namespace}.\n{found.symptom}")


@lab.command()
@cluster_options
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=labs.PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to look again: what you change has to come to each node.",
)
@_lab_argument
def check(name: str, provider: str, context: str, wait: float, lab_name: str) -> None:
    """Say whether the cause is mended; the exit code is 1 while it is not."""
    found = labs.find(lab_name)
    cluster = Cluster.find_or_fail(name, provider=provider, context=context)
    labs.check(found, cluster, wait)
    stop = f"throwaway lab stop{which(cluster.name, cluster.provider)} {found.name}"
    click.echo(f"Lab {found.name!r} is mended. '{stop}' takes it away.")


@lab.command()
@cluster_options
@_lab_argument
def hint(name: str, provider: str, context: str, lab_name: str) -> None:
    """Show the next hint."""
    found = labs.find(lab_name)
    number, text = labs.next_hint(found, Cluster.find_or_fail(name, provider=provider, context=context))
    click.echo(f"Hint {number} of {len(found.hints)}: {text}")


@lab.command()
@cluster_options
@_lab_argument
def stop(name: str, provider: str, context: str, lab_name: str) -> None:
    """Take the situation away, with all that was made in its namespace."""
    found = labs.find(lab_name)
    labs.stop(found, Cluster.find_or_fail(name, provider=provider, context=context))
    click.echo(f"Lab {found.name!r} is gone.")
