"""Reads a Dockerfile: its instructions, each with its line, and the words and variables in them.

The language is described at https://docs.docker.com/reference/dockerfile/. What a Dockerfile means is another matter,
see `image_build`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from throwaway.errors import ThrowawayError


class DockerfileError(ThrowawayError):
    """What is wrong with a Dockerfile, beginning with its name and a line."""


@dataclass(frozen=True)
class Instruction:
    """An instruction of a Dockerfile."""

    file: str
    """The file's name, as it was given."""
    line: int
    """The line in which it begins, counted from 1."""
    name: str
    """What it is called, in capitals."""
    rest: str
    """What follows, with its lines joined."""

    def error(self, complaint: str) -> DockerfileError:
        """An error that names file and line."""
        return DockerfileError(f"{self.file}:{self.line}: {complaint}")

    def flags(self) -> tuple[dict[str, str], "Instruction"]:
        """The options at its begin, as in --chown=1000, and the instruction without them."""
        options, rest = {}, self.rest
        while found := re.match(r"--([a-z-]+)(?:=(\S*))?\s*", rest):
            options[found[1]] = found[2] or ""
            rest = rest[found.end() :]
        return options, Instruction(self.file, self.line, self.name, rest)

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """Its words: a list in JSON, else what stands between spaces; with variables filled in."""
        listed = _list_in_json(self.rest)  # else the bracket is one of a pattern
        return _words(self, variables) if listed is None else [self.word(variables, word) for word in listed]

    def word(self, variables: Mapping[str, str], text: str | None = None) -> str:
        """All of it, or the text, as one word with spaces in it; with variables filled in."""
        return _Lexer(self, self.rest if text is None else text, variables).word(ends_at_space=False)

    def listed(self) -> list[str] | None:
        """The strings of a list in JSON; None if it is not meant to be one."""
        listed = _list_in_json(self.rest)
        if listed is None and self.rest.startswith("["):
            raise self.error(f'{self.rest} is no list in JSON; write it as in ["/program", "--option"]')
        return listed


def _list_in_json(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else None


def lines_of(file: Path) -> list[str]:
    """The lines of a file; raises `ThrowawayError` if it is no text in UTF-8."""
    try:
        return file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ThrowawayError(f"{file} is no text in UTF-8") from None


def parse(file: Path) -> list[Instruction]:
    """The instructions of a Dockerfile; raises `ThrowawayError` where one cannot be read."""
    lines = lines_of(file)
    instructions: list[Instruction] = []
    begin, joined = 0, ""
    for number, line in enumerate(lines, start=1):
        if not instructions and re.match(r"#\s*escape\s*=\s*`", line, re.IGNORECASE):
            raise DockerfileError(f"{file}:{number}: another escape character than \\ is not known here; leave it out")
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also between the lines of one instruction
        begin = begin or number
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        instructions.append(_instruction(file, begin, joined))
        begin, joined = 0, ""
    if joined.strip():
        instructions.append(_instruction(file, begin, joined))
    return instructions


def _instruction(file: Path, line: int, text: str) -> Instruction:
    name, *rest = text.split(None, 1)
    return Instruction(str(file), line, name.upper(), "".join(rest).strip())


def _words(instruction: Instruction, variables: Mapping[str, str]) -> list[str]:
    lexer = _Lexer(instruction, instruction.rest, variables)
    words = []
    while lexer.skip_spaces():
        words.append(lexer.word(ends_at_space=True))
    return words


class _Lexer:
    """Reads words as a shell does: quotes hold them together, $NAME and ${NAME} stand for a variable's value."""

    def __init__(self, instruction: Instruction, text: str, variables: Mapping[str, str]) -> None:
        self._instruction = instruction
        self._text = text
        self._variables = variables
        self._at = 0

    def skip_spaces(self) -> bool:
        """Go to the next word; whether there is one."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def word(self, ends_at_space: bool) -> str:
        """The word that begins here."""
        word, quote = "", ""
        while self._at < len(self._text):
            character = self._text[self._at]
            following = self._text[self._at + 1 : self._at + 2]
            if character == "$" and quote != "'":
                word += self._variable()
                continue
            self._at += 1
            if character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            elif character == "\\" and following and (not quote or (quote == '"' and following in '"$\\')):
                word += following
                self._at += 1
            elif ends_at_space and not quote and character.isspace():
                return word
            else:
                word += character
        if quote:
            raise self._instruction.error(f"a quotation mark {quote} has no end")
        return word

    def _variable(self) -> str:
        """The value of the variable that begins here."""
        found = re.compile(r"\$(?:(\w+)|\{(\w+)(?::([-+])([^{}$]*))?\})", re.ASCII).match(self._text, self._at)
        if not found:
            if self._text.startswith("${", self._at):
                raise self._instruction.error(
                    f"{self._text[self._at :]!r} is unknown; there are ${{NAME}}, ${{NAME:-WORD}} and ${{NAME:+WORD}}"
                )
            self._at += 1
            return "$"
        self._at = found.end()
        value = self._variables.get(found[1] or found[2], "")
        if found[3] == "-":
            return value or found[4]
        return (found[4] if value else "") if found[3] == "+" else value
