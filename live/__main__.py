"""Serve the site so that its blocks run: `python -m live [--port 8000] CLUSTER [OPTION OF throwaway up …]`.

The cluster runs already. It is started anew with the options when a reader wants to run something and it has ended.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from live import SITE_PORT, bundle, server, site

ROOT = Path(__file__).parents[1]
WELCOME = """
The site is ready. Its blocks run at this address, which has the key to that; keep it to yourself:

    http://127.0.0.1:{port}/#token={token}
"""


def main() -> None:
    """Serve until Ctrl+C."""
    parser = argparse.ArgumentParser(prog="python -m live")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("cluster")
    arguments, options = parser.parse_known_args()
    client = bundle.build(ROOT / ".dev" / "live")
    asyncio.run(_serve(arguments.port, client, arguments.cluster, options))


async def _serve(port: int, client: Path, cluster: str, options: Sequence[str]) -> None:
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    token = secrets.token_urlsafe(24)
    site_port = site.free_port()
    command = [sys.executable, "-m", "mkdocs", "serve", "--livereload", f"--dev-addr=127.0.0.1:{port}"]
    with (
        contextlib.suppress(asyncio.CancelledError),
        tempfile.TemporaryDirectory(prefix="live-") as scratch,
        subprocess.Popen(command, cwd=ROOT, env=os.environ | {SITE_PORT: str(site_port), "TMPDIR": scratch}) as mkdocs,
    ):
        try:
            await site.until_served(mkdocs, site_port)
            async with server.serving(port, site_port, token, client, cluster, options, Path(scratch)):
                print(WELCOME.format(port=port, token=token), flush=True)
                await asyncio.Event().wait()
        finally:
            mkdocs.terminate()


if __name__ == "__main__":
    main()
