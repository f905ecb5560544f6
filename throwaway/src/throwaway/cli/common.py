"""Options that commands share."""

import click

from throwaway.cli.completion import complete_cluster
from throwaway.cluster import SHELL_VARIABLE
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
