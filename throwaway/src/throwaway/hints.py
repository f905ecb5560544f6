"""Commands that errors and reports advise: they lead to the cluster that is spoken of, and to no other."""

import os

from throwaway.plan import DEFAULT_NAME

SHELL_VARIABLE = "THROWAWAY_CLUSTER"
"""Set in `throwaway shell` to the cluster's name, for prompts and scripts too."""


def which(name: str, provider: str = "embedded") -> str:
    """The options that lead a command to a cluster, with a space before; "" if it goes there without them."""
    if provider == "existing":
        return f" --provider existing --context {name}"
    is_meant = name == os.environ.get(SHELL_VARIABLE, DEFAULT_NAME)
    if provider == "embedded":
        return "" if is_meant else f" --name {name}"
    is_chosen = provider == os.environ.get("THROWAWAY_PROVIDER")
    return "" if is_meant and is_chosen else f" --provider {provider} --name {name}"
