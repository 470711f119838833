"""A reader finds every page, and no link leads nowhere."""

from __future__ import annotations

import pytest

from support.doc_pages import PAGES, TOP, anchors, links


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TOP)))
def test_every_relative_link_leads_to_a_file_and_a_heading(path):
    for link in links(path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(TOP), f"{link} leaves the repository"
        assert target.exists(), f"{link} leads to no file"
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{link} names no heading"


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
