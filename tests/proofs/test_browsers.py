"""Proofs of what the NodePort page says of browsers, and the table that it shows."""

import contextlib
import itertools
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import browser_packages
from proofs import browsers, proof
from proofs.browsers import PRIVATE, Browser
from proofs.world import World, asked, wait_for

PAGE = Path(__file__).parents[2] / "docs/kubernetes/resources/services-nodeport.md"
TABLE = re.compile(r"(?<=<!-- written by tests/proofs/test_browsers.py -->\n\n).*?(?=\n\n<!-- end -->)", re.S)
"""Where the page has the table; `--update-examples` writes it anew."""
SAME, NEW = "the same connection", "**a new connection**"
OTHER, MIXED = "another connection", "not always the same"
DRAWS = 21
"""So many more connections all meet the same one of two servers as the first did with p = 0.5^21 < ALPHA."""
HTML = (
    '<title>{}</title><link rel="icon" href="data:,">{}'
    '<script>addEventListener("load", () => document.title += " " + Date.now())</script>'
)
"""What servers answer. Its icon is an empty one, so that browsers do not ask for /favicon.ico as well.

Once it is loaded, its title says when, so that it is never the title of before.
"""


@dataclass(frozen=True)
class Request:
    """A request that has come in."""

    server: str
    """Who has answered: the name of a Pod, or of a server of ours."""
    connection: str
    """By which of the server's connections it came."""


@dataclass
class Watched:
    """A browser, and the connections by which it asks."""

    browser: Browser
    known: list[Request] = field(default_factory=list)
    """The connections so far, the last one last."""

    def sees(self, act: Callable[[], None], requests: Callable[[], list[Request]]) -> str:
        """By which connection the browser asks for a page when something is done.

        `SAME` as before, a `NEW` one, or an `OTHER` one that it has used before. `requests` tells those for the page so
        far. Fails if the window does not show who has answered.
        """
        before, shown = Counter(requests()), self.browser.title()
        for tries in range(3):  # a window that has just been opened may not take keys yet
            act()
            with contextlib.suppress(AssertionError):
                wait_for(lambda: Counter(requests()) - before, "a request", 10)
                time.sleep(3 if tries else 0)  # a machine that slow may be about to carry out the first try, too
                break
        (request, *_) = wait_for(lambda: Counter(requests()) - before, f"{self.browser.name} asks for the page", 30)
        loaded = re.compile(re.escape(request.server) + r" \d+\b")
        wait_for(
            lambda: (title := self.browser.title()) != shown and loaded.match(title),
            f"the window shows {request.server}",
        )
        kind = SAME if request in self.known[-1:] else OTHER if request in self.known else NEW
        self.known.append(request)
        return kind


def observed(name: str, world: World, url: str, own_url: str, servers: "list[Server]") -> dict[str, str]:
    """What a browser does with its connections to Pods, and to servers of ours: doing → connection."""
    found: dict[str, list[str]] = {}
    with browsers.running(name, f"{url}/{name}") as browser:
        watched = Watched(browser)

        def press(keys: str, requests: Callable[[], list[Request]]) -> Callable[[], str]:
            return partial(watched.sees, partial(browser.press, keys), requests)

        def type_address(address: str, requests: Callable[[], list[Request]]) -> Callable[[], str]:
            return partial(watched.sees, partial(browser.type_address, address), requests)

        of_pods = partial(requests_of_pods, world, f"/{name}")
        wait_for(of_pods, f"{name} asks for the page that it is started with")
        come = type_address(f"{url}/{name}", of_pods)
        come()  # the first one that is watched, which counts for nothing
        found["refresh (++f5++)"] = [press("F5", of_pods)() for _ in range(5)]
        found["refresh without the cache (++ctrl+shift+r++)"] = [press("ctrl+shift+r", of_pods)() for _ in range(3)]
        browser.open_tab()
        found["open the page in a new tab (++ctrl+t++)"] = [come()]
        browser.open_window("ctrl+n")
        found["open it in a new window (++ctrl+n++)"] = [come()]
        browser.open_window(PRIVATE[name])
        found["open it in a private window"] = [come()]
        found["refresh there (++f5++)"] = [press("F5", of_pods)() for _ in range(3)]
        browser.open_window(PRIVATE[name])
        found["open it in a second private window"] = [come()]

        of_idle = partial(requests_of_servers, servers, f"/idle/{name}")
        type_address(f"{own_url}/idle/{name}", of_idle)()
        kinds = found["refresh after the server has closed the idle connection"] = []
        for _ in range(2):
            wait_for(lambda: not set(of_idle()) & open_connections(servers), "the idle connection is closed")
            kinds.append(press("F5", of_idle)())
        of_close = partial(requests_of_servers, servers, f"/close/{name}")
        type_address(f"{own_url}/close/{name}", of_close)()
        kinds = found["refresh where the server answers with `Connection: close`"] = []
        met = {watched.known[-1].server}
        while len(kinds) < 3 or (len(met) < 2 and len(kinds) < DRAWS):
            kinds.append(press("F5", of_close)())
            met.add(watched.known[-1].server)
        assert len(met) == 2, f"of {len(kinds) + 1} connections, all meet {met}"
    return {what: kinds[0] if len(set(kinds)) == 1 else MIXED for what, kinds in found.items()}


@proof(
    "nodeport-browser-refresh",
    "nodeport-browser-without-cache",
    "nodeport-browser-tabs",
    "nodeport-browser-private",
    "nodeport-browser-idle",
    "nodeport-browser-close",
    "nodeport-browser-any-pod",
    control="A request would come by another connection than the page's table says, or the window show another Pod's"
    " name. Pods write into their log from which port a request came, our servers by which connection. If new"
    " connections always went to the same server, 21 of them would.",
)
def test_when_browsers_open_a_connection(world: World, request: pytest.FixtureRequest) -> None:
    """Presses keys in windows of Chromium and Firefox, and looks by which connection the next request comes.

    They ask two echo Pods at a NodePort; where connections are to be closed, two servers of ours at another one.
    """
    if world.mode != "nftables":
        pytest.skip("browsers do not see kube-proxy's mode, so they are tried in nftables mode only")
    if packages := browser_packages.missing():
        pytest.skip(f"needs browsers; on Debian: sudo apt-get install {' '.join(packages)}")
    node = world.nodes["worker1"]
    with own_servers(node) as servers:
        for server in servers:
            world.endpoint_slice("own", server.server_port, str(server.server_address[0]))
        own_url = f"http://{node}:{node_port(world.service('own', type='NodePort', selector=None))}"
        url = f"http://{node}:{echo_pods(world)}"
        for each in url, own_url:
            wait_for(partial(both_answer, each), f"both servers answer at {each}")
        with ThreadPoolExecutor() as pool:
            both = list(pool.map(lambda name: observed(name, world, url, own_url, servers), PRIVATE))
    rows = [f"| {what} | {' | '.join(each[what] for each in both)} |" for what in both[0]]
    if request.config.getoption("update_examples"):
        head = f"| What you do | {' | '.join(f'{name} {browsers.version(name)}' for name in PRIVATE)} |"
        table = "\n".join([head, "| --- | --- | --- |", *rows])
        PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text()))
    shown = TABLE.search(PAGE.read_text())
    assert shown, f"{PAGE.name} has no place for the table"
    assert rows == shown[0].splitlines()[2:], "--update-examples writes the table anew"


def node_port(service: Any) -> int:
    """The NodePort of a Service."""
    return int(service.spec.ports[0].node_port)


def both_answer(url: str) -> bool:
    """Whether two servers answer at a URL, and no connection fails."""
    return len(found := set(asked(url, 10))) == 2 and "" not in found


def echo_pods(world: World) -> int:
    """Start two echo Pods, `echo-0` and `echo-1`, whose page has their name for a title; returns their NodePort."""
    container = {
        "name": "main",
        "image": "hashicorp/http-echo:1.0.0",
        "env": [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ECHO_TEXT", "value": HTML.format("$(POD)", "$(POD)")},
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 5678}, "periodSeconds": 1},
    }
    world.pods(count=2, containers=[container])
    return node_port(world.service(type="NodePort", ports=[{"port": 5678}]))


def requests_of_pods(world: World, path: str) -> list[Request]:
    """The requests for a path by the echo Pods' logs: date, time, who was asked, who asks, and for what."""
    logs = {name: world.core.read_namespaced_pod_log(name, world.namespace) for name in ("echo-0", "echo-1")}
    lines = [(name, line.split()) for name, log in logs.items() for line in log.splitlines()]
    return [Request(name, words[3]) for name, words in lines if words[4:6] == ['"GET', path]]


class Handler(BaseHTTPRequestHandler):
    """Answers and keeps the connection open, but after /close…; after /idle… it waits a second for the next request."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.seen_as = Request(self.server.name, str(next(self.server.numbers)))
        self.server.open.add(self.seen_as)

    def finish(self) -> None:
        super().finish()
        self.server.open.discard(self.seen_as)

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.seen_as))
        self.connection.settimeout(1 if self.path.startswith("/idle") else None)
        text = HTML.format(self.server.name, self.server.name).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        if self.path.startswith("/close"):
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """A server that numbers its connections."""

    daemon_threads = True

    def __init__(self, name: str, address: str) -> None:
        super().__init__((address, 0), Handler)
        self.name = name
        self.numbers = itertools.count()
        self.requests: list[tuple[str, Request]] = []
        """Path and connection of each."""
        self.open: set[Request] = set()
        """The connections that are open."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of connections that end with the browser."""


@contextlib.contextmanager
def own_servers(node: str) -> Iterator[list[Server]]:
    """Two servers on this machine, at the address that Nodes see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))  # sends nothing
        address = probe.getsockname()[0]
    with Server("server-0", address) as one, Server("server-1", address) as two:
        for each in one, two:
            Thread(target=each.serve_forever, daemon=True).start()
        try:
            yield [one, two]
        finally:
            for each in one, two:
                each.shutdown()


def requests_of_servers(servers: list[Server], path: str) -> list[Request]:
    """The requests for a path to servers of ours."""
    return [request for server in servers for asked_for, request in list(server.requests) if asked_for == path]


def open_connections(servers: list[Server]) -> set[Request]:
    """The connections of our servers that are open."""
    return {each for server in servers for each in list(server.open)}
