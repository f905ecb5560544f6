"""up: the start of a cluster."""

import os
import time

import click
from click.core import ParameterSource

from throwaway import build, feature_gates, recipe, requirements, sandbox
from throwaway.cli.common import name_option, provider_option
from throwaway.cli.display import progress
from throwaway.cli.reports import NodeUp, Output, Up, echo, output_option
from throwaway.errors import AlreadyRunsError, ThrowawayError
from throwaway.hints import SHELL_VARIABLE, which
from throwaway.plan import (
    DEFAULT_NODE_PORTS,
    IP_FAMILIES,
    PROXY_MODES,
    IpFamily,
    ProxyMode,
    make_plan,
)
from throwaway.providers import provider as provider_of
from throwaway.providers.base import Wanted
from throwaway.public import Cluster


@click.command()
@name_option
@click.option(
    "--nodes", default=3, show_default=True, metavar="N", help="How many, 1 to 20, the control plane included."
)
@click.option(
    "--proxy-mode",
    type=click.Choice(PROXY_MODES),
    default="nftables",
    show_default=True,
    help="kube-proxy's mode.",
)
@click.option(
    "--ip-family",
    type=click.Choice(IP_FAMILIES),
    default="ipv4",
    show_default=True,
    help="Addresses of nodes, Pods and Services; dual: both, IPv4 first.",
)
@click.option(
    "--service-cidr",
    default="",
    metavar="CIDR[,CIDR]",
    help="The range of ClusterIPs, of each IP family one.  [default: 10.96.0.0/16, fd00:10:96::/112]",
)
@click.option(
    "--service-node-port-range",
    default=DEFAULT_NODE_PORTS,
    show_default=True,
    metavar="FIRST-LAST",
    help="The ports from which NodePorts are taken.",
)
@click.option(
    "--zones",
    default=0,
    metavar="N",
    help="Label the workers as being in zone1 … zoneN, in turn, and the control plane as in the last one"
    " (topology.kubernetes.io/zone).  [default: no labels]",
)
@click.option(
    "--feature-gate",
    "gates",
    multiple=True,
    metavar="NAME=true|false",
    help="Set one of Kubernetes' feature gates in every component; may be given several times.",
)
@click.option(
    "--load-balancer/--no-load-balancer",
    default=True,
    show_default=True,
    help="Whether Services of type LoadBalancer get an address.",
)
@click.option(
    "--network-policy/--no-network-policy",
    default=False,
    show_default=True,
    help="Whether NetworkPolicies are enforced (by kube-router's controller, for IPv4; needs the program ipset).",
)
@click.option("--new", is_flag=True, help="Fail if a cluster of this name runs already.")
@provider_option
@output_option
def up(
    name: str,
    nodes: int,
    proxy_mode: ProxyMode,
    ip_family: IpFamily,
    service_cidr: str,
    service_node_port_range: str,
    zones: int,
    gates: tuple[str, ...],
    load_balancer: bool,
    network_policy: bool,
    new: bool,
    provider: str,
    output: Output,
) -> None:
    """Start a cluster, or find the one that runs.

    One that runs has to be as the options say that are given; without them it is taken as it is.

    It runs on after this command, until 'throwaway down', and ends with this machine. Until it is ready, Ctrl+C
    or the end of this command, in whatever way, takes all of it back.
    """
    if provider != "embedded":
        wanted = Wanted(
            name=name,
            nodes=nodes,
            proxy_mode=proxy_mode,
            ip_family=ip_family,
            service_cidr=service_cidr,
            service_node_port_range="" if service_node_port_range == DEFAULT_NODE_PORTS else service_node_port_range,
            feature_gates=feature_gates.parse(gates),
            zones=zones,
            load_balancer=load_balancer,
            network_policy=network_policy,
        )
        _up_elsewhere(wanted, new, provider, output)
        return
    plan = make_plan(
        name,
        nodes,
        proxy_mode,
        ip_family=ip_family,
        service_cidr=service_cidr,
        service_node_port_range=service_node_port_range,
        feature_gates=feature_gates.parse(gates),
        zones=zones,
        load_balancer=load_balancer,
        network_policy=network_policy,
    )
    if SHELL_VARIABLE in os.environ and not sandbox.find(name):
        raise ThrowawayError("a cluster cannot be started inside another one's 'throwaway shell'; leave it first")
    given = click.get_current_context()
    asked = {each for each in given.params if given.get_parameter_source(each) is not ParameterSource.DEFAULT}
    requirements.require()
    runs_already = bool(sandbox.find(name))
    with progress() as display:
        built = build.ensure(display.build)
        begin = time.monotonic()
        running = recipe.up(plan, built, display.step, new, asked)
    seconds = time.monotonic() - begin
    option = which(name)
    plan = running.plan
    count = "1 node" if len(plan.nodes) == 1 else f"{len(plan.nodes)} nodes"
    report = Up(
        name,
        "embedded",
        not runs_already,
        round(seconds, 3),
        [NodeUp(node.name, list(node.addresses), node.is_control_plane) for node in plan.nodes],
    )
    state = "runs already" if runs_already else f"is ready ({seconds:.1f} s)"
    echo(
        report,
        output,
        lambda: (
            f"Cluster {name!r} {state}: {count}, kube-proxy in {plan.proxy_mode} mode.\n"
            f"Next: 'throwaway shell{option}' for a shell with kubectl; 'throwaway down{option}' ends it all."
        ),
    )


def _up_elsewhere(wanted: Wanted, new: bool, kind: str, output: Output) -> None:
    if kind == "existing":
        raise ThrowawayError("an adopted cluster is there already; 'throwaway shell --provider existing' uses it")
    maker = provider_of(kind)
    if new and maker.find(wanted.name):
        raise AlreadyRunsError(f"cluster {wanted.name!r} runs already")
    begin = time.monotonic()
    with progress() as display:
        provided, is_new = maker.up(wanted, display.step)
    seconds = time.monotonic() - begin
    nodes = [NodeUp(node.name, list(node.addresses), node.is_control_plane) for node in Cluster(provided).nodes]
    options = which(wanted.name, kind)
    echo(
        Up(wanted.name, kind, is_new, round(seconds, 3), nodes),
        output,
        lambda: (
            f"Cluster {wanted.name!r} of {kind} {'is ready' if is_new else 'runs already'}.\n"
            f"Next: 'throwaway shell{options}' for a shell with kubectl; 'throwaway down{options}' ends it all."
        ),
    )
