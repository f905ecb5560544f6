"""A cluster of somebody else's making that its owner has marked as throwaway: see `adoption`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from throwaway import adoption
from throwaway.adoption import Context, Mark
from throwaway.capabilities import Ask, missing_address_families, missing_metallb, missing_node_network
from throwaway.errors import ThrowawayError
from throwaway.providers.base import Provider, Report, Wanted

CONTEXT_VARIABLE = "THROWAWAY_CONTEXT"
"""The environment variable that names the context where nothing else does; `throwaway shell` sets it, too."""


@dataclass(frozen=True)
class Existing(Provider):
    """An adopted cluster. Its name is that of its context."""

    context: Context
    """How it is reached."""
    mark: Mark
    """Its owner's permission."""

    kind = "existing"

    @property
    def name(self) -> str:  # type: ignore[override]  # the context has it
        """The context's name."""
        return self.context.name

    @property
    def kubeconfig(self) -> Path:  # type: ignore[override]
        """A copy of this context alone; raises `ThrowawayError` once the mark has ended."""
        adoption.check_time(self.context, self.mark)
        return self.context.kubeconfig

    @classmethod
    def up(cls, wanted: Wanted, report: Report) -> tuple[Self, bool]:
        """See `Provider`; it is there already, with the settings that it has."""
        report("looking for the mark")
        return cls.find(wanted.name), False

    @classmethod
    def find(cls, name: str) -> Self:
        """See `Provider`; never None, since what is not marked is refused."""
        context = adoption.take_context(name)
        return cls(context, adoption.check(context))

    def down(self) -> NoReturn:
        """See `Provider`."""
        raise ThrowawayError(
            f"context {self.name!r} is its owner's and is not ended here;"
            f" 'throwaway adopt --context {self.name} --release' takes the mark back"
        )

    @property
    def environment(self) -> dict[str, str]:
        """See `Provider`; raises `ThrowawayError` once the mark has ended."""
        adoption.check_time(self.context, self.mark)
        kept = {name: value for name, value in self.context.environment.items() if name != "THROWAWAY_CLUSTER"}
        return kept | {"THROWAWAY_PROVIDER": self.kind, CONTEXT_VARIABLE: self.name}

    def missing(self, ask: Ask, addresses: Sequence[str]) -> dict[str, str]:
        """See `Provider`."""
        return {
            "exec": "programs cannot be run on the nodes of an adopted cluster",
            "change-nodes": "the nodes of an adopted cluster are its owner's",
            "network-policy": "whether NetworkPolicies are enforced in an adopted cluster is not known",
            "load": "images cannot be loaded into an adopted cluster; push them to a registry that it pulls from",
            **missing_node_network(addresses),
            **missing_address_families(ask),
            **({} if self.mark.load_balancer else missing_metallb(ask)),
        }

    def node_command(self, node: str, command: Sequence[str], is_terminal: bool = False) -> NoReturn:
        """See `Provider`."""
        raise ThrowawayError(f"{self.name}: programs cannot be run on the nodes of an adopted cluster")

    def load(self, tar: Path, nodes: Sequence[str]) -> NoReturn:
        """See `Provider`."""
        raise ThrowawayError(f"{self.name}: images cannot be loaded into an adopted cluster; push them to a registry")
