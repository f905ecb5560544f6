"""What readers see of claims: the mark in a page, and the page on which all proofs are listed."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import PythonLexer  # type: ignore[import-untyped]

from claims.find import MODES, Claim, Proof
from claims.results import Result

_LINK = re.compile(r'\s*<a href="proof:([a-z0-9-]+)">✓</a>')
_REFERENCE = re.compile(r'\s*<a href="claim:([a-z0-9-]+)">✓</a>')
_FENCE_THAT_PROVES = re.compile(r'^(\s*(?:`{3,}|~{3,}) *\{ *\.\w+)(?=[^}\n]*\bproves="([a-z0-9-]+))', re.MULTILINE)
_UNSEARCHED = "data-search-exclude"
"""Keeps an element out of the search's index, up to where an element of the same name ends that is in it."""
_WORDS = {
    "proved": "Proved",
    "failed": "Its proof failed",
    "stale": "Not proved since its text was changed",
    "open": "Not proved yet",
}


@dataclass(frozen=True)
class Standing:
    """How a claim stands by now."""

    claim: Claim
    proofs: Sequence[Proof]
    """Its proofs."""
    results: dict[str, Result]
    """Proxy mode → what became of it there."""

    @property
    def modes(self) -> tuple[str, ...]:
        """The proxy modes in which it is said to hold."""
        only = {proof.mode for proof in self.proofs}
        return MODES if "" in only else tuple(mode for mode in MODES if mode in only)

    @property
    def state(self) -> str:
        """`proved` (in one mode at least, where it was skipped in the other), `failed`, `stale` or `open`."""
        there = [self.results[mode] for mode in self.modes if mode in self.results]
        if any(result.outcome == "failed" for result in there):
            return "failed"
        if any(result.sentence != self.claim.digest for result in there):
            return "stale"
        is_whole = len(there) == len(self.modes) and any(result.outcome == "passed" for result in there)
        return "proved" if is_whole else "open"

    @property
    def verdict(self) -> str:
        """The same in a sentence for readers, with where and when."""
        if self.state != "proved":
            return f"{_WORDS[self.state]}."
        passed = [(mode, self.results[mode]) for mode in self.modes if self.results[mode].outcome == "passed"]
        skipped = [(mode, self.results[mode]) for mode in self.modes if self.results[mode].outcome == "skipped"]
        versions = " and ".join(sorted({result.kubernetes for _, result in passed}))
        day = max(result.when for _, result in passed)[:10]
        modes = " and ".join(mode for mode, _ in passed)
        only = "" if len(self.modes) == len(MODES) else " It is said of that mode only."
        not_there = "".join(f" Not tried in {mode} mode: {result.reason}." for mode, result in skipped)
        return f"Proved on Kubernetes {versions} with kube-proxy in {modes} mode, {day}.{only}{not_there}"


def standings(
    claims: Sequence[Claim], proofs: Sequence[Proof], results: dict[str, dict[str, Result]]
) -> list[Standing]:
    """How each claim stands."""
    return [
        Standing(claim, [proof for proof in proofs if claim.id in proof.claims], results.get(claim.id, {}))
        for claim in claims
    ]


def marks(html: str, by_id: dict[str, Standing], top: str) -> str:
    """A page's HTML with its marks made into buttons; `top` leads from the page to the site's top, as in `../../`."""
    numbers = count()
    html = _LINK.sub(lambda link: _mark(by_id[link[1]], f"{top}proofs/"), html)
    return _REFERENCE.sub(lambda link: _reference(by_id[link[1]], top, next(numbers)), html)


def _reference(standing: Standing, top: str, number: int) -> str:
    """The mark of a claim that another page makes: it says how that claim stands, and leads to it."""
    claim = standing.claim
    page = top + claim.page.removeprefix("docs/").removesuffix("index.md").replace(".md", "/")
    said = f"<span {_UNSEARCHED}>It rests on what is said elsewhere: “{escape(claim.text, quote=False)}.”</span>"
    more = (
        f'<span {_UNSEARCHED}><a href="{page}#why-{claim.id}">Where it is said</a>,'
        f' <a href="{top}proofs/#{claim.id}">how it is tried</a></span>'
    )
    return _button(standing, f"said-{number}-{claim.id}", said + more)


def _mark(standing: Standing, proofs_page: str) -> str:
    done = "".join(f"<span {_UNSEARCHED}>{_told(proof, standing.claim.page)}</span>" for proof in standing.proofs)
    more = f'<a {_UNSEARCHED} href="{proofs_page}#{standing.claim.id}">Its code and its results</a>'
    return _button(standing, f"why-{standing.claim.id}", done + more)


def _button(standing: Standing, anchor: str, inside: str) -> str:
    sign = {"proved": "✓", "failed": "✗"}.get(standing.state, "?")
    verdict = escape(standing.verdict, quote=False)
    return (
        f'<span class="claim claim-{standing.state}" {_UNSEARCHED}>'
        f'<button type="button" aria-label="{_WORDS[standing.state]}. How?" aria-describedby="{anchor}">{sign}'
        f'</button><span class="claim-why" role="tooltip" id="{anchor}"><b>{verdict}</b>{inside}</span></span>'
    )


def _told(proof: Proof, page: str = "") -> str:
    """What a proof does, said on a page; "" is the page of proofs."""
    if not proof.name:
        where = " of this page" if proof.file == page else " of another page" if page else ""
        return f"A snippet{where} shows it: it is run, and what it prints is compared."
    return f"{_words(proof.what)} <i>If it were not so:</i> {_words(proof.control)}"


def _words(text: str) -> str:
    """Text with `code` in it, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def summary(all_standings: Sequence[Standing]) -> str:
    """How many claims there are, and how they stand, as HTML."""
    counts = {state: sum(each.state == state for each in all_standings) for state in _WORDS}
    words = {
        "proved": "proved",
        "failed": "whose proof failed",
        "stale": "not proved since their text was changed",
        "open": "not proved yet",
    }
    said = ", ".join(f"{count} {words[state]}" for state, count in counts.items() if count)
    one_mode = sum(len(each.modes) == 1 for each in all_standings)
    several = f" {one_mode} are said of one proxy mode only." if one_mode else ""
    return f'<p class="proof-summary"><b>{len(all_standings)} claims</b>: {said}.{several}</p>'


def with_places(markdown: str) -> str:
    """A page's Markdown in which the first fence that proves a claim has an id, which the page of proofs links to."""
    numbers: dict[str, count[int]] = defaultdict(count)
    return _FENCE_THAT_PROVES.sub(
        lambda fence: fence[1] + ("" if next(numbers[fence[2]]) else f" #shows-{fence[2]}"), markdown
    )


def listed(standing: Standing, site: str, shown: set[Proof]) -> str:
    """A claim with its proofs and results, as HTML for the page of proofs; `site` is where the site begins.

    The code of a proof is shown once, at the first of its claims. `shown` are the proofs shown so far; those of this
    claim are added.
    """
    claim = standing.claim
    rows = "".join(_row(mode, standing) for mode in MODES)
    proofs = "".join(f"<li>{_told(proof)} {_source(proof, site, shown)}</li>" for proof in standing.proofs)
    return (
        f'<div class="proof claim-{standing.state}" id="{claim.id}">'
        f'<p><a href="{_url(claim.page, site)}#why-{claim.id}">{escape(claim.text)}.</a></p>'
        f'<p class="proof-results">{rows}</p><ul>{proofs}</ul></div>'
    )


def _source(proof: Proof, site: str, shown: set[Proof]) -> str:
    """A test's code, folded up, or a link to where it is; for a fence, a link to it."""
    place = escape(proof.place)
    if not proof.name:
        return f'<a class="proof-place" href="{_url(proof.file, site)}#shows-{proof.claims[0]}">{place}</a>'
    if proof in shown:
        return f'<a class="proof-place" href="#code-{proof.claims[0]}">{place}</a>'
    shown.add(proof)
    code = highlight(proof.code, PythonLexer(), HtmlFormatter(nowrap=True))
    code = re.sub(r'<span class="p">([^<]*)</span>', r"\1", code)  # hooks/marks.py leaves out other such elements
    code = code.rstrip().replace("\n", "&#10;")  # on one line, so that Markdown leaves it alone
    return (
        f'<details class="proof-code" data-search-exclude><summary>{place}</summary>'
        f'<div class="highlight" id="code-{proof.claims[0]}"><pre><code>{code}</code></pre></div></details>'
    )


def _url(page: str, site: str) -> str:
    """Where a page of docs/ is on the site."""
    return f"{site}{page.removeprefix('docs/').removesuffix('.md').removesuffix('index')}".rstrip("/") + "/"


def _row(mode: str, standing: Standing) -> str:
    if mode not in standing.modes:
        return f'<span class="proof-none">{mode}: not said of this mode</span>'
    result = standing.results.get(mode)
    if result is None:
        return f'<span class="proof-none">{mode}: not proved yet</span>'
    if result.outcome != "passed":
        reason = f", {escape(result.reason)}" if result.reason else ""
        return f'<span class="proof-none">{mode}: {result.outcome}{reason}</span>'
    stale = "" if result.sentence == standing.claim.digest else ", with another text"
    return f"<span>{mode}: passed{stale} on {result.kubernetes}, {result.when[:10]}, {result.seconds:.1f} s</span>"
