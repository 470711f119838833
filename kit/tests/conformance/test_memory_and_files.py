"""What the suite makes of memory and files: growth in every kind of memory, and none in what earlier images left."""

from __future__ import annotations

import pytest
from planted_plugins import ALL

pytestmark = pytest.mark.timeout(900)  # up to a minute each, and much more on a busy machine


@pytest.mark.parametrize("plugin", ["MapsChunks", "ChangesMappedFile"][: 2 if ALL else 1])
def test_memory_that_a_plugin_maps_is_seen_to_grow(conform, plugin):
    findings = conform(f"faulty_growth.py:{plugin}").findings
    assert [finding.code for finding in findings] == ["memory-growth"]
    assert "outside of Python's objects" in findings[0].what


def test_a_mapping_of_the_image_that_is_only_read_is_no_growth(conform):
    assert conform("good_leftovers.py:MapsFile").findings == []


@pytest.mark.parametrize("plugin", ["OpenFiles", "Cycles"][: 2 if ALL else 1])
def test_what_hundreds_of_instances_leave_in_a_process_is_no_fault(conform, plugin):
    report = conform(f"good_leftovers.py:{plugin}", effort=0.15)
    assert report.findings == []
    assert report.verdicts["refused"] > 0
    assert report.verdicts["failed"] == 0
