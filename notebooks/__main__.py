"""Executes notebooks of docs/notebooks/ and stores what they show: `throwaway shell -- python -m notebooks [NAME…]`."""

import sys
from datetime import UTC, datetime

from notebooks import stored
from notebooks.execute import execute
from throwaway import Cluster


def main() -> None:
    """Execute those that are named, else all."""
    cluster = Cluster.of_shell()
    kubernetes = cluster.kubectl(["version", "-o", "json"])["serverVersion"]["gitVersion"]
    mode = cluster.exec(cluster.nodes[0].name, ["curl", "-s", "http://127.0.0.1:10249/proxyMode"])
    files = [stored.FOLDER / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(stored.FOLDER.glob("*.ipynb"))
    for file in files:
        notebook = stored.read(file)
        execute(notebook, stored.FOLDER)
        stored.write(notebook, file, kubernetes, mode, f"{datetime.now(UTC):%Y-%m-%d}")
        print(f"{file.name} is stored with what it showed")


if __name__ == "__main__":
    main()
