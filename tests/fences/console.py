"""Runs console fences: `$ ` lines are commands, `> ` lines continue them, the rest is what they print."""

from dataclasses import replace

from fences.compare import fail_on_difference, reconcile
from fences.find import Fence, FenceError
from fences.placeholders import KINDS, Placeholders, known, unknown
from live.shell import DEADLINE, Command, Shell, split


def read_commands(fence: Fence) -> list[Command]:
    """The commands of a console fence.

    Raises `FenceError` if it does not begin with a command, and for a placeholder that does not exist or
    stands in a command.
    """
    for number, line in enumerate(fence.source.splitlines(), start=1):
        for name in unknown(line):
            raise FenceError(
                f"{fence.place(number)}: <{name}> is no placeholder; there are {', '.join(sorted(KINDS))}, "
                "all but age, ms and time also numbered, as in <pod-1>"
            )
    try:
        commands = split(fence.source)
    except ValueError as error:
        raise FenceError(f"{fence.place(1)}: {error}") from None
    for command in commands:
        for number, line in enumerate(command.source, start=command.line):
            for name in known(line):
                raise FenceError(
                    f"{fence.place(number)}: a command cannot contain <{name}>: a reader could not copy it. "
                    "Let an earlier command put the value into a shell variable"
                )
    return commands


def run_console(fence: Fence, shell: Shell, placeholders: Placeholders, update: bool = False) -> str:
    """Run a console fence and compare what it prints; returns its source, with `update` as it should be.

    Exit statuses are not compared, since pages show refusals; but a command may not fail and say nothing.
    Raises `FenceError` for the first command that prints something else than the page (unless `update`), or
    hangs.
    """
    source: list[str] = []
    seen: list[tuple[list[str], Placeholders]] = []
    for command in read_commands(fence):
        place, text = fence.place(command.line), command.text.strip()
        try:
            status, printed = shell.run(command.text)
        except TimeoutError as timeout:
            raise FenceError(
                f"{place}: the command had not ended after {DEADLINE:.0f} s: {text}\n{timeout}".rstrip()
            ) from None
        except EOFError as end:
            raise FenceError(f"{place}: the command ended the shell: {text}\n{end}".rstrip()) from None
        if status and not printed:
            raise FenceError(f"{place}: the command failed with status {status} and printed nothing: {text}")
        seen.append((printed, Placeholders(dict(placeholders.bound))))
        if update:
            output = reconcile(command.output, printed, placeholders)
            output = _with_placeholders(command.output, output, placeholders, fence.path.read_text("utf-8"))
        else:
            output = _compare(fence, command, printed, placeholders)
        source += command.source + output + command.blank
    fence.check = lambda source: _check(replace(fence, source=source), seen)
    return "".join(f"{line}\n" for line in source)


def _check(fence: Fence, seen: list[tuple[list[str], Placeholders]]) -> None:
    for command, (printed, placeholders) in zip(read_commands(fence), seen, strict=True):
        _compare(fence, command, printed, Placeholders(dict(placeholders.bound)))


def _compare(fence: Fence, command: Command, printed: list[str], placeholders: Placeholders) -> list[str]:
    """The command's output as the page has it; raises `FenceError` if it printed something else."""
    output = reconcile(command.output, printed, placeholders)
    what = f"the output differs from the page's (- page, + now) after: {command.text.strip()}"
    if varies := _varies(command.output, printed):
        what += f"\n  It varies from run to run: write {' and '.join(varies)} on the page, or run --update-examples"
    first_line = fence.start_line + command.line + len(command.source)
    fail_on_difference(what, fence.page, first_line, command.output, output)
    return output


def _varies(page: list[str], now: list[str]) -> list[str]:
    """The placeholders that would make the page's lines equal to those that were printed now; none if none would."""
    old, new = (Placeholders().insert(lines, "") for lines in (page, now))
    is_all = [line.split() for line in old] == [line.split() for line in new]
    return list(dict.fromkeys(f"<{name}>" for line in new for name in known(line))) if is_all else []


def _with_placeholders(old: list[str], new: list[str], placeholders: Placeholders, page: str) -> list[str]:
    """The new output with placeholders, but for the lines that the page had."""
    inserted = placeholders.insert(new, page)
    return [line if line in old else other for line, other in zip(new, inserted, strict=True)]
