"""The page of a lab has a button that starts it: by live/client/lab.js under `./dev serve`.

On a site without a cluster it says what to type instead.
"""

import re
from pathlib import Path, PurePosixPath

from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]

_LEAD = re.compile(r'<p class="lead">.*?</p>', re.DOTALL)
_BAR = """
<details class="lab-bar" data-lab="{name}">
<summary class="small-button">Start lab</summary>
<p>A lab needs a cluster, and this site has none. In a clone of the repository <code>./dev serve</code> starts one
on your machine: there this button starts the lab. Where a cluster runs already, type
<code>throwaway lab start {name}</code>.</p>
</details>"""


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Put the button below the symptom."""
    path = PurePosixPath(page.file.src_uri)
    if path.parent != PurePosixPath("labs") or not (ROOT / "labs" / f"{path.stem}.yaml").exists():
        return html
    return _LEAD.sub(lambda lead: lead[0] + _BAR.format(name=path.stem), html, count=1)
