"""Record figures on clusters: ./dev record [-- NAME…]."""

import argparse
import sys

from kubernetes import config

from figures import recordings
from figures.recordings import Recording, RecordingError
from figures.scenarios import recorded, scenario
from throwaway import Cluster, ThrowawayError
from throwaway.plan import PROXY_MODES


def main() -> None:
    """Record all figures, or those that are named, in each proxy mode that they are about, and write their files."""
    parser = argparse.ArgumentParser(prog="./dev record --")
    for mode in PROXY_MODES:
        parser.add_argument(f"--{mode}", required=True, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"a figure: {', '.join(recordings.names())}; else all")
    options = parser.parse_args()
    if unknown := set(options.names) - set(recordings.names()):
        sys.exit(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(recordings.names())}")
    found: dict[str, dict[str, Recording]] = {}
    try:
        for mode in PROXY_MODES:
            cluster = Cluster.find_or_fail(getattr(options, mode))
            config.load_kube_config(str(cluster.kubeconfig))
            for name in options.names or recordings.names():
                if mode not in scenario(name).MODES:
                    continue
                print(f"{name}: recording in {mode} mode …", flush=True)
                one = recorded(name, cluster, namespace=name)
                if one.proxy_mode != mode:
                    sys.exit(f"cluster {cluster.name!r} is in {one.proxy_mode} mode, not {mode}; end it and try again")
                found.setdefault(name, {})[mode] = one
        for name, each in found.items():
            recordings.write(name, each)
            print(f"docs/figures/{name}.json is written")
    except (AssertionError, RecordingError, ThrowawayError) as error:
        sys.exit(f"not recorded: {error}")


if __name__ == "__main__":
    main()
