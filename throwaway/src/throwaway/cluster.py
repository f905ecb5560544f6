"""A cluster that runs: how it is found, what can be asked of it, and its end."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from throwaway import sandbox
from throwaway.components import FOLDER, KEPT, KUBECONFIG, LOGS, NODE_PATH, PLAN
from throwaway.errors import ThrowawayError
from throwaway.hints import SHELL_VARIABLE, which
from throwaway.plan import Plan, plan_from_dict
from throwaway.sandbox import Sandbox

Report = Callable[[str], None]
"""Called with what is done next, in a few words."""

BIN_OUTSIDE = f"{FOLDER}/bin-outside"
"""A file in the sandbox that says where the cluster's programs are on the machine."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    sandbox: Sandbox
    """Where it runs."""
    plan: Plan
    """Its names and addresses."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.plan.name

    @property
    def is_ready(self) -> bool:
        """Whether its start was completed."""
        return self._inside(KEPT).exists()

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator; valid on the host and inside the cluster's network alike."""
        return self._inside(KUBECONFIG)

    @property
    def bin(self) -> Path:
        """The folder of this machine with kubectl and the cluster's other programs."""
        return Path(self._inside(BIN_OUTSIDE).read_text())

    @property
    def environment(self) -> dict[str, str]:
        """This process' environment, made fit for clients of the cluster.

        Nothing in it leads elsewhere: no proxy, for none can be reached from the cluster's network, no kuberc, and no
        cache of API discovery in the home folder, since each cluster has a port of its own.
        """
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return kept | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self._inside("/tmp/kubectl-cache")),
            "KUBERC": "off",
            "PATH": f"{self.bin}:{os.environ.get('PATH', os.defpath)}",
        }

    def logs(self, node: str) -> dict[str, Path]:
        """The logs of a node's components, by component; raises `ThrowawayError` for a client, which has none."""
        if self.plan.host(node) in self.plan.clients:
            raise ThrowawayError(f"{node} has no logs: no component runs there")
        folder = Path(f"/proc/{self.node_pid(node)}/root{LOGS}")
        return {path.stem: path for path in sorted(folder.glob("*.log"))}

    def log(self, node: str, component: str) -> Path:
        """A component's log; raises `ThrowawayError` with the names there are when there is none."""
        logs = self.logs(node)
        if component not in logs:
            raise ThrowawayError(f"node {node} has no log of {component!r}; it has {', '.join(logs)}")
        return logs[component]

    def node_pid(self, node: str) -> int:
        """The first process of a node or client; raises `ThrowawayError` when there is none of this name."""
        return self.sandbox.node_pid(self.plan.host(node).name)

    def down(self) -> None:
        """End it; returns when nothing of it is left."""
        self.sandbox.end()

    def _inside(self, path: str) -> Path:
        return self.sandbox.root / path.lstrip("/")


def find(name: str) -> Cluster | None:
    """The cluster of this account that is called `name`, ready or starting; None if there is none."""
    found = sandbox.find(name)
    if found is None:
        return None
    try:
        text = (found.root / PLAN.lstrip("/")).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended just now
    return Cluster(found, plan_from_dict(json.loads(text)))


def shell_variables(name: str) -> dict[str, str]:
    """What the environment of a program in a cluster's network says, for `throwaway` called there."""
    return {
        SHELL_VARIABLE: name,
        "THROWAWAY_PROVIDER": "embedded",
        sandbox.ACCOUNT_VARIABLE: os.environ.get(sandbox.ACCOUNT_VARIABLE, str(os.getuid())),
    }


def node_variables() -> dict[str, str]:
    """The environment of a program that a user runs on a node: nothing of this process' but how its words are shown."""
    kept = {key: value for key, value in os.environ.items() if key in ("TERM", "LANG", "LC_ALL")}
    return {**kept, "PATH": NODE_PATH, "HOME": "/tmp", "KUBECONFIG": KUBECONFIG}


def find_or_fail(name: str) -> Cluster:
    """Like `find`, for those who need one that is ready: raises `ThrowawayError` that says how to start it."""
    cluster = find(name)
    if cluster is None:
        others = ", ".join(sandbox.names())
        choice = f", or choose by --name one that runs: {others}" if others else ""
        raise ThrowawayError(f"no cluster {name!r} is running; start it with 'throwaway up{which(name)}'{choice}")
    if not cluster.is_ready:
        raise ThrowawayError(f"cluster {name!r} is still starting; 'throwaway up{which(name)}' waits for it")
    return cluster
