"""The session of each page: a kernel, a folder, what the cluster held before; and what the page has there now."""

import asyncio
import json
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config

from live import leftovers, namespaces
from throwaway import cluster as clusters
from throwaway.errors import ThrowawayError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@dataclass
class Session:
    """A page that is run."""

    kernel: str
    """The kernel's id."""
    manager: Any
    """Jupyter's manager of this kernel."""
    folder: Path
    """Where it works."""
    cluster: leftovers.Cluster
    before: leftovers.Things
    """What the cluster held before the page did anything."""
    pid: int
    """The first process of the cluster, by which one that was started anew is known."""


class Pages:
    """The sessions of all pages on one cluster."""

    def __init__(self, kernels: Any, name: str, options: Sequence[str], scratch: Path) -> None:
        """`kernels` is Jupyter's manager of them, `name` the cluster's; `options` are for `throwaway up`."""
        self._kernels = kernels
        self._name = name
        self._options = options
        self._scratch = scratch
        self._sessions: dict[Path, Session] = {}
        self._turns: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._starting = asyncio.Lock()
        self._lab_acts: dict[Path, str] = {}

    async def open(self, page: Path) -> dict[str, str]:
        """The session of a page, a new one if need be; starts the cluster if it has ended.

        Raises `ThrowawayError` if that is not possible.
        """
        async with self._turns[page]:
            running = await self._cluster()
            session = self._sessions.get(page)
            if session and self._has_crashed(session):
                await self._end(page)
                session = None
            if session is None:
                session = self._sessions[page] = await self._begin(page, running)
            return {"kernel": session.kernel, "mode": running.plan.proxy_mode}

    async def reset(self, page: Path) -> list[str]:
        """End a page's session and delete what it made; returns what could not be put right, a line for each."""
        async with self._turns[page]:
            await self._forget_ended()
            session = self._sessions.get(page)
            if session:
                cluster, before = session.cluster, session.before
                await self._end(page)
            elif (running := clusters.find(self._name)) and running.is_ready:
                cluster, before = await asyncio.to_thread(self._look, page, running)
            else:
                return []
            problems = await asyncio.to_thread(cluster.restore, before)
            return [f"{thing} {what}" for thing, what in problems.items()]

    async def state(self, page: Path) -> dict[str, Any]:
        """What the page has on the cluster now; `{"cluster": ""}` if there is none."""
        await self._forget_ended()
        running = clusters.find(self._name)
        if running is None or not running.is_ready:
            return {"cluster": ""}
        try:
            held = await asyncio.to_thread(_held, running.kubeconfig, sorted(namespaces.made_by(page)))
        except Exception:  # the client's errors have no common class; a cluster that ends just now raises any of them
            held = []
        session = self._sessions.get(page)
        has_crashed = session is not None and self._has_crashed(session)
        alive = None if has_crashed else session
        return {
            "cluster": self._name,
            "mode": running.plan.proxy_mode,
            "kernel": alive.kernel if alive else "",
            "hasCrashed": has_crashed,
            "isBusy": alive is not None and alive.manager.execution_state == "busy",
            "lab": self._lab_acts.get(page, ""),
            "namespaces": held,
        }

    async def do_with_lab(self, page: Path, act: str) -> dict[str, Any]:
        """Have `throwaway lab` start, check or stop the lab of a page; what it says, and whether all is well.

        Starts the cluster if the lab is to be started; raises `ThrowawayError` if that is not possible.
        """
        async with self._turns[page]:
            if act == "start":
                await self._cluster()
            command = (sys.executable, "-m", "throwaway", "lab", act, f"--name={self._name}", page.stem)
            self._lab_acts[page] = act
            process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
            try:
                said, _ = await process.communicate()
            finally:
                del self._lab_acts[page]
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
            return {"isFine": process.returncode == 0, "said": said.decode()}

    async def close(self) -> None:
        """End all sessions; what they made stays on the cluster."""
        for page in list(self._sessions):
            await self._end(page)

    async def _cluster(self) -> clusters.Cluster:
        """The cluster, started if need be."""
        async with self._starting:
            await self._forget_ended()
            running = clusters.find(self._name)
            if running is None or not running.is_ready:
                command = (sys.executable, "-m", "throwaway", "up", f"--name={self._name}", *self._options)
                up = await asyncio.create_subprocess_exec(*command)
                if await up.wait():
                    raise ThrowawayError(f"cluster {self._name!r} could not be started; the terminal says why")
                running = clusters.find_or_fail(self._name)
            return running

    async def _forget_ended(self) -> None:
        """End the sessions whose cluster has ended."""
        running = clusters.find(self._name)
        pid = running.sandbox.pid if running else 0
        for page in [page for page, session in self._sessions.items() if session.pid != pid]:
            await self._end(page)

    async def _begin(self, page: Path, running: clusters.Cluster) -> Session:
        folder = Path(tempfile.mkdtemp(prefix=f"{page.stem}-", dir=self._scratch))
        cluster, before = await asyncio.to_thread(self._look, page, running)
        kernel = await self._kernels.start_kernel(kernel_name="page", cwd=str(folder))
        return Session(kernel, self._kernels.get_kernel(kernel), folder, cluster, before, running.sandbox.pid)

    def _look(self, page: Path, running: clusters.Cluster) -> tuple[leftovers.Cluster, leftovers.Things]:
        """What the cluster holds before the page does anything.

        A namespace of the page's own may be there: an earlier session has left it, and it goes at the next reset.
        """
        own = namespaces.made_by(page)
        cluster = leftovers.Cluster(running.kubeconfig, self._scratch, namespaces.of_others(page))
        before = {thing: state for thing, state in cluster.things().items() if not {thing.name, thing.namespace} & own}
        return cluster, before

    async def _end(self, page: Path) -> None:
        session = self._sessions.pop(page, None)
        if session is None:
            return  # somebody else was faster
        if self._has_crashed(session):  # what it had started may still run
            await session.manager.shutdown_kernel(now=True)
        else:
            await self._kernels.shutdown_kernel(session.kernel, now=True)
        shutil.rmtree(session.folder, ignore_errors=True)

    def _has_crashed(self, session: Session) -> bool:
        return session.kernel not in self._kernels  # Jupyter's manager forgets one that has died


def page_at(path: str) -> Path | None:
    """The Markdown file of a page of the site, by the path in its address; None if there is none."""
    known = {_address(file): file for file in DOCS.rglob("*.md")}
    return known.get(path)


def _address(file: Path) -> str:
    place = file.relative_to(DOCS).with_suffix("")
    parts = place.parts[:-1] if place.name == "index" else place.parts
    return "/" + "".join(f"{part}/" for part in parts)


def _held(kubeconfig: Path, names: list[str]) -> list[dict[str, Any]]:
    """What namespaces hold, for the panel; those that do not exist are left out."""
    with config.new_client_from_config(str(kubeconfig)) as api:
        core, discovery = client.CoreV1Api(api), client.DiscoveryV1Api(api)
        there = {item["metadata"]["name"] for item in _items(core.list_namespace)}
        return [
            {
                "name": name,
                "services": [_service(item) for item in _items(core.list_namespaced_service, name)],
                "pods": [_pod(item) for item in _items(core.list_namespaced_pod, name)],
                "slices": [_slice(item) for item in _items(discovery.list_namespaced_endpoint_slice, name)],
            }
            for name in names
            if name in there
        ]


def _items(list_them: Any, *arguments: str) -> list[dict[str, Any]]:
    answer = list_them(*arguments, _preload_content=False, _request_timeout=5)
    return list(json.loads(answer.data)["items"] or [])


def _service(item: dict[str, Any]) -> dict[str, str]:
    spec = item["spec"]
    ports = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port['protocol']}"
        for port in spec.get("ports") or []
    ]
    address = spec.get("clusterIP") or spec.get("externalName") or ""
    return {"name": item["metadata"]["name"], "what": f"{spec['type']} {address} {' '.join(ports)}".strip()}


def _pod(item: dict[str, Any]) -> dict[str, str]:
    status = item["status"]
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or [])
    state = "ends" if "deletionTimestamp" in item["metadata"] else "ready" if ready else status.get("phase", "").lower()
    node = item["spec"].get("nodeName", "no Node yet")
    return {"name": item["metadata"]["name"], "node": node, "what": f"{status.get('podIP', '')} {state}".strip()}


def _slice(item: dict[str, Any]) -> dict[str, str]:
    endpoints = [
        f"{', '.join(each['addresses'])}{'' if (each.get('conditions') or {}).get('ready', True) else ' (not ready)'}"
        for each in item.get("endpoints") or []
    ]
    return {"name": item["metadata"]["name"], "what": "; ".join(endpoints) or "nobody"}
