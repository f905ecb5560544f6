"""What proofs share: a namespace for each, and a Pod from which they ask."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager

import pytest
from kubernetes import client, config

from live import namespaces
from proofs.world import Client, World, addresses_of, new_namespace
from throwaway import Cluster
from throwaway.plan import ProxyMode

NewWorld = Callable[[], AbstractContextManager[World]]
"""Makes a namespace that is there for a block."""


@pytest.fixture(scope="session")
def new_world(throwaway_cluster: Cluster, proxy_mode: ProxyMode) -> NewWorld:
    """Makes namespaces."""
    nodes = addresses_of(throwaway_cluster)  # no proof changes them

    @contextmanager
    def new() -> Iterator[World]:
        config.load_kube_config(str(throwaway_cluster.kubeconfig))
        core, discovery = client.CoreV1Api(), client.DiscoveryV1Api()
        with (
            new_namespace(f"{namespaces.PROOFS}{uuid.uuid4().hex[:8]}") as namespace,
            closing(World(throwaway_cluster, namespace, nodes, proxy_mode, core, discovery)) as world,
        ):
            yield world

    return new


@pytest.fixture(scope="session")
def client_pod(new_world: NewWorld) -> Iterator[Client]:
    """The Pod from which proofs ask that need none of their own; it is started when the first one does."""
    with ExitStack() as worlds:
        yield Client(lambda: worlds.enter_context(new_world()))


@pytest.fixture
def world(
    new_world: NewWorld, client_pod: Client, proxy_mode: ProxyMode, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A namespace of the proof's own, gone from the API's view of things afterwards."""
    mode = next(mark.kwargs["mode"] for mark in request.node.iter_markers("proof"))
    if mode and mode != proxy_mode:
        pytest.skip(f"a claim on kube-proxy's mode {mode}")
    with new_world() as world:
        world.client = client_pod
        yield world
