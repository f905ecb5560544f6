"""Runs the scripts of this folder in Node.js, with the packages of package-lock.json."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from live import node

FOLDER = Path(__file__).parent
NO_BROWSER = "there is no chromium; as root on Debian ./dev test installs it"


def install() -> None:
    """Install the packages, unless those of the lock file are there already."""
    node.install(FOLDER, FOLDER)


def need_browser() -> None:
    """End this program with one line where there is no browser, else install the packages."""
    if not chromium():
        sys.exit(NO_BROWSER)
    install()


def run(script: str, *arguments: str) -> list[Any]:
    """The lines of JSON that a script prints."""
    environment = {**os.environ, "CHROME_PATH": chromium()}
    done = subprocess.run(
        node.command(str(FOLDER / script), *arguments),
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=900,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def chromium() -> str:
    """The path of the browser; "" if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), "")
