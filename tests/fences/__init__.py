"""Runs the fences of a page: find → run → compare → rewrite.

A page is Markdown. Each of its fences becomes a `find.Fence`. `story.Story` runs them from top to bottom:
Python in `python_session`, console blocks in `console`, YAML in `manifest`. `compare` and `placeholders`
decide whether the output is the page's, `update` rewrites it. What readers run pages by, too, is in `live`: the
shell, and `leftovers`, which tells whether the cluster is as the page found it.
"""
