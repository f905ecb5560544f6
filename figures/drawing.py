"""A figure as it stands in a page before any script has run: its first question, a still, and all steps in words.

What is drawn is said in JavaScript, docs/assets/figures/NAME.js. Here it runs in V8, without a browser, so a page that
is printed or read without scripts shows what the same code would have shown.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from html import escape
from pathlib import Path

from py_mini_racer import JSEvalException, MiniRacer

from figures import recordings
from figures.places import Placed
from figures.recordings import ROOT, Recording

SCRIPTS = "docs/assets/figures"


def html(figure: Placed, root: Path = ROOT) -> str:
    """The element with all that it needs; raises `RecordingError` if there is no such figure, or it cannot be drawn."""
    scripts = [root / SCRIPTS / f"{name}.js" for name in ("figure", figure.name)]
    if not scripts[1].exists():
        raise recordings.RecordingError(f"there is no figure {figure.name}: {SCRIPTS}/{figure.name}.js is not there")
    recorded = recordings.read(figure.name, root)
    seen = json.dumps({mode: each.seen for mode, each in recorded.items()}, ensure_ascii=False, separators=(",", ":"))
    caption = f'{escape(figure.caption, quote=False)} <span class="figure-source">{_source(recorded)}</span>'
    with MiniRacer() as engine:
        try:
            for script in scripts:
                engine.eval(script.read_text("utf-8"))
            inside = engine.call(
                "figures.html", figure.name, json.loads(seen), dict(figure.chosen), figure.identifier, caption
            )
        except JSEvalException as error:
            raise recordings.RecordingError(f"{SCRIPTS}/{figure.name}.js: {error}") from None
    given = "".join(f' {name}="{escape(value)}"' for name, value in figure.chosen.items())
    # A template, and no script of a type of data: the theme runs those when it changes pages without loading them.
    return (
        f'<div data-search-exclude><{figure.name} class="figure" id="{figure.identifier}"{given}>{inside}'
        f"<template>{escape(seen, quote=False)}</template></{figure.name}></div>"
    )


def _source(recorded: Mapping[str, Recording]) -> str:
    """Where it comes from, in words."""
    last = max(recorded.values(), key=lambda each: each.when)
    when = datetime.fromisoformat(last.when)
    return f"Recorded on Kubernetes {last.kubernetes}, on {when.day} {when:%B %Y}."
