"""The kernel of a page: Python as at its prompt, and one bash for the page's console blocks.

It is IPython's, but for what readers see of errors, and two cell magics by which the browser says what a block is:
`%%console` and `%%save NAME`.
"""

import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from ipykernel.compiler import XCachingCompiler
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.getipython import get_ipython
from IPython.core.magic import Magics, cell_magic, magics_class
from traitlets import Type

from live.shell import Shell, split
from throwaway import linux


class Compiler(XCachingCompiler):
    """Names code after its block, whose number the browser sends along."""

    def get_code_name(self, raw_code: str, code: str, number: int) -> str:
        """The file name that tracebacks show."""
        shell: Any = get_ipython()
        return f"<block {shell.parent_header_metadata().get('block', number)}>"


@magics_class
class Blocks(Magics):
    """What blocks that are not Python do."""

    def __init__(self, shell: "PageShell") -> None:
        super().__init__(shell)
        self._folder = Path.cwd()
        self._bash: Shell | None = None

    @cell_magic
    def save(self, line: str, cell: str) -> None:
        """Save a block under a name in the page's folder."""
        file = self._folder / Path(line).name
        file.write_text(cell)
        print(f"saved as {file}")

    @cell_magic
    def console(self, line: str, cell: str) -> None:
        """Run the commands of a console block, until one ends the shell."""
        try:
            commands = split(cell)
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)
            return
        for command in commands:
            print("\n".join(command.source), flush=True)
            printed: list[str] = []

            def show(text: str, printed: list[str] = printed) -> None:
                printed.append(text)
                print(text, end="", flush=True)

            self._bash = self._bash or Shell(self._folder, Path(tempfile.mkdtemp(dir=os.environ["LIVE_SCRATCH"])))
            try:
                status = self._bash.stream(command.text, show)
            except KeyboardInterrupt:
                print("^C", flush=True)
                return
            except EOFError:
                self._bash = None
                print("The shell has ended; the next command gets a new one.", file=sys.stderr, flush=True)
                return
            if status and not "".join(printed).strip():
                print(f"exit status {status}", file=sys.stderr, flush=True)


class PageShell(ZMQInteractiveShell):
    """Shows errors as Python does, from the frames of the page's own blocks on."""

    def init_instance_attrs(self) -> None:
        """Have code named after its block; the kernel passes a compiler of its own."""
        super().init_instance_attrs()
        self.compile = Compiler()

    def init_magics(self) -> None:
        """Add those of this file."""
        super().init_magics()
        self.register_magics(Blocks(self))

    def parent_header_metadata(self) -> dict[str, Any]:
        """What the browser says of the block that is run."""
        return dict(self.kernel.get_parent("shell").get("metadata") or {})

    def showtraceback(self, exc_tuple: Any = None, *_: Any, **__: Any) -> None:
        """Send the exception that has just been raised."""
        kind, error, trace = self._get_exc_info(exc_tuple)
        shown: TracebackType | None = trace
        while shown and not shown.tb_frame.f_code.co_filename.startswith("<block "):
            shown = shown.tb_next
        self._showtraceback(kind, error, traceback.format_exception(kind, error, shown))

    def showsyntaxerror(self, *_: Any, **__: Any) -> None:
        """The same for code that is no Python, in Python's words: IPython's compiler takes it for unfinished."""
        code = self.kernel.get_parent("shell")["content"]["code"]
        try:
            compile(code, self.compile.get_code_name(code, code, 0), "exec")
        except SyntaxError as error:
            error.__suppress_context__ = True
            self.showtraceback((type(error), error, None))
        else:
            self.showtraceback()


class PageKernel(IPythonKernel):
    """IPython's kernel with the shell of this file."""

    shell_class = Type(PageShell)


def hide_other_clusters() -> None:
    """Cover the account's own kubeconfig for this process and all that it starts."""
    folder = Path("~/.kube").expanduser()
    if folder.exists():
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)  # what is mounted here is seen here only
        linux.mount("none", str(folder), "tmpfs")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "To exit: use")  # of IPython's prompt
    os.environ.pop("PYTHONPATH")  # it led here
    hide_other_clusters()
    IPKernelApp.launch_instance(kernel_class=PageKernel)
