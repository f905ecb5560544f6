"""The bash in which the commands of a page run, and how a page writes them: `$ ` begins one, `> ` continues it."""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

DEADLINE = 120.0
"""Seconds that one command may take in a test."""

# Runs each script whose path it reads, and answers with its exit status. A script's output goes to a file, so
# that nothing it leaves in the background can keep the answer waiting.
#
# SIGINT ends the script, as at a prompt, but not bash with its variables: the kernel ends the program that runs, and
# a DEBUG trap skips the script's other commands (see bash(1), extdebug). A loop without an end goes on with nothing in
# it, so it is left after 1000 commands, then the one around it. All is one line, by which bash counts in complaints.
_LOOP = (
    r"""trap 'skipped=0; shopt -s extdebug; trap "$skip" DEBUG' INT; """
    r"""skip='case $BASH_COMMAND in "echo \$?") shopt -u extdebug; trap - DEBUG;; """
    r"""*) ((++skipped % 1000)) || break $((skipped / 1000)); false;; esac'; """
    'while IFS= read -r script; do eval "$(<"$script")" >"$script.out" 2>&1 </dev/null; echo $?; done'
)
_INTERRUPT_SECONDS = 3.0


@dataclass
class Command:
    """One command of a console block."""

    line: int
    """Its line in the block; the first one inside is 1."""
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


def split(source: str) -> list[Command]:
    """The commands of a console block; raises `ValueError` if its first line is none."""
    commands: list[Command] = []
    for number, line in enumerate(source.splitlines(), start=1):
        if line.startswith("$ "):
            commands.append(Command(number, [line]))
        elif not commands:
            raise ValueError("a console fence begins with a command, as in '$ kubectl get nodes'")
        elif line.startswith("> ") and not commands[-1].output:
            commands[-1].source.append(line)
        else:
            commands[-1].output.append(line)
    for command in commands:
        while command.output and not command.output[-1].strip():
            command.blank.insert(0, command.output.pop())
    return commands


class Shell:
    """The bash in which all console blocks of a page run, so that variables and the current folder last."""

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
        script = self._begin(text)
        answered = self._has_answered(deadline)
        status = self._answer() if answered else b""
        output = Path(f"{script}.out").read_text("utf-8", errors="replace")
        if not status:
            self.close()
            raise EOFError(output) if answered else TimeoutError(output)
        return int(status), [line.rstrip() for line in output.rstrip().split("\n")] if output.strip() else []

    def stream(self, text: str, show: Callable[[str], object]) -> int:
        """Run a command, call `show` with what it prints as soon as it does; returns its exit status.

        `KeyboardInterrupt` interrupts the command. Raises `EOFError` if the shell has ended then.
        """
        output = Path(f"{self._begin(text)}.out")
        output.touch()
        with output.open(encoding="utf-8", errors="replace", newline="") as lines:
            try:
                while not self._has_answered(0.1):
                    show(lines.read())
            except KeyboardInterrupt:
                self._interrupt()
                raise
            finally:
                show(lines.read())
        status = self._answer()
        if not status:
            self.close()
            raise EOFError
        return int(status)

    def close(self) -> None:
        """End bash and what its commands left running in the background."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()

    def _begin(self, text: str) -> Path:
        assert self._bash.stdin
        script = self._scripts / str(len(list(self._scripts.iterdir())))
        script.write_text(text)
        self._bash.stdin.write(f"{script}\n".encode())
        return script

    def _has_answered(self, seconds: float) -> bool:
        assert self._bash.stdout
        return bool(select.select([self._bash.stdout], [], [], seconds)[0])

    def _answer(self) -> bytes:
        assert self._bash.stdout
        return self._bash.stdout.readline()

    def _interrupt(self) -> None:
        """Interrupt the script; if its program does not care, that is ended, and bash with it."""
        os.killpg(self._bash.pid, signal.SIGINT)
        if not self._has_answered(_INTERRUPT_SECONDS):
            self.close()
            raise EOFError
        self._answer()
