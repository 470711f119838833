"""Properties outside a plugin's namespace, and plugins that decide by the findings of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.engine import PlanError
from douane_plugin.testing import guest_image

SETTING = Path(__file__).parent / "plugins" / "setting.py"
pytestmark = pytest.mark.usefixtures("nothing_left")


def plan(*plugins: str) -> str:
    return "".join(f"[[plugin]]\n{text}\n" for text in plugins)


def use(name: str, cls: str, *more: str) -> str:
    return "\n".join([f'name = "{name}"', f'use = "{SETTING}:{cls}"', *more])


def test_a_property_in_may_set_is_set(run) -> None:
    report = run(
        b"x",
        toml=plan(use("a", "Sets", 'config = { name = "hw_disk_bus", value = "scsi" }', 'may_set = ["hw_*"]')),
    )
    assert report.outcome == "accepted"
    assert report.to_json()["proposed"] == {"hw_disk_bus": {"value": "scsi", "plugin": "a"}}
    assert report.properties.keys().isdisjoint({"hw_disk_bus", "a.hw_disk_bus"})


def test_a_property_may_be_removed(run) -> None:
    report = run(
        b"x", toml=plan(use("a", "Sets", 'config = { name = "os_type", remove = true }', 'may_set = ["os_type"]'))
    )
    assert report.to_json()["proposed"] == {"os_type": {"value": None, "plugin": "a"}}


@pytest.mark.parametrize("may_set", ["[]", '["os_*"]', '["hw_disk"]', '["hw_disk_bus_"]', '["x*", "hw"]'])
def test_a_property_outside_may_set_is_a_failure(run, may_set) -> None:
    report = run(b"x", toml=plan(use("a", "Sets", 'config = { name = "hw_disk_bus" }', f"may_set = {may_set}")))
    assert (report.outcome, report.code) == ("undecided", "plugin-properties")
    assert "may_set" in report.verdicts[0].detail
    assert report.proposed == {}


def test_too_many_properties_are_a_failure(run) -> None:
    report = run(b"x", toml=plan(use("a", "SetsMany", 'may_set = ["hw_*"]')))
    assert (report.outcome, report.code) == ("undecided", "plugin-error")


def test_the_last_plugin_wins(run) -> None:
    both = [
        use(name, "Sets", f'config = {{ name = "hw_a", value = "{name}" }}', 'may_set = ["hw_a"]')
        for name in ("a", "b")
    ]
    assert run(b"x", toml=plan(*both)).proposed["hw_a"].value == "b"
    assert run(b"x", toml=plan(*reversed(both))).proposed["hw_a"].value == "a"


def test_a_transform_may_set_them_and_an_auditor_may_not(run) -> None:
    made = run(b"x", toml=plan(use("makes", "Makes", 'may_set = ["hw_*"]')))
    assert made.proposed["hw_made"].value is True
    audit = use("a", "Sets", 'config = { name = "hw_a" }', 'may_set = ["hw_a"]', 'mode = "audit"')
    assert run(b"x", toml=plan(use("looks", "Looks"), audit)).proposed == {}


def test_a_refused_image_gets_no_properties(run) -> None:
    report = run(
        b"x",
        toml=plan(
            use("a", "Sets", 'config = { name = "hw_a" }', 'may_set = ["hw_a"]'),
            use("finds", "Finds"),
            use("by", "GoesBy"),
        ),
    )
    assert report.outcome == "refused"
    assert report.proposed == {}


@pytest.mark.parametrize("pattern", ["", "a b", "*x", "hw_*_x", "hw_**", "é"])
def test_an_invalid_pattern_is_an_error_before_the_start(run, pattern) -> None:
    with pytest.raises(PlanError, match="may_set"):
        run(b"x", toml=plan(use("a", "Looks", f'may_set = ["{pattern}"]')))


def test_a_plugin_sees_the_findings_of_earlier_plugins(run) -> None:
    toml = plan(use("finds", "Finds"), use("by", "GoesBy", 'may_set = ["os_*"]'))
    declared = {"owner": "p1", "roles": ["member", "reader"]}
    accepted = run(bytes(2000), toml=toml, declared=declared)
    assert accepted.outcome == "accepted"
    assert accepted.properties["by.went_by"] == 2
    assert accepted.proposed["os_owner"].value == "p1 member,reader"
    refused = run(bytes(200), toml=toml, declared=declared)
    assert (refused.outcome, refused.code) == ("refused", "too-small")


def test_findings_of_later_plugins_and_auditors_are_not_seen(run) -> None:
    behind = run(bytes(2000), toml=plan(use("by", "GoesBy", 'may_set = ["os_*"]'), use("finds", "Finds")))
    assert (behind.outcome, behind.code) == ("refused", "not-found")
    audit = run(bytes(2000), toml=plan(use("finds", "Finds", 'mode = "audit"'), use("by", "GoesBy")))
    assert (audit.outcome, audit.code) == ("refused", "not-found")


def test_findings_from_both_sides_of_a_transform_are_seen(run) -> None:
    toml = plan(
        use("finds", "Finds"), use("makes", "Makes", 'may_set = ["*"]'), use("by", "GoesBy", 'may_set = ["os_*"]')
    )
    report = run(bytes(5 << 20), toml=toml)
    assert report.outcome == "accepted"
    assert report.properties["by.went_by"] >= 2


def test_a_refusal_by_findings_after_a_transform_ends_the_run(run) -> None:
    toml = plan(
        use("makes", "Makes", 'may_set = ["*"]'), use("finds", "Finds"), use("by", "GoesBy", 'config={finding="no.x"}')
    )
    assert run(bytes(5 << 20), toml=toml).code == "not-found"


GUEST = """
name = "guest"
use = "guest-policy"
config = { require = "findings['finds.size'] == SIZE && findings['also.rules'] == 1 && guest.os.ID == 'example'" }
"""
ALSO = """
name = "also"
use = "policy"
config = { require = "findings['finds.size'] > 0" }
"""


@pytest.mark.parametrize("behind", [[], [use("makes", "Makes", 'may_set = ["hw_*"]')]])
def test_one_plugin_sees_the_guest_and_the_findings_of_earlier_ones(run, behind) -> None:
    image = guest_image({"/etc/os-release": "ID=example\n"})
    guest = GUEST.replace("SIZE", str(len(image)))
    report = run(image, toml=plan(use("finds", "Finds"), ALSO, *behind, guest))
    assert report.outcome == "accepted", report
    assert "guest+findings" in [verdict.ran.reads for verdict in report.verdicts]
    wrong = run(image, toml=plan(use("finds", "Finds"), ALSO, *behind, GUEST.replace("SIZE", "1")))
    assert (wrong.outcome, wrong.code) == ("refused", "policy")


def test_it_does_not_see_the_findings_of_later_ones(run) -> None:
    image = guest_image({"/etc/os-release": "ID=example\n"})
    guest = GUEST.replace("SIZE", str(len(image)))
    report = run(image, toml=plan(guest, use("finds", "Finds"), ALSO))
    assert (report.verdicts[0].outcome, report.verdicts[0].code) == ("incomplete", "policy")
