"""Bundles the browser's half, `client/`, and the packages from npm that it is built on, into one file."""

import os
import subprocess
from pathlib import Path

from live import node

CLIENT = Path(__file__).parent / "client"


def build(folder: Path) -> Path:
    """Write `page.js` and `page.css` into a folder of `folder` and return that; packages are kept in `folder`."""
    node.install(CLIENT, folder)
    out = folder / "out"
    source = [str(CLIENT / name) for name in ("page.js", "page.css")]
    options = ["--bundle", "--minify", "--format=esm", "--log-level=warning", f"--outdir={out}"]
    environment = os.environ | {"NODE_PATH": str(folder / "node_modules")}  # where esbuild finds what `client/` imports
    esbuild = node.command("node_modules/esbuild/bin/esbuild", *source, *options)
    subprocess.run(esbuild, cwd=folder, env=environment, check=True)
    return out
