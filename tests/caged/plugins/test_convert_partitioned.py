"""A disk with partitions that `convert` has converted is one format to `format`."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.conversion import convert, plan_of
from support.images import MIB
from support.images.containers import DISKS
from support.plans import plugin

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize(("target", "size"), [("vhd", 600), ("vdi", 700)])
def test_converted_disk_with_partitions_is_accepted(tmp_path: Path, target: str, size: int) -> None:
    DISKS["gpt"](tmp_path / "raw", size * MIB)
    toml = plan_of(config=f'to = "{target}"', keys=['scratch = "1GiB"']) + "\n" + plugin("format")
    report = convert(tmp_path, tmp_path / "raw", toml)
    assert report.outcome == "accepted", report
    assert report.disk_format == target
    assert not [verdict.warnings for verdict in report.verdicts if verdict.plugin == "format" and verdict.warnings]
