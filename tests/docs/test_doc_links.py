"""A reader finds every page. scripts/docs_check.py follows each link."""

from __future__ import annotations

import pytest

from support.doc_pages import PAGES, TOP, links


@pytest.mark.parametrize("start", ["README.md", "docs/README.md"])
def test_every_page_is_reached(start):
    reached, to_read = set(), [TOP / start]
    while to_read:
        path = to_read.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        names = [link.partition("#")[0] for link in links(path.read_text(encoding="utf-8"))]
        to_read += [(path.parent / name).resolve() for name in names if name]
    missing = {path for path in PAGES if path.parent == TOP / "docs"} - reached
    assert not missing, f"no link from {start} leads to {sorted(path.name for path in missing)}"
