"""`properties` in its sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import PlanError, Report, RunOptions, inspect_image, load_plan, open_source


def report(tmp_path: Any, tier: str, rules: str, may_set: str) -> Report:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[plugin]]\nname = "format"\nuse = "format"\n'
        f'[[plugin]]\nname = "site"\nuse = "properties"\nmay_set = {may_set}\nconfig = {{ rules = {rules} }}\n'
    )
    image = tmp_path / "image"
    image.write_bytes(bytes(4096))
    declared = DeclaredImage(roles=("member",), properties={"os_hidden": "true"})
    return inspect_image(
        load_plan(str(plan)), declared, open_source(str(image)), options=RunOptions(tier=sandbox.Tier(tier))
    )


@pytest.mark.parametrize("tier", ["strict", "full"])
def test_rules_use_the_findings_of_earlier_plugins(tmp_path: Any, tier: str) -> None:
    rules = (
        '[{ when = { role = "member", "format.disk_format" = "raw" }, set = { hw_disk_bus = "scsi" }, '
        'remove = ["os_hidden"] }, { when = { role = "admin" }, set = { hw_disk_bus = "ide" } }]'
    )
    result = report(tmp_path, tier, rules, '["hw_*", "os_hidden"]')
    assert result.outcome == "accepted", result
    assert {name: each.value for name, each in result.proposed.items()} == {"hw_disk_bus": "scsi", "os_hidden": None}
    assert result.properties["site.rules"] == "1"


def test_a_name_missing_in_may_set_is_a_failure(tmp_path: Any) -> None:
    result = report(tmp_path, "strict", "[{ set = { hw_disk_bus = 'scsi' } }]", '["os_*"]')
    assert (result.outcome, result.code) == ("undecided", "plugin-properties")


def test_a_wrong_rule_is_a_configuration_error(tmp_path: Any) -> None:
    with pytest.raises(PlanError, match="rule 1"):
        report(tmp_path, "strict", "[{ when = { role = [] }, set = { a = 1 } }]", '["a"]')
