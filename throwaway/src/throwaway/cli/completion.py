"""Completion of what is typed in a shell: what clusters, nodes and components there are, and the shell's script."""

import os
from collections.abc import Callable

import click
from click.shell_completion import get_completion_class

from throwaway import cluster as clusters
from throwaway import sandbox
from throwaway.cluster import Cluster
from throwaway.errors import ThrowawayError
from throwaway.hints import SHELL_VARIABLE
from throwaway.plan import DEFAULT_NAME

_SHELLS = ("bash", "zsh", "fish")
_Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _completing(names: Callable[[click.Context], list[str]]) -> _Complete:
    """What click asks while something is typed; whatever is wrong then is no matter for a message."""

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        try:
            return [name for name in names(context) if name.startswith(begun)]
        except (ThrowawayError, OSError):
            return []

    return complete


def _cluster(context: click.Context) -> Cluster | None:
    return clusters.find(context.params.get("name") or os.environ.get(SHELL_VARIABLE) or DEFAULT_NAME)


def _machines(context: click.Context) -> list[str]:
    found = _cluster(context)
    return [host.name for host in found.plan.hosts] if found else []


def _workers(context: click.Context) -> list[str]:
    found = _cluster(context)
    return [node.name for node in found.plan.nodes if not node.is_control_plane] if found else []


def _components(context: click.Context) -> list[str]:
    found = _cluster(context)
    return list(found.logs(context.params["node"])) if found else []


complete_cluster = _completing(lambda _: sandbox.names())
complete_machine = _completing(_machines)
complete_worker = _completing(_workers)
complete_component = _completing(_components)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script by which a shell completes names.

    It completes commands, options, and names of clusters, nodes and components.

    \b
    bash    echo 'eval "$(throwaway completion bash)"' >> ~/.bashrc
    zsh     echo 'eval "$(throwaway completion zsh)"' >> ~/.zshrc    (after compinit)
    fish    throwaway completion fish > ~/.config/fish/completions/throwaway.fish
    """  # noqa: D301 - click looks for the backspace itself
    made_by = get_completion_class(shell)
    assert made_by
    click.echo(made_by(context.find_root().command, {}, "throwaway", "_THROWAWAY_COMPLETE").source())
