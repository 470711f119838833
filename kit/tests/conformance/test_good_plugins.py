"""The suite finds no fault in good plugins."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_plugins import ALL, PLUGINS, classes_in

pytestmark = pytest.mark.timeout(900)  # a quarter of a minute each, and much more on a busy machine

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "plugins"

EXAMPLES_THAT_RUN = {
    "allowed_owners.py:AllowedOwners": {"config": {"owners": ["0123456789abcdef0123456789abcdef"]}},
    "blocked_digests.py:BlockedDigests": {"grants": {"rules": f"file:{ROOT}/examples/rules/blocked.sha256"}},
    "efi_partition.py:EfiPartition": {},
    "fixed_vhd.py:FixedVhd": {},
    "forbidden_text.py:ForbiddenText": {},
    "head_fingerprint.py:HeadFingerprint": {},
    "image_names.py:ImageNames": {"config": {"patterns": ["*[a-z]*"]}},
    "iso_boot_file.py:IsoBootFile": {},
    "maintenance_window.py:MaintenanceWindow": {},
    "random_share.py:RandomShare": {},
    "recommended_properties.py:RecommendedProperties": {},
    "uefi_by_gpt.py:UefiByGpt": {},
}

BUILT_IN = {
    "format": {},
    "checksum": {"config": {"expected": "0" * 64}},
    "limits": {"config": {"formats": ["raw", "qcow2"], "max_size": "1GiB"}},
    "decompress": {},
    "ova": {},
}


EFFORT = 0.15
"""Less than an author's plugin gets."""


@pytest.mark.parametrize(
    "use",
    [f"{path.name}:{plugin}" for path in sorted(PLUGINS.glob("good_*.py")) for plugin in classes_in(path.name)][
        :: 1 if ALL else 9
    ],
)
def test_there_is_no_finding(conform, use):
    assert [finding.to_json() for finding in conform(use, effort=EFFORT).findings] == []


@pytest.mark.parametrize("use", list(EXAMPLES_THAT_RUN)[:: 1 if ALL else 6])
def test_there_is_no_finding_in_the_examples(conform, use):
    more = EXAMPLES_THAT_RUN[use]
    assert [finding.to_json() for finding in conform(f"{EXAMPLES}/{use}", effort=EFFORT, **more).findings] == []


@pytest.mark.parametrize("use", list(BUILT_IN)[:: 1 if ALL else 3])
def test_there_is_no_finding_in_the_built_in_plugins(conform, use):
    assert [finding.to_json() for finding in conform(use, effort=EFFORT, **BUILT_IN[use]).findings] == []
