"""`./dev serve` runs code on the reader's machine: nobody but the reader's own page may ask for that."""

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Locator, expect, sync_playwright
from websocket import WebSocketBadStatusException, create_connection

from command_line import command_of, commands, descendants, eventually, running
from live import runnable, server, site
from reading.node import NO_BROWSER
from throwaway import Cluster

TOKEN = "the-reader-has-it"
PAGE = "/live/api/page?page=/kubernetes/resources/services-nodeport/"
LAB = "/live/api/lab/check?page=/labs/refused/"
KERNELS = "/live/api/kernels"
ANY_KERNEL = "00000000-0000-0000-0000-000000000000"
INDEX = '<html><head><script>said = "inline"</script></head><body>The site.</body></html>'


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    status: int
    headers: http.client.HTTPMessage
    body: str


@dataclass(frozen=True)
class Live:
    """A server as `./dev serve` starts it, but for its cluster, which is not there."""

    port: int

    def ask(
        self, path: str, token: str = TOKEN, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request as it is, whatever a browser would make of its path."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Authorization": f"token {token}"} | dict(headers or {})
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.putrequest(method, path, skip_host=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    files = tmp_path_factory.mktemp("site")
    (files / "index.html").write_text(INDEX)
    (files / "secret").write_text("nobody may read this")
    client = files / "client"
    client.mkdir()
    for name in ("page.js", "page.css"):
        (client / name).write_text("ours")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(files))) as mkdocs:
        Thread(target=mkdocs.serve_forever, daemon=True).start()
        port = site.free_port()
        scratch = tmp_path_factory.mktemp("jupyter")
        arguments = (port, mkdocs.server_address[1], TOKEN, client, "no-such-cluster", (), scratch)
        # A process of its own: Jupyter's server changes the environment and the loop of the one that it runs in.
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments)
        process.start()
        try:
            found = Live(port)
            deadline = time.monotonic() + 180
            while True:
                try:
                    found.ask("/")
                except OSError:
                    assert process.is_alive() and time.monotonic() < deadline, "the server does not come up"
                    time.sleep(0.1)
                else:
                    break
            yield found
        finally:
            process.kill()
            process.join()
            mkdocs.shutdown()


def _serve(*arguments: object) -> None:
    async def serve() -> None:
        async with server.serving(*arguments):  # type: ignore[arg-type]
            await asyncio.Event().wait()

    asyncio.run(serve())


def test_the_reader_is_let_in(live: Live) -> None:
    assert live.ask(PAGE).body == '{"cluster": ""}'
    assert live.ask(KERNELS).body == "[]"
    assert "Access-Control-Allow-Origin" not in live.ask(KERNELS).headers
    own = {"Origin": f"http://127.0.0.1:{live.port}"}
    assert live.ask(PAGE, headers=own).status == live.ask(KERNELS, headers=own).status == 200
    assert live.ask(PAGE.replace("nodeport", "no-such")).status == 404
    checked = json.loads(live.ask(LAB, method="POST", headers=own).body)
    assert not checked["isFine"]
    assert checked["said"].startswith("throwaway: no cluster 'no-such-cluster' is running")


@pytest.mark.parametrize("path", [PAGE, LAB, LAB.replace("check", "start"), KERNELS, f"{KERNELS}/{ANY_KERNEL}"])
def test_without_the_token_nothing_is_done(live: Live, path: str) -> None:
    for token in ("", "wrong", TOKEN[:-1], f"{TOKEN}x"):
        for method in ("GET", "POST", "DELETE"):
            assert live.ask(path, token, method).status in (403, 405)
            assert live.ask(f"{path}{'&' if '?' in path else '?'}token={token}", "", method).status in (403, 405)


def test_no_cookie_replaces_the_token(live: Live) -> None:
    answer = live.ask(KERNELS)
    assert "Set-Cookie" not in answer.headers
    name = f"username-127-0-0-1-{live.port}"
    assert live.ask(KERNELS, "", headers={"Cookie": f"{name}={TOKEN}; token={TOKEN}; _xsrf=x"}).status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "https://127.0.0.1:{port}"]
)
def test_another_site_is_refused_even_with_the_token(live: Live, origin: str) -> None:
    for path in ("/", PAGE, LAB, LAB.replace("check", "start"), KERNELS, "/live/page.js"):
        for method in ("GET", "POST", "OPTIONS"):
            answer = live.ask(path, TOKEN, method, {"Origin": origin.format(port=live.port)})
            assert answer.status == 403
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.evil.example:{port}", "", "[::1]:{port}"]
)
def test_a_name_that_was_made_to_lead_here_is_refused(live: Live, host: str) -> None:
    """DNS rebinding: to the browser the site and this server are one origin."""
    host = host.format(port=live.port)
    for path in ("/", PAGE, LAB, KERNELS):
        for method in ("GET", "POST"):
            assert live.ask(path, TOKEN, method, {"Host": host}).status in (400, 403)
            assert live.ask(path, TOKEN, method, {"Host": host, "Origin": f"http://{host}"}).status in (400, 403)


@pytest.mark.parametrize(
    ("token", "origin"),
    [("", None), ("wrong", None), (TOKEN, "http://evil.example"), (TOKEN, "null"), ("", "http://127.0.0.1:{port}")],
)
def test_a_websocket_needs_token_and_origin_as_well(live: Live, token: str, origin: str | None) -> None:
    url = f"ws://127.0.0.1:{live.port}{KERNELS}/{ANY_KERNEL}/channels?token={token}"
    sent = {"origin": origin.format(port=live.port)} if origin else {"suppress_origin": True}
    with pytest.raises(WebSocketBadStatusException) as refused:
        create_connection(url, timeout=30, **sent)
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/live/../secret",
        "/live/page.js/../../secret",
        "/live/..%2fsecret",
        "/live/%2e%2e/secret",
        "/live//secret",
        "/live/page.js%00",
        "/live/api/contents",
        "/live/api/contents/etc/passwd",
        "/live/files/etc/passwd",
        "/live/api/terminals",
        "/live/api/sessions",
        "/live/api/kernelspecs",
        "/live/api/shutdown",
        "/live/login",
        "/live/lab",
        "/live/static/style/style.min.css",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "http://evil.example/",
        "@evil.example/",
        "*",
        f"{PAGE}../../../../etc/passwd",
        "/live/api/page?page=/../pyproject.toml",
        "/live/api/page",
    ],
)
def test_paths_lead_nowhere_else(live: Live, path: str) -> None:
    answer = live.ask(path)
    assert answer.status in (400, 403, 404)
    assert "root:" not in answer.body and "nobody may read" not in answer.body


@pytest.mark.parametrize(
    "what",
    [
        "start",
        "start?page=/labs/",
        "start?page=/kubernetes/resources/services/",
        "start?page=/labs/--help/",
        "start?page=/labs/refused/../../../labs/refused/",
        "start?page=/labs/refused.yaml",
        "hint?page=/labs/refused/",
        "start%20--name=another?page=/labs/refused/",
        "../../../throwaway/down?page=/labs/refused/",
    ],
)
def test_with_labs_nothing_else_is_done(live: Live, what: str) -> None:
    assert live.ask(f"/live/api/lab/{what}", method="POST").status in (400, 404)


def test_a_page_may_load_nothing_but_what_it_was_built_with(live: Live) -> None:
    answer = live.ask("/", token="")
    assert answer.body == INDEX.replace("</head>", f"{site.HEAD.decode()}")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    # openssl dgst -sha256 -binary | base64, of what stands between the tags
    assert policy["script-src"] == "'self' 'sha256-a5QZh5TPHM0CUCiwHc75KBLI17caNqp7jGMDMTNBwNs='"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["connect-src"] == "'self'"


@pytest.mark.parametrize(
    ("fence", "found"),
    [
        ("```python", "``` { .python .run }"),
        ('    ```yaml title="a.yaml"', '    ``` { .yaml .run title="a.yaml" }'),
        ("```yaml", "```yaml"),
        (
            '``` { .console mode="iptables" proves="x" }',
            '``` { .console .run .mode-iptables mode="iptables" proves="x" }',
        ),
        (
            '    ``` { .console client="kubectl" }',
            '    ``` { .console .run .client-kubectl client="kubectl" }',
        ),
        ('``` { .console test="skip" reason="why" }', '``` { .console test="skip" reason="why" }'),
        ("```mermaid", "```mermaid"),
        ("````markdown\n```python\n```\n````\n```sh", "````markdown\n```python\n```\n````\n```sh"),
    ],
)
def test_what_the_tests_run_a_reader_can_run(fence: str, found: str) -> None:
    space = " " * (len(fence) - len(fence.lstrip()))
    rest = f"\n{space}`.python`\n{space}```\n"
    assert runnable.marked(f"Text.\n\n{fence}{rest}") == f"Text.\n\n{found}{rest}"


def test_it_listens_on_loopback_alone(live: Live) -> None:
    wanted = f":{live.port:04X}"
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        if (path := Path("/proc/net", table)).exists()
        for line in path.read_text().splitlines()[1:]
        if line.split()[1].endswith(wanted) and line.split()[3] == "0A"  # LISTEN, see proc_pid_net(5)
    ]
    assert listening == [f"0100007F{wanted}"]


CLUSTER = f"live-{os.getpid()}"
OPTIONS = ("--nodes=1", "--no-load-balancer")


@dataclass(frozen=True)
class Served:
    """`./dev serve` but for nox: the site, its kernels and a cluster."""

    process: "subprocess.Popen[str]"
    address: str
    key: str


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    if not shutil.which("chromium"):
        pytest.skip(NO_BROWSER)
    throwaway = [sys.executable, "-m", "throwaway"]
    subprocess.run([*throwaway, "up", "--new", f"--name={CLUSTER}", *OPTIONS], check=True)
    try:
        command = [sys.executable, "-m", "live", f"--port={site.free_port()}", CLUSTER, *OPTIONS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                assert process.stdout
                printed = (re.search(r"(http://\S+)/#token=(\S+)", line) for line in process.stdout)
                found = next((match for match in printed if match), None)
                assert found, "it ended before the site was ready"
                expect.set_options(timeout=120_000)  # for all tests of this process, so it is taken back
                yield Served(process, found[1], found[2])
            finally:
                expect.set_options(timeout=5_000)
                own = {pid: command_of(pid) for pid in descendants(process.pid)}
                process.send_signal(signal.SIGINT)
                process.wait(60)
                eventually(lambda: not running(own), f"nothing runs of what it had started: {own}")
    finally:
        subprocess.run([*throwaway, "down", f"--name={CLUSTER}"], check=True)


NODEPORT = "/kubernetes/resources/services-nodeport/"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # --no-sandbox: Chromium's needs rights that root in a namespace has not; only our own pages are shown
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def test_a_reader_goes_through_a_lab_by_its_buttons(served: Served, browser: Browser) -> None:
    tab = browser.new_page()
    tab.set_default_timeout(120_000)
    tab.goto(f"{served.address}/labs/refused/#token={served.key}")
    said = tab.get_by_role("log", name="What throwaway lab says")
    tab.get_by_role("button", name="Start lab").press("Enter")
    expect(said).to_contain_text("Lab 'refused' is started, in the namespace lab-refused.")
    tab.get_by_role("button", name="Check").press("Enter")
    expect(said).to_contain_text("lab 'refused' is not mended: http://shop gives the Pod client no answer")
    expect(tab.get_by_text("Not mended yet.")).to_be_visible()
    patch = '[{"op": "remove", "path": "/spec/selector/release"}]'
    Cluster.find_or_fail(CLUSTER).kubectl(["-n", "lab-refused", "patch", "service", "shop", "--type=json", "-p", patch])
    tab.get_by_role("button", name="Check").press("Enter")
    expect(said).to_contain_text(f"Lab 'refused' is mended. 'throwaway lab stop --name {CLUSTER} refused'")
    expect(tab.get_by_text("Mended.", exact=True)).to_be_visible()
    tab.get_by_role("button", name="End lab").press("Enter")
    expect(said).to_contain_text("Lab 'refused' is gone.")
    expect(tab.get_by_role("button", name="Start lab")).to_be_enabled()


def test_a_reader_of_kubectl_runs_a_page_without_its_python(served: Served, browser: Browser) -> None:
    tab = browser.new_page()
    tab.set_default_timeout(120_000)
    tab.goto(f"{served.address}{NODEPORT}#token={served.key}")
    tab.locator(".tabbed-set > input").first.focus()
    tab.keyboard.press("ArrowRight")
    blocks = tab.locator(".highlight.run")
    shown = tab.locator(".highlight.run.language-console:not(.client-kubectl)").first
    number = 1 + blocks.evaluate_all("(blocks, shown) => blocks.indexOf(shown)", shown.element_handle())
    tab.get_by_role("button", name=f"Run all blocks above block {number} ").press("Enter")
    expect(tab.get_by_role("log", name=f"Output of block {number - 1}", exact=True)).to_contain_text(
        "service/echo-server-nodeport created"
    )
    tab.get_by_role("button", name=f"Run block {number}", exact=True).press("Enter")
    expect(tab.get_by_role("log", name=f"Output of block {number}", exact=True)).to_contain_text("5678:30080/TCP")
    ran = tab.locator(".live-status").all_inner_texts()[: number - 1]
    languages = blocks.evaluate_all("blocks => blocks.map(({ className }) => /language-(\\w+)/.exec(className)[1])")
    assert [language == "python" for language in languages[: number - 1]] == [not said for said in ran]
    assert "Done." in ran
    manifest = tab.locator(".highlight.run.language-yaml code:has(.code-note)").first.text_content()
    assert manifest and "#" not in manifest, "the numbers of annotations are no part of what is saved"
    tab.get_by_text("On the cluster").click()
    tab.get_by_role("button", name="Reset").press("Enter")
    expect(tab.locator(".live-panel")).to_contain_text("As new: nothing of this page is left.")


def test_a_reader_runs_a_page_by_the_keyboard(served: Served, browser: Browser) -> None:
    """Runs and edits blocks, stops one, loses Python and then the cluster in the middle of one, and goes on."""
    tab = browser.new_context().new_page()
    refused: list[str] = []
    tab.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda request: refused.append(request.url) if served.address not in request.url else None)
    tab.set_default_timeout(120_000)

    def block(number: int, text: str) -> None:
        """Go to a block by its keys, and replace its text."""
        code = tab.get_by_role("textbox", name=f"Block {number},")
        code.focus()
        tab.keyboard.press("Control+A")
        tab.keyboard.insert_text(text)

    def status(number: int) -> Locator:
        return tab.locator(".live-status").nth(number - 1)

    def output(number: int) -> Locator:
        return tab.get_by_role("log", name=f"Output of block {number}", exact=True)

    def marked(name: str = "error") -> list[str]:
        """The pieces of text that are painted."""
        return list(tab.evaluate("name => [...CSS.highlights.get(`live-${name}`)].map(String)", name))

    page = f"{served.address}{NODEPORT}"
    tab.goto(page)
    expect(tab.locator(".live-panel")).to_contain_text("Open the address that ./dev serve has printed")
    tab.goto(f"{page}?again#token={served.key}")
    _step_through_on_a_hosted_site(browser, page)
    first = tab.get_by_role("textbox", name="Block 1,")
    first.wait_for()
    assert served.key not in tab.url
    for _ in range(200):  # from the top of the page to its first block
        tab.keyboard.press("Tab")
        if first.evaluate("code => code === document.activeElement"):
            break
    tab.keyboard.press("Shift+Enter")
    expect(output(1)).to_contain_text("control-plane v1.")
    expect(status(1)).to_have_text("Done.")
    tab.reload()
    expect(status(1)).to_have_text("Has run.")
    tab.get_by_text("On the cluster").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator(".live-panel")).to_contain_text("Namespace nodeport")

    block(1, "x = 6\ny = (\n")
    tab.keyboard.press("Shift+Enter")
    expect(output(1)).to_contain_text("SyntaxError: '(' was never closed")
    assert marked() == ["y = ("]
    block(1, "x = 6\nprint(x / (x - 6))\n")
    tab.keyboard.press("Shift+Enter")
    expect(output(1)).to_contain_text("ZeroDivisionError: division by zero")
    assert marked() == ["print(x / (x - 6))"]
    assert marked("number") == ["6", "6"]
    tab.keyboard.press("Control+Z")
    expect(tab.get_by_role("textbox", name="Block 1,")).to_have_text("x = 6\ny = (\n")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")  # Run
    expect(output(1)).to_contain_text("SyntaxError: '(' was never closed")

    console = 1 + tab.locator(".highlight.run").evaluate_all(
        "blocks => blocks.findIndex((block) => block.matches('.language-console:not(.client-kubectl)'))"
    )
    block(console, "$ y=7; cd /; echo $PWD; sleep 1000\n")
    tab.keyboard.press("Shift+Enter")
    expect(output(console)).to_contain_text("/\n")
    other = tab.context.new_page()
    other.goto(page)
    expect(other.locator(".live-status").nth(console - 1)).to_contain_text("Runs in another tab")
    other.get_by_role("button", name=f"Stop block {console}").press("Enter")
    expect(status(console)).to_have_text("Stopped.")
    block(console, "$ echo still $y in $PWD\n")
    tab.keyboard.press("Shift+Enter")
    expect(output(console)).to_contain_text("still 7 in /")
    shown = other.get_by_role("log", name=f"Output of block {console}", exact=True)
    expect(shown).to_contain_text("still 7 in /")
    other.close()

    block(1, "import os, subprocess\nsubprocess.Popen(['sleep', '7654'])\nos._exit(1)\n")
    tab.keyboard.press("Shift+Enter")
    expect(status(1)).to_have_text("Python has ended. Run the page from the top again.")
    block(1, "print(x)\n")
    tab.keyboard.press("Shift+Enter")
    expect(output(1)).to_contain_text("NameError: name 'x' is not defined")
    assert "sleep 7654 " not in commands().values(), "what the old session had started goes with it"

    block(console, "$ echo begins; sleep 1000\n")
    tab.keyboard.press("Shift+Enter")
    expect(output(console)).to_contain_text("begins\n")
    subprocess.run([sys.executable, "-m", "throwaway", "down", f"--name={CLUSTER}"], check=True)
    expect(status(console)).to_contain_text("The cluster has ended. The next block that you run starts a new one")
    tab.get_by_role("button", name="Undo the edits of block 1", exact=True).press("Enter")
    tab.get_by_role("button", name="Run block 1", exact=True).press("Enter")
    expect(status(1)).to_have_text("Done.")
    expect(output(1)).to_contain_text("control-plane v1.")
    tab.get_by_role("button", name="Reset").press("Enter")
    expect(tab.locator(".live-panel")).to_contain_text("As new: nothing of this page is left.")
    assert not refused


def _step_through_on_a_hosted_site(browser: Browser, page: str) -> None:
    """What Run does where nothing is added to pages: it shows bit by bit what was recorded."""
    tab = browser.new_page()
    tab.route("**/live/page.js", lambda route: route.abort())
    tab.goto(page)
    tab.get_by_role("button", name="Run block 1", exact=True).press("Enter")
    answer = tab.get_by_text("#> worker2 v1.")
    expect(answer).to_be_hidden()
    expect(
        tab.get_by_text("./dev serve starts a cluster on your machine: there this button runs the block")
    ).to_be_visible()
    tab.keyboard.press("Enter")  # at Next, which has the focus
    expect(answer).to_be_visible()
    expect(tab.get_by_text("That is all it printed.")).to_be_visible()
    tab.close()
