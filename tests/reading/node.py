"""Runs the scripts of this folder in Node.js, with the packages of package-lock.json."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_INSTALLED = FOLDER / "node_modules/.package-lock.json"


def missing() -> list[str]:
    """The programs that are not there."""
    programs = {"node": shutil.which("node"), "npm": shutil.which("npm"), "chromium": chromium()}
    return [program for program, path in programs.items() if not path]


def install() -> None:
    """Install the packages, unless those of the lock file are there already."""
    lock = FOLDER / "package-lock.json"
    if not _INSTALLED.exists() or _INSTALLED.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=FOLDER, check=True, timeout=300)
        _INSTALLED.touch()


def run(script: str, *arguments: str) -> list[Any]:
    """The lines of JSON that a script prints."""
    command = ["node", str(FOLDER / script), *arguments]
    environment = {**os.environ, "CHROME_PATH": chromium()}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    return [json.loads(line) for line in done.stdout.splitlines()]


def chromium() -> str:
    """The path of the browser; "" if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), "")
