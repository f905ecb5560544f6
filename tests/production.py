"""API servers as production has them, on loopback: they record every request, and kubeconfigs lead to them."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

UID = "11111111-1111-1111-1111-111111111111"
NAMESPACE_PATH = "/api/v1/namespaces/kube-system"
MARK_PATH = f"{NAMESPACE_PATH}/configmaps/throwaway"


@dataclass
class Production:
    """One API server. It knows the namespace kube-system, and a mark if the test gives it one."""

    address: str
    """Its URL."""
    requests: list[str] = field(default_factory=list)
    """All requests: `GET /path`."""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What it answers, by path; else 404."""
    refusal: int = 404
    """The status of what it does not answer."""

    @property
    def asked(self) -> set[str]:
        """All requests but for the server's version, which some builds of kubectl ask before anything else."""
        return {request for request in self.requests if not request.startswith("GET /version")}

    def mark(self, uid: str = UID, server: str = "", until: str = "2999-01-01T00:00:00+00:00") -> None:
        """Give it a mark."""
        labels = {"app.kubernetes.io/managed-by": "throwaway"}
        data = {"cluster": uid, "server": server or self.address, "until": until}
        self.objects[MARK_PATH] = {"kind": "ConfigMap", "metadata": {"labels": labels}, "data": data}


@contextlib.contextmanager
def production() -> Iterator[Production]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            served.requests.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0]
            code = 200 if path in served.objects else served.refusal
            reason = {404: "NotFound", 403: "Forbidden"}.get(code, "")
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "refused", "code": code}
            body = json.dumps(served.objects.get(path, status | {"reason": reason})).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Production(f"http://127.0.0.1:{server.server_port}")
    served.objects[NAMESPACE_PATH] = {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": UID}}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(
    path: Path, contexts: dict[str, str], current: str = "", users: dict[str, dict[str, Any]] | None = None
) -> Path:
    """A kubeconfig with contexts (name → URL of the server); users are theirs, by context."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": f"c-{name}", "cluster": {"server": url}} for name, url in contexts.items()],
        "users": [{"name": f"u-{name}", "user": (users or {}).get(name, {"token": "t"})} for name in contexts],
        "contexts": [{"name": name, "context": {"cluster": f"c-{name}", "user": f"u-{name}"}} for name in contexts],
    }
    path.write_text(json.dumps(config))
    return path
