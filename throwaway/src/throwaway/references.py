"""Names of images, as Kubernetes and Docker read them: `hello` is `docker.io/library/hello:latest`."""

import re

from throwaway.errors import ThrowawayError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<digest>@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)
_REGISTRY = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?")


def full(name: str) -> str:
    """An image's name with registry and tag, Docker's defaults filled in.

    The rules are those of https://github.com/distribution/reference. Raises `ThrowawayError` for what is no name.
    """
    registry, slash, rest = name.partition("/")
    if not slash or not (registry == "localhost" or re.search(r"[.:A-Z]", registry)):
        registry, rest = "docker.io", name
    found = _REFERENCE.fullmatch(rest)
    if not found or not _REGISTRY.fullmatch(registry):
        raise ThrowawayError(f"{name!r} is no name of an image; one is NAME:TAG, as in localhost/hello:1")
    path, tag, digest = found["path"], found["tag"], found["digest"] or ""
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{registry}/{path}{f':{tag}' if tag else '' if digest else ':latest'}{digest}"


def is_pulled_always(reference: str) -> bool:
    """Whether a Pod that does not say otherwise has this image pulled each time; then a loaded one is of no use to it.

    See https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting.
    """
    return full(reference).endswith(":latest")
