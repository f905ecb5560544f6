"""Who may ask: programs of this machine that name this server as browsers do for pages of its own, and no other site.

A web page elsewhere can make the reader's browser send requests to loopback. Its requests bear its Origin, or, if its
name was made to lead to 127.0.0.1 (DNS rebinding), its Host. Both are refused before any handler sees them, whatever
token they have. Without the token nothing is run; see `server`.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import Router
from tornado.web import Application, HTTPError, OutputTransform, RequestHandler

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class Guard(Router):
    """Passes a request on to the application if it may be."""

    def __init__(self, application: Application, hosts: Iterable[str]) -> None:
        """`hosts` are the values of the header Host under which this server is known, as in `127.0.0.1:8000`."""
        self._application = application
        self._hosts = frozenset(hosts)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        """What answers a request."""
        reason = self.refusal(request)
        if reason:
            return self._application.get_handler_delegate(request, Refuse, {"reason": reason})
        return self._application.find_handler(request, **kwargs)

    def refusal(self, request: HTTPServerRequest) -> str:
        """Why a request is refused; "" if it is not."""
        hosts = request.headers.get_list("Host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "this server has another name"
        if not (request.uri or "").startswith("/"):
            return "a request names a path of this server"
        origins = request.headers.get_list("Origin")
        if origins and origins != [f"http://{hosts[0]}"]:
            return "the request comes from another site"
        return ""


class Refuse(RequestHandler):
    """Says no, and why."""

    def initialize(self, reason: str) -> None:
        """Take the reason."""
        self._why = reason

    def prepare(self) -> None:
        """Answer, whatever the method is."""
        raise HTTPError(403, reason="Forbidden")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The reason as text."""
        self.set_header("Content-Type", "text/plain")
        self.finish(f"Refused: {self._why}.\n")

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here that another site could want."""


class NotShared(OutputTransform):
    """Lets no other site read an answer: Jupyter's handlers would let those that have the token."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Take Jupyter's header away."""
        headers.pop("Access-Control-Allow-Origin", None)
        return status_code, headers, chunk


def content_security_policy(html: bytes) -> str:
    """The policy for a page of the site: all from this server, and no script but those it was built with."""
    hashes = {base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(html)}
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in sorted(hashes))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
