"""The command line: what the user types, sees and is told when something is wrong."""

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from throwaway import build, requirements, sandbox
from throwaway import cluster as clusters
from throwaway.cluster import find_or_fail
from throwaway.components import KUBECONFIG, NODE_PATH
from throwaway.errors import ThrowawayError
from throwaway.plan import DEFAULT_NAME, KUBERNETES_VERSION, PROXY_MODES, ProxyMode, check_name, make_plan

_SHELL_VARIABLE = "THROWAWAY_CLUSTER"  # set in 'throwaway shell', for prompts and scripts too


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


def _checked(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    return check_name(name)


_name = click.option(
    "--name",
    default=DEFAULT_NAME,
    envvar=_SHELL_VARIABLE,
    show_default=True,
    metavar="NAME",
    callback=_checked,
    help="Which cluster; in a 'throwaway shell' that of the shell.",
)


@main.command()
@_name
@click.option("--nodes", default=3, show_default=True, metavar="N", help="How many, the control plane included.")
@click.option(
    "--proxy-mode",
    type=click.Choice(PROXY_MODES),
    default="nftables",
    show_default=True,
    help="kube-proxy's mode.",
)
@click.option("--new", is_flag=True, help="Fail if a cluster of this name runs already.")
def up(name: str, nodes: int, proxy_mode: ProxyMode, new: bool) -> None:
    """Start a cluster, or find the one that runs, and say what to do next.

    It runs on after this command, until 'throwaway down', and ends with this machine. Until it is ready, Ctrl+C
    or the end of this command, in whatever way, takes all of it back.
    """
    plan = make_plan(name, nodes, proxy_mode)
    if _SHELL_VARIABLE in os.environ and not sandbox.find(name):
        raise ThrowawayError("a cluster cannot be started inside another one's 'throwaway shell'; leave it first")
    if new and sandbox.find(name):
        raise ThrowawayError(f"cluster {name!r} runs already; 'throwaway down --name {name}' ends it")
    requirements.require()
    with _progress() as display:
        built = build.ensure(display.build)
        begin = time.monotonic()
        clusters.up(plan, built, display.step)
    seconds = time.monotonic() - begin
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    count = "1 node" if nodes == 1 else f"{nodes} nodes"
    click.echo(f"Cluster {name!r} is ready ({seconds:.1f} s): {count}, kube-proxy in {proxy_mode} mode.")
    click.echo(f"Next: 'throwaway shell{option}' for a shell with kubectl; 'throwaway down{option}' ends it all.")


@main.command()
@_name
@click.option("--all", "every", is_flag=True, help="End every cluster of this account.")
def down(name: str, every: bool) -> None:
    """End a cluster. Nothing of it is left; a cluster that does not run is no error."""
    for each in _own_names() if every else [name]:
        running = sandbox.find(each)
        if running is None:
            click.echo(f"No cluster {each!r} is running.")
            continue
        begin = time.monotonic()
        running.end()
        click.echo(f"Cluster {each!r} is gone ({time.monotonic() - begin:.1f} s).")


@main.command()
def status() -> None:
    """List the clusters of this account and their nodes."""
    names = _own_names()
    if not names:
        click.echo("No cluster is running. Start one with 'throwaway up'.")
    for name in names:
        found = clusters.find(name)
        if found is None:
            continue
        state = "ready" if found.is_ready else "starting"
        click.echo(f"{name}: {state}, Kubernetes {KUBERNETES_VERSION}, kube-proxy in {found.plan.proxy_mode} mode")
        for node in found.plan.nodes:
            state = "" if found.sandbox.has_node(node.name) else "  (dead)"
            click.echo(f"  {node.name:<14} {node.address:<14} Pods in {node.pod_subnet}{state}")


def _own_names() -> list[str]:
    """The names of our clusters; a name that somebody else's program has taken is said, and passed over."""
    own = []
    for name in sandbox.names():
        try:
            if sandbox.find(name):
                own.append(name)
        except ThrowawayError as error:
            click.echo(f"{name}: {error}", err=True)
    return own


@main.command()
@_name
def kubeconfig(name: str) -> None:
    """Print a kubeconfig of an administrator, for programs outside 'throwaway shell'.

    Its API server is a port on this machine's loopback. Nodes and Pods have no way out: for them use the shell.
    """
    click.echo(find_or_fail(name).kubeconfig.read_text(), nl=False)


@main.command(name="exec", context_settings={"ignore_unknown_options": True})
@_name
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on NODE as its root: throwaway exec worker1 -- nft list ruleset"""
    running = find_or_fail(name)
    pid = running.node_pid(node)
    kept = {key: value for key, value in os.environ.items() if key in ("TERM", "LANG", "LC_ALL")}
    environment = {**kept, "PATH": NODE_PATH, "HOME": "/tmp", "KUBECONFIG": KUBECONFIG}
    sandbox.run_on_node(pid, command, environment)


@main.command()
@_name
@click.argument("node")
@click.argument("component", required=False)
def logs(name: str, node: str, component: str | None) -> None:
    """Print the log of a COMPONENT on a NODE; without one, list the logs there are."""
    running = find_or_fail(name)
    if component is None:
        click.echo("\n".join(running.logs(node)))
        return
    with running.log(node, component).open(errors="replace") as log:
        for line in log:
            click.echo(line, nl=False)


@main.command(context_settings={"ignore_unknown_options": True})
@_name
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(name: str, command: tuple[str, ...]) -> None:
    """Open a shell inside the cluster's network, or run COMMAND there.

    Files and programs are this machine's, the network is the cluster's: curl reaches the nodes' addresses, kubectl
    and Python's kubernetes package find the API server. You stand beside the nodes, outside the cluster: ClusterIPs
    and cluster names answer only in Pods and on nodes (see 'throwaway exec').
    """
    running = find_or_fail(name)
    environment = {
        **running.environment,
        _SHELL_VARIABLE: name,
        sandbox.ACCOUNT_VARIABLE: os.environ.get(sandbox.ACCOUNT_VARIABLE, str(os.getuid())),
    }
    if not command:
        click.echo(f"You are in the network of cluster {name!r}; 'exit' leaves it. Nodes:", err=True)
        for node in running.plan.nodes:
            click.echo(f"  {node.name:<14} {node.address}", err=True)
        command = (os.environ.get("SHELL", "/bin/sh"),)
    sandbox.enter_network(running.sandbox)
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        raise ThrowawayError(f"{command[0]}: {error.strerror}") from None


@main.command(name="build")
def build_() -> None:
    """Build what clusters are made of, unless it is built already: minutes the first time.

    Kubernetes, etcd, containerd, CoreDNS and the images come from the pinned Go modules of this package.
    An interrupted build goes on where it was.
    """
    requirements.require()
    with _progress() as display:
        built = build.ensure(display.build)
    click.echo(f"Programs: {built.bin}\nImages:   {built.images}\nNext: 'throwaway up'.")


@main.command()
def setup() -> None:
    """Install the system packages that a cluster needs, or name them where that is not possible."""
    requirements.setup(lambda step: click.echo(f"{step} …", err=True))
    click.echo("Nothing is missing. Next: 'throwaway up'.")


class _Display:
    """Shows what is being done: moving lines on a terminal, elsewhere a printed line now and then."""

    def __init__(self, lines: Progress) -> None:
        self._lines = lines
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, tuple[str, int]] = {}

    def step(self, what: str) -> None:
        """The next step of something that has no parts; parts shown until now are done."""
        for part in [part for part in self._tasks if part]:
            self._lines.remove_task(self._tasks.pop(part))
        self._show("", f"{what} …", 0)

    def build(self, progress: build.Progress) -> None:
        """A build's progress: one line for each part."""
        count = f" {progress.done} of {progress.total}" if progress.total else ""
        tenth = 10 * progress.done // progress.total if progress.total else 0
        self._show(progress.part, f"{progress.part}: {progress.step}{count} {progress.item}", tenth)

    def _show(self, part: str, text: str, tenth: int) -> None:
        if self._lines.console.is_terminal:
            if part not in self._tasks:
                self._tasks[part] = self._lines.add_task("", total=None)
            self._lines.update(self._tasks[part], description=text[: self._lines.console.width - 12])
            return
        seen = (" ".join(text.split()[:2]), tenth)
        if self._printed.get(part) != seen:
            self._printed[part] = seen
            click.echo(text, err=True)


@contextmanager
def _progress() -> Iterator[_Display]:
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as lines:
        yield _Display(lines)
