"""The plugins that read only the declared facts."""

from __future__ import annotations

import time

import pytest
from example_plugins import TIERS, Check, answer_of, run_plugin
from hypothesis import given
from hypothesis import strategies as st

NAME = "image_names:ImageNames"
OWNERS = """
[[plugin]]
name = "owners"
use = "plugins/allowed_owners.py:AllowedOwners"
config = { owners = ["p1"], roles = ["publisher"] }
"""
NAMES = """
[[plugin]]
name = "names"
use = "plugins/image_names.py:ImageNames"
config = { patterns = ["debian-*"], max_length = 20, of_projects = { lab = "lab-*" }, otherwise = "%s" }
"""


# allowed_owners


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--owner", "p1"), ("accepted", None)),
        (("--owner", "p2", "--role", "publisher"), ("accepted", None)),
        (("--owner", "p2", "--role", "member"), ("refused", "owner-not-allowed")),
        ((), ("undecided", "owner-unknown")),
    ],
)
def test_only_listed_owners_and_roles_are_accepted(
    check: Check, words: tuple[str, ...], answer: tuple[str, str]
) -> None:
    run = check(b"image", OWNERS, *words)
    assert run.answer == answer
    assert run.verdict("owners")["bytes_seen"] == 0


def test_empty_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        run_plugin("allowed_owners:AllowedOwners", owners=[])


# image_names


@pytest.mark.parametrize(
    ("name", "owner", "allowed"),
    [
        ("debian-12", "p1", True),
        ("Debian-12", "p1", False),
        ("lab-7", "p1", False),
        ("lab-7", "lab", True),
        ("debian-12", "lab", False),
        ("debian-" + "1" * 13, "p1", True),
        ("debian-" + "1" * 14, "p1", False),
        ("", "p1", False),
        (None, None, False),
    ],
)
def test_a_name_must_match_the_pattern_of_the_project(name: str | None, owner: str | None, allowed: bool) -> None:
    config = {"patterns": ["debian-*"], "max_length": 20, "of_projects": {"lab": "lab-*"}}
    answer = answer_of(NAME, declared={"name": name, "owner": owner}, **config)
    assert answer == (("accepted", None) if allowed else ("refused", "name-not-allowed"))


def test_case_can_be_ignored() -> None:
    config = {"patterns": ["Debian-*"], "ignore_case": True}
    assert answer_of(NAME, declared={"name": "dEBIAN-12"}, **config)[0] == "accepted"


@given(st.text(max_size=300))
def test_any_name_gets_an_answer(name: str) -> None:
    answer = answer_of(NAME, declared={"name": name}, patterns=["*a*a*a*a*b"], max_length=255)
    assert answer[0] in ("accepted", "refused")


@pytest.mark.parametrize(("otherwise", "code"), [("refuse", 1), ("warn", 0)])
def test_the_operator_chooses_between_refusal_and_warning(check: Check, otherwise: str, code: int) -> None:
    run = check(b"image", NAMES % otherwise)
    assert run.code == code
    warned = [warning["code"] for warning in run.verdict("names")["warnings"]]
    assert warned == (["name-not-allowed"] if otherwise == "warn" else [])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{ }", ["patterns"]),
        ('{ patterns = ["*"], otherwise = "ask" }', ["otherwise", "refuse", "warn"]),
        ('{ patterns = ["*"], max_length = true }', ["max_length"]),
        ('{ patterns = ["*"], max_length = 0 }', ["max_length", "from 1 to 255"]),
        ('{ patterns = ["*"], of_projects = { lab = 7 } }', ["of_projects"]),
        ("{ patterns = [] }", ["patterns", "at least one"]),
        ('{ pattern = "*" }', ["pattern", "patterns, max_length, ignore_case"]),
    ],
)
def test_a_wrong_configuration_is_reported_by_its_key(check: Check, config: str, words: list[str]) -> None:
    run = check(b"", f'[[plugin]]\nname = "n"\nuse = "plugins/image_names.py:ImageNames"\nconfig = {config}\n')
    assert (run.code, run.report["verdicts"]) == (2, [])
    assert [word for word in words if word not in run.stderr] == []


# maintenance_window


def clock(hours: float) -> str:
    """Return the time of the day in UTC, `hours` from now."""
    return time.strftime("%H:%M", time.gmtime(time.time() + hours * 3600))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("begins", "ends", "outcome"), [(-2, 2, "undecided"), (2, 4, "accepted"), (-4, -2, "accepted")]
)
def test_images_are_deferred_during_maintenance(check: Check, tier: str, begins: int, ends: int, outcome: str) -> None:
    until = clock(ends)
    plan = (
        '[[plugin]]\nname = "window"\nuse = "plugins/maintenance_window.py:MaintenanceWindow"\n'
        f'config = {{ begins = "{clock(begins)}", ends = "{until}" }}\n'
    )
    run = check(b"image", plan, tier=tier)
    assert run.report["outcome"] == outcome
    if outcome == "undecided":
        assert run.code == 3
        assert 3600 < run.report["retry_after"] <= 2 * 3600
        assert until in run.report["message"]


@pytest.mark.parametrize(
    ("begins", "ends", "now", "seconds"),
    [
        ("22:30", "04:00", "22:29", None),
        ("22:30", "04:00", "22:30", 5.5 * 3600),
        ("22:30", "04:00", "03:59", 60),
        ("22:30", "04:00", "04:00", None),
        ("08:00", "09:00", "08:30", 1800),
        ("08:00", "09:00", "20:00", None),
    ],
)
def test_the_window_may_include_midnight(
    monkeypatch: pytest.MonkeyPatch, begins: str, ends: str, now: str, seconds: float | None
) -> None:
    hours, minutes = map(int, now.split(":"))
    monkeypatch.setattr(time, "time", lambda: 20_000 * 86400.0 + hours * 3600 + minutes * 60)
    result = run_plugin("maintenance_window:MaintenanceWindow", begins=begins, ends=ends)
    assert result.outcome == ("accepted" if seconds is None else "deferred")
    assert result.retry_after == seconds


@pytest.mark.parametrize(("begins", "ends"), [("25:00", "01:00"), ("soon", "01:00"), ("01:00", ""), ("01:00", "01:00")])
def test_invalid_times_are_refused(begins: str, ends: str) -> None:
    with pytest.raises(ValueError, match=r"begins|ends"):
        run_plugin("maintenance_window:MaintenanceWindow", begins=begins, ends=ends)


# recommended_properties


def test_a_missing_property_is_a_warning(check: Check) -> None:
    plan = '[[plugin]]\nname = "wanted"\nuse = "plugins/recommended_properties.py:RecommendedProperties"\n'
    run = check(b"image", plan, "--property", "os_distro=debian", "--property", "os_version= ")
    assert run.code == 0
    [warning] = run.verdict("wanted")["warnings"]
    assert warning["code"] == "properties-missing"
    assert "os_version" in warning["message"]
    assert "os_distro" not in warning["message"]
    run = check(b"image", plan, "--property", "os_distro=debian", "--property", "os_version=12")
    assert run.verdict("wanted")["warnings"] == []


def test_many_missing_properties_are_one_warning(check: Check) -> None:
    plan = (
        '[[plugin]]\nname = "wanted"\nuse = "plugins/recommended_properties.py:RecommendedProperties"\n'
        f"config = {{ names = {[f'property_{number}' for number in range(500)]} }}\n"
    )
    run = check(b"", plan)
    assert (run.code, len(run.verdict("wanted")["warnings"])) == (0, 1)
