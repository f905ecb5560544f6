"""What clusters are made of, and what the machine must have: build, setup."""

import click

from throwaway import build, requirements
from throwaway.cli.common import progress
from throwaway.cli.reports import Build, Output, echo, output_option


@click.command(name="build")
@output_option
def build_(output: Output) -> None:
    """Build what clusters are made of.

    That takes minutes the first time; what is built already is kept.
    Kubernetes, etcd, containerd, CoreDNS and the images come from the pinned Go modules of this package.
    An interrupted build goes on where it was.
    """
    requirements.require()
    with progress() as display:
        built = build.ensure(display.build)
    echo(
        Build(str(built.bin), str(built.images)),
        output,
        lambda: f"Programs: {built.bin}\nImages:   {built.images}\nNext: 'throwaway up'.",
    )


@click.command()
def setup() -> None:
    """Install or name missing system packages."""
    requirements.setup(lambda step: click.echo(f"{step} …", err=True))
    click.echo("Nothing is missing. Next: 'throwaway up'.")
