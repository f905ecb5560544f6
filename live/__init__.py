"""The site as `./dev serve` shows it: its blocks can be run.

`python -m live` serves it. The browser's half is `client/page.js`, bundled by `bundle`. A page's code goes by Jupyter's
protocol to `server`, which gives each page a kernel of its own (`kernel`) in the cluster's network, with a folder and
a bash (`shell`) of its own. `guard` decides who may ask, `site` hands on what MkDocs builds, `pages` knows each page's
session, its lab, and what it has on the cluster, `leftovers` finds what it made. `node` is Node.js, for the bundle.
"""

SITE_PORT = "LIVE_SITE_PORT"
"""The environment variable that tells MkDocs (hooks/marks.py) at which port it is to listen behind this server."""
