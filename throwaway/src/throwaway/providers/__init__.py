"""Where a cluster comes from: `embedded` (this package's own), `kind`, `existing` (one that its owner has adopted)."""

import os

from throwaway.errors import ThrowawayError
from throwaway.providers.base import Provider

PROVIDERS = ("embedded", "kind", "existing")
PROVIDER_VARIABLE = "THROWAWAY_PROVIDER"
"""The environment variable that names the provider where nothing else does; `throwaway shell` sets it, too."""


def provider(name: str | None = None) -> type[Provider]:
    """The provider called so, else that of the environment, else `embedded`.

    Raises `ThrowawayError` for a name that none has, and where a provider cannot run.
    """
    chosen = name or os.environ.get(PROVIDER_VARIABLE) or "embedded"
    if chosen == "kind":
        from throwaway.providers.kind import Kind

        return Kind
    if chosen == "existing":
        from throwaway.providers.existing import Existing

        return Existing
    if chosen != "embedded":
        raise ThrowawayError(f"there is no provider {chosen!r}; choose {', '.join(PROVIDERS)}")
    try:
        from throwaway.providers.embedded import Embedded  # of what only Linux has
    except ImportError as error:
        raise ThrowawayError(f"the embedded cluster needs Linux ({error}); choose the provider kind") from None
    return Embedded
