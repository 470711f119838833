"""The effect of one answer on the image, and the properties that a plugin may set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.host.policy import BadProperties, check_properties, check_proposed, clean, clean_lines, weigh
from douane.plan.model import PluginSpec
from douane.report import Verdict

OUTCOMES = ("accepted", "refused", "deferred", "incomplete", "failed", "timeout", "stopped")


def spec(**keys):
    return PluginSpec(name="a", use="format", **keys)


@pytest.mark.parametrize(
    ("outcome", "weight"),
    [
        ("accepted", "accepted"),
        ("refused", "refused"),
        ("deferred", "undecided"),
        ("incomplete", "undecided"),
        ("failed", "undecided"),
        ("timeout", "undecided"),
    ],
)
def test_an_enforcing_plugin_with_the_default_rules(outcome, weight):
    assert weigh(spec(), Verdict(plugin="a", outcome=outcome)) == weight


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_auditor_decides_nothing(outcome):
    assert weigh(spec(mode="audit"), Verdict(plugin="a", outcome=outcome)) == "accepted"


@pytest.mark.parametrize("outcome", ["refused", "deferred"])
def test_a_warner_does_not_refuse(outcome):
    assert weigh(spec(mode="warn"), Verdict(plugin="a", outcome=outcome)) == "accepted"


@pytest.mark.parametrize(
    ("key", "outcome"), [("on_error", "failed"), ("on_timeout", "timeout"), ("on_incomplete", "incomplete")]
)
def test_each_rule_covers_its_own_kind_of_failure(key, outcome):
    assert weigh(spec(**{key: "warn"}), Verdict(plugin="a", outcome=outcome)) == "accepted"
    for kind in {"failed", "timeout", "incomplete"} - {outcome}:
        assert weigh(spec(**{key: "warn"}), Verdict(plugin="a", outcome=kind)) == "undecided"


def test_properties_get_the_namespace_of_the_plugin():
    assert check_properties("boot", {"kind": "mbr", "boot.parts": 3, "ok": True}) == {
        "boot.kind": "mbr",
        "boot.parts": 3,
        "boot.ok": True,
    }


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({"other.kind": 1}, "outside its namespace"),
        ({"os_glance:x": 1}, "outside its namespace"),
        ({"bo.ot.kind": 1}, "outside its namespace"),
        ({"Kind": 1}, "a-z 0-9 _"),
        ({"": 1}, "a-z 0-9 _"),
        ({"k" * 65: 1}, "1 to 64"),
        ({"k": "x" * 4097}, "4096 are allowed"),
        ({"k": None}, "must be a str"),
        ({"k": [1]}, "must be a str"),
        ({"k": 1 << 64}, "64 bits"),
        ({f"k{n}": 1 for n in range(65)}, "at most 64"),
        ([1], "a mapping"),
    ],
)
def test_invalid_properties(properties, sentence):
    with pytest.raises(BadProperties, match=sentence):
        check_properties("boot", properties)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))
def test_a_property_is_text_on_one_line(text):
    checked = [
        *check_properties("boot", {"k": text}).values(),
        *check_proposed(PluginSpec(name="boot", use="b:B", may_set=("k",)), {"k": text}).values(),
    ]
    for value in checked:
        assert value.splitlines() in ([], [value])
        assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in value)
        assert len(value) <= len(text)


@given(st.text(max_size=300))
def test_lines_of_a_plugin_cannot_drive_a_terminal(text):
    lines = clean_lines(f"  indented\n{text}", 1000)
    assert lines.startswith("  indented\n") or not text
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in lines.replace("\n", ""))


def test_of_a_long_trace_the_end_remains():
    assert clean_lines("x" * 100 + "\nValueError: no", 20).endswith("\nValueError: no")


@given(st.text(max_size=3000))
def test_a_plugins_text_cannot_drive_a_terminal(text):
    cleaned = clean(text)
    assert len(cleaned) <= 1000
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in cleaned)
    cleaned.encode()
