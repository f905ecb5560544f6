"""Requests to the API server while a cluster starts or is watched; what users ask of it goes through kubectl.

Starting kubectl takes 0.2 s of processor time, a request over a connection that is open one millisecond.
"""

import http.client
import json
import os
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from throwaway.errors import ApiError
from throwaway.pki import KeyPair

_TIMEOUT_SECONDS = 30.0


class Api:
    """One connection to an API server, as one of its users; opened again when it was closed."""

    def __init__(
        self, host: str, port: int, authority: KeyPair, client: KeyPair, timeout: float = _TIMEOUT_SECONDS
    ) -> None:
        context = ssl.create_default_context(cadata=authority.certificate)
        with os.fdopen(os.memfd_create("client"), "w") as file:  # OpenSSL takes certificate and key from a file only
            file.write(client.certificate + client.key)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        self._connection = http.client.HTTPSConnection(host, port, context=context, timeout=timeout)

    def answers(self) -> bool:
        """Whether the API server answers at all, be it that it is not ready."""
        try:
            return bool(self._request("GET", "/livez"))
        except ApiError:
            return False

    def is_ready(self, but_for: Sequence[str] = ()) -> bool:
        """Whether the API server says that it is ready, but for some of its checks, such as `poststarthook/…`.

        See kubernetes.io, "Kubernetes API health endpoints".
        """
        try:
            return self.has(f"/readyz?{urlencode({'exclude': but_for}, doseq=True)}")
        except ApiError:
            return False

    def has(self, path: str) -> bool:
        """Whether there is something at a path; raises `ApiError` when there is no answer."""
        return self._request("GET", path)[0] == http.HTTPStatus.OK

    def get(self, path: str) -> dict[str, Any]:
        """The object or list at a path such as `/api/v1/nodes`; raises `ApiError` with the server's message."""
        return self._parsed("GET", path)

    def serves(self, definition: dict[str, Any]) -> bool:
        """Whether objects of all versions of a CustomResourceDefinition can be created by now."""
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        versions = [version["name"] for version in definition["spec"]["versions"]]
        return all(self.has(f"/apis/{group}/{version}/{plural}?limit=1") for version in versions)

    def create(self, manifest: dict[str, Any]) -> None:
        """Create an object; raises `ApiError` with the server's message."""
        self._parsed("POST", collection(manifest), json.dumps(manifest))

    def apply(self, manifest: dict[str, Any]) -> None:
        """Create an object, or make one that is there as the manifest says, by server-side apply.

        Raises `ApiError` with the server's message.
        """
        path = f"{collection(manifest)}/{manifest['metadata']['name']}?fieldManager=throwaway&force=true"
        self._parsed("PATCH", path, json.dumps(manifest), "application/apply-patch+yaml")

    def _parsed(
        self, method: str, path: str, body: str | None = None, kind: str = "application/json"
    ) -> dict[str, Any]:
        status, text = self._request(method, path, body, kind)
        if status >= http.HTTPStatus.BAD_REQUEST:
            try:
                reason = json.loads(text)["message"]
            except (ValueError, KeyError, TypeError):  # one of a filter before the API, which writes plain text
                reason = f"{status} {text.decode(errors='replace').strip()[:200]}"
            raise ApiError(f"the API server refused {method} {path}: {reason}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _request(
        self, method: str, path: str, body: str | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, {"Content-Type": kind})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # half a conversation is of no use to the next request
            raise ApiError(f"the API server gave no answer to {method} {path}: {error}") from error


def collection(manifest: dict[str, Any]) -> str:
    """The path to which a manifest is posted.

    The plural of its kind is guessed as English has it, which holds for all kinds in `addons`.
    """
    version, kind, namespace = manifest["apiVersion"], manifest["kind"].lower(), manifest["metadata"].get("namespace")
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}es" if kind.endswith("s") else f"{kind}s"
    scope = f"namespaces/{namespace}/" if namespace else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}/{scope}{plural}"
