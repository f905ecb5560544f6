"""Notebooks: those of docs/notebooks/ are executed and stored with what they show.

`execute` runs one on a cluster, `__main__` stores what it showed (`./dev notebooks`), and `stored` knows whether what
is stored comes from the code beside it. On the site they are pages, by hooks/notebooks.py.
"""
