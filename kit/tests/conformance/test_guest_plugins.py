"""The suite on a plugin that looks into the guest: it reaches the refusal by a disk with files."""

from __future__ import annotations

import pytest

from douane_kit.conformance import guests

BLIND = """
from douane_plugin import Inspector, Reject

class Blind(Inspector):
    reads = "guest"

    def inspect(self, image):
        if image.guest.package("telnet-server"):
            raise Reject("telnet", "a telnet server is installed; remove it")
"""


def test_a_plugin_that_does_not_ask_for_unread_parts_is_told(conform, tmp_path):
    path = tmp_path / "blind.py"
    path.write_text(BLIND)
    report = conform(f"{path}:Blind", effort=0.02)
    assert [finding.to_json() for finding in report.findings] == []
    assert report.verdicts["refused"] and report.verdicts["accepted"] and report.verdicts["incomplete"]
    assert [warning.code for warning in report.warnings] == ["never-asks-unread"]


@pytest.mark.parametrize("size", [0, 1000, 3 << 20])
def test_large_disks_have_the_size_that_is_measured(size):
    assert size <= len(guests.large_file(size, 0)) <= size + (1 << 17)
    assert size <= len(guests.many_files(size, 0)) <= size + (1 << 17)


@pytest.mark.parametrize("text", ["/etc/passwd/below", "../above", "/etc/passwd", "usr/bin/tool"])
def test_any_path_in_the_code_of_a_plugin_is_tried_or_left_out(text):
    assert len(list(guests.disks([b"token"], [text, "package"], 0))) > 5
