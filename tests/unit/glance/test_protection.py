"""The rules for Glance's property protections: which applies to a property, and a site's own rules."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from douane.errors import PlanError
from douane.glance.proof.protection import existing_rules, protection_rules, write_rules

PLUGINS = ["format", "oslo-format"]
SITE = "# of the site\n[^x_billing_.*]\ncreate = admin\nread = admin\nupdate = admin\ndelete = admin\n"


def writers(text: str, name: str) -> str | None:
    """Who may create the property `name`, as Glance reads the file: by the first expression that matches."""
    rules = configparser.ConfigParser()
    rules.read_string(text)
    for expression in rules.sections():
        if re.compile(expression).search(name):
            assert all(operation in rules[expression] for operation in ("create", "read", "update", "delete"))
            return rules[expression]["create"]
    return None


def test_only_douane_and_services_write_what_is_douanes() -> None:
    text = protection_rules(PLUGINS, None, by_policies=False)
    for name in ("format.size", "oslo-format.x", "douane_outcome", "douane_proof"):
        assert writers(text, name) == "douane,service", name
    for name in ("os_distro", "formats", "format", "my_format.x", "oslo_format.x", "not_douane_x"):
        assert writers(text, name) == "@", name


def test_the_rules_of_a_site_stay_and_come_after_douanes() -> None:
    text = protection_rules(PLUGINS, SITE, by_policies=False)
    assert SITE.strip() in text
    assert writers(text, "x_billing_1") == "admin"
    assert writers(text, "format.size") == "douane,service"
    assert writers(text, "other") is None, "what the site allows nobody stays so"


@pytest.mark.parametrize("existing", [None, SITE])
@pytest.mark.parametrize("by_policies", [False, True])
def test_rules_that_are_written_again_are_not_repeated(existing: str | None, by_policies: bool) -> None:
    first = protection_rules(["old"], existing, by_policies=by_policies)
    again = protection_rules(PLUGINS, first, by_policies=by_policies)
    assert again == protection_rules(PLUGINS, existing, by_policies=by_policies)
    assert again.count("^douane_") == 1
    assert writers(again, "old.x") == (None if existing else "@")


def test_rules_by_policies_name_a_policy() -> None:
    text = protection_rules([], None, by_policies=True)
    assert writers(text, "douane_code") == "douane_properties"
    assert '"douane_properties": "role:douane or role:service"' in text
    assert writers(text, "format.x") == "@"


def test_the_file_may_be_the_one_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "protection.conf"
    path.write_text(SITE)
    path.chmod(0o640)
    conf = SimpleNamespace(property_protection_file=str(path), find_file=lambda name: name)
    write_rules(str(path), protection_rules(PLUGINS, existing_rules(conf), by_policies=False))
    assert writers(path.read_text(), "x_billing_1") == "admin"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("")
    with pytest.raises(PlanError, match="is empty"):
        existing_rules(conf)
    with pytest.raises(PlanError, match="cannot be written"):
        write_rules(str(tmp_path / "gone" / "file"), "")
