"""The mark by which its owner gives a cluster away: it may be changed and filled by tests until then.

The mark is a ConfigMap in the cluster itself. It names the cluster that it was made for, by the uid of its namespace
kube-system and by the address it was reached at, and the time until which it counts. So neither a kubeconfig that was
copied, nor a backup that is restored elsewhere, nor a forgotten mark gives away another cluster.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from throwaway import kubectl
from throwaway.errors import CommandFailedError, ThrowawayError

DEFAULT_DAYS = 7
_NAMESPACE = "kube-system"
_NAME = "throwaway"
_PATH = f"/api/v1/namespaces/{_NAMESPACE}/configmaps/{_NAME}"
_OWN_LABEL = {"app.kubernetes.io/managed-by": "throwaway"}
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Context:
    """One context of the user's kubeconfig, by itself: nothing here leads to another."""

    name: str
    """Its name."""
    server: str
    """The address of its API server."""
    kubeconfig: Path
    """A file that holds this context alone."""
    environment: Mapping[str, str]
    """The environment for clients of it."""
    _folder: "tempfile.TemporaryDirectory[str]"
    """Holds the file, and goes with the last reference to it."""

    def get(self, path: str) -> str:
        """What the API server answers to a GET; raises `CommandFailedError` with its refusal.

        This is the only request that is made of a context before its mark is known.
        """
        return kubectl.run(["get", "--raw", path], self.environment, timeout=_TIMEOUT_SECONDS)


@dataclass(frozen=True)
class Mark:
    """What a mark says."""

    cluster: str
    """The uid of the namespace kube-system of the cluster that it was made for."""
    server: str
    """The address of the API server at which its owner reached it."""
    until: datetime
    """When it ends, in UTC."""
    load_balancer: bool
    """Whether its owner vouches that Services of type LoadBalancer are given an address."""


def take_context(name: str) -> Context:
    """Copy one context out of the user's kubeconfig, asking no server and running no program but kubectl.

    Raises `ThrowawayError` when there is no such context; `current-context` is never taken instead.
    """
    folder = tempfile.TemporaryDirectory(prefix="throwaway-")  # only this account may look into it
    if not name:
        raise ThrowawayError("the provider existing needs a context: give --context NAME; none is taken by itself")
    view = ["config", "view", "--raw", "--minify", "--flatten", f"--context={name}", "--output=json"]
    try:
        text = kubectl.run(view, os.environ | {"KUBERC": "off"}, timeout=_TIMEOUT_SECONDS)
    except CommandFailedError as error:
        raise ThrowawayError(f"there is no context {name!r} to be used: {_reason(error)}") from None
    kubeconfig = Path(folder.name) / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(text)
    server = json.loads(text)["clusters"][0]["cluster"]["server"]
    environment = kubectl.client_environment(kubeconfig, Path(folder.name))
    return Context(name, server, kubeconfig, environment, folder)


def check(context: Context) -> Mark:
    """The context's valid mark; raises `ThrowawayError` when it has none. Only two GETs are made."""
    found = _read(context)
    if found is None:
        raise ThrowawayError(
            f"context {context.name!r} ({context.server}) is not marked as throwaway, so nothing is done to it;"
            f" if it is yours and may be destroyed: 'throwaway adopt --context {context.name}'"
        )
    again = f"; 'throwaway adopt --context {context.name}' marks it anew"
    if found.cluster != cluster_uid(context):
        raise ThrowawayError(f"the mark of context {context.name!r} was made for another cluster{again}")
    if found.server != context.server:
        raise ThrowawayError(
            f"the mark of context {context.name!r} was made for {found.server}, not {context.server}{again}"
        )
    check_time(context, found)
    return found


def check_time(context: Context, mark: Mark) -> None:
    """Raise `ThrowawayError` when a mark has ended."""
    if mark.until <= datetime.now(UTC):
        raise ThrowawayError(
            f"the mark of context {context.name!r} ended at {_shown(mark.until)};"
            f" 'throwaway adopt --context {context.name}' marks it anew"
        )


def adopt(context: Context, days: float, load_balancer: bool) -> Mark:
    """Mark a cluster as throwaway for some days, or mark it anew; its owner was asked before."""
    is_there = _read_object(context) is not None  # raises if it is somebody else's
    until = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)
    mark = Mark(cluster_uid(context), context.server, until, load_balancer)
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": _NAMESPACE, "labels": _OWN_LABEL},
        "data": {
            "cluster": mark.cluster,
            "server": mark.server,
            "until": mark.until.isoformat(),
            "load-balancer": json.dumps(mark.load_balancer),
        },
    }
    verb = ["replace"] if is_there else ["create", "--validate=false"]
    kubectl.run([*verb, "--filename=-"], context.environment, json.dumps(manifest), _TIMEOUT_SECONDS)
    return mark


def release(context: Context) -> bool:
    """Take the mark back, valid or not, and nothing else; returns whether there was one."""
    if _read_object(context) is None:
        return False
    delete = ["delete", "configmap", _NAME, f"--namespace={_NAMESPACE}"]
    kubectl.run(delete, context.environment, timeout=_TIMEOUT_SECONDS)
    return True


def cluster_uid(context: Context) -> str:
    """What tells a cluster from all others: the uid of its namespace kube-system."""
    try:
        return str(json.loads(context.get(f"/api/v1/namespaces/{_NAMESPACE}"))["metadata"]["uid"])
    except CommandFailedError as error:
        raise _unreadable(context, error) from None


def _read(context: Context) -> Mark | None:
    found = _read_object(context)
    if found is None:
        return None
    try:
        data = found["data"]
        until = datetime.fromisoformat(data["until"])
        return Mark(data["cluster"], data["server"], until.astimezone(UTC), data.get("load-balancer") == "true")
    except (KeyError, ValueError, TypeError):
        raise ThrowawayError(
            f"the mark of context {context.name!r} cannot be read;"
            f" 'throwaway adopt --context {context.name}' marks it anew"
        ) from None


def _read_object(context: Context) -> dict[str, Any] | None:
    """The mark's ConfigMap; raises `ThrowawayError` for one of this name that is somebody else's."""
    try:
        found: dict[str, Any] = json.loads(context.get(_PATH))
    except CommandFailedError as error:
        if "(NotFound)" in error.stderr:
            return None
        raise _unreadable(context, error) from None
    if not _OWN_LABEL.items() <= (found["metadata"].get("labels") or {}).items():
        raise ThrowawayError(
            f"context {context.name!r} has a ConfigMap {_NAMESPACE}/{_NAME} that is not throwaway's;"
            " nothing is done to it"
        )
    return found


def _unreadable(context: Context, error: CommandFailedError) -> ThrowawayError:
    return ThrowawayError(f"whether context {context.name!r} is marked cannot be seen: {_reason(error)}")


def _reason(error: CommandFailedError) -> str:
    return (error.stderr.strip().splitlines() or ["kubectl gave no reason"])[-1].removeprefix("error: ")


def _shown(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC")
