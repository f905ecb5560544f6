"""Pictures of the main pages, for people to look at: `python -m reading.screenshots SITE FOLDER [OLDER_SITE]`.

With an older site, such as that of the commit before, each picture is compared with its own. Both are taken by the same
browser, so that what differs is what was changed: kept pictures would differ with each new version of a browser. What
differs is no error; it is there to be looked at, before, after, and the two on top of each other.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, ImageChops

from reading import node
from reading.serve import serving

PAGES = (
    "",
    "kubernetes/resources/services/",
    "kubernetes/resources/services-nodeport/",
    "kubernetes/resources/kube-proxy/",
    "kubernetes/resources/questions/",
    "labs/",
    "proofs/",
    "throwaway/",
    "there-is-no-such-page/",
)
_LEAST = 24
"""By how much, of 255, a pixel has to differ; letters are not drawn quite the same each time."""


def take(site: Path, folder: Path) -> None:
    """Take them of the site in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with serving(site) as address:
        node.run("screenshots.mjs", node.chromium(), address, str(folder), *PAGES)


def compare(before: Path, after: Path, changes: Path) -> Iterator[tuple[str, float]]:
    """The names of pictures in two folders that differ, each with the part that does, 0 to 1.

    Writes into `changes` what was, what is, and where they differ, in one picture.
    """
    for file in sorted(after.glob("*.png")):
        if not (before / file.name).exists():
            continue  # a page that is new here
        was, now = Image.open(before / file.name).convert("RGB"), Image.open(file).convert("RGB")
        difference = ImageChops.difference(was, now).convert("L").point(lambda value: 255 if value > _LEAST else 0)
        if box := difference.getbbox():
            changes.mkdir(parents=True, exist_ok=True)
            marked = Image.composite(Image.new("RGB", now.size, "red"), now, difference)
            shown = Image.new("RGB", (3 * now.width, box[3]))
            for number, picture in enumerate((was, now, marked)):
                shown.paste(picture, (number * now.width, 0))
            shown.save(changes / file.name)
            yield file.stem, difference.histogram()[255] / (now.width * now.height)


def main() -> None:
    """Take them, and compare them with those of an older site; writes what differs into changes.md."""
    site, folder, *older = map(Path, sys.argv[1:])
    node.need_browser()
    take(site, folder)
    number = len(list(folder.glob("*.png")))
    text = f"{number} pictures of the site, in {folder.name}/. There is no older site to compare them with.\n"
    if older:
        take(older[0], folder / "before")
        text = report(compare(folder / "before", folder, folder / "changes"), number)
    (folder / "changes.md").write_text(text)
    print(text)


def report(changed: Iterable[tuple[str, float]], number: int) -> str:
    """What `compare` found among a number of pictures, in Markdown."""
    rows = [f"| {name} | {part:.1%} |" for name, part in changed]
    table = ["", "| Picture | What differs |", "| --- | --- |", *rows] if rows else []
    return "\n".join([f"{len(rows)} of {number} pictures of the site differ from what they were before.", *table, ""])


if __name__ == "__main__":
    main()
