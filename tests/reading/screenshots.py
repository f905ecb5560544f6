"""Pictures of the main pages, for people to look at: `python -m reading.screenshots SITE FOLDER`.

They are compared with nothing: a browser's next version draws letters otherwise, and a comparison that allows for that
sees no change that the tests of this folder do not see.
"""

import sys
from pathlib import Path

from reading import node
from reading.serve import serving

PAGES = (
    "",
    "kubernetes/resources/services/",
    "kubernetes/resources/services-nodeport/",
    "kubernetes/resources/kube-proxy/",
    "kubernetes/resources/questions/",
    "proofs/",
    "throwaway/",
    "there-is-no-such-page/",
)


def main() -> None:
    """Take them of the site in a folder."""
    site, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    node.install()
    with serving(site) as address:
        node.run("screenshots.mjs", node.chromium(), address, str(folder), *PAGES)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main()
