"""The display of progress, for commands that take their time."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from throwaway import build


class Display:
    """Shows what is being done: moving lines on a terminal, elsewhere a printed line now and then."""

    def __init__(self, lines: Progress | None) -> None:
        """`lines` are those of the terminal, if there is one."""
        self._lines = lines
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, tuple[str, int]] = {}

    def step(self, what: str) -> None:
        """The next step of something that has no parts; parts shown until now are done."""
        for part in [part for part in self._tasks if part]:
            if self._lines:
                self._lines.remove_task(self._tasks.pop(part))
        self._show("", f"{what} …", 0)

    def build(self, progress: build.Progress) -> None:
        """A build's progress: one line for each part. What was refused, and why, stays there to be read."""
        if progress.step == "refused":
            text = f"{progress.part}: {progress.item}"
            if self._lines:
                self._lines.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                click.echo(text, err=True)
            return
        count = f" {progress.done} of {progress.total}" if progress.total else ""
        tenth = 10 * progress.done // progress.total if progress.total else 0
        self._show(progress.part, f"{progress.part}: {progress.step}{count} {progress.item}", tenth)

    def _show(self, part: str, text: str, tenth: int) -> None:
        if self._lines:
            if part not in self._tasks:
                self._tasks[part] = self._lines.add_task("", total=None)
            self._lines.update(self._tasks[part], description=text[: self._lines.console.width - 12])
            return
        seen = (" ".join(text.split()[:2]), tenth)
        if self._printed.get(part) != seen:
            self._printed[part] = seen
            click.echo(text, err=True)


@contextmanager
def progress() -> Iterator[Display]:
    """Show progress on standard error while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(None)
        return
    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as lines:
        yield Display(lines)
