"""The page for people, ``/ui``: running and recent imports, and each import's verdicts.

Pure functions: `rows.py` and `detail.py` make what a person reads of the catalog's records, as the identity may see
it; `filters.py` reads the query; `render.py` makes HTML of them (`templates/`, with `static/` beside it); `session.py`
reads and makes the cookie. The routes are in `api/routes/ui.py`.
"""
