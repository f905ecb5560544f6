"""Situations that figures show. A module for each figure, called as the figure is, with `_` for `-`.

It has `record(cluster, namespace)`, which sets the situation up in the namespace and returns what was seen, in terms of
JSON. It fails (by `assert`) rather than return what would show something else than the figure is about. `MODES` are the
proxy modes in which it is recorded: one, where they do not matter. `VARIES` has names of entries that are another each
time, for instance times and what chance decides: `compare` looks at their type only.
"""

import importlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from cluster_mode import kubernetes_of, mode_of
from figures.recordings import Recording
from live import namespaces
from proofs.world import new_namespace
from throwaway import Cluster


class Scenario(Protocol):
    """What a module of this package has."""

    MODES: Sequence[str]
    VARIES: Sequence[str]

    def record(self, cluster: Cluster, namespace: str) -> dict[str, Any]:
        """Set it up, and return what was seen."""


def scenario(name: str) -> Scenario:
    """The scenario of a figure."""
    found: Any = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return found  # type: ignore[no-any-return]


def recorded(name: str, cluster: Cluster, namespace: str = "") -> Recording:
    """Record a figure on the cluster of the kubeconfig that is loaded, in a namespace that is deleted afterwards.

    Without a name the namespace has one that no other has, as proofs do which share a cluster.
    """
    kubernetes = kubernetes_of(cluster)
    with new_namespace(namespace or f"{namespaces.PROOFS}{uuid.uuid4().hex[:8]}") as own:
        seen = scenario(name).record(cluster, own)
        return Recording(kubernetes, mode_of(cluster), f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", own, seen)
