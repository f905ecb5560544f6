"""Which blocks of a page a reader can run: their fences get classes, by which the page's scripts know them."""

import re

_FENCE = re.compile(
    r"^(?P<start>[ ]*(?P<ticks>`{3,}|~{3,})) *"
    r"(?:\{ *\.(?P<language>python|yaml|console)\b(?P<attributes>[^}\n]*)\}"
    r"|(?P<word>python|yaml|console)\b(?P<title>[^`\n]*))$",
    re.MULTILINE,
)
_MODE = re.compile(r'\bmode="(\w+)"')


def marked(markdown: str) -> str:
    """A page's Markdown with `.run` at fences that can be run, and `.mode-…` at those for one mode of kube-proxy.

    A fence that the tests do not run (`test="skip"`) is none; nor is YAML without a name to be saved by.
    """
    return _FENCE.sub(_with_classes, markdown)


def _with_classes(fence: re.Match[str]) -> str:
    language = fence["language"] or fence["word"]
    attributes = (fence["attributes"] or fence["title"] or "").rstrip()
    if 'test="skip"' in attributes or (language == "yaml" and "title=" not in attributes):
        return fence[0]
    mode = _MODE.search(attributes)
    classes = " .run" + (f" .mode-{mode[1]}" if mode else "")
    return f"{fence['start']} {{ .{language}{classes}{attributes} }}"
