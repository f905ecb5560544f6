"""Finds claims in pages, and their proofs in pages and tests, by reading the files."""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from claims.source import code_of

MARK = re.compile(r"\[✓\]\(proof:([^)\s]*)\)")
REFERENCE = re.compile(r"\[✓\]\(claim:([^)\s]*)\)")
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
MODES = ("nftables", "iptables")
"""Proxy modes in which claims are proved."""
_CAN_FAIL = {"wait_for", "raises"}
"""Calls that fail where something is not as it should be, as an `assert` does."""

_FENCE = re.compile(r"\s*(?P<ticks>`{3,}|~{3,})(?P<rest>[^`]*)$")
_PROVES = re.compile(r'\bproves="([^"]*)"')
_MODE = re.compile(r'\bmode="([^"]*)"')
_NEW_BLOCK = re.compile(r"\s*([-*+] |\d+\. |\||#|!!!|\?\?\?|: )")
_SENTENCE_END = re.compile(r"[.!?:][*_\"')]*\s+(?=[^\s])")
_AFTER_MARK = re.compile(r"[.!?:;,)]|\s*\||\s+\[✓\]|$")


class ClaimError(Exception):
    """Something is wrong with a claim or a proof. The message starts with its place, as in `docs/page.md:12: …`."""


@dataclass(frozen=True)
class Claim:
    """A sentence that states a fact."""

    id: str
    """Its id, as in `nodeport-every-node`."""
    text: str
    """The sentence, without its markup."""
    page: str
    """The path of its page in the repository."""
    line: int
    """The line of its mark, counted from 1."""
    markup: str = ""
    """The sentence as it stands in the page, with its markup."""

    @property
    def digest(self) -> str:
        """Changes when the sentence does."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def place(self) -> str:
        """Where it is, as in `docs/page.md:12`."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Reference:
    """A place that leans on a claim that is made elsewhere."""

    id: str
    """The claim's id."""
    place: str
    """Where it is, as in `docs/page.md:12`."""


@dataclass(frozen=True)
class Proof:
    """A test or fence that proves claims."""

    claims: tuple[str, ...]
    """The ids of the claims."""
    file: str
    """The path of its file in the repository."""
    line: int
    """The line at which it begins, counted from 1."""
    name: str = ""
    """The test's name; "" for a fence."""
    what: str = ""
    """What is done, in words for readers; "" for a fence, which they see."""
    control: str = ""
    """What would be seen if the claim were wrong; "" for a fence."""
    mode: str = ""
    """The one proxy mode in which its claims hold; "" for all."""
    code: str = ""
    """Its code; "" for a fence."""

    @property
    def place(self) -> str:
        """Where it is, as in `tests/proofs/test_page.py:12`."""
        return f"{self.file}:{self.line}"


def find_claims(page: Path, root: Path) -> list[Claim]:
    """The claims of a page, in order. Raises `ClaimError` for a mark that ends no sentence, or has no proper id."""
    name = str(page.relative_to(root))
    found = []
    block = ""
    for number, line in prose(page.read_text("utf-8")):
        if not line.strip() or _NEW_BLOCK.match(line):
            block = ""
        for mark in MARK.finditer(line):
            place = f"{name}:{number}"
            if not ID.fullmatch(mark[1]):
                raise ClaimError(f"{place}: {mark[1]!r} is no id of a claim; one is like nodeport-every-node")
            if not _AFTER_MARK.match(line, mark.end()):
                raise ClaimError(f"{place}: the mark of {mark[1]} is inside a sentence; it stands before the full stop")
            markup = _sentence(block + line[: mark.start()])
            text = _plain(markup)
            if len(text.split()) < 3:
                raise ClaimError(f"{place}: before the mark of {mark[1]} there is no sentence")
            found.append(Claim(mark[1], text, name, number, markup))
        block += f"{line}\n"
    return found


def find_references(page: Path, root: Path) -> list[Reference]:
    """The places of a page that lean on claims made elsewhere."""
    name = page.relative_to(root)
    lines = prose(page.read_text("utf-8"))
    return [Reference(mark[1], f"{name}:{number}") for number, line in lines for mark in REFERENCE.finditer(line)]


def find_fence_proofs(page: Path, root: Path) -> list[Proof]:
    """The fences of a page that prove claims; those for one proxy mode say it, as in `mode="nftables"`."""
    name = str(page.relative_to(root))
    found = []
    text = page.read_text("utf-8")
    for number, rest in _fences(text):
        if proves := _PROVES.search(rest):
            if not _shows_something(text.split("\n")[number:], rest):
                raise ClaimError(
                    f"{name}:{number}: this proof cannot fail, since the page shows nothing that it prints; print what"
                    " the claim says"
                )
            mode = _MODE.search(rest)
            found.append(Proof(tuple(proves[1].split()), name, number, mode=mode[1] if mode else ""))
    return found


def find_tests(file: Path, root: Path) -> list[Proof]:
    """The tests of a file that prove claims. Raises `ClaimError` for a test that proves nothing, or says too little."""
    name = str(file.relative_to(root))
    found = []
    text = file.read_text("utf-8")
    module = ast.parse(text)
    for function in module.body:
        if not isinstance(function, ast.FunctionDef) or not function.name.startswith("test_"):
            continue
        place = f"{name}:{function.lineno}"
        calls = [each for each in function.decorator_list if isinstance(each, ast.Call)]
        marks = [each for each in calls if isinstance(each.func, ast.Name) and each.func.id == "proof"]
        if len(marks) != 1:
            raise ClaimError(f"{place}: {function.name} proves nothing; @proof(…) names the claims that it proves")
        try:
            claims = tuple(str(ast.literal_eval(each)) for each in marks[0].args)
            said = {each.arg: ast.literal_eval(each.value) for each in marks[0].keywords}
        except ValueError:
            raise ClaimError(
                f"{place}: what @proof(…) is given has to be written out, so that it can be read"
            ) from None
        what, control = ast.get_docstring(function) or "", str(said.get("control", "")).strip()
        if not what:
            raise ClaimError(f"{place}: {function.name} has no docstring, which tells readers what is done")
        if not control:
            raise ClaimError(f"{place}: {function.name} has no control: what would be seen if the claim were wrong")
        if (mode := said.get("mode", "")) not in ("", *MODES):
            raise ClaimError(f"{place}: there is no proxy mode {mode!r}; there are {', '.join(MODES)}")
        code = code_of(function, module, text)
        if not _can_fail(code):
            raise ClaimError(
                f"{place}: {function.name} cannot fail; assert what its control says would be otherwise, or wait_for it"
            )
        found.append(Proof(claims, name, function.lineno, function.name, " ".join(what.split()), control, mode, code))
    return found


def _can_fail(code: str) -> bool:
    """Whether a test's code asserts anything, or waits for it."""
    nodes = list(ast.walk(ast.parse(code)))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    names = {each.id for each in calls if isinstance(each, ast.Name)}
    names |= {each.attr for each in calls if isinstance(each, ast.Attribute)}
    asserts = (node for node in nodes if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant))
    return bool(names & _CAN_FAIL) or any(asserts)


def _shows_something(lines: list[str], opening: str) -> bool:
    """Whether the fence that these lines begin in shows output; `opening` is its own line. YAML may be refused."""
    inside = list(takewhile(lambda line: not re.match(r"\s*(`{3,}|~{3,})\s*$", line), lines))
    if "python" in opening:
        return any("#>" in line for line in inside)
    return "console" not in opening or any(line.strip() and not re.match(r"\s*[$>] ", line) for line in inside)


def pages(root: Path) -> list[Path]:
    """All pages of the site."""
    return sorted((root / "docs").glob("**/*.md"))


def claims_and_proofs(root: Path) -> tuple[list[Claim], list[Proof]]:
    """All claims of all pages, and all proofs, checked against each other.

    Raises `ClaimError` for a claim without a proof, a proof without a claim, an id that is used twice, and a reference
    to a claim that nobody makes.
    """
    claims = [claim for page in pages(root) for claim in find_claims(page, root)]
    proofs = [proof for page in pages(root) for proof in find_fence_proofs(page, root)]
    proofs += [proof for file in sorted((root / "tests/proofs").glob("test_*.py")) for proof in find_tests(file, root)]
    places: dict[str, str] = {}
    for claim in claims:
        if claim.id in places:
            raise ClaimError(f"{claim.place}: the id {claim.id} is used at {places[claim.id]} already")
        places[claim.id] = claim.place
    proved = {each for proof in proofs for each in proof.claims}
    for claim in claims:
        if claim.id not in proved:
            raise ClaimError(
                f"{claim.place}: the claim {claim.id} has no proof, neither a fence nor one in tests/proofs; write one"
                f' under @proof("{claim.id}", control=…), as CONTRIBUTING.md shows'
            )
    for proof in proofs:
        if not proof.claims:
            raise ClaimError(f"{proof.place}: this proof names no claim")
        for each in proof.claims:
            if each not in places:
                raise ClaimError(f"{proof.place}: no page makes the claim {each}, which is proved here")
    for reference in [each for page in pages(root) for each in find_references(page, root)]:
        if reference.id not in places:
            raise ClaimError(f"{reference.place}: no page makes the claim {reference.id}, which is referred to here")
    return claims, proofs


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of fences, each with its number; fences leave an empty line."""
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        fence = _FENCE.match(line)
        if closing:
            if fence and fence["ticks"].startswith(closing) and not fence["rest"].strip():
                closing = ""
            yield number, ""
        elif fence:
            closing = fence["ticks"]
            yield number, ""
        else:
            yield number, re.sub(r"`[^`]*`", lambda code: code[0].replace("[✓]", "[ ]"), line)


def _fences(text: str) -> Iterator[tuple[int, str]]:
    """The line number of each fence's beginning, and what stands behind its backticks."""
    closing = ""
    for number, line in enumerate(text.split("\n"), start=1):
        fence = _FENCE.match(line)
        if not fence:
            continue
        if not closing:
            closing = fence["ticks"]
            yield number, fence["rest"]
        elif fence["ticks"].startswith(closing) and not fence["rest"].strip():
            closing = ""


def _sentence(text: str) -> str:
    """The last sentence of a Markdown text."""
    text = REFERENCE.sub("", text)
    text = text[max((mark.end() for mark in MARK.finditer(text)), default=0) :].lstrip(" .:;,)")
    cell = text.rpartition("|")[2] if text.lstrip().startswith("|") or "|" in text.split("\n")[-1] else text
    cell = re.sub(r"^\s*([-*+]|\d+\.) ", "", cell)
    without_code = re.sub(r"`[^`]*`", lambda code: "`" * len(code[0]), cell)  # in which a colon ends no sentence
    start = max((end.end() for end in _SENTENCE_END.finditer(without_code)), default=0)
    return cell[start:].strip()


def _plain(markup: str) -> str:
    """A sentence without its markup."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markup)
    plain = " ".join(re.sub(r"\*\*|\*|`|<[^>]*>", "", plain).split())
    return plain[:1].upper() + plain[1:]
