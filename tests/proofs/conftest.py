"""What proofs share: a namespace for each."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from kubernetes import client, config

from live import namespaces
from proofs.world import World, addresses_of, new_namespace
from throwaway import Cluster
from throwaway.plan import ProxyMode


@pytest.fixture(scope="session")
def nodes(throwaway_cluster: Cluster) -> dict[str, str]:
    """Node → its first InternalIP, which no proof changes."""
    return addresses_of(throwaway_cluster)


@pytest.fixture
def world(
    throwaway_cluster: Cluster, nodes: dict[str, str], proxy_mode: ProxyMode, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A namespace of the proof's own, gone from the API's view of things afterwards."""
    mode = next(mark.kwargs["mode"] for mark in request.node.iter_markers("proof"))
    if mode and mode != proxy_mode:
        pytest.skip(f"a claim on kube-proxy's mode {mode}")
    config.load_kube_config(str(throwaway_cluster.kubeconfig))
    with new_namespace(f"{namespaces.PROOFS}{uuid.uuid4().hex[:8]}") as namespace:
        core, discovery = client.CoreV1Api(), client.DiscoveryV1Api()
        with closing(World(throwaway_cluster, namespace, nodes, proxy_mode, core, discovery)) as world:
            yield world
