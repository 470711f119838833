"""docs/formats.md: its tables are those of the code, and what it names is there."""

from __future__ import annotations

import re

import pytest

from douane.plugins import qemu_info
from douane.plugins._image_format import ALLOWED, LISTABLE
from douane.plugins.formats.codes import CODES
from douane.plugins.formats.registry import FORMATS
from support.doc_pages import TOP, page, section, tables

TEXT = page("docs/formats.md")
SOURCE = "\n".join(path.read_text() for path in (TOP / "src/douane/plugins/formats").glob("*.py"))


def rows(heading: str) -> dict[str, list[str]]:
    """The first table under `heading`, by its first cell."""
    return {row[0]: row for row in tables(section(TEXT, heading))[0]}


def test_table_of_findings_equals_the_codes():
    documented = {code.strip("`"): row[2] for code, row in rows("Findings").items()}
    assert documented == {code: worth for code, (worth, _) in CODES.items()}


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_used(code):
    assert SOURCE.count(f'"{code}"') > 1, f"{code} is in codes.py, but no reader finds it"


def format_rows() -> list[list[str]]:
    """The rows of the table of formats, by the registry."""
    names: dict[tuple[str, str], list[str]] = {}
    for kind in ("disk", "archive", "compressed", "other", "content"):
        for form in (form for form in FORMATS if form.kind == kind):
            disk_format = "raw" if kind == "content" else form.disk_format
            for name, about in ((form.name, form.about), *form.other_names):
                names.setdefault((disk_format, about), []).append(f"`{name}`")
    return [[", ".join(keys), f"`{disk_format}`", about] for (disk_format, about), keys in names.items()]


def test_table_of_formats_equals_the_registry():
    table = [*format_rows(), ["nothing", "`raw`", "any other bytes"]]
    markdown = "\n".join(f"| {' | '.join(row)} |" for row in table)
    assert tables(section(TEXT, "Formats that Douane identifies"))[0] == table, f"write this:\n{markdown}"


def test_formats_setting_is_documented():
    (row,) = (
        row for row in re.findall(r"^\| `formats` \|.*", page("docs/configuration.md"), re.MULTILINE) if "`vdi`" in row
    )
    allowed, unlisted = (set(re.findall(r"`([\w-]+)`", part)) - {"formats"} for part in row.split("Others"))
    assert allowed == set(ALLOWED)
    assert unlisted == set(LISTABLE) - set(ALLOWED)


def test_codes_of_qemu_info_are_documented():
    source = (TOP / "src/douane/plugins/qemu_info.py").read_text()
    raised = set(re.findall(r"Reject\(\s*\"([a-z-]+)\"", source))
    assert raised == {code.strip("`") for code in rows("A second opinion: `qemu-info`")}
    documented = qemu_info.QemuInfo.__doc__
    assert documented is not None
    assert all(f"``{code}``" in documented for code in raised)


def test_documented_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):.*##", page("Makefile"), re.MULTILINE))
    assert set(re.findall(r"[`$] ?make ([a-z-]+)", TEXT)) <= targets
    for path in set(re.findall(r"\b((?:tests|bench)/[\w./-]+)", TEXT)):
        assert (TOP / path.rstrip(".")).exists(), path
