"""What clusters are made of, and what the machine must have: build, setup."""

import json
from pathlib import Path

import click

from throwaway import build, requirements
from throwaway.cli.display import progress
from throwaway.cli.reports import Build, Output, echo, output_option


@click.command(name="build")
@click.option("--from-source", is_flag=True, help="Build all programs here, even where a release has them built.")
@click.option(
    "--bundle",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Then write the programs into FOLDER, as a file for a release, and print its entry for bundles.json.",
)
@output_option
def build_(from_source: bool, folder: Path | None, output: Output) -> None:
    """Build what clusters are made of.

    That takes minutes the first time; what is built already is kept.
    Kubernetes, etcd, containerd, CoreDNS and the images come from the pinned Go modules of this package. An interrupted
    build goes on where it was. Where these very sources belong to a release, its programs are downloaded instead.
    """
    requirements.require()
    with progress() as display:
        if folder:
            path, key, pin = build.write_bundle(folder, display.build)
        built = build.ensure(display.build, from_source)
    if folder:
        click.echo(json.dumps({key: {"url": f"https://…/{path.name}", **pin}}))
        return
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
