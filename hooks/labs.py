"""The page of a lab has a button that starts it: by live/client/lab.js under `./dev serve`.

On a site without a cluster it says what to type instead.
"""

import re
import sys
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from live.namespaces import has_lab  # noqa: E402

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
    file = Path(str(page.file.abs_src_path))
    if not has_lab(file):
        return html
    with_bar, number = _LEAD.subn(lambda lead: lead[0] + _BAR.format(name=file.stem), html, count=1)
    if not number:
        raise PluginError(f'docs/{page.file.src_uri}: a lab\'s symptom stands in <p class="lead" markdown>')
    return with_bar
