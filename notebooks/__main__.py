"""Executes notebooks of docs/notebooks/ and stores what they show: `throwaway shell -- python -m notebooks [NAME…]`."""

import argparse
import sys
from datetime import UTC, datetime

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from cluster_mode import kubernetes_of, mode_of
from notebooks import stored
from notebooks.execute import execute
from throwaway import Cluster, ThrowawayError


def main() -> None:
    """Execute those that are named, else all."""
    there = {file.stem: file for file in sorted(stored.FOLDER.glob("*.ipynb"))}
    parser = argparse.ArgumentParser(prog="./dev notebooks --")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"a notebook: {', '.join(there)}; else all")
    names = parser.parse_args().names or list(there)
    if unknown := set(names) - there.keys():
        sys.exit(f"there is no notebook {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    try:
        cluster = Cluster.of_shell()
        kubernetes, mode = kubernetes_of(cluster), mode_of(cluster)
        for name in names:
            notebook = stored.read(there[name])
            try:
                execute(notebook, stored.FOLDER)
                stored.check_shown(notebook, f"docs/notebooks/{name}.ipynb")
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                sys.exit(f"{error}\ndocs/notebooks/{name}.ipynb is not stored: a cell fails, see above")
            stored.write(notebook, there[name], kubernetes, mode, f"{datetime.now(UTC):%Y-%m-%d}")
            print(f"{name}.ipynb is stored with what it showed")
    except (AssertionError, stored.NotShownError, ThrowawayError) as error:
        sys.exit(f"not stored: {error}")


if __name__ == "__main__":
    main()
