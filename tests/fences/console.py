"""Runs console fences: `$ ` lines are commands, `> ` lines continue them, the rest is what they print."""

import contextlib
import os
import select
import signal
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from fences.compare import fail_on_difference, reconcile
from fences.find import Fence, FenceError
from fences.placeholders import KINDS, Placeholders, known, unknown

DEADLINE = 120.0
"""Seconds that one command may take."""

# Runs each script whose path it reads, and answers with its exit status. A script's output goes to a file, so
# that nothing it leaves in the background can keep the answer waiting.
_LOOP = 'while IFS= read -r script; do eval "$(<"$script")" >"$script.out" 2>&1 </dev/null; echo $?; done'


@dataclass
class Command:
    """One command of a console fence."""

    line: int
    """Its line in the fence; the first one inside is 1."""
    source: list[str] = field(default_factory=list)
    """Its lines as on the page, with their `$ ` and `> `."""
    output: list[str] = field(default_factory=list)
    """The lines that follow it, but for blank ones at the end."""
    blank: list[str] = field(default_factory=list)
    """The blank lines at the end."""

    @property
    def text(self) -> str:
        """What bash gets."""
        return "\n".join(line[2:] for line in self.source) + "\n"


def read_commands(fence: Fence) -> list[Command]:
    """The commands of a console fence.

    Raises `FenceError` if it does not begin with a command, and for a placeholder that does not exist or
    stands in a command.
    """
    commands: list[Command] = []
    for number, line in enumerate(fence.source.splitlines(), start=1):
        for name in unknown(line):
            raise FenceError(
                f"{fence.place(number)}: <{name}> is no placeholder; there are {', '.join(sorted(KINDS))}, "
                "all but age and time also numbered, as in <pod-1>"
            )
        if line.startswith("$ "):
            commands.append(Command(number, [line]))
        elif not commands:
            raise FenceError(
                f"{fence.place(number)}: a console fence begins with a command, as in '$ kubectl get nodes'"
            )
        elif line.startswith("> ") and not commands[-1].output:
            commands[-1].source.append(line)
        else:
            commands[-1].output.append(line)
        if commands[-1].source[-1] is line:
            for name in known(line):
                raise FenceError(
                    f"{fence.place(number)}: a command cannot contain <{name}>: a reader could not copy it. "
                    "Let an earlier command put the value into a shell variable"
                )
    for command in commands:
        while command.output and not command.output[-1].strip():
            command.blank.insert(0, command.output.pop())
    return commands


class Shell:
    """The bash in which all console fences of a page run, so that variables and the current folder last."""

    def __init__(self, folder: Path, scripts: Path) -> None:
        """Start bash in `folder`, with the environment as it is; `scripts` is an empty folder of its own."""
        self._scripts = scripts
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", _LOOP],
            cwd=folder,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, text: str, deadline: float = DEADLINE) -> tuple[int, list[str]]:
        """Run a command; its exit status, and the lines that it printed on stdout and stderr.

        Raises `TimeoutError` if it takes longer than `deadline` seconds, `EOFError` if it ends the shell
        itself, with what it had printed. The shell is gone then.
        """
        assert self._bash.stdin and self._bash.stdout
        script = self._scripts / str(len(list(self._scripts.iterdir())))
        script.write_text(text)
        self._bash.stdin.write(f"{script}\n".encode())
        answered, _, _ = select.select([self._bash.stdout], [], [], deadline)
        status = self._bash.stdout.readline() if answered else b""
        output = Path(f"{script}.out").read_text("utf-8", errors="replace")
        if not status:
            self.close()
            raise EOFError(output) if answered else TimeoutError(output)
        return int(status), [line.rstrip() for line in output.rstrip().split("\n")] if output.strip() else []

    def close(self) -> None:
        """End bash and what its commands left running in the background."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()


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
