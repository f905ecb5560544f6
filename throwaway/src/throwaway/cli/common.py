"""Options that commands share."""

import os
from collections.abc import Callable
from typing import Any

import click

from throwaway.cli.completion import complete_cluster
from throwaway.cluster import Cluster, find_or_fail
from throwaway.errors import ThrowawayError
from throwaway.hints import SHELL_VARIABLE
from throwaway.plan import DEFAULT_NAME, check_name
from throwaway.providers import PROVIDER_VARIABLE, PROVIDERS


def _checked(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    return check_name(name)


name_option = click.option(
    "--name",
    default=DEFAULT_NAME,
    envvar=SHELL_VARIABLE,
    show_default=True,
    metavar="NAME",
    callback=_checked,
    shell_complete=complete_cluster,
    help="Which cluster; in a 'throwaway shell' that of the shell.",
)


provider_option = click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default="embedded",
    envvar=PROVIDER_VARIABLE,
    show_default=True,
    help="Where the cluster comes from: this package, kind, or its owner ('throwaway adopt --help').",
)
context_option = click.option(
    "--context",
    default="",
    metavar="CONTEXT",
    help="Which context of your kubeconfig, for the provider existing; else $THROWAWAY_CONTEXT.",
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command for clusters of all providers: which cluster it is."""
    return name_option(provider_option(context_option(command)))


def require_embedded() -> None:
    """Raise `ThrowawayError` where the environment asks for another provider, which the command knows nothing of."""
    chosen = os.environ.get(PROVIDER_VARIABLE) or "embedded"
    if chosen != "embedded":
        raise ThrowawayError(
            f"this command is for embedded clusters alone, and {PROVIDER_VARIABLE} is {chosen};"
            f" set {PROVIDER_VARIABLE}=embedded for it"
        )


def find_embedded(name: str) -> Cluster:
    """The embedded cluster of this name, for commands without `--provider`; raises `ThrowawayError` if none is ready.

    The same where the environment asks for another provider.
    """
    require_embedded()
    return find_or_fail(name)
