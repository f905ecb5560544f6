"""Runs a page: its fences from top to bottom, in one Python session, one shell and one folder."""

import time
from http import HTTPStatus
from pathlib import Path

import pytest
from kubernetes.client import ApiException
from pytest_examples import EvalExample

from fences.console import run_console
from fences.find import Fence, FenceError, check_settings
from fences.manifest import save_manifest
from fences.placeholders import Placeholders
from fences.python_session import PythonSession
from fences.update import rewrite
from live.leftovers import Cluster, Thing, Things, compare
from live.shell import Shell


class EarlierFenceFailed(Exception):
    """A fence was not run, since one above it on the page failed. The message names that one."""


class Story:
    """A page while it is run."""

    def __init__(self, fences: list[Fence], folder: Path, cluster: Cluster, proxy_mode: str) -> None:
        """Prepare to run all `fences` of a page.

        `folder` is an empty one for its files, `proxy_mode` the mode of the cluster's kube-proxy.
        """
        self.begun = time.monotonic()
        """When the latest fence began, by the monotonic clock."""
        self._fences = [fence for fence in fences if not fence.is_picture]
        self._proxy_mode = proxy_mode
        self._next = 0
        self._failed: Fence | None = None
        self._cluster = cluster
        for name in ("work", "python", "console"):
            (folder / name).mkdir()
        self._folder = folder / "work"
        self._python = PythonSession(self._folder, folder / "python")
        self._shell = Shell(self._folder, folder / "console")
        self._placeholders = Placeholders()
        self._before: Things | None = None
        self._revisions: list[tuple[Fence, str]] = []  # how the cluster was after each fence

    def run_until(self, fence: Fence, eval_example: EvalExample, capture: pytest.CaptureFixture[str]) -> None:
        """Run a fence, and first those above it that have not run yet. After the last, nothing may be left.

        Raises `FenceError` for the first one that is wrong, from then on `EarlierFenceFailed`.
        """
        while self._next < len(self._fences) and self._fences[self._next].start_line <= fence.start_line:
            if self._failed:
                break
            current = self._fences[self._next]
            self._next += 1
            self._failed = current  # unless it comes to its end
            before = self._before = self._before or self._begin()
            self._run(current, before, eval_example, capture)
            if self._next == len(self._fences):
                self._check_leftovers(before)
            self._failed = None
        if self._failed:
            raise EarlierFenceFailed(f"not run: an earlier fence of this page failed: {self._failed}")

    def _begin(self) -> Things:
        """The cluster's objects before the page, once what was deleted before it has gone."""
        before = self._cluster.at_rest()
        for thing, state in before.items():
            if state.leaving:
                raise FenceError(
                    f"{self._fences[0].place()}: not run, since {thing} was deleted before and does not go"
                )
        return before

    def _run(
        self, fence: Fence, before: Things, eval_example: EvalExample, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.begun = time.monotonic()
        check_settings(fence)
        if not fence.is_run or fence.why_not_run(self._proxy_mode):
            return
        if fence.language == "yaml":
            save_manifest(fence, self._folder, self._namespace(before))
            return
        if fence.language == "python":
            self._python.run(fence, eval_example, capture)
        else:
            update = eval_example.update_examples
            rewrite(fence, run_console(fence, self._shell, self._placeholders, update), eval_example)
        self._revisions.append((fence, self._cluster.revision()))

    def _namespace(self, before: Things) -> str:
        """The page's own namespace, if it has made one by now."""
        made = self._cluster.namespaces() - {thing.name for thing in before if thing.kind == "Namespace"}
        return made.pop() if len(made) == 1 else "default"

    def _check_leftovers(self, before: Things) -> None:
        if not (left := self._cluster.settle(before)):
            return
        made_by = self._made_by(before)
        lines = []
        for thing, what in left.items():
            place = made_by[thing].place() if thing in made_by else self._fences[0].page
            since = "from this fence on" if thing in made_by else "by some fence of this page"
            lines.append(f"{place}: {thing} {what}, {since}{advice(thing)}")
        raise FenceError("\n".join(lines))

    def _made_by(self, before: Things) -> dict[Thing, Fence]:
        """After which fence each thing was another for the first time, as far as the cluster remembers."""
        made_by: dict[Thing, Fence] = {}
        for fence, revision in self._revisions:
            try:
                differences = compare(before, self._cluster.things(revision))
            except ApiException as error:
                if error.status != HTTPStatus.GONE:
                    raise
            else:
                made_by = {thing: made_by.get(thing, fence) for thing in differences}
        return made_by

    def close(self) -> None:
        """End the shell and put the cluster back, so that the next page finds it as this one did.

        Raises `FenceError` if that is not possible.
        """
        self._shell.close()
        problems = self._cluster.restore(self._before) if self._before else {}
        if problems:
            listed = "; ".join(f"{thing} {what}" for thing, what in problems.items())
            raise FenceError(
                f"{self._fences[0].page}: the cluster cannot be put back after it, start a new one: {listed}"
            )


def advice(thing: Thing) -> str:
    """What to do about something that a page left behind, where that is likely to be a slip."""
    if thing.namespace == "default":
        return "; was the page's namespace forgotten, as in `kubectl -n NAMESPACE`?"
    return "; the page's last fence deletes its namespace" if thing.kind == "Namespace" else ""
