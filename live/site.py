"""The site's own pages: MkDocs builds and serves them at a port of its own, and they are handed on from there."""

import asyncio
import contextlib
import socket
import subprocess
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from live.guard import content_security_policy

HEAD = b'<link rel="stylesheet" href="/live/page.css"><script type="module" src="/live/page.js"></script></head>'
_LIVE_RELOAD_SECONDS = 70.0
"""MkDocs answers a page that asks for changes after 60 seconds at the latest."""


class Site(RequestHandler):
    """Hands a request on to MkDocs; pages get what makes their blocks run."""

    def initialize(self, port: int) -> None:
        """Take MkDocs' port."""
        self._port = port
        self._client = AsyncHTTPClient(max_clients=100)  # each open page has one request under way all the time

    async def get(self) -> None:
        """Fetch what is asked for."""
        try:
            answer = await self._client.fetch(
                f"http://127.0.0.1:{self._port}{self.request.uri}",
                follow_redirects=False,
                raise_error=False,
                request_timeout=_LIVE_RELOAD_SECONDS,
            )
        except (HTTPClientError, OSError):
            self.set_status(502)
            await self.finish("The site is not built yet, or no longer served. Load this page again.")
            return
        self.set_status(answer.code)
        for name in ("Content-Type", "Location"):
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        body = answer.body
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            self.set_header("Content-Security-Policy", content_security_policy(body))
            body = body.replace(b"</head>", HEAD, 1)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-cache")
        with contextlib.suppress(StreamClosedError):  # the reader has gone on
            await self.finish(body)

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """In a word."""
        self.finish(f"{status_code}\n")


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_served(mkdocs: "subprocess.Popen[bytes]", port: int) -> None:
    """Return as soon as MkDocs serves at its port; raises `SystemExit` if it ends, which it does with a reason."""
    while mkdocs.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return
    raise SystemExit(mkdocs.returncode)
