"""Every fence of every page, in the order of the page, on the running cluster.

    throwaway shell -- pytest tests/test_pages.py                                  # all pages
    throwaway shell -- pytest tests/test_pages.py docs/…/services-nodeport.md      # one page
    throwaway shell -- pytest tests/test_pages.py docs/…/page.md -k 12-19          # one fence
    throwaway shell -- pytest tests/test_pages.py docs/…/page.md --update-examples

A fence has the id `docs/…/page.md:12-19`. The fences of a page share a Python session, a shell, a folder and
the values of numbered placeholders; so, whichever fence is chosen, those above it on its page run before it.

A page with tabs for readers of kubectl is run once for each reader, see CONTRIBUTING.md. For that of kubectl its
fences have the ids `docs/…/page.md:12-19 kubectl`; `-k "12-19 and not kubectl"` leaves those out.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_examples import EvalExample

import recording
import sharing
import throwaway
from fences.console import read_commands
from fences.find import (
    Fence,
    FenceError,
    check_settings,
    check_tabs,
    find_fences,
    is_run_once,
    needs_of,
    readers_of,
)
from fences.python_session import check_names
from fences.selection import selected_pages
from fences.story import EarlierFenceFailed, Story
from live import namespaces
from live.leftovers import Cluster

DNS_REMEMBERS_SECONDS = 30
"""For how long CoreDNS goes on to answer with the address of a Service that is deleted, see its Corefile."""


@functools.cache
def fences_of(page: Path) -> list[Fence]:
    """The fences of a page as it is now; it may be edited while the tests run."""
    return find_fences(page)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    try:
        pages = [fences_of(page.resolve()) for page in selected_pages(metafunc.config)]
        needs = {page[0].path: needs_of(page[0].path) for page in pages if page}
        once = {page[0].path for page in pages if page and is_run_once(page[0].path)}
    except FenceError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    if "fence" in metafunc.fixturenames:
        # The fences of a page share a session, so with pytest-xdist (--dist loadgroup) one worker runs them all.
        group, need = pytest.mark.xdist_group, pytest.mark.needs_capability
        fences = [
            pytest.param(
                fence,
                reader,
                id=fence.id_for(reader),
                marks=(
                    group(fence.page),
                    need(*needs[fence.path]),
                    *([pytest.mark.once] if fence.path in once else []),
                ),
            )
            for page in pages
            for reader in readers_of(page)
            for fence in page
            if fence.is_for(reader) and not fence.is_picture
        ]
        metafunc.parametrize(("fence", "reader"), fences)
    if "fences" in metafunc.fixturenames:
        pages = [page for page in pages if page]
        metafunc.parametrize("fences", pages, ids=[page[0].page for page in pages])


def test_page_before_it_is_run(fences: list[Fence], eval_example: EvalExample) -> None:
    try:
        for fence in fences:
            check_settings(fence)
            if fence.is_run and fence.language == "console":
                read_commands(fence)
        check_tabs(fences)
        check_names([fence for fence in fences if fence.is_run and fence.language == "python"], eval_example)
    except FenceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="module")
def story_of(
    throwaway_cluster: throwaway.Cluster, proxy_mode: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path, str], Story]]:
    """The story of a page for one of its readers. It lasts until another one is asked for."""
    scratch = tmp_path_factory.mktemp("cluster")
    stories: dict[tuple[Path, str], Story] = {}
    refused: dict[Path, str] = {}
    begun: dict[Path, float] = {}  # when the latest fence of the reader before began, its last one if all were run
    turn = ExitStack()  # a page has Pods between its fences, too, which nobody may disturb

    def of(page: Path, reader: str) -> Story:
        if page in refused:
            raise EarlierFenceFailed(f"not run: an earlier fence of this page failed: {refused[page]}")
        if (page, reader) not in stories:
            try:
                # Else a reader's outputs, which lack a step, would be written into the page.
                check_tabs(fences_of(page))
            except FenceError as error:
                refused[page] = str(error)
                raise
            end()
            if page in begun and namespaces.made_by(page):  # the other reader's Services had the same names
                time.sleep(max(0, begun[page] + DNS_REMEMBERS_SECONDS - time.monotonic()))
            turn.enter_context(sharing.turn(throwaway_cluster.kubeconfig, alone=False))
            cluster = Cluster(throwaway_cluster.kubeconfig, scratch, namespaces.of_others(page))
            fences = [fence for fence in fences_of(page) if fence.is_for(reader)]
            stories[page, reader] = Story(fences, tmp_path_factory.mktemp(page.stem), cluster, proxy_mode)
        return stories[page, reader]

    def end() -> None:
        for page, reader in list(stories):
            story = stories.pop((page, reader))
            begun[page] = story.begun
            try:
                story.close()
            except FenceError as error:
                raise pytest.fail.Exception(str(error), pytrace=False) from None
            finally:
                turn.close()

    yield of
    end()


@pytest.mark.cluster
@pytest.mark.needs_capability("exec", "node-network", "ipv4", nodes=3)
def test_fence(
    fence: Fence,
    reader: str,
    story_of: Callable[[Path, str], Story],
    proxy_mode: str,
    eval_example: EvalExample,
    capfd: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    try:
        story_of(fence.path, reader).run_until(fence, eval_example, capfd)
    except FenceError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    except EarlierFenceFailed as earlier:
        record_property(recording.NOT_REACHED, str(earlier))
        raise pytest.skip.Exception(str(earlier)) from None
    if reason := fence.why_not_run(proxy_mode):
        pytest.skip(reason)
