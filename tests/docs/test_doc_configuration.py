"""The tables of docs/configuration.md are those of the code: every key, with its default."""

from __future__ import annotations

import inspect
import json
import tomllib

import click
import msgspec
import pytest

from douane.cli.check_cmd import check
from douane.cli.import_cmd import import_
from douane.imports.settings import structs as serve
from douane.plan import parse, plugin_table
from douane.plan.builtin import BUILT_IN, NEEDS, needs_of
from douane.units import parse_duration, parse_size
from support.doc_pages import TOP, blocks, page, section, tables

TEXT = page("docs/configuration.md")
PARSERS = {"duration": parse_duration, "size": parse_size}


def table(heading: str) -> dict[str, list[str]]:
    """The first table under `heading`, by key."""
    return {row[0].strip("`"): row for row in tables(section(TEXT, heading))[0]}


def default(row: list[str]) -> object:
    """What the third cell says: None for "none", `...` for "required", else the value."""
    text = row[2].strip("`")
    if text in ("none", "required"):
        return None if text == "none" else ...
    value = json.loads(text)
    parse = PARSERS.get(row[1])
    return parse(value) if parse and isinstance(value, str) else value


def comparable(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_the_keys_of_a_plugin_are_those_of_the_code():
    assert list(table("[[plugin]]")) == list(plugin_table.PluginTable.__struct_fields__)


@pytest.mark.parametrize("key", plugin_table.PluginTable.__struct_fields__)
def test_the_default_of_a_plugins_key_is_that_of_the_code(key):
    spec = parse.parse_plan({"plugin": [{"name": "x", "use": "format"}]}, where="test", base="").plugins[0]
    documented = default(table("[[plugin]]")[key])
    if documented is ...:
        assert key in ("name", "use")
    else:
        assert documented == comparable(getattr(spec, key))


@pytest.mark.parametrize(("name", "keys"), [("import", parse._IMPORT), ("sandbox", parse._SANDBOX)])
def test_the_other_tables_have_the_keys_and_defaults_of_the_code(name, keys):
    rows = table(f"[{name}]")
    assert set(rows) == set(keys)
    fields = {"minimum": "minimum_sandbox"}
    effective = parse.parse_plan({}, where="test", base="")
    for key, row in rows.items():
        assert default(row) == comparable(getattr(effective, fields.get(key, key)))


SERVE_TABLES = {
    "[serve]": serve.ServeSettings,
    "[serve.stores.NAME]": serve.StoreSettings,
    "[serve.quota]": serve.QuotaSettings,
    "[serve.keystone]": serve.KeystoneSettings,
    "[serve.web_download]": serve.WebDownloadSettings,
}
TABLES_INSIDE = {"stores", "quota", "keystone", "web_download"}


@pytest.mark.parametrize("heading", SERVE_TABLES)
def test_the_tables_of_the_service_have_the_keys_and_defaults_of_the_code(heading):
    rows = table(heading)
    fields = {field.name: field for field in msgspec.structs.fields(SERVE_TABLES[heading])}
    assert set(rows) == set(fields) - (TABLES_INSIDE if heading == "[serve]" else set())
    for key, row in rows.items():
        assert default(row) == (... if fields[key].required else comparable(fields[key].default)), key


def test_warn_is_the_default_outside_of_enforce():
    for mode in ("warn", "audit"):
        entry = {"name": "x", "use": "format", "mode": mode}
        spec = parse.parse_plan({"plugin": [entry]}, where="test", base="").plugins[0]
        assert (spec.on_error, spec.on_timeout, spec.on_incomplete) == ("warn",) * 3


ALL_BUILT_IN = BUILT_IN
INSPECTORS = [rows for path in sorted(TOP.glob("docs/inspectors/*.md")) for rows in tables(path.read_text())]


@pytest.mark.parametrize("name", ALL_BUILT_IN)
def test_the_settings_of_the_built_in_inspectors_are_those_of_their_constructors(name):
    module, _, attribute = ALL_BUILT_IN[name].partition(":")
    parameters = inspect.signature(getattr(__import__(module, fromlist=["_"]), attribute)).parameters
    listed = next(
        rows
        for rows in (*tables(section(TEXT, "Built-in plugins")), *INSPECTORS)
        if {row[0].strip("`") for row in rows} == set(parameters)
    )
    for row in listed:
        expected = parameters[row[0].strip("`")].default
        assert default(row) == (... if expected is inspect.Parameter.empty else expected)


def test_the_values_that_built_in_plugins_bring_are_listed():
    listed: dict[str, dict[str, object]] = {}
    for names, values in tables(section(TEXT, "Built-in plugins"))[0]:
        entry = tomllib.loads(values.replace("`, `", "\n").strip("`"))
        sizes = {key: parse_size(entry[key]) for key in ("scratch", "memory") if key in entry}
        listed |= dict.fromkeys(names.strip("`").split("`, `"), entry | sizes)
    assert listed == {name: {key: comparable(value) for key, value in needs_of(name).items()} for name in NEEDS}


def test_every_option_of_check_and_import_is_listed():
    listed = " ".join(row[0] + " " + row[1] for row in tables(section(TEXT, "The command line"))[0])
    for command in (check, import_):
        for option in command.params:
            if isinstance(option, click.Option) and option.name != "name":
                assert any(f"`{each}" in listed for each in option.opts), option.opts


@pytest.mark.parametrize("name", ["docs/configuration.md", "docs/tutorial.md"])
def test_every_whole_example_is_a_plan(name):
    examples = [block.text for block in blocks(page(name)) if block.language == "toml" and "[[plugin]]" in block.text]
    assert examples
    for text in examples:
        plan = parse.parse_plan(tomllib.loads(text), where=name, base="")
        assert plan.plugins and msgspec.json.encode(plan)
