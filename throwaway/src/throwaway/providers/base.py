"""What a provider has to do: the few things in which clusters of different makers differ."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self

from throwaway.capabilities import Ask
from throwaway.plan import IpFamily, ProxyMode

Report = Callable[[str], None]
"""Called with what is done next, in a few words."""


@dataclass(frozen=True)
class Wanted:
    """What a cluster is to be, whoever makes it."""

    name: str
    """Its name, a DNS label."""
    nodes: int = 3
    """How many nodes, the control plane included."""
    proxy_mode: ProxyMode = "nftables"
    """kube-proxy's mode."""
    ip_family: IpFamily = "ipv4"
    """The family of all addresses; `dual` for both."""
    service_cidr: str = ""
    """Range of ClusterIPs, two with a comma in between for `dual`; the provider's own when empty."""
    service_node_port_range: str = ""
    """Range of node ports, as in 30000-32767; Kubernetes' own when empty."""
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    """Feature gates of all components."""
    zones: int = 0
    """How many zones the nodes are in, in turn: `topology.kubernetes.io/zone` is `zone1`, `zone2`, …; 0 for none."""
    load_balancer: bool = True
    """Whether Services of type LoadBalancer get an address."""
    network_policy: bool = False
    """Whether NetworkPolicies are enforced; where the provider's network always does so, it does anyway."""


NodeChange = Literal["add", "stop", "start", "delete"]


class Provider(ABC):
    """One running cluster, as its maker sees it."""

    kind: ClassVar[str]
    """What `--provider` calls it."""
    name: str
    """The cluster's name; for `existing` the name of its context."""
    kubeconfig: Path
    """A kubeconfig of an administrator, with one context: the cluster's."""

    @classmethod
    @abstractmethod
    def up(cls, wanted: Wanted, report: Report) -> tuple[Self, bool]:
        """Start a cluster, or find the one of this name; the second value is whether it was started here.

        Raises `ThrowawayError` when it cannot be started, or runs with other settings. Then nothing of it is left.
        """

    @classmethod
    @abstractmethod
    def find(cls, name: str) -> Self | None:
        """The ready cluster of this name; None if there is none.

        Raises `ThrowawayError` for one that was not made to be thrown away.
        """

    @classmethod
    def absence(cls, name: str) -> str:
        """Why `find` finds none, and what to do, in one line."""
        return f"no cluster {name!r} is running; start it with 'throwaway up --provider {cls.kind} --name {name}'"

    @abstractmethod
    def down(self) -> None:
        """End it; returns when nothing of it is left. Raises `ThrowawayError` if it is not ours to end."""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """This process' environment, made fit for clients of the cluster and for `throwaway` itself."""

    @abstractmethod
    def missing(self, ask: Ask, addresses: Sequence[str]) -> dict[str, str]:
        """The capabilities that it lacks, each with the reason in half a sentence.

        `ask` reads from its API server, `addresses` are its nodes'.
        """

    @abstractmethod
    def node_command(self, node: str, command: Sequence[str], is_terminal: bool = False) -> list[str]:
        """The command of this machine that runs another one on a node, as its root.

        `is_terminal` says that a person sits before it.
        """

    @abstractmethod
    def load(self, tar: Path, nodes: Sequence[str]) -> None:
        """Give all nodes the images of an uncompressed tar; raises `ThrowawayError` when one refuses it."""

    def change_node(self, change: NodeChange, name: str) -> str:
        """Add, stop, start or delete a node; returns its name, which an added one without a name is given.

        Raises `ThrowawayError` when that fails. It is asked only of clusters with the capability `change-nodes`.
        """
        raise NotImplementedError

    @property
    def network(self) -> Callable[[], None] | None:
        """Moves a process to where the nodes' addresses are, for `shell`; None where that is not needed or possible."""
        return None
