"""Says whether a claim's proof looks at the numbers and names that stand in its sentence."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claims.find import MODES, Claim, Proof
from fences.find import Fence, find_fences
from mutate.texts import NUMBER, WORDS_FOR_NUMBERS

_CODE = re.compile(r"`([^`]+)`")
_PLAIN_WORDS = ("Local", "Cluster", "ClientIP", "TCP", "UDP", *MODES)
"""Names of values that pages write in prose, too."""
_STANDS_FOR_SOMETHING = re.compile(r"[A-Z][A-Z_]*")
"""As `POD` in `kubectl describe pod POD`."""
_SECONDS = {"hour": 3600, "minute": 60}


@dataclass(frozen=True)
class Value:
    """A number or a name in a claim's sentence."""

    text: str
    """As it stands there."""
    words: tuple[str, ...]
    """The words and numbers that a proof has to have, where the name consists of several."""
    or_else: str = ""
    """Another way to write a number, as 10800 (seconds) for three hours."""


def values(markup: str) -> list[Value]:
    """The numbers and names in a sentence of Markdown: what is quoted as code, numbers, and names of known values."""
    found: dict[str, Value] = {}
    for code in _CODE.findall(markup):
        if words := tuple(word for word in words_of(code) if not _STANDS_FOR_SOMETHING.fullmatch(word)):
            found[f"`{code}`"] = Value(f"`{code}`", words)
    prose = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", _CODE.sub(" ", markup))
    for number in NUMBER.finditer(prose):
        found[number[0]] = Value(number[0], (number[0],), _in_seconds(number[0], prose[number.end() :]))
    for word in re.finditer(rf"\b({'|'.join(WORDS_FOR_NUMBERS)})\b", prose, re.IGNORECASE):
        number_of = str(WORDS_FOR_NUMBERS[word[0].lower()])
        found[word[0]] = Value(word[0], (number_of,), _in_seconds(number_of, prose[word.end() :]))
    for name in _PLAIN_WORDS:
        if re.search(rf"\b{name}\b", prose):
            found[name] = Value(name, (name,))
    return list(found.values())


def _in_seconds(number: str, rest: str) -> str:
    unit = re.match(r"\s+(hour|minute)s?\b", rest)
    return str(int(number) * _SECONDS[unit[1]]) if unit and number.isdigit() else ""


def words_of(text: str) -> list[str]:
    """The names and numbers in a text, in order."""
    return [each for each in re.findall(r"\d+(?:\.\d+)*(?![\w])|[A-Za-z][\w-]*", text) if each]


def is_seen(value: Value, codes: Sequence[str]) -> bool:
    """Whether one of these codes has a value: all its words, however they are written (`nodePort`, `node_port`)."""
    for code in codes:
        code = re.sub(r"\\+[a-zA-Z]", " ", code)  # as `\b` in a regular expression
        there = {_plain(word) for word in words_of(code)}
        numbers = set(re.findall(r"\d+(?:\.\d+)*", code))
        networks = {".".join(number.split(".")[:2]) for number in numbers if number.count(".") == 3}  # as in 169.254.…
        has = [_plain(word) in there or word in numbers | networks for word in value.words]
        if all(has) or (value.or_else and value.or_else in numbers):
            return True
    return False


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def codes(claim: Claim, proofs: Sequence[Proof], root: Path) -> list[str]:
    """What the proofs of a claim do, each as code without docstrings and comments, and the proxy mode it is for."""
    found = []
    for proof in proofs:
        if claim.id in proof.claims:
            found.append(
                f"{_of_test(proof.code)}\n{proof.mode}" if proof.name else f"{_of_fence(proof, root)}\n{proof.mode}"
            )
    return found


def _of_test(code: str) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) and len(node.body) > 1:
            del node.body[0]
    return ast.unparse(tree)


def _of_fence(proof: Proof, root: Path) -> str:
    """A fence and those above it whose names or files it uses."""
    fences = [fence for fence in find_fences(root / proof.file) if fence.start_line <= proof.line]
    *above, own = fences
    parts = [own.source]
    waiting = _uses(own)
    for fence in reversed(above):
        if fence.language == "yaml":
            title = fence.settings.get("title", "")
            if title and any(title in part for part in parts):
                parts.append(f"{title}\n{fence.source}")
        elif (defined := _defines(fence)) & waiting:
            parts.append(fence.source)
            waiting |= _uses(fence) if fence.language == "python" else set()
            waiting -= defined if fence.language == "python" else set()
    return "\n".join(parts)


def _uses(fence: Fence) -> set[str]:
    if fence.language != "python":
        return set(re.findall(r"\$\{?([A-Z_]+)", fence.source))
    return {node.id for node in ast.walk(ast.parse(fence.source)) if isinstance(node, ast.Name)}


def _defines(fence: Fence) -> set[str]:
    if fence.language == "console":
        return set(re.findall(r"^\$ ([A-Z_]+)=", fence.source, re.MULTILINE))
    if fence.language != "python" or not fence.is_run:
        return set()
    found = set()
    for node in ast.walk(ast.parse(fence.source)):
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
