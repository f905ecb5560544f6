"""Breaks texts: sentences of claims, and what fences say that is printed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from claims import KUBECTL_SAYS

NEGATIONS = re.compile(r"\b(not|no|never|nobody|none|nothing|nowhere|neither|nor|without|cannot)\b", re.IGNORECASE)
AUXILIARY = re.compile(r"\b(is|are|has|have|can|may|must|does|do|was|were|will)\b")
NUMBER = re.compile(r"(?<![\w.<-])\d+(?:\.\d+)*(?![\w>])")
PLACEHOLDER = re.compile(r"<([a-z][a-z0-9-]*?)(-\d+)?>")
SWAPS = (
    ("Local", "Cluster"),
    ("nftables", "iptables"),
    ("ClusterIP", "NodePort"),
    ("LoadBalancer", "ExternalName"),
    ("ClientIP", "None"),
    ("TCP", "UDP"),
    ("True", "False"),
    ("inside", "outside"),
    ("every", "no"),
    ("all", "no"),
    ("only", "not only"),
    ("same", "another"),
    ("refused", "accepted"),
    ("created", "unchanged"),
    ("ready", "unready"),
    ("first", "last"),
    ("longer", "shorter"),
    ("before", "after"),
)
"""Words that are confused easily; each stands for the other."""

WORDS_FOR_NUMBERS = {
    "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "hundred": 100, "thousand": 1000,
}  # fmt: skip
"""Numbers that stand in prose as words. One and two are left out: they count what the sentence names anyway."""


@dataclass(frozen=True)
class Break:
    """A text that was broken."""

    what: str
    """The kind of change, as in `number`."""
    before: str
    """What stood there."""
    after: str
    """What stands there now."""
    text: str
    """The whole text."""


def sentence_breaks(sentence: str) -> list[Break]:
    """The ways to break a sentence in Markdown: each number, each negation, one word of a pair, a name in code."""
    found = [*_numbers(sentence), *_negations(sentence), *_swaps(sentence), *_names(sentence)]
    return list({each.text: each for each in found}.values())


def output_breaks(source: str, language: str) -> list[Break]:
    """The ways to break what a fence prints; a line that is left out or added only for a console fence.

    A Python fence's lines are numbered by what printed them, so that none can be left out here.
    """
    lines = source.splitlines()
    found = []
    for index in _output_lines(lines, language):
        changed = [(what, before, after, [text]) for what, before, after, text in _line_breaks(lines[index], language)]
        if language == "console":
            changed += [("line left out", lines[index], "", []), ("line added", "", lines[index], [lines[index]] * 2)]
        for what, before, after, new in changed:
            text = "".join(f"{line}\n" for line in [*lines[:index], *new, *lines[index + 1 :]])
            found.append(Break(what, before, after, text))
    return found


def _output_lines(lines: list[str], language: str) -> Iterator[int]:
    command = False
    for index, line in enumerate(lines):
        if language == "python":
            if line.lstrip().startswith("#> "):
                yield index
        elif line.startswith("$ "):
            command = True
        elif command and line.startswith("> "):
            continue
        elif line.strip():
            command = False
            yield index


def _line_breaks(line: str, language: str) -> Iterator[tuple[str, str, str, str]]:
    start = line.index("#> ") + 3 if language == "python" else 0
    head, text = line[:start], line[start:]
    plain = PLACEHOLDER.sub(lambda each: "<" * len(each[0]), text)  # in which no number is that of a placeholder
    numbers = list(NUMBER.finditer(plain))
    for number in {numbers[0].start(): numbers[0], numbers[-1].start(): numbers[-1]}.values() if numbers else ():
        other = _other_number(number[0])
        yield "number", number[0], other, f"{head}{text[: number.start()]}{other}{text[number.end() :]}"
    for one, other in (*SWAPS, *((other, one) for one, other in SWAPS)):
        if word := re.search(rf"\b{re.escape(one)}\b", plain):
            yield "word", one, other, f"{head}{text[: word.start()]}{other}{text[word.end() :]}"
            break
    if word := re.search(r"[A-Za-z]{3,}", plain):
        other = word[0][:-1] + ("x" if word[0][-1] != "x" else "y")
        yield "letter", word[0], other, f"{head}{text[: word.start()]}{other}{text[word.end() :]}"
    if place := next((each for each in PLACEHOLDER.finditer(text) if each[1] not in KUBECTL_SAYS), None):
        other = "<age>" if place[1] == "uid" else "<uid>"
        yield "placeholder", place[0], other, f"{head}{text[: place.start()]}{other}{text[place.end() :]}"


def _numbers(sentence: str) -> Iterator[Break]:
    for number in NUMBER.finditer(sentence):
        yield _replaced("number", sentence, number, _other_number(number[0]))
    for word in re.finditer(rf"\b({'|'.join(WORDS_FOR_NUMBERS)})\b", sentence, re.IGNORECASE):
        yield _replaced("number", sentence, word, "seventeen")


def _negations(sentence: str) -> Iterator[Break]:
    negations = list(NEGATIONS.finditer(sentence))
    for negation in negations:
        other = {"cannot": "can", "nobody": "somebody", "nothing": "something", "without": "with"}
        yield _replaced("not left out", sentence, negation, other.get(negation[0].lower(), ""))
    if not negations and (word := AUXILIARY.search(sentence)):
        yield _replaced("not put in", sentence, word, f"{word[0]} not")


def _swaps(sentence: str) -> Iterator[Break]:
    for one, other in (*SWAPS, *((other, one) for one, other in SWAPS)):
        for word in re.finditer(rf"\b{re.escape(one)}\b", sentence):
            yield _replaced("word", sentence, word, other)


def _names(sentence: str) -> Iterator[Break]:
    for code in re.finditer(r"`([^`]+)`", sentence):
        yield _replaced("code", sentence, code, f"`{code[1]}x`")


def _replaced(what: str, text: str, found: re.Match[str], other: str) -> Break:
    return Break(what, found[0], other, f"{text[: found.start()]}{other}{text[found.end() :]}")


def _other_number(number: str) -> str:
    """Another number of as many digits: its last digit is another one."""
    return number[:-1] + str((int(number[-1]) + 1) % 10)
