"""Runs the Python fences of a page in one session, by pytest-examples: `#>` lines are what they print."""

import ast
import codeop
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec, SourceFileLoader
from inspect import FrameInfo
from pathlib import Path
from traceback import walk_tb
from types import FrameType, ModuleType
from typing import Any

import pytest
from pytest_examples import CodeExample, EvalExample
from pytest_examples.lint import FormatError, black_format, ruff_check
from pytest_examples.run_code import InsertPrintStatements, find_print_location, run_code

from fences.compare import fail_on_difference
from fences.find import Fence, FenceError
from fences.update import rewrite

DEADLINE = 120.0
"""Seconds that one Python fence may take."""

LINE_LENGTH = 88
"""Columns that a snippet may have, which is what fits on the site without scrolling."""

# What one fence cannot know of the others: names and imports. `check_names` looks at a whole page.
_NEEDS_THE_WHOLE_PAGE = ["F401", "F821", "E402"]

# A page explains its functions and examples in prose.
_PROSE_SAYS_IT = ["D"]


class PythonSession:
    """The module in which all Python fences of a page run.

    It is one and the same for all, so that functions see what later fences define, as in a reader's own
    session; pytest-examples' own `module_globals` hands on copies.
    """

    def __init__(self, folder: Path, scripts: Path) -> None:
        """Fences run in `folder`; `scripts` is an empty folder that keeps their sources."""
        self._folder = folder
        self._scripts = scripts
        self._module = ModuleType("__main__")

    def run(self, fence: Fence, eval_example: EvalExample, capture: pytest.CaptureFixture[str]) -> None:
        """Lint and run a fence and compare its print output; with `--update-examples`, format and rewrite it.

        Raises `FenceError`: for what black and ruff object to, for the line that raises, for the first `#>`
        line that is not what is printed, and for output that does not come from print().
        """
        _check_syntax(fence)
        _set_rules(eval_example)
        if eval_example.update_examples:
            eval_example.format(fence)
        else:
            formatted = black_format(fence.source, eval_example.config)
            _compare(fence, "black formats this differently (- page, + black)", formatted)
            _ruff(fence, fence, eval_example)
        capture.readouterr()
        prints = self._run(fence, eval_example)
        other_output = "".join(capture.readouterr()).strip()
        if other_output == "KeyboardInterrupt in example":  # run_code swallows Ctrl+C
            raise KeyboardInterrupt
        if other_output:
            raise FenceError(f"{fence.place()}: it shows more than what it prints with print():\n{other_output}")
        if eval_example.update_examples:
            _check_for_orphans(fence, prints)
            rewrite(fence, prints.updated_print_statements(fence) or fence.source, eval_example)
        else:
            fence.check = lambda source: _check_prints(replace(fence, source=source), prints)
            fence.check(fence.source)

    def _run(self, fence: Fence, eval_example: EvalExample) -> InsertPrintStatements:
        script = self._scripts / f"{fence.module_name}.py"
        script.write_text(fence.source, "utf-8")
        main = sys.modules["__main__"]
        try:
            with contextlib.chdir(self._folder), _deadline():
                prints, _ = run_code(
                    example=fence,
                    python_file=script,
                    loader=_InModule(self._module, script),
                    config=eval_example.config,
                    enable_print_mock=True,
                    print_callback=None,
                    include_print=self._is_ours,
                    module_globals=None,
                    call=None,
                )
                return prints
        except (Exception, SystemExit, _OverdueError) as error:
            line = _line_of(error, fence, script)
            code = fence.source.splitlines()[line - 1].strip() if line else "the snippet"
            failure = FenceError(f"{fence.place(line)}: {code}\nraised {type(error).__name__.lstrip('_')}: {error}")
        finally:
            sys.modules["__main__"] = main  # run_code leaves its own there
        # Not inside the except clause: Python 3.11 cannot show pytest-examples' made-up traceback.
        raise failure

    def _is_ours(self, file: Path, frame: FrameInfo, arguments: Sequence[Any]) -> bool:
        """Whether a print() stands on the page, be it in a function that an earlier fence defined."""
        return Path(frame.filename).parent == self._scripts


def check_names(fences: list[Fence], eval_example: EvalExample) -> None:
    """Lint all Python fences of a page as one program: imports that nothing uses, names that nothing defines.

    Raises `FenceError` with ruff's message, which names page and line, and for what is not Python.
    """
    _set_rules(eval_example)
    eval_example.config.isort, eval_example.config.ruff_ignore = False, ["E402", "I001", *_PROSE_SAYS_IT]
    lines: list[str] = []
    for fence in fences:
        _check_syntax(fence)
        _check_paste(fence)
        lines += [""] * (fence.start_line - len(lines))
        lines += fence.source.splitlines()
    if fences:
        _ruff(fences[0], CodeExample.create("\n".join(lines) + "\n", path=fences[0].path), eval_example)


def _check_paste(fence: Fence) -> None:
    """Raise `FenceError` where Python's prompt would not take a fence that is pasted: a blank line ends a block."""
    block: list[str] = []
    for number, line in enumerate([*fence.source.splitlines(), "", ""], start=1):
        block.append(line)
        try:
            if codeop.compile_command("\n".join(block), symbol="single"):
                block = []
        except SyntaxError:
            raise FenceError(
                f"{fence.place(number)}: Python's prompt takes a fence line by line, and here the block before has no"
                " blank line behind it, or one inside"
            ) from None


class _InModule(SourceFileLoader):
    """Loads a file into a module that exists."""

    def __init__(self, module: ModuleType, file: Path) -> None:
        super().__init__("__main__", str(file))
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module


def _set_rules(eval_example: EvalExample) -> None:
    eval_example.set_config(
        line_length=LINE_LENGTH,
        quotes="double",
        target_version="py311",  # type: ignore[arg-type]  # the annotation forgot it
        upgrade=True,
        isort=True,
        ruff_ignore=_NEEDS_THE_WHOLE_PAGE + _PROSE_SAYS_IT,
    )


def _check_syntax(fence: Fence) -> None:
    try:
        compile(fence.source, fence.page, "exec")
    except SyntaxError as error:
        raise FenceError(f"{fence.place(error.lineno or 0)}: SyntaxError: {error.msg}") from None


def _ruff(fence: Fence, code: CodeExample, eval_example: EvalExample) -> None:
    try:
        # Not EvalExample.lint_ruff: it can replace line numbers by the page's only in this format.
        ruff_check(code, eval_example.config, extra_ruff_args=("--output-format=concise",))
    except FormatError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        problems = "\n".join(line for line in lines if line.startswith(str(code.path)))
        raise FenceError(problems.replace(str(code.path), fence.page)) from None


def _check_prints(fence: Fence, prints: InsertPrintStatements) -> None:
    _check_for_orphans(fence, prints)
    printed = prints.updated_print_statements(fence) or fence.source
    what = "print() shows something else than the page (- page, + now)"
    _compare(fence, f"{what}; print only what is the same each time, --update-examples writes what is right", printed)


def _compare(fence: Fence, what: str, after: str) -> None:
    # Like pytest-examples, tolerate that an editor has removed spaces at the end of a printed line.
    old, new = ([line.rstrip() for line in source.splitlines()] for source in (fence.source, after))
    fail_on_difference(what, fence.page, fence.start_line + 1, old, new)


def _check_for_orphans(fence: Fence, prints: InsertPrintStatements) -> None:
    """Raise `FenceError` for output below a line that printed nothing: pytest-examples lets it stand."""
    printing = {find_print_location(fence, statement.line_no)[0] for statement in prints.print_statements()}
    output = _output_lines(fence.source)
    above = 0
    for number, line in enumerate(fence.source.splitlines(), start=1):
        if number not in output:
            above = number
        elif above not in printing:
            raise FenceError(f"{fence.place(number)}: nothing printed this line: {line.strip()}")


def _output_lines(source: str) -> set[int]:
    """The lines that pytest-examples writes below a print(): comments with #>, and strings by themselves."""
    numbered = enumerate(source.splitlines(), start=1)
    lines = {number for number, line in numbered if line.lstrip().startswith("#>")}
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for text in body[1:] if isinstance(body, list) else []:  # the first one may be a docstring
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                lines.update(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return lines


def _line_of(error: BaseException, fence: Fence, script: Path) -> int:
    """The line of the fence that raised, 1 being the first inside; 0 if none did."""
    # pytest-examples puts the page's path and line numbers into the tracebacks of what is an `Exception`.
    first = {str(fence.path): fence.start_line, str(script): 0}
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    lines = [line - first[file] for file, line in places if file in first]
    return lines[-1] if lines else 0


class _OverdueError(BaseException):
    """A snippet took too long; not an `Exception`, which a snippet that polls may catch."""


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise _OverdueError(f"it had not ended after {DEADLINE:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
