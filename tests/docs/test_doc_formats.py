"""docs/formats.md: its tables are those of the code, and what it names is there."""

from __future__ import annotations

import re

import pytest

from douane.plugins import qemu_info
from douane.plugins.formats.codes import CODES
from douane.plugins.formats.registry import FORMATS
from support.doc_pages import TOP, page, section, tables

TEXT = page("docs/formats.md")
SOURCE = "\n".join(path.read_text() for path in (TOP / "src/douane/plugins/formats").glob("*.py"))


def rows(heading: str) -> dict[str, list[str]]:
    """The first table under `heading`, by its first cell."""
    return {row[0]: row for row in tables(section(TEXT, heading))[0]}


def test_the_codes_are_those_of_the_code_with_what_they_are_worth():
    told = {code.strip("`"): row[2] for code, row in rows("Findings").items()}
    assert told == {code: worth for code, (worth, _) in CODES.items()}


@pytest.mark.parametrize("code", CODES)
def test_no_code_is_told_that_nothing_finds(code):
    assert SOURCE.count(f'"{code}"') > 1, f"{code} is in codes.py, but no reader finds it"


def test_every_format_is_in_the_table():
    told = set(re.findall(r"`([^`]+)`", " ".join(rows("Formats that Douane identifies"))))
    content = {one.name for one in FORMATS if one.kind in ("content", "other")}
    missing = {one.name for one in FORMATS} - content - told
    assert not missing, f"not in docs/formats.md: {sorted(missing)}"


def test_the_codes_of_qemu_info_are_those_that_it_raises():
    source = (TOP / "src/douane/plugins/qemu_info.py").read_text()
    raised = set(re.findall(r"Reject\(\s*\"([a-z-]+)\"", source))
    assert raised == {code.strip("`") for code in rows("A second opinion: `qemu-info`")}
    documented = qemu_info.QemuInfo.__doc__
    assert documented is not None
    assert all(f"``{code}``" in documented for code in raised)


def test_the_commands_that_are_told_are_there():
    targets = set(re.findall(r"^([a-z-]+):.*##", page("Makefile"), re.MULTILINE))
    assert set(re.findall(r"[`$] ?make ([a-z-]+)", TEXT)) <= targets
    for path in set(re.findall(r"\b((?:tests|bench)/[\w./-]+)", TEXT)):
        assert (TOP / path.rstrip(".")).exists(), path
