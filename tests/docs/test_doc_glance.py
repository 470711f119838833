"""docs/glance.md: its settings, options of the doctor and properties are those of the code."""

from __future__ import annotations

import tomllib

from douane.cli import glance_cmd
from douane.engine import load_plan
from douane.glance import settings
from douane.glance.outcome import OUTCOME_PROPERTIES
from support.doc_pages import blocks, page, section, spans, tables

TEXT = page("docs/glance.md")


def test_every_setting_is_explained_with_its_variable() -> None:
    (rows,) = tables(section(TEXT, "Settings"))
    assert {row[0].strip("`"): row[1].strip("`") for row in rows} == {
        name: f"DOUANE_{name.upper()}" for name in settings.NAMES
    }


def test_every_option_of_the_doctor_is_explained() -> None:
    (rows,) = tables(section(TEXT, "The doctor"))
    options = {row[0].strip("`").split()[0] for row in rows}
    assert options == {option for parameter in glance_cmd.doctor.params for option in parameter.opts}


def test_the_properties_of_a_failed_import_are_explained() -> None:
    assert set(OUTCOME_PROPERTIES) <= set(spans(section(TEXT, "What a tenant sees")))


def test_the_plan_of_the_page_can_be_loaded(tmp_path) -> None:
    (plan,) = (block.text for block in blocks(TEXT) if block.language == "toml")
    tomllib.loads(plan)
    (tmp_path / "douane.toml").write_text(plan)
    assert [plugin.name for plugin in load_plan(str(tmp_path / "douane.toml")).plugins] == ["format", "limits"]
