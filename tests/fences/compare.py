"""Compares what a fence printed with what its page says, and shows the difference."""

import difflib

from fences.find import FenceError
from fences.placeholders import Placeholders


def reconcile(expected: list[str], actual: list[str], placeholders: Placeholders) -> list[str]:
    """The actual lines, each replaced by the expected one that it matches: all do if this is `expected`."""
    result = []
    rest = 0
    for line in actual:
        for index in range(rest, len(expected)):
            if placeholders.match(expected[index], line):
                result.append(expected[index])
                rest = index + 1
                break
        else:
            result.append(line)
    return result


def fail_on_difference(what: str, page: str, first_line: int, before: list[str], after: list[str]) -> None:
    """Raise `FenceError`, with a diff, unless the lines are equal.

    `first_line` is the number of the first line of `before` on `page`; the message names that of the first
    difference.
    """
    if before == after:
        return
    pairs = enumerate(zip(before, after, strict=False))
    end = min(len(after), len(before) - 1)  # if one begins with the other: the first line too many, or the last
    index = next((index for index, (old, new) in pairs if old != new), end)
    diff = difflib.ndiff(before, after)
    shown = "\n".join(f"  {line}".rstrip() for line in diff if not line.startswith("?"))
    raise FenceError(f"{page}:{first_line + index}: {what}\n{shown}")
