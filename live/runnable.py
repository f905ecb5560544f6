"""Which blocks of a page a reader can run: their fences get classes, by which the page's scripts know them."""

import re

from live.fences import Rendered, rendered

_OPENING = re.compile(r"(?P<start>\s*(?:`{3,}|~{3,})) *(?:\{ *\.\w+(?P<attributes>.*)\}|\w+(?P<title>.*))")


def marked(markdown: str) -> str:
    """A page's Markdown with `.run` at fences that can be run, `.mode-…` at those for one mode of kube-proxy, and
    `.client-kubectl` at those for readers of kubectl.

    A fence that the tests do not run (`test="skip"`) is none; nor is YAML without a name to be saved by.
    """
    lines = markdown.split("\n")
    for fence in rendered(lines):
        if fence.is_run and not fence.quoted and (fence.language != "yaml" or "title" in fence.settings):
            lines[fence.start] = _with_classes(lines[fence.start], fence)
    return "\n".join(lines)


def _with_classes(line: str, fence: Rendered) -> str:
    opening = _OPENING.fullmatch(line)
    assert opening, line  # the renderer takes no other
    attributes = (opening["attributes"] or opening["title"] or "").rstrip()
    classes = " .run" + "".join(f" .{key}-{fence.settings[key]}" for key in ("mode", "client") if key in fence.settings)
    return f"{opening['start']} {{ .{fence.language}{classes}{attributes} }}"
