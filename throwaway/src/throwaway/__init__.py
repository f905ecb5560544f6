"""A throwaway Kubernetes cluster: several nodes in namespaces of one Linux machine, gone without a trace.

    from throwaway import Cluster

    with Cluster.up(name="my-test", nodes=3) as cluster:
        cluster.apply("manifests/")
        cluster.wait("deployment/echo", "condition=Available")
        print(cluster.shell(["curl", "-s", f"http://{cluster.nodes[0].address}:30080"]))

Read the modules in the order in which data flows through them: `plan` (names, addresses: pure data) → `pki` and
`components` (files and command lines) → `boot`, `sandbox`, `on_node` and `init` (namespaces, processes) → `cluster`
(one that runs) → `addons` (what the API server is asked for) → `recipe` (how one is brought up) → `providers` (that
cluster, or one that is made or was there without us) → `public` (the Python API) → `cli` and `pytest_plugin`. Beside
them, `capture` and `trace` show what a node's packets do, with `names` for addresses.

What they are made of comes from a second line: `requirements` (what the host must have) → `build` (programs from the
pinned Go modules) → `images` and `image_store` (images from programs), kept in the `cache`.

Images of a user's own: `dockerfile` (what it says) → `image_context` and `image_tree` (the files to copy, and those of
the base) → `image_build`; `image_archive` reads tars of images, `loading` gives them to nodes, and `references` knows
their names.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from throwaway.errors import AlreadyRunsError, CommandFailedError, ThrowawayError
    from throwaway.public import Cluster, Node

__all__ = ["AlreadyRunsError", "Cluster", "CommandFailedError", "Node", "ThrowawayError"]


def __getattr__(name: str) -> Any:
    """The public names; their modules are imported when one is asked for, since pytest imports the package always."""
    if name not in __all__:
        raise AttributeError(f"module 'throwaway' has no attribute {name!r}")
    from throwaway import errors, public

    return getattr(public, name, None) or getattr(errors, name)
