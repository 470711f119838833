"""Who writes a runtime from docs/wire.md uses the numbers that the engine uses."""

from __future__ import annotations

import pytest

from douane_plugin import wire
from support.doc_pages import page, tables

CONSTANTS = {name: value for name, value in vars(wire).items() if name.isupper() and isinstance(value, int)}


@pytest.mark.parametrize(("name", "value"), CONSTANTS.items())
def test_every_constant_stands_there_with_its_number(name, value):
    text = page("docs/wire.md")
    in_tables = [row for rows in tables(text) for row in rows if row[0] == f"`{name}`"]
    if in_tables:
        assert [row[1] for row in in_tables] == [str(value)]
    else:
        assert f"`{name}` = {value}" in " ".join(text.split())


def test_every_frame_has_a_payload_and_a_meaning():
    rows = {row[0].strip("`"): row for table in tables(page("docs/wire.md")) for row in table if len(row) == 4}
    frames = {name for name, value in CONSTANTS.items() if wire.TYPES.get(value) == name and value < 128}
    assert frames - rows.keys() <= {"LEVEL", "HEADER_BYTES", "MAX_PROPERTIES", "MAX_PROPERTY_KEY", "MAX_WARNINGS"}
    assert all(all(rows[name]) for name in frames & rows.keys())
    assert {"CAGED", "FAILED", "LOAD", "END"} <= rows.keys()


def test_no_frame_is_listed_that_does_not_exist():
    rows = [row for table in tables(page("docs/wire.md")) for row in table if row[0].strip("`").isupper()]
    unknown = [row[0] for row in rows if row[0].strip("`") not in CONSTANTS]
    assert not unknown
