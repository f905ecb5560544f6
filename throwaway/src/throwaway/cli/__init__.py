"""The command line: what the user types, sees and is told when something is wrong.

A module for each group of commands; here is what holds them together.
"""

import traceback
from typing import Any

import click

from throwaway.cli.adopting import adopt
from throwaway.cli.inside import exec_, kubectl, logs, shell
from throwaway.cli.lifecycle import down, kubeconfig, status, up
from throwaway.cli.making import build_, setup
from throwaway.errors import ThrowawayError


class _Group(click.Group):
    """Shows a `ThrowawayError` as one line; with --debug the traceback as well."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except ThrowawayError as error:
            if context.params.get("debug"):
                traceback.print_exc()
            click.echo(f"throwaway: {error}", err=True)
            context.exit(1)
        except BrokenPipeError:
            context.exit(141)
        except OSError as error:
            if context.params.get("debug"):
                traceback.print_exc()
            click.echo(f"throwaway: {error}; 'throwaway --debug …' shows where", err=True)
            context.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def main(debug: bool) -> None:
    """A throwaway Kubernetes cluster: real components, several nodes, one Linux machine, no Docker, no root.

    \b
    throwaway up            start a cluster of three nodes (some seconds; the first time it is built: minutes)
    throwaway shell         a shell in its network, with kubectl: curl http://NODE-ADDRESS:NODE-PORT works there
    throwaway down          end it; nothing is left
    """  # noqa: D301 - click looks for the backspace itself


for command in (up, down, status, kubeconfig, kubectl, exec_, logs, shell, adopt, build_, setup):
    main.add_command(command)
