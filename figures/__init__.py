"""Figures that replay what a cluster did: scenarios, what they recorded, and whether a cluster still does the same.

- `scenarios`: each sets up a situation on a cluster and returns what it saw. They are made of what proofs are made of.
- `recordings`: what was seen, as files in docs/figures/, each of the form that a schema in schemas/ says.
- `compare`: whether two recordings say the same, but for what is another each time.
- `places`: where pages have figures.
- `drawing`: a figure as it stands in a page, drawn by the same code that moves it in the browser: docs/assets/figures/.
"""
