"""What proofs share: a namespace for each."""

import uuid
from collections.abc import Iterator

import pytest
from kubernetes import client, config

from live import namespaces
from proofs.world import World, wait_for
from throwaway import Cluster
from throwaway.plan import ProxyMode


@pytest.fixture
def world(throwaway_cluster: Cluster, proxy_mode: ProxyMode, request: pytest.FixtureRequest) -> Iterator[World]:
    """A namespace of the proof's own, gone from the API's view of things afterwards."""
    mode = next(mark.kwargs["mode"] for mark in request.node.iter_markers("proof"))
    if mode and mode != proxy_mode:
        pytest.skip(f"a claim on kube-proxy's mode {mode}")
    config.load_kube_config(str(throwaway_cluster.kubeconfig))
    namespace = f"{namespaces.PROOFS}{uuid.uuid4().hex[:8]}"
    core = client.CoreV1Api()
    core.create_namespace({"metadata": {"name": namespace}})
    wait_for(
        lambda: core.list_namespaced_service_account(namespace).items, "the namespace has its service account"
    )  # Pods are refused before
    try:
        yield World(throwaway_cluster, namespace, proxy_mode, core, client.DiscoveryV1Api())
    finally:
        # Services first: their ports and addresses are free again at once, the rest goes while others run.
        for service in core.list_namespaced_service(namespace).items:
            core.delete_namespaced_service(service.metadata.name, namespace)
        core.delete_namespace(namespace, grace_period_seconds=0)
