"""The command line: what the user types, sees and is told when something is wrong.

A module for each group of commands; here is what holds them together.
"""

import importlib
import re
import sys
import traceback
from typing import Any, NoReturn

import click

from throwaway.errors import ThrowawayError

_COMMANDS = {
    "up": "starting.up",
    "down": "lifecycle.down",
    "status": "lifecycle.status",
    "kubeconfig": "lifecycle.kubeconfig",
    "kubectl": "inside.kubectl",
    "exec": "inside.exec_",
    "logs": "inside.logs",
    "capture": "observe.capture",
    "trace": "observe.trace",
    "shell": "inside.shell",
    "node": "nodes.node",
    "load": "images.load",
    "image": "images.image",
    "lab": "labs.lab",
    "adopt": "adopting.adopt",
    "build": "making.build_",
    "setup": "making.setup",
    "completion": "completion.completion",
}
"""Command → its module and function. Only the one that is called is imported: a command is to take a moment."""


class _Group(click.Group):
    """Shows what is wrong in one line; with --debug the traceback of a `ThrowawayError` as well."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, function = _COMMANDS[name].partition(".")
        command: click.Command = getattr(importlib.import_module(f"throwaway.cli.{module}"), function)
        return command

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run, and end with an exit code: 1 for what went wrong, 2 for what was typed wrong."""
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            code = 2
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "throwaway"
            click.echo(f"throwaway: {_said_plainly(error)}; '{command} --help' shows what there is", err=True)
            code = error.exit_code
        except click.Abort:
            click.echo("throwaway: interrupted", err=True)
            code = 130
        sys.exit(code if isinstance(code, int) else 0)

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


def _said_plainly(error: click.UsageError) -> str:
    """What is wrong with the command line, without an end mark; a name where there is none is asked for as one."""
    message = error.format_message().rstrip(".?").replace(". Did you mean", ", did you mean")
    if extra := re.fullmatch(r"Got unexpected extra argument \((\S+)\)", message):
        if error.ctx and error.ctx.command.params[-1].name == "node":
            return "one node at a time"
        return f"{extra[1]!r} is one word too many (a cluster is named by --name {extra[1]})"
    return message[0].lower() + message[1:]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def main(debug: bool) -> None:
    """A throwaway Kubernetes cluster: real components, several nodes, one Linux machine, no Docker, no root.

    \b
    throwaway up            start a cluster of three nodes (some seconds; the first time it is built: minutes)
    throwaway shell         a shell in its network, with kubectl: curl http://NODE-ADDRESS:NODE-PORT works there
    throwaway down          end it; nothing is left
    """  # noqa: D301 - click looks for the backspace itself
