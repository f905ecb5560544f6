"""Record figures on the cluster of `throwaway shell`, as ./dev record does in both modes: ./dev record [-- NAME…]."""

import argparse
import sys

from kubernetes import config
from kubernetes.client import ApiException

from cluster_mode import mode_of
from figures import recordings
from figures.recordings import RecordingError
from figures.scenarios import recorded, scenario
from throwaway import Cluster, ThrowawayError


def main() -> None:
    """Record all figures, or those that are named, if they are about the cluster's proxy mode; write their files."""
    parser = argparse.ArgumentParser(prog="./dev record --")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"a figure: {', '.join(recordings.names())}; else all")
    names = parser.parse_args().names
    if unknown := set(names) - set(recordings.names()):
        sys.exit(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(recordings.names())}")
    try:
        cluster = Cluster.of_shell()
        config.load_kube_config(str(cluster.kubeconfig))
        mode = mode_of(cluster)
        for name in names or recordings.names():
            if mode not in scenario(name).MODES:
                continue
            print(f"{name}: recording in {mode} mode …", flush=True)
            recordings.add(name, recorded(name, cluster, namespace=name))
            print(f"docs/figures/{name}.json is written")
    except (AssertionError, RecordingError, ThrowawayError) as error:
        sys.exit(f"not recorded: {error}")
    except ApiException as error:
        what = (
            "wait until the namespace of an earlier run is gone"
            if error.status == 409
            else "see what the cluster lacks"
        )
        sys.exit(f"not recorded: the API server answers {error.status} {error.reason} for {name}; {what}")


if __name__ == "__main__":
    main()
