"""Pictures of documents: entities in colour, relations as arcs between them.

    svg = render.relations(doc)                 # one picture, of a doc or of several
    html = render.page(docs, title="My data")   # a page with a legend

Drawn by us as plain SVG, so that they can be saved, printed and put into a notebook:
`IPython.display.SVG(render.relations(doc))`. A file of each idea: what is drawn (`marks.py`), where
words stand (`words.py`, `lines.py`), which way arcs take (`arcs.py`), and the elements (`svg.py`,
`page.py`).
"""

from .page import page
from .svg import relations

__all__ = ["page", "relations"]
