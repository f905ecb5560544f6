"""The cluster of this package: nodes in namespaces of this Linux machine."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from throwaway import cluster as clusters
from throwaway import loading, on_node, requirements, sandbox
from throwaway.capabilities import Ask, missing_address_families, missing_metallb
from throwaway.errors import AlreadyRunsError, ThrowawayError
from throwaway.kubectl import checked
from throwaway.plan import DEFAULT_NODE_PORTS, Plan, check_name, make_plan
from throwaway.providers import PROVIDER_VARIABLE
from throwaway.providers.base import NodeChange, Provider, Report, Wanted


@dataclass(frozen=True)
class Embedded(Provider):
    """A cluster of this account."""

    running: clusters.Cluster
    """The cluster itself."""

    kind = "embedded"

    @property
    def name(self) -> str:  # type: ignore[override]  # the cluster knows it
        """Its name."""
        return self.running.name

    @property
    def kubeconfig(self) -> Path:  # type: ignore[override]
        """Valid on the host and inside the cluster's network alike."""
        return self.running.kubeconfig

    @classmethod
    def up(cls, wanted: Wanted, report: Report) -> tuple[Self, bool]:
        """See `Provider`; builds first what clusters are made of, if that was not done."""
        from throwaway import build, recipe  # slow to import, and nobody needs them for a cluster that runs

        plan = _plan(wanted)
        requirements.require()
        built = build.ensure(lambda progress: report(f"{progress.part}: {progress.step} {progress.item}"))
        try:
            if not sandbox.find(plan.name):
                return cls(recipe.up(plan, built, report, new=True)), True
        except AlreadyRunsError:
            pass  # somebody was quicker
        return cls(recipe.up(plan, built, report)), False

    @classmethod
    def find(cls, name: str) -> Self | None:
        """See `Provider`."""
        running = clusters.find(check_name(name))
        return cls(running) if running and running.is_ready else None

    @classmethod
    def absence(cls, name: str) -> str:
        """See `Provider`; it may still be starting."""
        try:
            clusters.find_or_fail(name)
        except ThrowawayError as error:
            return str(error)
        return f"cluster {name!r} has become ready just now; try again"

    def down(self) -> None:
        """See `Provider`."""
        self.running.down()

    @property
    def environment(self) -> dict[str, str]:
        """See `Provider`."""
        return self.running.environment | clusters.shell_variables(self.name)

    def missing(self, ask: Ask, addresses: Sequence[str]) -> dict[str, str]:
        """See `Provider`."""
        policies = "NetworkPolicies have no effect in it; 'throwaway up --network-policy' starts one where they do"
        return {
            **missing_address_families(ask),
            **missing_metallb(ask),
            **({} if self.running.plan.network_policy else {"network-policy": policies}),
        }

    def node_command(self, node: str, command: Sequence[str], is_terminal: bool = False) -> list[str]:
        """See `Provider`. The cluster is looked up anew: nodes may have been added since."""
        pid = clusters.find_or_fail(self.name).node_pid(node)
        return on_node.command(pid, command, clusters.node_variables())

    def load(self, tar: Path, nodes: Sequence[str]) -> None:
        """See `Provider`; a node that is off gets them when it is started, see `nodes`."""
        for node in filter(self.running.sandbox.has_node, nodes):
            command = self.node_command(node, loading.IMPORT)
            with tar.open("rb") as content:
                done = subprocess.run(command, stdin=content, capture_output=True, text=True)
            checked(f"loading {tar.name} into {node}", done)

    def change_node(self, change: NodeChange, name: str) -> str:
        """See `Provider`; a process of its own, since one with threads must not fork into a PID namespace."""
        own = [sys.executable, "-P", "-m", "throwaway", "node", change, "--output=json", f"--name={self.name}"]
        environment = os.environ | {PROVIDER_VARIABLE: self.kind}
        done = subprocess.run([*own, *filter(None, [name])], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise ThrowawayError(done.stderr.strip().splitlines()[-1].removeprefix("throwaway: "))
        return str(json.loads(done.stdout)["name"])

    @property
    def network(self) -> Callable[[], None]:
        """See `Provider`."""
        return lambda: sandbox.enter_network(self.running.sandbox)


def _plan(wanted: Wanted) -> Plan:
    """The plan of such a cluster; raises `ThrowawayError` for what cannot be had here."""
    return make_plan(
        wanted.name,
        wanted.nodes,
        wanted.proxy_mode,
        ip_family=wanted.ip_family,
        service_cidr=wanted.service_cidr,
        service_node_port_range=wanted.service_node_port_range or DEFAULT_NODE_PORTS,
        feature_gates=wanted.feature_gates,
        zones=wanted.zones,
        load_balancer=wanted.load_balancer,
        network_policy=wanted.network_policy,
    )
