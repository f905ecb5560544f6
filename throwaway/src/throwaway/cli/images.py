"""Images: load, image build."""

import tempfile
import time
from pathlib import Path

import click

from throwaway import references
from throwaway.cli.common import cluster_options
from throwaway.cli.display import progress
from throwaway.cli.reports import ImageBuilt, Loaded, LoadedImage, Output, echo, output_option
from throwaway.hints import which
from throwaway.public import Cluster

_file = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


@click.command()
@cluster_options
@output_option
@click.argument("tars", nargs=-1, required=True, metavar="IMAGE.tar...", type=_file)
def load(name: str, provider: str, context: str, output: Output, tars: tuple[Path, ...]) -> None:
    """Give all nodes of a cluster the images of a tar.

    \b
    docker save hello:1 | throwaway load -

    The tar is one of 'docker save', 'podman save' or 'throwaway image build', or another of the OCI image layout. It
    may be gzip'ed; '-' is standard input. A Pod then uses the image by the name that is printed. A tag 'latest' is
    pulled each time, unless the Pod says imagePullPolicy: IfNotPresent; other tags are not.

    Nodes that 'throwaway node' adds, or starts again, have the images too. They end with the cluster.
    """  # noqa: D301 - click looks for the backspace itself
    cluster = Cluster.find_or_fail(name, provider=provider, context=context)
    begin = time.monotonic()
    loaded: list[str] = []
    with progress() as display:
        for tar in tars:
            display.step(f"loading {tar}")
            loaded += cluster.load(tar)
    seconds = time.monotonic() - begin
    echo(_loaded(cluster, loaded, seconds), output, lambda: _loaded_in_words(cluster, loaded, seconds))


def _loaded(cluster: Cluster, loaded: list[str], seconds: float) -> Loaded:
    images = [LoadedImage(reference, references.is_pulled_always(reference)) for reference in loaded]
    return Loaded(cluster.name, cluster.provider, images, round(seconds, 3))


def _loaded_in_words(cluster: Cluster, loaded: list[str], seconds: float) -> str:
    lines = [f"Loaded into all nodes of cluster {cluster.name!r} ({seconds:.1f} s):"]
    for reference in loaded:
        always = "  (pulled each time, unless a Pod has imagePullPolicy: IfNotPresent)"
        lines.append(f"  {reference}{always if references.is_pulled_always(reference) else ''}")
    policy = " --image-pull-policy=IfNotPresent" if references.is_pulled_always(loaded[0]) else ""
    run = f"throwaway kubectl{which(cluster.name, cluster.provider)} run NAME --image={loaded[0]}{policy}"
    return "\n".join([*lines, f"Next: '{run}' starts a Pod of it."])


@click.group()
def image() -> None:
    """Make images without Docker."""


@image.command()
@click.option("--tag", required=True, metavar="NAME:TAG", help="What the image is called.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The Dockerfile.  [default: the one in DIR]",
)
@click.option(
    "--base",
    "bases",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="IMAGE.tar",
    help="A tar with images for FROM, as 'throwaway load' takes it; may be given several times.",
)
@click.option(
    "--output-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="IMAGE.tar",
    help="Write the image to this file; no cluster is needed then.  [default: load it into the cluster]",
)
@cluster_options
@output_option
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def build(
    tag: str,
    file: Path | None,
    bases: tuple[Path, ...],
    output_file: Path | None,
    name: str,
    provider: str,
    context: str,
    output: Output,
    folder: Path,
) -> None:
    """Build an image from the files in DIR and load it into the cluster.

    \b
    throwaway image build --tag hello:1

    DIR, by default the working folder, has a Dockerfile. Nothing in it is executed, so there is no RUN and one stage
    only; there are FROM, COPY, ADD, ENV, ARG, LABEL, WORKDIR, USER, EXPOSE, ENTRYPOINT and CMD, and .dockerignore.

    \b
    FROM localhost/toolbox:1          a shell, curl, dig, nc; or scratch, or one of the cluster's other images
    COPY . /app
    CMD ["sh", "/app/run.sh"]

    What has to be compiled or installed is made before, and copied. The same files give the same digest.
    """  # noqa: D301 - click looks for the backspace itself
    from throwaway import image_build

    cluster = None if output_file else Cluster.find_or_fail(name, provider=provider, context=context)
    reference = references.full(tag)
    begin = time.monotonic()
    with progress() as display, tempfile.TemporaryDirectory(prefix="throwaway-") as scratch:
        display.step(f"building {reference}")
        tar = output_file or Path(scratch, "image.tar")
        digest = image_build.write(folder, file, reference, tar, bases)
        if cluster:
            display.step(f"loading {reference}")
            cluster.load(tar)
    seconds = time.monotonic() - begin
    report = ImageBuilt(
        reference,
        digest,
        str(output_file or ""),
        cluster.name if cluster else "",
        references.is_pulled_always(reference),
        round(seconds, 3),
    )
    echo(
        report,
        output,
        lambda: (
            f"Built {digest}.\n{_loaded_in_words(cluster, [reference], seconds)}"
            if cluster
            else f"Built {reference} ({digest}).\nNext: 'throwaway load{which(name, provider)} {output_file}'."
        ),
    )
